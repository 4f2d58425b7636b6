"""Bad data sets: metadata, records and folders that are not what Detectron2 or we mean by them."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bad_inputs.case import Case, Draw
from bad_inputs.doors import command
from bad_inputs.material import CLASSES, Material
from bad_inputs.mutations import odd_value
from fgaseg_d2.data.checking import check_dataset
from fgaseg_d2.data.datasets.catalog import replace_dataset
from fgaseg_d2.data.datasets.folders import register_folders
from fgaseg_d2.data.mappers.labelled import SemanticMapper
from fgaseg_d2.data.records import dataset_records
from fgaseg_d2.evaluation.truth import GroundTruth
from fgaseg_d2.vocabulary import Vocabulary

_NAME = "bad_data"


def _check() -> None:
    report = check_dataset(_NAME)
    report.text()
    for problem in report.problems:
        raise ValueError(problem)


def _map(material: Material, is_train: bool) -> None:
    mapper = SemanticMapper(material.cfg, _NAME, is_train=is_train)
    for record in dataset_records(_NAME):
        mapper(record)


def _truth() -> None:
    truth = GroundTruth.from_metadata(_NAME)
    for name in truth.files:
        truth.read(name)


def _program(material: Material, arguments: tuple[str, ...]) -> int:
    """Evaluate or train on it, through the program."""
    key = "DATASETS.TEST" if "--eval-only" in arguments else "DATASETS.TRAIN"
    other = "DATASETS.TRAIN" if "--eval-only" in arguments else "DATASETS.TEST"
    opts = [key, f"('{_NAME}',)", other, "()", "MODEL.WORDS.VOCABULARY", ""]
    return command("train_net", ["--config-file", material.config, *arguments, *opts])


def _door(draw: Draw) -> Callable[[], int | None]:
    """One of the doors that take a registered data set."""
    return draw.rng.choice(
        (
            _check,
            _check,
            partial(_map, draw.material, True),
            partial(_map, draw.material, False),
            _truth,
            lambda: None if Vocabulary.from_metadata(_NAME) else None,
            partial(_program, draw.material, ("--eval-only",)),
            partial(_program, draw.material, ()),
            partial(command, "check_dataset", [draw.material.config, "--datasets", _NAME]),
        )
    )


def _register(draw: Draw, records: Any, **metadata: Any) -> Callable[[], int | None]:
    door = _door(draw)

    def register_and_use() -> int | None:
        # Detectron2's own registration takes anything; what is wrong shows when it is used.
        replace_dataset(_NAME, lambda: records, **metadata)
        return door()

    return register_and_use


def _odd_classes(rng: random.Random) -> Any:
    return rng.choice(
        (
            *((), [], None, "cat", "cat,dog,sky", {"cat", "dog"}, {0: "cat", 1: "dog", 2: "sky"}),
            *(np.array(CLASSES), np.array([1, 2, 3]), [None] * 3, [0, 1, 2], ["cat", "cat", "dog"]),
            *(["cat, kitten", "dog", "sky"], ["", "dog", "sky"], ["a\nb", "c", "d"], [["cat"]] * 3),
            *(iter(CLASSES), 3, True, b"cat", ["x" * 9000, "b", "c"], list(CLASSES) * 100),
        )
    )


def classes(draw: Draw) -> Case:
    """stuff_classes of any type."""
    value = _odd_classes(draw.rng)
    door = _register(draw, draw.material.pairs(), stuff_classes=value)
    return Case(f"{type(value).__name__} {str(value)[:60]}", door)


def metadata(draw: Draw) -> Case:
    """Keys with values of any type, among them those that others use in another sense."""
    rng = draw.rng
    key = rng.choice(
        (
            *("ignore_label", "ignore_label", "background_class", "unseen_classes", "vocabulary"),
            *("stuff_colors", "thing_classes", "stuff_dataset_id_to_contiguous_id", "benchmark"),
            *("image_root", "evaluator_type", "label_divisor", "json_file", "panoptic_root"),
        )
    )
    value = rng.choice(
        (
            odd_value(rng),
            odd_value(rng),
            0,
            255,
            65535,
            1,
            -1,
            3,
            "255",
            ["cat"],
            ["bird"],
            "cat,dog",
        )
    )
    settings = {"stuff_classes": list(CLASSES), key: value}
    if key == "evaluator_type":
        # The shared helper sets it already.
        settings = {"stuff_classes": list(CLASSES)}
    return Case(f"{key} {str(value)[:60]!r}", _register(draw, draw.material.pairs(), **settings))


def records(draw: Draw) -> Case:
    """Records with missing, wrong and odd entries, and lists of other things."""
    rng = draw.rng
    good: list[dict[str, Any]] = [dict(pair) for pair in draw.material.pairs()]
    victim = good[rng.randrange(len(good))]
    key = rng.choice(("file_name", "sem_seg_file_name", "height", "width", "image_id", "sem_seg"))
    value = rng.choice(
        (
            *(
                odd_value(rng),
                odd_value(rng),
                Path(victim["file_name"]),
                victim["file_name"].encode(),
            ),
            *(24, 32, "24", np.int64(24), 24.0, "http://127.0.0.1:9/a.png", "none.png", "~/a.png"),
            *(
                victim["sem_seg_file_name"],
                str(draw.material.config),
                ".",
                np.zeros((24, 32), "u1"),
            ),
        )
    )
    action = rng.choice(("set", "set", "set", "drop", "list"))
    given: Any = good
    if action == "set":
        victim[key] = value
    elif action == "drop":
        victim.pop(key, None)
    else:
        given = rng.choice(
            (None, [], {}, [None], ["a.png"], [[]], 3, "records", good[0], iter(good))
        )
    text = f"{action} {key} {str(value)[:60]!r}"
    return Case(text, _register(draw, given, stuff_classes=list(CLASSES)))


def loaders(draw: Draw) -> Case:
    """Loading functions that fail."""
    rng = draw.rng
    error = rng.choice((FileNotFoundError("expected it"), ValueError("expected other files")))
    door = _door(draw)

    def load() -> Any:
        raise error

    def register_and_use() -> int | None:
        replace_dataset(_NAME, load, stuff_classes=list(CLASSES))
        return door()

    return Case(repr(error), register_and_use)


def folders(draw: Draw) -> Case:
    """Arguments of register_folders, and what is in the folders."""
    rng, material = draw.rng, draw.material
    arguments: dict[str, Any] = {
        "name": "bad_folders",
        "images": material.folder / "pictures",
        "labels": material.folder / "labels",
        "vocabulary": ",".join(CLASSES),
        "ignore_label": None,
    }
    key = rng.choice(list(arguments))
    value = rng.choice(
        (
            odd_value(rng),
            odd_value(rng),
            ".",
            "none",
            "storybook_val",
            "a/b",
            0,
            3,
            "cat",
            ["cat"] * 2,
        )
    )
    arguments[key] = value

    def door() -> None:
        register_folders(**arguments)
        report = check_dataset(arguments["name"])
        for problem in report.problems:
            raise ValueError(problem)

    return Case(f"{key} {str(value)[:60]!r}", door)


def contents(draw: Draw) -> Case:
    """Folders whose files have odd names, do not pair, or are something else."""
    rng = draw.rng
    pair = draw.material.pairs()[0]
    picture, label = (Path(pair[key]).read_bytes() for key in pair)
    for folder, data in (("images", picture), ("labels", label)):
        for _ in range(rng.choice((0, 1, 2, 2))):
            name = rng.choice(
                (
                    "a.png",
                    "A.png",
                    "a.PNG",
                    "a b.png",
                    "\u00fc.png",
                    ".a.png",
                    "a.tif",
                    "b/a.png",
                    "a",
                )
            )
            draw.write(f"{folder}/{name}", rng.choice((data, data, b"", b"text")))
    if rng.random() < 0.2:
        (draw.folder / "images" / "loop").mkdir(parents=True, exist_ok=True)
        (draw.folder / "images" / "loop" / "back").symlink_to("..")
    if rng.random() < 0.3:
        (draw.folder / "images").mkdir(exist_ok=True)
        (draw.folder / "images" / "caf\udce9.png").write_bytes(picture)

    def door() -> None:
        register_folders("bad_folders", "images", "labels", ",".join(CLASSES))
        report = check_dataset("bad_folders")
        for problem in report.problems:
            raise ValueError(problem)

    return Case("files of odd names", door)


RECIPES = {
    "classes": classes,
    "metadata": metadata,
    "records": records,
    "loaders": loaders,
    "folders": folders,
    "contents": contents,
}
