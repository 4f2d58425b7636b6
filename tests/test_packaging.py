"""What a user gets: the package's metadata, its data files, and messages about what is missing."""

import importlib.util
import re
import stat
import subprocess
import sys
import zipfile

import pytest
import yaml
from packaging.requirements import Requirement

import fgaseg_d2
from fgaseg_d2 import _requirements
from tests.conftest import ROOT, tool

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel built from the source tree, without touching that."""
    if importlib.util.find_spec("setuptools") is None:
        pytest.skip("building a wheel needs setuptools")
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [
            *(sys.executable, "setup.py", "-q", "egg_info", "--egg-base", str(folder)),
            *("build", "--build-base", str(folder / "build")),
            *("bdist_wheel", "--dist-dir", str(folder)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_wheel_carries_configurations_vocabularies_and_clip_models(wheel):
    names = set(wheel.namelist())
    for folder, ending, inside in [
        ("configs", "*.yaml", "fgaseg_d2/configs"),
        ("fgaseg_d2/data/vocabularies", "*.json", "fgaseg_d2/data/vocabularies"),
        (
            "fgaseg_d2/modeling/clip/model_configs",
            "*.json",
            "fgaseg_d2/modeling/clip/model_configs",
        ),
        ("fgaseg_d2/weights", "*.safetensors", "fgaseg_d2/weights"),
        ("fgaseg_d2", "*.py", "fgaseg_d2"),
    ]:
        for path in (ROOT / folder).rglob(ending):
            assert f"{inside}/{path.relative_to(ROOT / folder).as_posix()}" in names
    assert not [name for name in names if name.startswith(("tests", "tools", "demo"))]


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


def test_missing_libraries_are_named_with_the_command_that_installs_them(monkeypatch):
    def find_spec(name):
        return None if name in ("torch", "detectron2") else object()

    monkeypatch.setattr(_requirements.importlib.util, "find_spec", find_spec)
    with pytest.raises(ImportError) as error:
        _requirements.check_requirements()
    message = str(error.value)
    assert "pip install torch torchvision" in message and "make install" in message
    assert "--no-build-isolation" in message and "detectron2.git" in message
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


def test_installed_detectron2_is_left_alone(capsys, monkeypatch):
    module = tool("install_detectron2")
    monkeypatch.setattr(module, "pip", lambda *_: pytest.fail("pip was called"))
    monkeypatch.setattr(sys, "argv", ["install_detectron2.py"])
    assert module.main() == 0
    assert "installed already" in capsys.readouterr().err
