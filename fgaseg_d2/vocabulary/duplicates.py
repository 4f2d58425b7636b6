"""Words of different classes that mean the same, as far as letters and published lists tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import combinations

from .parsing import read_benchmark, same_name

# Lists with several names a class.
_LISTS = ("ade20k_847", "ade20k_150_synonyms")
_ARTICLES = ("a ", "an ", "the ")
_IRREGULAR = {
    **{"people": "person", "men": "man", "women": "woman", "children": "child", "feet": "foot"},
    **{"teeth": "tooth", "mice": "mouse", "geese": "goose", "leaves": "leaf", "wolves": "wolf"},
    **{"shelves": "shelf", "knives": "knife", "buses": "bus"},
}
_MOST = 100  # classes, which whoever has more of took from a list


def near_duplicates(classes: Sequence[Sequence[str]]) -> Iterator[tuple[str, str]]:
    """Pairs of names of different classes that differ in number or article, or are synonyms.

    Args:
        classes: names of each; of more than 100 classes nothing is said.
    """
    if len(classes) > _MOST:
        return
    for first, second in combinations(classes, 2):
        pair = next(((a, b) for a in first for b in second if _alike(a, b)), None)
        if pair is not None:
            yield pair


def _alike(first: str, second: str) -> bool:
    one, other = _base(first), _base(second)
    if one == other:
        return True
    # A name of several classes of a list, such as "machine", says too little.
    return any(
        len(found.get(one, ())) == 1 and found[one] == found.get(other)
        for found in map(_classes_of_names, _LISTS)
    )


@cache
def _classes_of_names(list_name: str) -> dict[str, set[int]]:
    """In which classes of a list a name stands."""
    found: dict[str, set[int]] = {}
    for index, names in enumerate(read_benchmark(list_name)["classes"]):
        for name in names:
            found.setdefault(_base(name), set()).add(index)
    return found


@cache
def _base(name: str) -> str:
    """A name without article, in the singular."""
    name = same_name(name)
    for article in _ARTICLES:
        name = name.removeprefix(article)
    before, blank, last = name.rpartition(" ")
    return f"{before}{blank}{_singular(last)}"


def _singular(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    if word.endswith(("sses", "shes", "ches", "xes")):
        return word[:-2]
    plural = len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is"))
    return word[:-1] if plural else word
