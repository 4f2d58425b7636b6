"""The vocabularies of Storybook: what its pixels are called, and what is ignored.

A label map of a scene holds positions in :data:`classes.FULL_CLASSES`. A
:class:`StorybookVocabulary` turns them into its own classes by a table of 256 entries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from .classes import (
    ATTRIBUTES,
    CLASS_IDS,
    FULL_CLASSES,
    IGNORE_LABEL,
    PRODUCTS,
    SEEN_CLASSES,
    STUFF_CLASSES,
    THINGS,
    TRAINING_PRODUCTS,
    UNSEEN_CLASSES,
    Product,
)


@dataclass(frozen=True)
class StorybookVocabulary:
    """Class names and what they stand for.

    Attributes:
        name: Name of its label maps; vocabularies of synonyms share them.
        classes: The class names.
        unseen: Those of them that no training scene shows.
        table: The class of each of the full classes, 256 uint8; 255 means ignore.
    """

    name: str
    classes: tuple[str, ...]
    unseen: tuple[str, ...]
    table: np.ndarray = field(compare=False, repr=False)

    @property
    def folder(self) -> str:
        """Name of the folder that holds label maps in this vocabulary."""
        return f"labels_{self.name}"

    def labels(self, full: np.ndarray) -> np.ndarray:
        """Turn a label map of full classes, H x W uint8, into one of this vocabulary."""
        return self.table[full]


def _vocabulary(
    name: str,
    classes: tuple[str, ...],
    word: Callable[[Product], str],
    unseen: tuple[str, ...] = (),
) -> StorybookVocabulary:
    """Call each product by a word; products and stuff whose word is no class are ignored."""
    indices = {class_name: index for index, class_name in enumerate(classes)}
    table = np.full(256, IGNORE_LABEL, np.uint8)
    for stuff in STUFF_CLASSES:
        table[CLASS_IDS[stuff]] = indices.get(stuff, IGNORE_LABEL)
    for product in PRODUCTS:
        table[CLASS_IDS[product.name]] = indices.get(word(product), IGNORE_LABEL)
    table.setflags(write=False)
    return StorybookVocabulary(name, classes, unseen, table)


def _pair_name(product: Product) -> str:
    return product.pair.name


SEEN = _vocabulary("seen", SEEN_CLASSES, _pair_name)
UNSEEN = _vocabulary("unseen", UNSEEN_CLASSES, _pair_name, UNSEEN_CLASSES)
GENERALIZED = _vocabulary("generalized", SEEN_CLASSES + UNSEEN_CLASSES, _pair_name, UNSEEN_CLASSES)
# Words are those of the last one; what unseen pairs call is not labelled.
TRANSDUCTIVE = _vocabulary(
    "transductive",
    GENERALIZED.classes,
    lambda product: "" if product.pair.held_out else product.pair.name,
    UNSEEN_CLASSES,
)
NOUNS = _vocabulary("nouns", STUFF_CLASSES + THINGS, lambda product: product.thing)
ATTRIBUTE_WORDS = _vocabulary(
    "attributes", STUFF_CLASSES + ATTRIBUTES, lambda product: product.attribute
)
FULL = _vocabulary(
    "full",
    FULL_CLASSES,
    lambda product: product.name,
    tuple(product.name for product in PRODUCTS if product.held_out),
)
TRAINING_FULL = _vocabulary(
    "training_full",
    STUFF_CLASSES + tuple(product.name for product in TRAINING_PRODUCTS),
    lambda product: product.name,
)

# Words that no vocabulary above uses, for models whose text tower knows English.
_SYNONYMS: dict[str, str] = {
    "sky": "heavens",
    "sun": "sunshine",
    "cloud": "cumulus",
    "mountain": "alp",
    "hill": "knoll",
    "meadow": "grassland",
    "sea": "ocean",
    "sand": "beach",
    "road": "street",
    "snow": "frost",
    "red": "crimson",
    "blue": "azure",
    "yellow": "golden",
    "green": "emerald",
    "purple": "violet",
    "striped": "banded",
    "dotted": "speckled",
    "checked": "plaid",
    "house": "cottage",
    "tree": "sapling",
    "car": "automobile",
    "flower": "blossom",
    "umbrella": "parasol",
    "mushroom": "toadstool",
    "cat": "kitty",
    "boat": "ship",
    "fish": "trout",
    "bird": "sparrow",
    "balloon": "airship",
    "kite": "glider",
}


def synonym(phrase: str) -> str:
    """The same phrase in other words, such as ``"crimson cottage"`` for ``"red house"``."""
    return " ".join(_SYNONYMS[word] for word in phrase.split())


SYNONYMS = replace(SEEN, classes=tuple(synonym(name) for name in SEEN_CLASSES))
