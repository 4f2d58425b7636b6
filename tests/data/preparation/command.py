"""Runs tools/prepare_datasets.py inside the tests, and as a program of its own."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fgaseg_d2.data.datasets.benchmarks import BENCHMARKS, Split
from tests.conftest import ROOT, tool
from tests.demo_tools import environment
from tests.raw_trees import Truth

PROGRAM = ROOT / "tools" / "prepare_datasets.py"


@dataclass
class Done:
    """A run's exit code and what it printed."""

    code: int
    out: str
    err: str

    def errors(self) -> list[str]:
        """What was wrong, without the sum at the end."""
        return [line for line in self.err.splitlines() if line.startswith("error: ")][:-1]


class Command:
    """Calls main() with --root; quick, because everything is imported already."""

    def __init__(self, root: Path, capfd: pytest.CaptureFixture):
        self.root = root
        self.capfd = capfd

    def __call__(self, *words: str, workers: int = 1) -> Done:
        self.capfd.readouterr()
        line = [*words, "--root", str(self.root), "--workers", str(workers)]
        code = tool("prepare_datasets").main(line)
        return Done(code, *self.capfd.readouterr())


def start(*words: object, environ: Mapping[str, str] = {}, **options) -> subprocess.Popen:
    """Start the program in a session of its own, with more in its environment."""
    usual = environment()
    more = dict(environ)
    if path := more.pop("PYTHONPATH", ""):
        more["PYTHONPATH"] = os.pathsep.join([path, usual["PYTHONPATH"]])
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), *map(str, words)],
        env=usual | more,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def split_of(dataset: str) -> Split:
    """The folders of a registered name."""
    (name,) = (name for name in BENCHMARKS if dataset.startswith(f"{name}_"))
    return BENCHMARKS[name].splits[dataset.removeprefix(f"{name}_")]


def label_path(root: Path, dataset: str, stem: str) -> Path:
    return root / split_of(dataset).label_dir / f"{stem}.png"


def labels(root: Path, dataset: str) -> dict[str, np.ndarray]:
    """Everything in the folder of a dataset's labels, also what is hidden."""
    folder = root / split_of(dataset).label_dir
    result = {}
    for path in folder.rglob("*") if folder.is_dir() else []:
        if path.is_file():
            with Image.open(path) as image:
                result[path.relative_to(folder).as_posix().removesuffix(".png")] = np.asarray(image)
    return result


def assert_prepared(root: Path, truth: Truth, without: str = "") -> None:
    """Every label is what it must be, and nothing else is there."""
    for dataset, expected in truth.items():
        found = labels(root, dataset)
        assert sorted(found) == sorted(set(expected) - {without}), dataset
        for stem, label in found.items():
            np.testing.assert_array_equal(label, expected[stem], err_msg=f"{dataset} {stem}")


def snapshot(root: Path) -> dict[str, tuple]:
    """What a change of anything below the root would change."""
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in [root, *root.rglob("*")]
    }
