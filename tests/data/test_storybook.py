"""The words of Storybook: what is held out, and does every vocabulary say the same of a pixel?"""

from collections import Counter

import pytest

from fgaseg_d2.storybook import (
    FULL_CLASSES,
    PRODUCTS,
    SEEN_CLASSES,
    STUFF_CLASSES,
    UNSEEN_CLASSES,
    find_products,
)
from fgaseg_d2.storybook.classes import ATTRIBUTES, COLORS, PATTERNS, THINGS
from fgaseg_d2.storybook.shapes import SHAPES
from fgaseg_d2.storybook.vocabularies import (
    ATTRIBUTE_WORDS,
    FULL,
    GENERALIZED,
    NOUNS,
    SEEN,
    SYNONYMS,
    TRAINING_FULL,
    UNSEEN,
)

VOCABULARIES = (SEEN, UNSEEN, GENERALIZED, NOUNS, ATTRIBUTE_WORDS, FULL, TRAINING_FULL)


def test_full_classes_are_stuff_and_all_products():
    assert FULL_CLASSES[: len(STUFF_CLASSES)] == STUFF_CLASSES
    assert len(set(FULL_CLASSES)) == len(FULL_CLASSES) == 250
    assert len(THINGS) * len(COLORS) * (1 + len(PATTERNS)) == len(PRODUCTS) == 240
    assert set(SHAPES) == set(THINGS)


def test_every_word_of_an_unseen_pair_is_seen_elsewhere():
    seen = [name.split() for name in SEEN_CLASSES[len(STUFF_CLASSES) :]]
    assert len(seen) + len(UNSEEN_CLASSES) == 96
    assert len(UNSEEN_CLASSES) == 22
    attributes, things = (Counter(words) for words in zip(*seen))
    assert min(attributes[word] for word in ATTRIBUTES) >= 8
    assert min(things[word] for word in THINGS) >= 6


def test_every_vocabulary_follows_from_the_full_phrase():
    """Read here from the words alone: the last one is the noun, the others its look."""
    for index, phrase in enumerate(FULL_CLASSES):
        *look, noun = phrase.split()
        pair = phrase if len(look) < 2 else f"{look[1]} {noun}"
        held_out = any(f"{word} {noun}" in UNSEEN_CLASSES for word in look)
        expected = {
            SEEN: pair,
            UNSEEN: pair,
            GENERALIZED: pair,
            NOUNS: noun,
            ATTRIBUTE_WORDS: look[-1] if look else noun,
            FULL: phrase,
            TRAINING_FULL: phrase,
        }
        for vocabulary in VOCABULARIES:
            name = expected[vocabulary]
            got = int(vocabulary.table[index])
            if name in vocabulary.classes:
                assert vocabulary.classes[got] == name
            else:
                assert got == 255
        assert (phrase in FULL.unseen) == held_out == (phrase not in TRAINING_FULL.classes)


def test_class_lists_have_no_doubles_and_say_what_is_unseen():
    for vocabulary in VOCABULARIES:
        assert len(set(vocabulary.classes)) == len(vocabulary.classes) <= 255
        assert set(vocabulary.unseen) <= set(vocabulary.classes)
    assert GENERALIZED.unseen == UNSEEN.unseen == UNSEEN.classes == UNSEEN_CLASSES
    assert SEEN.unseen == NOUNS.unseen == ATTRIBUTE_WORDS.unseen == TRAINING_FULL.unseen == ()


def test_synonyms_say_the_same_in_new_words():
    old = {word for name in FULL_CLASSES for word in name.split()}
    new = {word for name in SYNONYMS.classes for word in name.split()}
    assert not old & new
    assert len(set(SYNONYMS.classes)) == len(SEEN_CLASSES)
    assert SYNONYMS.classes[SEEN_CLASSES.index("red house")] == "crimson cottage"
    assert (SYNONYMS.table == SEEN.table).all()
    # One word for one word, and never the same for two.
    spoken = {}
    for before, after in zip(SEEN_CLASSES, SYNONYMS.classes):
        for word, other in zip(before.split(), after.split(), strict=True):
            assert spoken.setdefault(word, other) == other
    assert len(set(spoken.values())) == len(spoken)


@pytest.mark.parametrize(
    ("phrase", "names"),
    [
        ("red house", {"red house"}),
        ("red striped house", {"red striped house"}),
        ("striped house", {f"{color} striped house" for color in COLORS}),
        ("dotted", {f"{color} dotted {thing}" for color in COLORS for thing in THINGS}),
        ("red", {f"red {thing}" for thing in THINGS}),
    ],
)
def test_a_phrase_finds_its_products(phrase, names):
    assert {product.name for product in find_products(phrase)} == names


def test_a_noun_finds_all_of_its_products():
    assert len(find_products("kite")) == 20


def test_unknown_phrase_is_refused():
    with pytest.raises(ValueError, match="'pink house'"):
        find_products("pink house")
