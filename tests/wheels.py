"""Wheels, as users get them."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


def build_wheel(folder: Path) -> Path:
    """Build a wheel from the source tree, without touching that."""
    if importlib.util.find_spec("setuptools") is None:
        pytest.skip("building a wheel needs setuptools")
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
    return next(folder.glob("*.whl"))
