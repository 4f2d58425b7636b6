#!/usr/bin/env python3
"""Installs Detectron2 into this Python's environment, unless it is there, without compiling it.

The project publishes no wheels for current versions of PyTorch. A third party's wheel,
sal-detectron2, has the same Python code; it is tagged for Python 3.10 only because of one compiled
file, which nothing here uses. So it is fetched for 3.10, checked against a known hash and retagged.
"""

import argparse
import hashlib
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

VERSION = "0.7.2"
WHEEL = f"sal_detectron2-{VERSION}-cp310-none-any.whl"
RETAGGED = f"sal_detectron2-{VERSION}-py3-none-any.whl"
SHA256 = "491af0c7f79bdb2d178e46f6cb16a97c4ac968d45c41ea3f6b6435d59bbee561"
# What the wheel asks for, less an upper bound on NumPy that its code does not need, and less a code
# formatter that only one function, unused here, calls.
REQUIREMENTS = (
    "cloudpickle",
    "fvcore",
    "hydra-core",
    "iopath",
    "matplotlib",
    "numpy",
    "omegaconf",
    "packaging",
    "pillow",
    "pycocotools",
    "tabulate",
    "tensorboard",
    "termcolor",
    "tqdm",
    "yacs",
)
FROM_SOURCE = (
    "pip install --no-build-isolation 'git+https://github.com/facebookresearch/detectron2.git'"
)


def argument_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "-c", "--constraint", metavar="FILE", help="constraints file for what Detectron2 needs"
    )
    return parser


def pip(*arguments: str) -> None:
    """Run pip of this Python.

    Raises:
        subprocess.CalledProcessError: pip failed; it has said why.
    """
    subprocess.run([sys.executable, "-m", "pip", *arguments], check=True)


def fetch_wheel(folder: Path) -> Path:
    """Download the wheel, check it, and tag it for every Python 3.

    Args:
        folder: where it goes.

    Returns:
        Path of the retagged wheel.

    Raises:
        ValueError: the file is not the expected one.
        subprocess.CalledProcessError: it cannot be downloaded.
    """
    platform = ("--python-version", "3.10", "--implementation", "cp", "--abi", "cp310")
    pip(
        *("download", "--no-deps", "--only-binary=:all:", *platform),
        *("--dest", str(folder), f"sal-detectron2=={VERSION}"),
    )
    wheel = folder / WHEEL
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != SHA256:
        raise ValueError(f"expected {WHEEL} with sha256 {SHA256}, got {found}; it is not installed")
    return wheel.rename(folder / RETAGGED)


def main() -> int:
    """Run the command line.

    Returns:
        Exit code.
    """
    args = argument_parser().parse_args()
    if importlib.util.find_spec("detectron2") is not None:
        sys.stderr.write("Detectron2 is installed already\n")
        return 0
    constraint = ("-c", args.constraint) if args.constraint else ()
    try:
        with tempfile.TemporaryDirectory() as folder:
            wheel = fetch_wheel(Path(folder))
            pip("install", *constraint, *REQUIREMENTS)
            pip("install", "--no-deps", str(wheel))
    except (subprocess.CalledProcessError, OSError, ValueError) as error:
        sys.stderr.write(f"error: {error}\nTo install Detectron2 from source: {FROM_SOURCE}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
