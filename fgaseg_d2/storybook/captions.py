"""Pictures of Storybook with captions: details of scenes, and what they show in changing words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from .classes import FULL_CLASSES, IGNORE_LABEL, PLAIN, PRODUCTS, STUFF_CLASSES, Product
from .dice import Dice
from .scenes import draw_scene

LEAST_SHARE = 0.02  # of the picture; what is smaller is not mentioned

CAPTIONS_PER_PICTURE = 3
# A detail shows a half to a third of a scene's height, as photographs of one thing or a few do.
_ZOOM = (1.6, 3.2)
_GREY, _RECOLORED = 0.1, 0.1  # share of pictures without their colors, and with others
# Things are looked at first: how many of them are mentioned, each number as likely.
_MENTIONED = (1, 1, 2, 2, 3, 4)
_STUFF_BESIDE_THINGS = 0.6  # share of captions with things that also say where they are
_STUFF_ALONE = 3  # kinds of stuff at most where there is no thing
# What is said of a thing, each way as likely.
_PLAIN_WAYS = ("color", "color", "color", "")
_PATTERN_WAYS = ("pattern", "pattern", "color pattern", "")
_OPENINGS = (
    *("", "", "a picture of ", "a drawing of ", "a drawing of ", "an illustration of "),
    *("we see ", "here is ", "there is ", "this picture shows "),
)
_ENDINGS = ("", "", "", " in a storybook", " on a page of a book", ", drawn by hand")
_PLACES = (" and ", " with ", " in front of ", ", behind it ", ", ")


def draw_captioned(
    seed: int, height: int, width: int, products: Sequence[Product]
) -> tuple[np.ndarray, list[str]]:
    """Draw a detail of a scene, and write what it shows.

    Some pictures are grey or have their color channels in another order; no caption of theirs
    names a color, so that a thing cannot be told by its color alone.

    Args:
        seed: Any non-negative integer.
        height: Rows in pixels, 32 .. 1280.
        width: Columns in pixels, 32 .. 1280.
        products: What the things are chosen from.

    Returns:
        The picture, H x W x 3 uint8 RGB, and :data:`CAPTIONS_PER_PICTURE` captions.

    Raises:
        ValueError: As :func:`draw_scene` says.
    """
    place, look, words = Dice(np.random.SeedSequence((seed, 1))).spawn(3)
    zoom = place.uniform(*_ZOOM)
    scene = draw_scene(seed, round(height * zoom), round(width * zoom), products)
    top = place.integer(0, scene.label.shape[0] - height + 1)
    left = place.integer(0, scene.label.shape[1] - width + 1)
    window = slice(top, top + height), slice(left, left + width)
    image, colors = scene.image[window], True
    if look.chance(_GREY + _RECOLORED):
        colors = False
        image = _grey(image) if look.chance(_GREY / (_GREY + _RECOLORED)) else _other(image, look)
    seen = sights(scene.label[window])
    captions = [write_caption(seen, dice, colors) for dice in words.spawn(CAPTIONS_PER_PICTURE)]
    return np.ascontiguousarray(image), captions


def _grey(image: np.ndarray) -> np.ndarray:
    return np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)


def _other(image: np.ndarray, dice: Dice) -> np.ndarray:
    """A picture with its channels in another order."""
    return image[..., dice.pick(((0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)))]


@dataclass(frozen=True)
class Sight:
    """What a picture shows of one class.

    Attributes:
        class_id: position in :data:`classes.FULL_CLASSES`.
        share: of the picture's pixels, above 0 and at most 1.
    """

    class_id: int
    share: float

    @property
    def is_stuff(self) -> bool:
        """Whether it is stuff, such as the sky."""
        return self.class_id < len(STUFF_CLASSES)


def sights(label: np.ndarray, least: float = LEAST_SHARE) -> list[Sight]:
    """What covers enough of a picture to be mentioned, the largest first.

    Args:
        label: H x W uint8, positions in :data:`classes.FULL_CLASSES`; 255 is nothing.
        least: share of the picture.
    """
    counts = np.bincount(label.ravel(), minlength=IGNORE_LABEL + 1)[: len(FULL_CLASSES)]
    order = np.argsort(-counts, kind="stable")
    return [
        Sight(int(index), counts[index] / label.size)
        for index in order
        if counts[index] and counts[index] >= least * label.size
    ]


def write_caption(seen: Sequence[Sight], dice: Dice, colors: bool = True) -> str:
    """Write one of many captions for what a picture shows.

    Args:
        seen: see :func:`sights`.
        dice: chooses what is said and how.
        colors: whether colours may be named; they are not where a picture has lost or changed them.

    Returns:
        A text in lower case such as "a drawing of a red house and a striped cat, the sky"; of
        nothing that can be named, "an empty page".
    """
    articles = _Articles(dice)
    things = [sight for sight in seen if not sight.is_stuff][: dice.pick(_MENTIONED)]
    stuff = [sight for sight in seen if sight.is_stuff]
    names = list(dict.fromkeys(_thing_name(sight, dice, colors) for sight in things))
    places = [FULL_CLASSES[sight.class_id] for sight in stuff]
    if not names:
        names = places[: dice.integer(1, _STUFF_ALONE + 1)]
        places = []
    elif places:
        places = [dice.pick(places)] if dice.chance(_STUFF_BESIDE_THINGS) else []
    if not names:
        return "an empty page"
    text = _listed([articles.before(name) for name in names], dice)
    if places:
        text += dice.pick(_PLACES) + articles.before(places[0])
    return dice.pick(_OPENINGS) + text + dice.pick(_ENDINGS)


class _Articles:
    """One habit a caption: the right articles, "a" everywhere, "the" everywhere, or none."""

    def __init__(self, dice: Dice) -> None:
        self._habit = dice.pick(("right", "right", "a", "a", "the", ""))

    def before(self, name: str) -> str:
        if self._habit != "right":
            return f"{self._habit} {name}".lstrip()
        if name in ("snow", "sand"):
            return name
        if name in ("sky", "sun", "sea"):
            return f"the {name}"
        return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def _thing_name(sight: Sight, dice: Dice, colors: bool) -> str:
    product = PRODUCTS[sight.class_id - len(STUFF_CLASSES)]
    said = dice.pick(_PLAIN_WAYS if product.pattern == PLAIN else _PATTERN_WAYS)
    words = (
        product.color if colors and "color" in said else "",
        product.pattern if "pattern" in said else "",
        product.thing,
    )
    return " ".join(word for word in words if word)


def _listed(names: Sequence[str], dice: Dice) -> str:
    if len(names) == 1 or dice.chance(0.3):
        return ", ".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
