"""What a study compares, read from configs/fgaseg/studies/<study>.yaml or a file of one's own."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fgaseg_d2.config.loading import config_folder, find_config
from fgaseg_d2.config.rows import BASE, row_of
from fgaseg_d2.config.values import leaves
from fgaseg_d2.io.regular_files import home_path, is_file
from fgaseg_d2.io.yaml_files import read_yaml
from fgaseg_d2.wording import shown

# Figures of a run: what a table calls them -> "test set/figure" of the evaluation.
FIGURES = {
    "seen": "storybook_generalized_test/seen_mIoU",
    "unseen": "storybook_generalized_test/unseen_mIoU",
    "harmonic": "storybook_generalized_test/harmonic_mIoU",
    "nouns": "storybook_nouns_test/mIoU",
    "boundary": "storybook_generalized_test/mBoundaryIoU",
}
# Figures that every run has besides.
COSTS = ("seconds_per_picture", "training_seconds", "parameters", "trained_parameters")
_REQUIRED = ("title", "question", "train_config", "test_config", "default", "rows")
_OPTIONAL = ("table", "note", "figures", "panels")
# Where rows have their changes from: a table of rows, and those of its keys that only a test takes.
_SOURCES = ("ablations", "only_tested")
_ROW_KEYS = ("name", "ablation", "train", "test", "paper", "paper_time")


@dataclass(frozen=True)
class Row:
    """One row of a study.

    Attributes:
        name: in the table.
        train: configuration changes of the training, and so of the model that is tested.
        test: further changes of the test alone.
        paper: the paper's mIoU in percent, by benchmark; empty for none.
        paper_time: the paper's time, in its unit, by benchmark; empty for none.
    """

    name: str
    train: Mapping[str, Any] = field(default_factory=dict)
    test: Mapping[str, Any] = field(default_factory=dict)
    paper: Mapping[str, float] = field(default_factory=dict)
    paper_time: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """A study.

    Attributes:
        name: of its files.
        title, question, note: for the reader; the note may be empty.
        table: of the paper, such as "III(b)"; "" for none.
        train_config, test_config: configuration files that the rows change.
        default: name of the row that the others are compared with.
        figures: what a run comes to, see :data:`FIGURES`.
        panels: figures or costs that the plot shows.
        rows: in the order of the table.
    """

    name: str
    title: str
    question: str
    train_config: Path
    test_config: Path
    default: str
    rows: tuple[Row, ...]
    table: str = ""
    note: str = ""
    figures: Mapping[str, str] = field(default_factory=lambda: dict(FIGURES))
    panels: tuple[str, ...] = ("seen", "unseen", "harmonic")


def study_names() -> list[str]:
    """Names of the studies that come with the package."""
    return sorted(
        path.stem for path in _folder().glob("*.yaml") if not path.stem.startswith("base")
    )


def load_study(name_or_path: str) -> Study:
    """Read a study.

    Args:
        name_or_path: one of :func:`study_names`, or a YAML file.

    Raises:
        FileNotFoundError: no such study or file, or a configuration that it names.
        ValueError: the file does not define a study.
    """
    path = home_path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        names = study_names()
        if name_or_path not in names:
            near = difflib.get_close_matches(name_or_path, names, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise FileNotFoundError(
                f"unknown study {shown(name_or_path)}; {hint}expected one of {', '.join(names)}, "
                "or a YAML file"
            )
        path = _folder() / f"{name_or_path}.yaml"
    elif not is_file(path):
        raise FileNotFoundError(
            f"expected the YAML file of a study at {shown(path, 200)}, got nothing; check the path"
        )
    try:
        return _study(path, read_yaml(path))
    except (ValueError, FileNotFoundError) as error:
        raise type(error)(f"{path}: {error}") from error


def _folder() -> Path:
    return config_folder() / "fgaseg" / "studies"


def _study(path: Path, content: Any) -> Study:
    _check_keys(content, (*_REQUIRED, *_OPTIONAL, *_SOURCES), _REQUIRED, "a study")
    content = dict(content)
    ablations, only_tested = content.pop("ablations", None), content.pop("only_tested", ())

    def ablation(name: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """What a row of the table changes in a training, and what in a test alone."""
        if ablations is None:
            raise ValueError(
                f"ablation: expected a table of rows in 'ablations', got {shown(name)}"
            )
        changes = dict(leaves(row_of(path.parent / str(ablations), str(name))))
        changes.pop(BASE, None)
        test = {key: changes.pop(key) for key in only_tested if key in changes}
        return changes, test

    items = enumerate(_list(content, "rows"))
    rows = tuple(_row(item, index + 1, ablation) for index, item in items)
    for key in ("train_config", "test_config"):
        beside = path.parent / str(content[key])
        content[key] = beside if beside.is_file() else find_config(content[key])
    if "figures" in content:
        content["figures"] = dict(_mapping(content, "figures", str))
        content.setdefault("panels", list(content["figures"])[:3])
    if "panels" in content:
        content["panels"] = tuple(_list(content, "panels"))
    study = Study(name=path.stem, **content | {"rows": rows, "default": str(content["default"])})
    _check(study)
    return study


def _row(item: Any, position: int, ablation: Callable[[Any], tuple[dict, dict]]) -> Row:
    where = f"row {position}"
    _check_keys(item, _ROW_KEYS, ("name",), where)
    where = f"row {shown(str(item['name']))}"
    figures = {
        key: _mapping(item, key, (int, float), where)
        for key in ("paper", "paper_time")
        if key in item
    }
    train, test = ablation(item["ablation"]) if "ablation" in item else ({}, {})
    for key, changes in (("train", train), ("test", test)):
        changes |= _mapping(item, key, object, where) if key in item else {}
    return Row(str(item["name"]), train, test, **figures)


def _check(study: Study) -> None:
    """Raise a ValueError unless the parts of a study fit together."""
    for first, second in itertools.combinations(study.rows, 2):
        if first.name == second.name:
            raise ValueError(f"rows: expected names of their own, got {shown(first.name)} twice")
        if (first.train, first.test) == (second.train, second.test):
            raise ValueError(f"rows: {shown(first.name)} and {shown(second.name)} change the same")
    names = [row.name for row in study.rows]
    if study.default not in names:
        raise ValueError(f"default: expected one of the rows {names}, got {shown(study.default)}")
    for source in study.figures.values():
        if source.count("/") != 1:
            raise ValueError(f"figures: expected 'test set/figure', got {shown(source)}")
    for panel in study.panels:
        if panel not in study.figures and panel not in COSTS:
            known = ", ".join((*study.figures, *COSTS))
            raise ValueError(f"panels: expected some of {known}, got {shown(panel)}")


def _check_keys(content: Any, known: Sequence[str], required: Sequence[str], what: str) -> None:
    if not isinstance(content, Mapping):
        raise ValueError(
            f"expected {what} with the keys {', '.join(required)}, got {shown(content)}"
        )
    for key in content:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"the keys are {', '.join(known)}"
            raise ValueError(f"{what}: unknown key {shown(key)}; {hint}")
    for key in required:
        if key not in content:
            raise ValueError(f"{what}: the key {shown(key)} is missing")


def _list(content: Mapping, key: str) -> list:
    if not isinstance(content[key], list) or not content[key]:
        raise ValueError(f"{key}: expected a list, got {shown(content[key])}")
    return content[key]


def _mapping(content: Mapping, key: str, kind: Any, where: str = "") -> Mapping:
    value = content[key]
    if not isinstance(value, Mapping) or not all(isinstance(v, kind) for v in value.values()):
        where = f"{where}, " if where else ""
        raise ValueError(f"{where}{key}: expected keys with values, got {shown(value)}")
    return value
