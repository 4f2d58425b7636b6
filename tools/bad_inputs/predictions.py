"""Bad saved predictions: the index and the label maps that one program leaves for another."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bad_inputs.case import Case, Draw
from bad_inputs.doors import command
from bad_inputs.material import CLASSES
from bad_inputs.mutations import cut, damaged, damaged_tree, odd_value
from bad_inputs.pictures import sound_picture

_FOLDER = "inference/bad/predictions"


def _index(draw: Draw) -> dict[str, Any]:
    return {
        "dataset": "bad",
        "classes": list(CLASSES),
        "ignore_label": 255,
        "unseen_classes": ["sky"],
        "pictures": 3,
        "run": {"weights": "none", "config": "small"},
        "files": {
            pair["file_name"]: {"prediction": f"{number}.png", "truth": pair["sem_seg_file_name"]}
            for number, pair in enumerate(draw.material.pairs())
        },
    }


def _write(draw: Draw, index: bytes | str) -> None:
    draw.write(f"{_FOLDER}/predictions.json", index)
    for number, pair in enumerate(draw.material.pairs()):
        draw.write(f"{_FOLDER}/{number}.png", Path(pair["sem_seg_file_name"]).read_bytes())


def _door(draw: Draw) -> Callable[[], int | None]:
    """One of the programs that read saved predictions."""
    rng = draw.rng
    return partial(
        command,
        *rng.choice(
            (
                ("evaluate_predictions", [_FOLDER]),
                ("evaluate_predictions", [_FOLDER, "--boundary-iou", "--unseen-classes", "dog"]),
                ("view_predictions", [_FOLDER, "--size", 32, "--pictures", 1, "--sample", 1]),
                ("view_predictions", [_FOLDER, "--sheet", "a.png", "--size", 32, "--only", "cat"]),
            )
        ),
    )


def index_values(draw: Draw) -> Case:
    """An index with values of other types, and without some."""
    index = damaged_tree(draw.rng, _index(draw), odd_value)
    _write(draw, json.dumps(index))
    return Case(str(index)[:150], _door(draw))


def index_bytes(draw: Draw) -> Case:
    """An index with wrong bytes."""
    text = json.dumps(_index(draw)).encode()
    depth = draw.rng.choice((3000, 100_000))
    data = draw.rng.choice(
        (damaged(draw.rng, text), cut(draw.rng, text), b"[" * depth, b"", b"null")
    )
    _write(draw, data)
    return Case(repr(data[:60]), _door(draw))


def index_paths(draw: Draw) -> Case:
    """An index whose paths lead elsewhere."""
    rng = draw.rng
    index = _index(draw)
    path = rng.choice(
        (
            "../../x.png",
            "/dev/null",
            "",
            ".",
            "none.png",
            "\0",
            "a" * 300,
            "\udce9.png",
            "~/x",
            "0.png",
        )
    )
    picture = rng.choice(list(index["files"]))
    key = rng.choice(("prediction", "truth", "picture"))
    if key == "picture":
        index["files"][path] = index["files"].pop(picture)
    else:
        index["files"][picture][key] = path
    _write(draw, json.dumps(index))
    return Case(f"{key} {path[:40]!r}", _door(draw))


def label_maps(draw: Draw) -> Case:
    """Predictions that are damaged, of another mode or size, missing, or too many."""
    rng = draw.rng
    _write(draw, json.dumps(_index(draw)))
    folder = draw.folder / _FOLDER
    data, name, text = sound_picture(rng)
    action = rng.choice(("damage", "cut", "replace", "missing", "surplus", "folder"))
    victim = folder / f"{rng.randrange(3)}.png"
    if action == "damage":
        victim.write_bytes(damaged(rng, victim.read_bytes()))
    elif action == "cut":
        victim.write_bytes(cut(rng, victim.read_bytes()))
    elif action == "replace":
        victim.write_bytes(data)
    elif action == "surplus":
        (folder / name).write_bytes(data)
    else:
        victim.unlink()
        if action == "folder":
            victim.mkdir()
    return Case(f"{action} {text if action in ('replace', 'surplus') else ''}", _door(draw))


RECIPES = {
    "index values": index_values,
    "index bytes": index_bytes,
    "index paths": index_paths,
    "label maps": label_maps,
}
