"""The words a model looks for: classes with their synonyms, and what counts as background.

A class is a tuple of names that mean the same thing; the first is shown to people. Every class has
one score channel in the model's output. Inside the model each *entry* has a text embedding of its
own, and a class scores as its best entry.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Literal

from .. import wording
from . import dataset_words as metadata_words
from . import parsing, sources, structures

BACKGROUND = "background"
_SYNONYM_RULES = ("max", "mean")
# What may follow the name of a class list: all names of a class, by this rule.
_ALL_NAMES: dict[str, Literal["max", "mean"]] = {"all": "max", "mean": "mean"}


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """Classes to segment, immutable and hashable, so that text embeddings can be cached by it.

    The constructors :meth:`parse`, :meth:`from_names` and :meth:`from_file` refuse a name that
    occurs twice. :meth:`from_benchmark`, :meth:`from_metadata` and the class itself allow it across
    classes, because published class lists contain such names.

    Args:
        classes: T classes, each a non-empty tuple of names; the first is the display name.
        background: words for what is of no interest. A pixel that fits one of them better than
            every class becomes "background".
        synonyms: "max": a class scores as its best synonym; "mean": the text embeddings of the
            synonyms are averaged and scaled to unit length, so the class has one score.
        background_threshold: probability in [0, 1]. A pixel whose every class scores below it
            becomes "background"; 0 switches this off.

    Raises:
        ValueError: no class, an empty, unprintable or too long name, too many of them, a background
            word that is a class or twice there, an unknown synonym rule, a threshold beyond [0, 1].
    """

    classes: tuple[tuple[str, ...], ...]
    background: tuple[str, ...] = ()
    synonyms: Literal["max", "mean"] = "max"
    background_threshold: float = 0.0

    def __post_init__(self) -> None:
        classes = parsing.listed(self.classes, "classes")
        background = parsing.listed(self.background, "background words")
        object.__setattr__(self, "classes", tuple(map(parsing.clean_class, classes)))
        object.__setattr__(self, "background", tuple(map(parsing.clean_name, background)))
        if not classes:
            raise ValueError("expected at least one class, got none; name one, such as 'cat'")
        names = sum(map(len, self.classes)) + len(self.background)
        parsing.check_count(names, "names in a vocabulary")
        if self.synonyms not in _SYNONYM_RULES:
            raise ValueError(
                f"expected synonyms 'max' or 'mean', got {wording.shown(self.synonyms)}; choose one"
            )
        threshold = parsing.clean_threshold(self.background_threshold)
        object.__setattr__(self, "background_threshold", threshold)
        self._check_background()

    def _check_background(self) -> None:
        taken = {parsing.same_name(name) for names in self.classes for name in names}
        if self.has_background and BACKGROUND in taken:
            raise ValueError(
                f"expected no class called {BACKGROUND!r} beside the automatic one, got one; "
                "rename it, or leave out the background words and the threshold"
            )
        for word in self.background:
            if parsing.same_name(word) in taken:
                raise ValueError(
                    "expected background words that are no class and occur once, got "
                    f"{wording.shown(word)} again; remove it"
                )
            taken.add(parsing.same_name(word))

    def __len__(self) -> int:
        """Number of output channels K, background included."""
        return len(self.class_names)

    @property
    def has_background(self) -> bool:
        """Whether the last channel is "background" (background words or a threshold are set)."""
        return bool(self.background) or self.background_threshold > 0

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """Display names, one per output channel; "background" is last where there is one."""
        names = tuple(names[0] for names in self.classes)
        return (*names, BACKGROUND) if self.has_background else names

    @cached_property
    def entries(self) -> tuple[tuple[str, ...], ...]:
        """Names behind each text embedding: synonyms apart ("max") or together ("mean").

        Background words follow the classes, each an entry of its own.
        """
        words = tuple((word,) for word in self.background)
        if self.synonyms == "mean":
            return self.classes + words
        return tuple((name,) for names in self.classes for name in names) + words

    @cached_property
    def entry_classes(self) -> tuple[int, ...]:
        """Class index in [0, T] of each entry; background words have T = ``len(classes)``."""
        repeats = [len(names) if self.synonyms == "max" else 1 for names in self.classes]
        repeats.append(len(self.background))
        return tuple(index for index, times in enumerate(repeats) for _ in range(times))

    def with_background(
        self, words: str | Iterable[str] = (), threshold: float = 0.0
    ) -> Vocabulary:
        """The same classes with another background.

        Args:
            words: background words, as a comma-separated string or one by one.
            threshold: probability in [0, 1] below which a pixel is background; 0 is off.

        Raises:
            ValueError: a word is empty, a class, or there twice; a threshold outside [0, 1].
        """
        if isinstance(words, str):
            # Background words need no grouping: synonyms are simply further words.
            words = [word for names in sources.split_classes(words) for word in names]
        words = parsing.listed(words, "background words")
        return dataclasses.replace(self, background=words, background_threshold=threshold)

    def with_synonyms(self, rule: Literal["max", "mean"]) -> Vocabulary:
        """The same classes with another rule for synonyms, "max" or "mean"."""
        return dataclasses.replace(self, synonyms=rule)

    @classmethod
    def parse(cls, text: str) -> Vocabulary:
        r"""Read "cat|kitten, traffic light,dog": a comma separates classes, a bar synonyms.

        Blanks around a name are dropped and those inside it kept as one. A backslash takes the
        meaning from what follows: ``\,`` is a comma, ``\|`` a bar, ``\\`` a backslash. Commas of
        other scripts are commas; semicolons separate classes where there is no comma. Numbers
        before all names ("0: cat, 1: dog") say the order, and "[cat, dog]" is read as YAML.

        Raises:
            ValueError: nothing, an empty name, a name twice, a line break or other control
                character, commas beside semicolons, or words separated by points.
        """
        return cls(tuple(sources.split_classes(text)))

    @classmethod
    def from_names(cls, names: Iterable[str | Iterable[str]]) -> Vocabulary:
        r"""Take classes one by one: "cat", "cat|kitten" or ["cat", "kitten"].

        A comma inside a name is written ``\,`` as in :meth:`parse`, because an unescaped one mostly
        means several classes. In a list of synonyms names are taken as they are.

        Raises:
            ValueError: no class, an empty name, a name twice, an unescaped comma, or something that
                is not text.
        """
        names = parsing.listed(names, "class names")
        parsing.check_commas(names)
        return cls(tuple(parsing.check_unique(parsing.read_classes(names))))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Vocabulary:
        """Read a class list: a class a line, a table, JSON or YAML, see ``read_class_file``.

        Raises:
            FileNotFoundError: no such file.
            ValueError: not such a list, or a file above 4 MB; the message begins with the path.
        """
        return cls(tuple(sources.read_class_file(path)))

    @classmethod
    def from_benchmark(cls, name: str, all_names: bool = False) -> Vocabulary:
        """Take the class list of a benchmark, in the order of its evaluation.

        Args:
            name: a bundled list such as "ade20k_150"; see ``parsing.benchmark_names``.
            all_names: use every name of a class. The published protocol, and the default, is the
                first name only.

        Raises:
            ValueError: unknown benchmark.
        """
        classes = parsing.read_benchmark(name)["classes"]
        return cls(tuple(tuple(names)[: None if all_names else 1] for names in classes))

    @classmethod
    def from_metadata(cls, metadata: Any, all_names: bool = False) -> Vocabulary:
        """Take the words of a dataset that is registered in Detectron2.

        They are the "vocabulary" of its metadata ``fgaseg_d2``, which may be whatever
        :meth:`coerce` takes, or, where it has none, its ``stuff_classes``.

        Args:
            metadata: a dataset's name, or its ``detectron2.data.Metadata``.
            all_names: a class such as "building, edifice" (ADE20K with 847 classes) names synonyms,
                separated by comma and blank. The default uses the first only, or, where another
                class has the same first name and is not the same in full, all in one name: "door,
                open" and "door, closed" stay apart. True uses all as synonyms. A ``vocabulary``
                that names a benchmark is read as :meth:`from_benchmark` does, in the published
                protocol.

        Raises:
            ValueError: unknown dataset, or one without words.
        """

        def read(words: Any) -> Vocabulary:
            named = isinstance(words, str) and words in parsing.benchmark_names()
            return cls.from_benchmark(words, all_names) if named else cls.coerce(words)

        if words := metadata_words.metadata_vocabulary(metadata, read):
            return words
        classes = metadata_words.read_metadata(metadata)
        return cls(tuple(classes if all_names else metadata_words.first_names(classes)))

    @classmethod
    def coerce(
        cls,
        words: Any,
        *,
        synonyms: Literal["max", "mean"] | None = None,
        background: str | Iterable[str] | None = None,
        background_threshold: float | None = None,
    ) -> Vocabulary:
        """Make a vocabulary of whatever a caller has.

        A string is the name of a benchmark; or of a dataset that is registered in Detectron2, such
        as "storybook_val" (see :meth:`from_metadata`); or a file, if it ends as class lists do
        (.txt, .json, .yaml, .csv, .tsv), or if it has another ending or a folder in it and is
        there; or else words for :meth:`parse`. A benchmark or dataset means the first name of each
        class; "ade20k_847:all" all names, of which the best counts; ":mean" their mean embedding.

        Args:
            words: a Vocabulary, returned as it is if nothing changes, such a string, a path, a
                dataset's ``detectron2.data.Metadata``, class names one by one, or a mapping, such
                as {"cat": ["kitten"], "dog": []} with synonyms, or {0: "cat", 1: "dog"}.
            synonyms: the rule for synonyms, "max" or "mean"; None leaves it as it is.
            background: background words; None leaves them as they are.
            background_threshold: probability in [0, 1]; None leaves it as it is.

        Raises:
            ValueError, FileNotFoundError: as the other constructors.
        """
        vocabulary = words if isinstance(words, cls) else cls._from_anything(words)
        if background is not None or background_threshold is not None:
            vocabulary = vocabulary.with_background(
                vocabulary.background if background is None else background,
                vocabulary.background_threshold
                if background_threshold is None
                else background_threshold,
            )
        return vocabulary if synonyms is None else vocabulary.with_synonyms(synonyms)

    @classmethod
    def _from_anything(cls, words: Any) -> Vocabulary:
        if isinstance(words, os.PathLike):
            return cls.from_file(words)
        if isinstance(words, Mapping):
            return cls(tuple(structures.read_content(words)))
        if not isinstance(words, str):
            known = metadata_words.is_dataset(words)
            return cls.from_metadata(words) if known else cls.from_names(words)
        name, _, variant = words.partition(":")
        if variant in _ALL_NAMES and (named := cls._from_list(name, all_names=True)):
            return named.with_synonyms(_ALL_NAMES[variant])
        if named := cls._from_list(words):
            return named
        if sources.looks_like_file(words):
            return cls.from_file(words)
        if "_" in words and (near := parsing.nearest_benchmark(words)):
            raise ValueError(
                f"expected words, a file or a benchmark, got {words[:99]!r}; did you mean {near!r}?"
            )
        return cls.parse(words)

    @classmethod
    def _from_list(cls, name: str, all_names: bool = False) -> Vocabulary | None:
        """The words of a benchmark or a registered dataset, None if the name is of neither."""
        if name in parsing.benchmark_names():
            return cls.from_benchmark(name, all_names)
        return cls.from_metadata(name, all_names) if metadata_words.is_dataset(name) else None
