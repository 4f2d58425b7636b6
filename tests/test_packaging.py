"""What a user gets: the package's metadata, its data files, and messages about what is missing."""

import re
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import detectron2
import numpy as np
import pytest
import torch
import yaml
from detectron2.evaluation import SemSegEvaluator
from detectron2.layers.mask_ops import paste_mask_in_image_old
from packaging.requirements import Requirement
from PIL import Image

import fgaseg_d2
from fgaseg_d2 import _requirements
from tests import datasets
from tests.conftest import ROOT, tool
from tests.wheels import build_wheel

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return zipfile.ZipFile(build_wheel(tmp_path_factory.mktemp("wheel")))


def test_wheel_carries_configurations_vocabularies_and_clip_models(wheel):
    names = set(wheel.namelist())
    for folder, ending, inside in [
        ("configs", "*.yaml", "fgaseg_d2/configs"),
        ("fgaseg_d2/vocabulary/lists", "*.json", "fgaseg_d2/vocabulary/lists"),
        (
            "fgaseg_d2/modeling/towers/model_configs",
            "*.json",
            "fgaseg_d2/modeling/towers/model_configs",
        ),
        ("fgaseg_d2/weights", "*.safetensors", "fgaseg_d2/weights"),
        ("fgaseg_d2", "*.py", "fgaseg_d2"),
        ("fgaseg_d2", "py.typed", "fgaseg_d2"),
        ("fgaseg_d2_cli", "*.py", "fgaseg_d2_cli"),
    ]:
        for path in (ROOT / folder).rglob(ending):
            if path.parent.name != "studies":
                assert f"{inside}/{path.relative_to(ROOT / folder).as_posix()}" in names


def test_wheel_carries_nothing_else(wheel):
    """No tests, no programs of tools/, no studies; and it stays small."""
    about = f"fgaseg_d2-{fgaseg_d2.__version__}.dist-info"
    for item in wheel.infolist():
        first, *inside = item.filename.split("/")
        assert first in ("fgaseg_d2", "fgaseg_d2_cli", about), item.filename
        if first != about and item.filename != "fgaseg_d2/py.typed":
            assert Path(item.filename).suffix in (".py", ".json", ".yaml", ".safetensors")
            assert not {"tests", "tools", "demo", "studies"} & set(inside), item.filename
    assert sum(item.compress_size for item in wheel.infolist()) < 50 * 2**20


def test_metadata_leaves_torch_and_detectron2_alone(wheel):
    metadata = next(name for name in wheel.namelist() if name.endswith("METADATA"))
    text = wheel.read(metadata).decode()
    assert f"Version: {fgaseg_d2.__version__}" in text
    assert "Requires-Python: >=3.10" in text and "License" in text
    required = {Requirement(line).name for line in re.findall(r"Requires-Dist: (.+)", text)}
    assert not required & {"torch", "torchvision", "detectron2", "sal-detectron2"}
    assert {"open_clip_torch", "safetensors"} <= required


def pins(python):
    """Constraints that hold for a version of Python."""
    found = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            marker = requirement.marker
            if marker is None or marker.evaluate({"python_version": python}):
                assert requirement.name not in found, line
                found[requirement.name] = str(requirement.specifier)
    return found


def test_constraints_pin_the_same_packages_for_every_python():
    oldest, later = pins("3.10"), pins("3.13")
    assert oldest.keys() == later.keys()
    assert all(version.startswith("==") for version in [*oldest.values(), *later.values()])
    assert {"torch", "torchvision", "open_clip_torch", "numpy"} <= oldest.keys()


def test_extras_are_named_in_the_readme(wheel):
    metadata = next(name for name in wheel.namelist() if name.endswith("METADATA"))
    extras = re.findall(r"Provides-Extra: (.+)", wheel.read(metadata).decode())
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert extras and all(f"[{extra}]" in readme for extra in extras)


@pytest.mark.slow
def test_pip_finds_versions_for_every_extra_within_the_constraints(tmp_path):
    wheel = build_wheel(tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        metadata = next(name for name in archive.namelist() if name.endswith("METADATA"))
        text = archive.read(metadata).decode()
    extras = ",".join(re.findall(r"Provides-Extra: (.+)", text))
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--constraint"]
    command += [str(ROOT / "constraints.txt"), f"{wheel}[{extras}]"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stderr


def test_missing_libraries_are_named_with_the_command_that_installs_them(monkeypatch):
    def find_spec(name):
        return None if name in ("torch", "detectron2") else object()

    monkeypatch.setattr(_requirements.importlib.util, "find_spec", find_spec)
    with pytest.raises(ImportError) as error:
        _requirements.check_requirements()
    message = str(error.value)
    assert "pip install torch torchvision" in message and "make install" in message
    assert "setuptools>=70.1" in message and "--no-build-isolation" in message
    assert "detectron2.git" in message
    assert "open_clip" not in message and "\n" not in message


def test_nothing_missing_here():
    _requirements.check_requirements()


@pytest.mark.parametrize("target", ["install", "test", "demo", "lint"])
def test_make_has_the_target(target):
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True)
    assert f"make {target} " in done.stdout


def test_continuous_integration_calls_make_test():
    path = ROOT / ".ci" / "run"
    assert path.stat().st_mode & stat.S_IXUSR
    assert "make test" in path.read_text(encoding="utf-8")


def test_licence_and_citation():
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    paper = citation["preferred-citation"]
    assert "2501.00877" in paper["url"] and len(paper["authors"]) == 5


def test_another_wheel_than_the_known_one_is_not_installed(tmp_path, monkeypatch):
    module = tool("install_detectron2")
    monkeypatch.setattr(module, "pip", lambda *_: (tmp_path / module.WHEEL).write_bytes(b"other"))
    with pytest.raises(ValueError, match="sha256 .* it is not installed"):
        module.fetch_wheel(tmp_path)


def run_installer(monkeypatch, folder, of_the_wheel):
    """The program where Detectron2 lies in a folder, without pip."""
    module = tool("install_detectron2")
    monkeypatch.setattr(module, "pip", lambda *_: pytest.fail("pip was called"))
    monkeypatch.setattr(module, "find_installed", lambda: folder)
    monkeypatch.setattr(module, "is_the_wheel", lambda _: of_the_wheel)
    monkeypatch.setattr(sys, "argv", ["install_detectron2.py"])
    assert module.main() == 0


@pytest.fixture
def as_published(tmp_path):
    """The two functions as the wheel brings them."""
    for name, text in (
        (
            "evaluation/sem_seg_evaluation.py",
            "def load(f, copy=False, dtype=None):\n"
            "    array = np.array(Image.open(f), copy=copy, dtype=dtype)\n    return array\n",
        ),
        (
            "layers/mask_ops.py",
            "def load(f):\n    mask = Image.open(f)\n    mask = np.array(mask, copy=False)\n"
            "    return mask\n",
        ),
    ):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_lines_that_fail_under_numpy_2_are_mended(as_published, monkeypatch, capsys):
    picture = as_published / "label.png"
    Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3)).save(picture)
    for _ in range(2):
        run_installer(monkeypatch, as_published, of_the_wheel=True)
    said = capsys.readouterr().err
    assert "sal-detectron2" in said and "2 lines mended for NumPy 2" in said
    assert "setuptools>=70.1" in said and "--no-build-isolation" in said
    for name in tool("install_detectron2").MENDED:
        scope = {"np": np, "Image": Image}
        exec((as_published / name).read_text(encoding="utf-8"), scope)
        assert scope["load"](picture).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_anothers_detectron2_is_left_alone(as_published, monkeypatch, capsys):
    names = tool("install_detectron2").MENDED
    before = [(as_published / name).read_bytes() for name in names]
    run_installer(monkeypatch, as_published, of_the_wheel=False)
    said = capsys.readouterr().err
    assert "installed already" in said and "fails under NumPy 2" in said and "70.1" in said
    assert [(as_published / name).read_bytes() for name in names] == before


def test_detectron2_here_is_found_and_described(monkeypatch, capsys):
    module = tool("install_detectron2")
    folder = module.find_installed()
    assert folder == Path(detectron2.__file__).parent
    assert not module.broken_lines(folder), "python tools/install_detectron2.py mends them"
    assert str(folder) in module.describe(folder)


def test_detectron2_evaluates_with_its_default_loading_function(tmp_path):
    label = np.array([[0, 0, 1], [1, 255, 1]], np.uint8)
    found = torch.tensor([[0, 1, 1], [1, 1, 0]])
    Image.fromarray(label).save(tmp_path / "label.png")
    record = {"file_name": "picture.png", "sem_seg_file_name": str(tmp_path / "label.png")}
    with datasets.registered(
        "default_loading", [record], ignore_label=255, stuff_classes=["a", "b"]
    ):
        evaluator = SemSegEvaluator("default_loading", distributed=False)
        evaluator.reset()
        scores = torch.nn.functional.one_hot(found).permute(2, 0, 1)
        evaluator.process([{"file_name": "picture.png"}], [{"sem_seg": scores}])
        result = evaluator.evaluate()["sem_seg"]
    # a: 1 of 3 pixels that are or were found to be a; b: 2 of 4.
    assert [result["IoU-a"], result["IoU-b"]] == pytest.approx([100 / 3, 50])


def test_detectron2_pastes_masks():
    mask = paste_mask_in_image_old(torch.ones(4, 4), torch.tensor([1.0, 1.0, 3.0, 3.0]), 5, 6, 0.5)
    assert mask.shape == (5, 6) and mask[1:4, 1:4].all() and mask.sum() == 9
