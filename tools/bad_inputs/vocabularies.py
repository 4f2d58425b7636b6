"""Bad vocabularies: text, files of every form, and objects that are no list of names."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import unicodedata
from functools import partial
from typing import Any

import numpy as np

from bad_inputs.case import Case, Draw
from bad_inputs.doors import check_segmentation
from bad_inputs.material import Material
from bad_inputs.mutations import damaged, damaged_tree, odd_value
from fgaseg_d2.vocabulary import Vocabulary

_PIECES = (
    *("cat", "dog", "traffic light", "caf\u00e9", "\u732b", "\U0001f431", "A", "a", "1", "0"),
    *(",", ",", ",", "|", "|", ";", "\\", "\\,", "\\|", "\uff0c", "\u3001", "\uff5c", "\t", " "),
    *("\n", "\r", "\0", "\u200b", "\u2028", "\ufeff", "\u00a0", "\ud800", "\x1b[31m", "\u0301"),
    *("'", '"', "{", "[", "(", "#", ":", "/", ".txt", ".json", "_", "ade20k_150", "background"),
    *("%s", "{}", "\u202e", "\ufffd", "\u0130", "\u1e9e", "=", "-", "..", "~"),
)


def _use(material: Material, words: Any, options: dict[str, Any]) -> None:
    """Make a vocabulary and, where it is short, look for it in a picture."""
    vocabulary = Vocabulary.coerce(words, **options)
    assert len(vocabulary.class_names) == len(vocabulary) > 0
    assert len(vocabulary.entries) == len(vocabulary.entry_classes)
    for name in vocabulary.class_names:
        broken = any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in name)
        assert name == name.strip() and not broken, repr(name)
    if len(vocabulary.entries) <= 8:
        check_segmentation(material.predictor(material.pairs()[0]["file_name"], vocabulary))


def _options(rng: random.Random) -> dict[str, Any]:
    """What may come beside the words; mostly nothing."""
    if rng.random() < 0.7:
        return {}
    return rng.choice(
        (
            *({"synonyms": "mean"}, {"synonyms": odd_value(rng)}, {"background": "wall,floor"}),
            *({"background": odd_value(rng)}, {"background_threshold": odd_value(rng)}),
            *({"background_threshold": 0.3}, {"background": ["wall", "wall"]}),
        )
    )


def _case(draw: Draw, words: Any, text: str) -> Case:
    options = _options(draw.rng)
    return Case(f"{text} {options or ''}", partial(_use, draw.material, words, options))


def _text(rng: random.Random, most: int = 12) -> str:
    return "".join(rng.choice(_PIECES) for _ in range(rng.randint(0, most)))


def text(draw: Draw) -> Case:
    """Words, separators and characters in any order."""
    words = _text(draw.rng)
    return _case(draw, words, repr(words))


def unicode_text(draw: Draw) -> Case:
    """Characters from all over Unicode."""
    rng = draw.rng
    words = "".join(chr(rng.randrange(rng.choice((128, 0x3000, 0x110000)))) for _ in range(9))
    return _case(draw, f"{words},cat", repr(words)[:80])


def long_text(draw: Draw) -> Case:
    """Very long words, and very many."""
    rng = draw.rng
    count = rng.choice((80, 5_000, 300_000, 3_000_000))
    piece = rng.choice(
        ("a", "a ", "a,", "a|", "\\", "\u732b", " ", ",", "\\,", "word,", "a.", "#\n")
    )
    words = piece * count
    if rng.random() < 0.3:
        path = draw.write(rng.choice(("words.txt", "words.json")), words)
        return _case(draw, str(path), f"{piece!r} x {count} in {path.name}")
    return _case(draw, words, f"{piece!r} x {count}")


def line_files(draw: Draw) -> Case:
    """Text files: numbered lines, tables, comments, encodings."""
    rng = draw.rng
    line = rng.choice(
        ("{n}", "0\t{n}", "0: {n}", "{i}\t{n}", "{n},{n}x", "- {n}", '"{n}"', "{n}|x{n}")
    )
    names = ("cat", "dog", "caf\u00e9", "traffic light", "cat", "")[: rng.randint(1, 6)]
    content = "".join(
        line.format(i=i, n=name) + rng.choice(("\n", "\n", "\r\n", "\r", "\n\n", " # c\n"))
        for i, name in enumerate(names)
    )
    coding = rng.choice(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"))
    data = content.encode(coding)
    if rng.random() < 0.3:
        data = damaged(rng, data)
    path = draw.write(rng.choice(("words.txt", "words.names", "words", "words.TXT")), data)
    return _case(draw, rng.choice((path, str(path))), f"{content[:60]!r} {coding}")


def json_files(draw: Draw) -> Case:
    """JSON files with other contents than a list of names."""
    rng = draw.rng
    tree = rng.choice(
        (
            ["cat", "dog"],
            [["cat", "kitten"], ["dog"]],
            {"classes": [["cat"], ["dog"]]},
            [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
            {"categories": [{"id": 1, "name": "cat", "supercategory": "animal"}]},
            {"0": "cat", "1": "dog"},
            {"cat": 0, "dog": 1},
        )
    )
    tree = damaged_tree(rng, tree, odd_value) if rng.random() < 0.7 else tree
    data = json.dumps(tree).encode()
    if rng.random() < 0.2:
        data = damaged(rng, data)
    elif rng.random() < 0.1:
        depth = rng.choice((500, 100_000))
        data = rng.choice((b"[" * depth, b"[" * depth + b"]" * depth, b'{"a":' * depth))
    path = draw.write("words.json", data)
    return _case(draw, str(path), f"{data[:80]!r}")


def csv_files(draw: Draw) -> Case:
    """Tables, with and without a head, with any separator."""
    rng = draw.rng
    rows = [["id", "name"], ["1", "cat"], ["2", "traffic light, red"], ["3", 'a "b"']]
    rows = rows[rng.choice((0, 0, 1)) :]
    if rng.random() < 0.5:
        rows[rng.randrange(len(rows))] = [_text(rng, 4) for _ in range(rng.choice((0, 1, 2, 3)))]
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=rng.choice(",;\t"), escapechar="\\")
    writer.writerows(rows)
    data = stream.getvalue().encode("utf-8", "surrogatepass")
    if rng.random() < 0.3:
        data = damaged(rng, data)
    path = draw.write(rng.choice(("words.csv", "words.tsv", "words.txt")), data)
    return _case(draw, str(path), f"{data[:60]!r}")


def objects(draw: Draw) -> Case:
    """What is no text and no list of names."""
    rng = draw.rng
    circle: list[Any] = ["a"]
    circle.append(circle)
    choices: tuple[Any, ...] = (
        *(None, 3, 0.5, True, b"cat", bytearray(b"cat"), {"cat", "dog"}, {"cat": 1}, frozenset()),
        *([], [[]], [None], ["cat", None], ["cat", 3], [b"cat"], ["cat,dog"], ["cat", "CAT "]),
        *([["cat"], ["cat"]], [["cat", "cat"]], [["cat", ["dog"]]], [{"name": "cat"}], ("cat",)),
        *(np.array(["cat", "dog"]), np.array([1, 2]), np.array("cat"), np.array([["a", "b"]])),
        *((n for n in ("cat", "dog")), iter([]), range(3), object(), Vocabulary, circle),
        *(["x" * 9000, "y" * 9000], ["\ud800"], [" "], ["a\nb"], ["cat"] * 500, [float("nan")]),
        *({"classes": ["cat"]}, [("cat", "dog"), "sky"], np.str_("cat,dog"), Exception("cat")),
    )
    words = odd_value(rng) if rng.random() < 0.2 else rng.choice(choices)
    shown = f"{type(words).__name__} {str(words)[:50] if words is not circle else 'circle'}"
    return _case(draw, words, shown)


def names(draw: Draw) -> Case:
    """Names of benchmarks, data sets and files that are nearly right, or of another kind."""
    rng = draw.rng
    name = rng.choice(
        (
            *("ade20k_150", "ade20k_150:all", "ade20k_150:mean", "ade20k_150:any", "ade20k-150"),
            *("ade20k_151", "storybook_val", "storybook_vall", "bad_inputs", "bad_inputs:all"),
            *("none.txt", "none.json", "./none", "~/none.txt", ".txt", "/", ".", "..", "a/b.txt"),
            *(
                "/dev/null",
                "/dev/zero.txt",
                "pipe.txt",
                "folder.txt",
                "link.json",
                "a" * 300 + ".txt",
            ),
            *("pascal_voc_20b", "pascal_voc_20b:mean", ":all", "all", "cat:all", "\0.txt", "*.txt"),
        )
    )
    os.mkfifo(draw.folder / "pipe.txt")
    (draw.folder / "folder.txt").mkdir()
    (draw.folder / "link.json").symlink_to("link.json")
    return _case(draw, name, repr(name)[:80])


RECIPES = {
    "text": text,
    "Unicode": unicode_text,
    "long": long_text,
    "lines": line_files,
    "JSON": json_files,
    "CSV": csv_files,
    "objects": objects,
    "names": names,
}
