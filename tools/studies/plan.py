"""From studies and seeds to the commands that have to run, each model trained once.

In the output folder: runs/<what the row changes>/seed<N>/ holds a trained model, and a folder for
each way in which it is tested.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgaseg_d2.config.loading import load_config
from fgaseg_d2.config.values import leaves
from fgaseg_d2.io.files import write_json
from fgaseg_d2.io.json_files import read_json
from fgaseg_d2.wording import shown

from .definition import Row, Study
from .settings import CLIP, RUNS, Settings

# What does not change the result, or is compared by what it holds.
_WITHOUT_EFFECT = (
    "OUTPUT_DIR",
    "MODEL.WEIGHTS",
    "DATALOADER.NUM_WORKERS",
    "SOLVER.CHECKPOINT_PERIOD",
)
_FINGERPRINT = "settings.json"
DONE, FAILED, LOG = "done.json", "failed.json", "console.log"


@dataclass(frozen=True)
class Step:
    """One call of train_net.py.

    Attributes:
        folder: OUTPUT_DIR, with the log and what is noted about the call.
        arguments: of the command line, all but OUTPUT_DIR.
        config: the configuration that it runs with, flat, without what has no effect.
        products: files that are there when it has succeeded.
    """

    folder: Path
    arguments: tuple[str, ...]
    config: Mapping[str, Any]
    products: tuple[Path, ...]

    @property
    def finished(self) -> bool:
        """Whether it has succeeded, in this or an earlier run of the tool."""
        return (self.folder / DONE).is_file() and all(path.is_file() for path in self.products)

    @property
    def log(self) -> Path:
        """What it says."""
        return self.folder / LOG


@dataclass(frozen=True)
class Run:
    """A row with a seed: a training, and the test of what came out.

    Attributes:
        study, row, seed: what it is.
        training: shared by all runs that train alike.
        test: shared by all runs that also test alike.
    """

    study: str
    row: str
    seed: int
    training: Step
    test: Step

    @property
    def finished(self) -> bool:
        """Whether there are figures; the model may have been removed since."""
        return self.test.finished


class Planner:
    """Knows where the runs of an output folder are and how they are called.

    Args:
        output: the folder.
        settings: of all runs in it.
    """

    def __init__(self, output: Path, settings: Settings):
        self.output = output
        self.settings = settings
        self._known: dict[str, dict[str, Any]] = {}

    def runs(self, study: Study, seeds: Iterable[int], rows: Sequence[str] = ()) -> list[Run]:
        """Plan a study, seed by seed, so that what is there early is comparable.

        Args:
            study: the study.
            seeds: each 0 or more.
            rows: names of the rows; empty for all.

        Raises:
            ValueError: a row changes an unknown key, or sets it to a value that does not fit.
        """
        chosen = [row for row in study.rows if not rows or row.name in rows]
        configs = [(row, *self._configs(study, row)) for row in chosen]
        return [
            self._run(study, row, seed, train, test)
            for seed in seeds
            for row, train, test in configs
        ]

    def seeds_there(self, study: Study) -> set[int]:
        """Seeds that some row of a study has a folder for."""
        folders = [path for row in study.rows for path in self._folder(row).glob("seed*")]
        return {int(path.name[4:]) for path in folders if path.name[4:].isdigit()}

    def training_overrides(self, row: Row) -> dict[str, Any]:
        """All changes of the study's training configuration, those of the row last."""
        schedule = {"SOLVER.MAX_ITER": self.settings.iterations} if self.settings.iterations else {}
        return {**schedule, **self.settings.overrides, **row.train}

    def test_overrides(self, row: Row) -> dict[str, Any]:
        """All changes of the study's test configuration, those of the row last."""
        scenes = {"TEST.MAX_PICTURES": self.settings.scenes} if self.settings.scenes else {}
        return {**scenes, **self.settings.overrides, **row.train, **row.test}

    def _configs(self, study: Study, row: Row) -> tuple[dict, dict]:
        try:
            train = self._flat(study.train_config, self.training_overrides(row))
            test = self._flat(study.test_config, self.test_overrides(row))
            return train, {k: v for k, v in test.items() if not k.startswith("SOLVER.")}
        except ValueError as error:
            raise ValueError(
                f"study {shown(study.name)}, row {shown(row.name)}: {error}"
            ) from error

    def _flat(self, config: Path, overrides: Mapping[str, Any]) -> dict[str, Any]:
        """A configuration without what has no effect; read once, which takes some hundredths."""
        words = _words(overrides)
        key = f"{config} {words}"
        if key not in self._known:
            cfg = load_config(config, words, weights="")
            self._known[key] = {k: v for k, v in leaves(cfg) if k not in _WITHOUT_EFFECT}
        return self._known[key]

    def _folder(self, row: Row) -> Path:
        return self.output / RUNS / _slug(row.train)

    def _run(self, study: Study, row: Row, seed: int, train: dict, test: dict) -> Run:
        folder = self._folder(row) / f"seed{seed}"
        model = folder / "model_final.pth"
        weights = self.output / RUNS / CLIP
        training = Step(
            folder,
            (
                *("--config-file", str(study.train_config), "--resume"),
                *_words(self.training_overrides(row)),
                *("SEED", str(seed), "MODEL.WEIGHTS", str(weights)),
                *("MODEL.WEIGHTS_PARTIAL", "True"),
            ),
            {**train, "SEED": seed, "weights_sha256": self.settings.weights_sha256},
            (model,),
        )
        own = folder / f"test-{_slug(row.test)}-{_hash(test)}"
        details = [own / "inference" / name / "evaluation.json" for name in test["DATASETS.TEST"]]
        tested = Step(
            own,
            (
                *("--config-file", str(study.test_config), "--eval-only"),
                *_words(self.test_overrides(row)),
                *("SEED", str(seed), "MODEL.WEIGHTS", str(model)),
            ),
            test,
            tuple(details),
        )
        return Run(study.name, row.name, seed, training, tested)


def claim(step: Step) -> None:
    """Note in a training's folder what is trained there, or see that it is the same.

    Raises:
        ValueError: the folder holds something that was trained otherwise.
        OSError: it cannot be written.
    """
    check(step)
    if not (step.folder / _FINGERPRINT).is_file():
        write_json(step.folder / _FINGERPRINT, step.config)


def check(step: Step) -> None:
    """See that what a training's folder holds, if anything, was trained with this configuration.

    Raises:
        ValueError: it was not.
    """
    path = step.folder / _FINGERPRINT
    if not path.is_file():
        return
    try:
        found = read_json(path)
        wanted = json.loads(json.dumps(step.config))
        keys = [key for key in {**wanted, **found} if wanted.get(key) != found.get(key)]
    except (ValueError, TypeError) as error:
        raise ValueError(f"expected JSON in {path}, got an error ({error}); remove it") from error
    if keys:
        key = keys[0]
        more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
        raise ValueError(
            f"{step.folder} was trained with {key} {shown(found.get(key))}, now it would be "
            f"{shown(wanted.get(key))}{more}: the definition has changed; give another --output, "
            "or "
            "remove that folder to train it again"
        )


def _words(overrides: Mapping[str, Any]) -> list[str]:
    """Keys and values in turn, as on a command line."""
    return [word for key, value in overrides.items() for word in (key, str(value))]


def _slug(overrides: Mapping[str, Any]) -> str:
    """Name of a folder, the same for the same changes in any order."""
    if not overrides:
        return "default"
    short = {key: ".".join(key.lower().split(".")[-2:]) for key in overrides}
    parts = [f"{short[key]}_{overrides[key]}" for key in sorted(overrides)]
    readable = re.sub(r"[^A-Za-z0-9_.-]+", "_", "-".join(parts))[:60]
    return f"{readable}-{_hash(dict(overrides))}"


def _hash(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
