"""Packaging of fgaseg_d2."""

import importlib.metadata
import re
import sysconfig
from pathlib import Path

from setuptools import find_packages, setup

_ROOT = Path(__file__).parent

# Not torch, torchvision and detectron2: which build of them fits depends on the machine, so that
# installing this package must never choose or replace one. fgaseg_d2/_requirements.py says how to
# get them.
_REQUIREMENTS = [
    "filelock",
    "huggingface_hub",
    "iopath",
    "numpy",
    "open_clip_torch>=2.30",
    "pillow>=10.1",
    "psutil",
    "pycocotools",
    "pyyaml",
    "safetensors",
    "scipy",
    "tensorboard",
    "timm>=1.0",
    "tqdm",
]
# What only some results or some CLIPs need.
_EXTRAS = {
    "geo": ["rasterio>=1.3"],
    "heif": ["pillow-heif>=0.18"],
    "mgca": ["scikit-learn", "webdataset>=1.0"],
    "page": ["gradio>=6,<7"],
    "supervision": ["supervision>=0.25"],
    "tokenizers": ["transformers", "sentencepiece"],
    "use": ["scikit-image", "transformers"],
}
_TEST_REQUIREMENTS = [
    "hypothesis",
    "pytest>=8",
    "pytest-xdist",
    *_EXTRAS["geo"],
    *_EXTRAS["mgca"],
    *_EXTRAS["page"],
    *_EXTRAS["supervision"],
    *_EXTRAS["use"],
]
# The last two draw and lay out what tools/ measure.
_DEVELOPMENT_REQUIREMENTS = ["mypy", "pre-commit", "ruff>=0.9", "matplotlib", "tabulate"]


def _version() -> str:
    """Read the version without importing the package, which needs what is not installed yet."""
    text = (_ROOT / "fgaseg_d2" / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)[1]


def _long_description() -> str:
    readme = _ROOT / "README.md"
    return readme.read_text(encoding="utf-8") if readme.is_file() else ""


def _opencv() -> list[str]:
    """Require OpenCV only where none of its four distributions is there.

    They install the same files, so a second one would overwrite the first. The one without a
    display is the default: it needs no libGL, which servers lack, and nothing here opens windows.
    """
    # pip hides these folders from an isolated build, but not where they are.
    folders = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    for distribution in importlib.metadata.distributions(path=folders):
        name = distribution.metadata["Name"] or ""
        if re.match(r"opencv[-_](contrib[-_])?python", name.lower()):
            return []
    return ["opencv-python-headless"]


setup(
    name="fgaseg_d2",
    version=_version(),
    description="Open-vocabulary semantic segmentation (FGAseg, CAT-Seg) for Detectron2",
    long_description=_long_description(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=[*find_packages(include=["fgaseg_d2*"]), "fgaseg_d2.configs"],
    # The configurations lie at the top of the repository and travel inside the package in a wheel.
    package_dir={"fgaseg_d2.configs": "configs"},
    package_data={
        "fgaseg_d2": ["**/*.json", "**/*.safetensors", "py.typed"],
        "fgaseg_d2.configs": ["**/*.yaml"],
    },
    # For tools/run_study.py, which stays in the repository.
    exclude_package_data={"fgaseg_d2.configs": ["fgaseg/studies/*"]},
    install_requires=_REQUIREMENTS + _opencv(),
    entry_points={"console_scripts": ["fgaseg-d2 = fgaseg_d2_cli.__main__:main"]},
    extras_require={**_EXTRAS, "test": _TEST_REQUIREMENTS, "dev": _DEVELOPMENT_REQUIREMENTS},
    classifiers=[
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Image Recognition",
    ],
)
