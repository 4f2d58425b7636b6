"""Class names of Storybook: what the drawn world contains and which words are held out.

The label id of a class is its position in :data:`ALL_CLASSES`: first the stuff, then the seen
attribute-thing pairs, then the held-out pairs. Training sets therefore use ids 0 .. len(SEEN) - 1.
"""

from typing import NamedTuple

STUFF_CLASSES: tuple[str, ...] = (
    "sky",
    "sun",
    "cloud",
    "mountain",
    "hill",
    "meadow",
    "sea",
    "sand",
    "road",
    "snow",
)

COLOURS: tuple[str, ...] = ("red", "blue", "yellow", "green", "purple")
PATTERNS: tuple[str, ...] = ("striped", "dotted", "checked")
ATTRIBUTES: tuple[str, ...] = COLOURS + PATTERNS

WATER_THINGS: tuple[str, ...] = ("boat", "fish")
SKY_THINGS: tuple[str, ...] = ("bird", "balloon")
GROUND_THINGS: tuple[str, ...] = (
    "house",
    "tree",
    "car",
    "flower",
    "umbrella",
    "mushroom",
    "cat",
)
THINGS: tuple[str, ...] = GROUND_THINGS + WATER_THINGS + SKY_THINGS

# Spread so that every thing is seen with six attributes or more, every attribute with eight things.
_HELD_OUT_ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "house": ("green", "dotted"),
    "tree": ("blue", "striped"),
    "car": ("yellow", "checked"),
    "flower": ("purple", "checked"),
    "umbrella": ("yellow",),
    "mushroom": ("blue", "striped"),
    "cat": ("red",),
    "boat": ("purple", "dotted"),
    "fish": ("red", "checked"),
    "bird": ("green", "striped"),
    "balloon": ("blue", "dotted"),
}


class Combo(NamedTuple):
    """A thing with its attribute, for example ``Combo("red", "house")``."""

    attribute: str
    thing: str

    @property
    def name(self) -> str:
        """The class name, for example ``"red house"``."""
        return f"{self.attribute} {self.thing}"


def _combos(held_out: bool) -> tuple[Combo, ...]:
    return tuple(
        Combo(attribute, thing)
        for thing in THINGS
        for attribute in ATTRIBUTES
        if (attribute in _HELD_OUT_ATTRIBUTES[thing]) == held_out
    )


SEEN_COMBOS: tuple[Combo, ...] = _combos(held_out=False)
HELD_OUT_COMBOS: tuple[Combo, ...] = _combos(held_out=True)

SEEN_CLASSES: tuple[str, ...] = STUFF_CLASSES + tuple(combo.name for combo in SEEN_COMBOS)
HELD_OUT_CLASSES: tuple[str, ...] = tuple(combo.name for combo in HELD_OUT_COMBOS)
ALL_CLASSES: tuple[str, ...] = SEEN_CLASSES + HELD_OUT_CLASSES

CLASS_IDS: dict[str, int] = {name: index for index, name in enumerate(ALL_CLASSES)}
IGNORE_LABEL = 255
