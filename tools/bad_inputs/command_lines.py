"""Bad command lines of every program: options in any combination, with values that do not fit."""

from __future__ import annotations

import json
import os
import shlex
from functools import partial
from pathlib import Path

import safetensors.torch

from bad_inputs.case import Case, Draw, Recipe
from bad_inputs.doors import command
from bad_inputs.material import WORDS

_NUMBERS = ("0", "-1", "1", "2", "two", "1.5", "", "nan", "99999999999999999999", "\u0663")
# Values that no option expects.
_ODD = ("", " ", "-", "--", "none", "\n", "\0", "a" * 400, "\udce9", "0", "~", "*", "{}", "'", "@x")
_FILES = ("none", "FOLDER", "TEXT", "PIPE", "/dev/null", "/dev/full", "a/b/c", "~/x", "", "PICTURE")
_OPTS = (
    "MODEL.WEIGHT x",
    "MODEL.WEIGHTS",
    "MODEL.WEIGHTS none.pth",
    "MODEL.DEVICE gpu",
    "MODEL.DEVICE cuda",
    "INPUT.MIN_SIZE_TEST big",
    "MODEL.META_ARCHITECTURE FGASegg",
    "MODEL.CLIP.NAME none",
    "MODEL.CLIP.PRETRAINED openai",
    "MODEL.WORDS.VOCABULARY cat,,",
    "MODEL",
    "--x y",
    "OUTPUT_DIR /dev/null",
    "DATASETS.TEST ('none',)",
    "DATASETS.TRAIN 3",
    "= =",
)

# Program -> what must be there, then options with their values; "" is an option without a value.
_LINES: dict[str, tuple[tuple[str, ...], dict[str, tuple[str, ...]]]] = {
    "demo": (
        ("--input PICTURE --config-file CONFIG",),
        {
            "--input": ("PICTURES", "TEXT", *_FILES),
            "--vocab": (WORDS, "cat,,dog", "ade20k_151", "TEXT", "none.txt", "PICTURE", *_ODD),
            "--background": ("wall", "cat", *_ODD),
            "--background-threshold": ("0.5", "2", *_NUMBERS),
            "--synonyms": ("max", "mean", "min"),
            "--config-file": ("tinny", *_FILES),
            "--weights": ("WEIGHTS", "http://127.0.0.1:9/x.pth", *_FILES),
            "--device": ("cpu", "cuda", "gpu", *_ODD),
            "--output": _FILES,
            "--explain": ("",),
            "--explain-words": _NUMBERS,
            "--explain-point": ("3,4", "3,", "-1,2", "1,2,3", "9999,0", *_NUMBERS),
            "--batch-size": _NUMBERS,
            "--max-frames": _NUMBERS,
            "--opts": _OPTS,
        },
    ),
    "train_net": (
        ("--config-file CONFIG", "--config-file CONFIG --eval-only"),
        {
            "--config-file": ("tinny", *_FILES),
            "--resume": ("",),
            "--eval-only": ("",),
            "--import": ("MODULE", "BROKEN_MODULE", ".", "..", "os.", "none", *_FILES),
            "--num-gpus": ("0", "-1", "two"),
            "--num-machines": ("0", "-1", "two"),
            "--machine-rank": _NUMBERS,
            "--dist-url": ("auto", "x", ""),
            "SOLVER.MAX_ITER": ("0", "-5", "many"),
            "MODEL.WEIGHTS": ("WEIGHTS", *_FILES),
            "OUTPUT_DIR": _FILES,
            "DATASETS.TEST": ("('none',)", "('bad_inputs',)", "x", "('a/b',)", "()"),
        },
    ),
    "check_dataset": (
        ("CONFIG", "CONFIG --datasets bad_inputs"),
        {
            "--datasets": ("none", "storybook_val", "ade20k_150_val", "a/b", *_ODD),
            "--import": ("MODULE", "BROKEN_MODULE", ".", *_FILES),
            "": ("tinny", *_FILES),
        },
    ),
    "convert_checkpoint": (
        ("WEIGHTS out.pth", "WEIGHTS out.safetensors"),
        {
            "--to": ("reference", "fgaseg_d2", "other"),
            "--half": ("",),
            "": ("FOLDER out.pth", "none.pth out.pth", "PICTURE out.pth", *_FILES),
        },
    ),
    "evaluate_predictions": (
        (f"LABELS --truth LABELS --classes {WORDS} --output scores", "PREDICTIONS"),
        {
            "--dataset": ("bad_inputs", "none", "ade20k_150_val", *_ODD),
            "--truth": ("LABELS", "PICTURES", *_FILES),
            "--classes": (WORDS, "ade20k_150", "none.txt", *_FILES),
            "--ignore-label": _NUMBERS,
            "--background-class": _NUMBERS,
            "--unseen-classes": ("cat", "bird", "none.txt", *_ODD),
            "--boundary-iou": ("",),
            "--old-miou-rule": ("",),
            "--import": ("MODULE", "BROKEN_MODULE", *_FILES),
            "--output": _FILES,
        },
    ),
    "view_predictions": (
        ("PREDICTIONS --output view.html", "PREDICTIONS --sheet view.png"),
        {
            "--output": _FILES,
            "--sheet": ("a.png", "a.xyz", "a", *_FILES),
            "--classes": _NUMBERS,
            "--only": ("cat", "bird", "cat,dog", *_ODD),
            "--pictures": _NUMBERS,
            "--sample": _NUMBERS,
            "--size": ("31", "32", "2049", *_NUMBERS),
            "": _FILES,
        },
    ),
    "make_storybook": (
        ("--root out --train 1 --val 0 --test 0 --size 64 --workers 1", "--scene 3 --height 64"),
        {
            "--root": _FILES,
            "--train": ("0", "-1", "x", "1.5"),
            "--size": ("0", "-1", "1", "7", "31", "1000000000", "x"),
            "--seed": _NUMBERS,
            "--workers": ("0", "-1", "x"),
            "--verify": ("",),
            "--scene": _NUMBERS,
            "--height": ("0", "-1", "1", "31", "1000000000", "x"),
            "--width": ("0", "-1", "1", "31", "1000000000", "x"),
            "--things": ("all", "green boat", "green", "boat,,", "unicorn", *_ODD),
            "--output": ("a.xyz", *_FILES),
        },
    ),
    "prepare_datasets": (
        ("ade20k_150 --workers 1", "pascal_voc --check --workers 1", "all --workers 1"),
        {
            "--root": _FILES,
            "--splits": ("train", "val", "train_aug", "test"),
            "--workers": ("0", "-1", "x"),
            "--check": ("",),
            "--strict": ("",),
            "": ("coco_stuff", "none", "pascal_context_459"),
        },
    ),
    "run_study": (
        ("components --collect --output out", "all --collect --output out"),
        {
            "--seeds": ("0", "-1", "x", "0 0"),
            "--output": _FILES,
            "--weights": ("WEIGHTS", *_FILES),
            "--iterations": ("0", "x"),
            "--scenes": ("0", "x"),
            "--only": ("none", "", "x"),
            "--jobs": ("0", "x"),
            "": ("none", "CONFIG", *_FILES),
        },
    ),
    "check_parity": (
        ("FOLDER", "LABELS"),
        {"--only": ("none", "[", "*", ""), "": _FILES},
    ),
    "benchmark": (
        ("--config-file CONFIG --classes 2 --seconds 0 --size 32 32 --batch 1",),
        {
            "--config-file": ("tinny", *_FILES),
            "--classes": ("0", "x", "-1"),
            "--what": ("forward", "sliding", "none"),
            "--device": ("gpu", "cuda", ""),
            "--threads": ("0", "x"),
            "--seconds": ("-1", "x"),
            "--size": ("0 0", "x x", "32"),
            "--json": _FILES,
            "--plot": ("a.xyz", *_FILES),
            "--opts": _OPTS,
        },
    ),
}


def _files(draw: Draw) -> dict[str, str]:
    """What the words in capitals stand for; the files are written."""
    material, pair = draw.material, draw.material.pairs()[0]
    weights = draw.write("in.safetensors", safetensors.torch.save(material.small_state))
    index = {
        "dataset": "bad_inputs",
        "classes": WORDS.split(","),
        "ignore_label": 255,
        "files": {pair["file_name"]: {"prediction": "0.png", "truth": pair["sem_seg_file_name"]}},
    }
    draw.write("predictions/0.png", Path(pair["sem_seg_file_name"]).read_bytes())
    draw.write("predictions/predictions.json", json.dumps(index))
    (draw.folder / "folder").mkdir()
    module = draw.write("module.py", "x = 1\n")
    broken = draw.rng.choice(("import none\n", "1 / 0\n", "x = (\n", "\0", "raise SystemExit(3)\n"))
    return {
        "CONFIG": str(material.config),
        "PICTURE": pair["file_name"],
        "PICTURES": str(material.folder / "pictures"),
        "LABELS": str(material.folder / "labels"),
        "WEIGHTS": str(weights),
        "TEXT": str(draw.write("text.txt", "cat\ndog\nsky\n")),
        "FOLDER": "folder",
        "PIPE": "pipe",
        "MODULE": str(module),
        "BROKEN_MODULE": str(draw.write("broken.py", broken)),
        "PREDICTIONS": "predictions",
    }


def _line(program: str, draw: Draw) -> Case:
    rng = draw.rng
    needed, options = _LINES[program]
    words = rng.choice(needed).split()
    for option in rng.choices(list(options), k=rng.choice((1, 1, 1, 2, 3))):
        value = rng.choice(options[option])
        given = value.split(" ") if option in ("", "--opts", "--size", "--seeds") else [value]
        words += [*([option] if option else []), *(given if options[option] != ("",) else [])]
    action = rng.choice(("keep",) * 8 + ("drop", "odd", "twice"))
    if action == "drop":
        words.pop(rng.randrange(len(words)))
    elif action == "odd":
        words.insert(rng.randrange(len(words) + 1), rng.choice(_ODD))
    elif action == "twice":
        words += words[-2:]
    # A pipe that nobody writes to; not among what a program is told to read in whole folders.
    os.mkfifo(draw.folder / "pipe")
    files = _files(draw)
    arguments = [files.get(word, word) for word in words]
    text = shlex.join([program, *words]).encode("ascii", "backslashreplace").decode()
    return Case(text[:300], partial(command, program, arguments))


def _recipe(program: str) -> Recipe:
    return partial(_line, program)


RECIPES: dict[str, Recipe] = {program: _recipe(program) for program in _LINES}
