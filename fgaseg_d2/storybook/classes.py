"""Words of Storybook: stuff, things, colours, patterns, and which combinations are held out.

Every thing of a scene is a :class:`Product` of a colour, a pattern and a noun. The label map of a
scene holds positions in :data:`FULL_CLASSES`; all other vocabularies follow from them by a table
(``vocabularies.py``).
"""

from typing import NamedTuple

from ..wording import shown

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

COLORS: tuple[str, ...] = ("red", "blue", "yellow", "green", "purple")
PATTERNS: tuple[str, ...] = ("striped", "dotted", "checked")
ATTRIBUTES: tuple[str, ...] = COLORS + PATTERNS
PLAIN = "plain"

WATER_THINGS: tuple[str, ...] = ("boat", "fish")
SKY_THINGS: tuple[str, ...] = ("bird", "balloon", "kite")
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
    "kite": ("yellow", "striped"),
}


class Pair(NamedTuple):
    """A thing with the attribute that it is named by, for example ``Pair("red", "house")``."""

    attribute: str
    thing: str

    @property
    def name(self) -> str:
        """The class name, for example ``"red house"``."""
        return f"{self.attribute} {self.thing}"

    @property
    def held_out(self) -> bool:
        """Whether no training scene shows it."""
        return self.attribute in _HELD_OUT_ATTRIBUTES[self.thing]


class Product(NamedTuple):
    """What one thing of a scene looks like, for example ``Product("red", "striped", "house")``."""

    color: str
    pattern: str
    thing: str

    @property
    def name(self) -> str:
        """The full phrase: ``"red house"`` if plain, otherwise ``"red striped house"``."""
        words = (self.color, self.pattern, self.thing)
        return " ".join(word for word in words if word != PLAIN)

    @property
    def attribute(self) -> str:
        """The colour if plain, otherwise the pattern."""
        return self.color if self.pattern == PLAIN else self.pattern

    @property
    def pair(self) -> Pair:
        """Its class among the pairs: by the colour if plain, otherwise by the pattern."""
        return Pair(self.attribute, self.thing)

    @property
    def held_out(self) -> bool:
        """Whether its colour or its pattern is held out for its thing."""
        return Pair(self.color, self.thing).held_out or self.pair.held_out


PAIRS: tuple[Pair, ...] = tuple(
    Pair(attribute, thing) for thing in THINGS for attribute in ATTRIBUTES
)
SEEN_PAIRS: tuple[Pair, ...] = tuple(pair for pair in PAIRS if not pair.held_out)
UNSEEN_PAIRS: tuple[Pair, ...] = tuple(pair for pair in PAIRS if pair.held_out)

PRODUCTS: tuple[Product, ...] = tuple(
    Product(color, pattern, thing)
    for thing in THINGS
    for pattern in (PLAIN, *PATTERNS)
    for color in COLORS
)
TRAINING_PRODUCTS: tuple[Product, ...] = tuple(item for item in PRODUCTS if not item.held_out)

FULL_CLASSES: tuple[str, ...] = STUFF_CLASSES + tuple(product.name for product in PRODUCTS)
SEEN_CLASSES: tuple[str, ...] = STUFF_CLASSES + tuple(pair.name for pair in SEEN_PAIRS)
UNSEEN_CLASSES: tuple[str, ...] = tuple(pair.name for pair in UNSEEN_PAIRS)

CLASS_IDS: dict[str, int] = {name: index for index, name in enumerate(FULL_CLASSES)}
IGNORE_LABEL = 255


def find_products(phrase: str) -> tuple[Product, ...]:
    """What a phrase of any vocabulary stands for.

    Args:
        phrase: Such as ``"red striped house"``, ``"red house"`` (plain), ``"striped house"`` (in
            any colour), ``"house"`` or ``"striped"``.

    Returns:
        One product or more.

    Raises:
        ValueError: No vocabulary has that phrase for a thing.
    """
    found = tuple(
        product
        for product in PRODUCTS
        if phrase in (product.name, product.pair.name, product.thing, product.attribute)
    )
    if not found:
        raise ValueError(
            f"expected a phrase such as 'red house', 'striped house' or 'red striped house', got "
            f"{shown(phrase)}; things are {', '.join(THINGS)}, attributes {', '.join(ATTRIBUTES)}"
        )
    return found
