"""Models that several tests share."""

import importlib
import logging
from collections.abc import Generator, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from detectron2.config import CfgNode, get_cfg
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.modeling import build_model
from torch import nn

from fgaseg_d2 import add_fgaseg_config

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "tests" / "data" / "golden"


def tool(name: str) -> ModuleType:
    """A program of tools/ as a module; pyproject.toml puts that folder on the path."""
    return importlib.import_module(name)


def config(path: str, *opts: object) -> CfgNode:
    """A configuration file of this repository, with changes (KEY, VALUE, ...)."""
    cfg = get_cfg()
    add_fgaseg_config(cfg)
    cfg.merge_from_file(str(ROOT / path))
    cfg.MODEL.DEVICE = "cpu"
    if cfg.MODEL.CLIP.NAME.startswith("tests/"):
        cfg.MODEL.CLIP.NAME = str(ROOT / cfg.MODEL.CLIP.NAME)
    cfg.merge_from_list(list(opts))
    return cfg


def build(path: str, *opts: object, seed: int = 0) -> nn.Module:
    """A model from a configuration file, with random weights, in evaluation mode."""
    torch.manual_seed(seed)
    return build_model(config(path, *opts)).eval()


def build_small(*opts: object, seed: int = 0) -> nn.Module:
    """The smallest model that has every part."""
    return build("tests/data/small.yaml", *opts, seed=seed)


@pytest.fixture(autouse=True)
def log_reaches_caplog(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo for each test what the set-up of a training or of the demo in an earlier one left."""
    monkeypatch.setattr(logging.getLogger("fgaseg_d2"), "propagate", True)
    logging.getLogger().setLevel(logging.WARNING)


@pytest.fixture(scope="module", autouse=True)
def datasets_stay_in_their_file() -> Iterator[None]:
    """Forget after each file of tests what it registered, by itself or through --import."""
    yield from _forgetting_datasets()


@pytest.fixture
def datasets_stay_in_their_test() -> Iterator[None]:
    """Forget after a test what it registered."""
    yield from _forgetting_datasets()


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a test's own for what is kept between runs; it is not made."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("FVCORE_CACHE", str(folder))
    return folder


@pytest.fixture(scope="module")
def small() -> nn.Module:
    """The smallest model, shared by the tests of a file: do not change it."""
    return build_small()


def _forgetting_datasets() -> Iterator[None]:
    before = {id(catalog): set(catalog.list()) for catalog in (DatasetCatalog, MetadataCatalog)}
    yield
    for catalog in (DatasetCatalog, MetadataCatalog):
        for name in set(catalog.list()) - before[id(catalog)]:
            catalog.remove(name)


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Names of files that are no UTF-8 stop the processes of pytest-xdist; escape them."""
    report = yield
    report.sections = [(title, _printable(text)) for title, text in report.sections]
    if report.longrepr is not None and _printable(str(report.longrepr)) != str(report.longrepr):
        report.longrepr = _printable(str(report.longrepr))
    return report
