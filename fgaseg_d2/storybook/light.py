"""Light of a scene: where it comes from, its colour, and the look of the whole picture."""

from dataclasses import dataclass

import cv2
import numpy as np

from .dice import Dice
from .paint import Color


@dataclass(frozen=True)
class Weather:
    """A kind of light.

    Attributes:
        skies: Colours at the top and at the bottom of the sky, to choose from.
        gain: Factor of red, green and blue.
        saturation: Factor of the distance from grey.
        contrast: Factor of the distance from middle grey.
        shadow: How much a cast shadow darkens the ground, 0 .. 1.
        slant: Shortest and longest horizontal reach of a shadow in heights of its thing.
    """

    skies: tuple[tuple[Color, Color], ...]
    gain: tuple[float, float, float]
    saturation: float
    contrast: float
    shadow: float
    slant: tuple[float, float]


_DAY = Weather(
    skies=(((122, 190, 240), (206, 234, 250)), ((150, 206, 244), (226, 240, 246))),
    gain=(1.0, 1.0, 1.0),
    saturation=1.0,
    contrast=1.0,
    shadow=0.34,
    slant=(0.2, 0.7),
)
_EVENING = Weather(
    skies=(((150, 178, 214), (252, 214, 168)), ((214, 176, 178), (252, 222, 160))),
    gain=(1.04, 0.98, 0.87),
    saturation=1.0,
    contrast=1.02,
    shadow=0.32,
    slant=(0.8, 1.4),
)
_OVERCAST = Weather(
    skies=(((168, 184, 198), (222, 226, 230)), ((186, 192, 200), (214, 220, 226))),
    gain=(1.0, 1.01, 1.03),
    saturation=0.84,
    contrast=0.9,
    shadow=0.1,
    slant=(0.0, 0.2),
)
_DUSK = Weather(
    skies=(((112, 124, 182), (226, 190, 196)), ((98, 118, 168), (190, 186, 210))),
    gain=(0.84, 0.82, 0.95),
    saturation=0.95,
    contrast=0.95,
    shadow=0.16,
    slant=(0.4, 1.0),
)
_WEATHERS = (_DAY, _DAY, _DAY, _EVENING, _EVENING, _OVERCAST, _OVERCAST, _DUSK)


@dataclass(frozen=True)
class Light:
    """The light of one scene.

    Attributes:
        weather: The kind of light.
        sky: Colours at the top and at the bottom of the sky.
        side: How much it comes from the left (negative) or the right, -1 .. 1.
        shear: Horizontal reach of a shadow in heights of its thing, to the right if positive.
        fall: How far a shadow reaches downwards (towards the reader), in the same unit.
        brightness: Factor of the whole picture.
    """

    weather: Weather
    sky: tuple[Color, Color]
    side: float
    shear: float
    fall: float
    brightness: float


def choose_light(dice: Dice) -> Light:
    """Choose the light of a scene."""
    weather = dice.pick(_WEATHERS)
    sign = dice.sign()
    return Light(
        weather=weather,
        sky=dice.pick(weather.skies),
        side=sign * dice.uniform(0.3, 1.0),
        shear=-sign * dice.uniform(*weather.slant),
        fall=dice.uniform(0.12, 0.3),
        brightness=dice.uniform(0.92, 1.06),
    )


def cast_shadows(image: np.ndarray, mask: np.ndarray, catching: np.ndarray, light: Light) -> None:
    """Darken what lies in shadow.

    Args:
        image: H x W x 3 uint8, changed in place.
        mask: Shadows at a coarser resolution, h x w uint8, 255 in full shadow.
        catching: H x W bool, where shadows fall.
        light: The light of the scene.
    """
    rows, columns = image.shape[:2]
    # The coarse mask, enlarged, has soft edges; the exact variant is the same on every machine.
    full = cv2.resize(mask, (columns, rows), interpolation=cv2.INTER_LINEAR_EXACT)
    depth = full.astype(np.uint16) * round(256 * light.weather.shadow) // 255
    depth[~catching] = 0
    top = int(np.argmax(catching.any(axis=1)))  # nothing above it is in shadow
    part = image[top:]
    part[:] = (part * (256 - depth[top:, :, None]) >> 8).astype(np.uint8)


def develop(image: np.ndarray, light: Light, dice: Dice) -> None:
    """Give the whole picture the colours of the light, and paper grain, in place.

    Args:
        image: H x W x 3 uint8.
        light: The light of the scene.
        dice: Source of randomness.
    """
    rows, columns = image.shape[:2]
    pixels = image.astype(np.int16)
    saturation = round(64 * light.weather.saturation * dice.uniform(0.9, 1.06))
    red, green, blue = (image[..., channel].astype(np.uint16) for channel in range(3))
    grey = (77 * red + 150 * green + 29 * blue >> 8).astype(np.int16)[..., None]
    pixels = grey + ((pixels - grey) * saturation >> 6)
    graded = cv2.LUT(np.clip(pixels, 0, 255).astype(np.uint8), _tone_curves(light, dice))
    grain = 5 - (11 * dice.points(64 * 64, 1)).astype(np.int16).reshape(64, 64)
    grain = np.tile(grain, (rows // 64 + 1, columns // 64 + 1))[:rows, :columns]
    # The side where the light comes from is brighter.
    slope = np.arange(columns) * 21 // columns - 10
    grain = grain + (slope * round(64 * light.side) >> 6).astype(np.int16)
    image[:] = np.clip(graded.astype(np.int16) + grain[..., None], 0, 255).astype(np.uint8)


def _tone_curves(light: Light, dice: Dice) -> np.ndarray:
    """What becomes of each value of each channel, 1 x 256 x 3 uint8."""
    values = np.arange(256, dtype=np.float64)
    contrast = light.weather.contrast * dice.uniform(0.95, 1.05)
    spread = 128 + contrast * (values - 128)
    curves = [
        np.clip(np.floor(light.brightness * gain * dice.uniform(0.97, 1.03) * spread + 0.5), 0, 255)
        for gain in light.weather.gain
    ]
    return np.stack(curves, axis=1)[None].astype(np.uint8)
