#!/usr/bin/env python3
"""Installs Detectron2 into this Python's environment, unless it is there, without compiling it.

The project publishes no wheels for current versions of PyTorch. A third party's wheel,
sal-detectron2, has the same Python code; it is tagged for Python 3.10 only because of one compiled
file, which nothing here uses. So it is fetched for 3.10, checked against a known hash and retagged.
Two of its lines fail under NumPy 2; they are mended where it lies, also in an older set-up.
"""

import argparse
import hashlib
import importlib.metadata
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

DISTRIBUTION = "sal-detectron2"
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
# For NumPy 2, copy=False is an error where a copy is needed, as it is to read a picture:
# SemSegEvaluator reads its labels in the one, paste_mask_in_image_old its mask in the other.
MENDED = {
    "evaluation/sem_seg_evaluation.py": (
        "np.array(Image.open(f), copy=copy, dtype=dtype)",
        "np.array(Image.open(f), dtype=dtype)",
    ),
    "layers/mask_ops.py": ("np.array(mask, copy=False)", "np.asarray(mask)"),
}
FROM_SOURCE = (
    "pip install 'setuptools>=70.1' && pip install --no-build-isolation "
    "'git+https://github.com/facebookresearch/detectron2.git'"
)


def argument_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "-c",
        "--constraint",
        type=os.path.expanduser,
        metavar="FILE",
        help="constraints file for what Detectron2 needs",
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
        *("--dest", str(folder), f"{DISTRIBUTION}=={VERSION}"),
    )
    wheel = folder / WHEEL
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != SHA256:
        raise ValueError(f"expected {WHEEL} with sha256 {SHA256}, got {found}; it is not installed")
    return wheel.rename(folder / RETAGGED)


def install(constraint: tuple[str, ...]) -> None:
    """Install the wheel and what it needs.

    Args:
        constraint: pip's option for a constraints file, or nothing.

    Raises:
        ValueError, OSError, subprocess.CalledProcessError: as `fetch_wheel` and `pip`.
    """
    with tempfile.TemporaryDirectory() as folder:
        wheel = fetch_wheel(Path(folder))
        pip("install", *constraint, *REQUIREMENTS)
        pip("install", "--no-deps", str(wheel))
    importlib.invalidate_caches()


def find_installed() -> Path | None:
    """Folder of the Detectron2 that this Python would import, None if there is none."""
    spec = importlib.util.find_spec("detectron2")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent


def is_the_wheel(folder: Path) -> bool:
    """Whether a Detectron2 is the one that this program installs, and not somebody's own."""
    try:
        distribution = importlib.metadata.distribution(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return False
    own = Path(str(distribution.locate_file("detectron2")))
    return distribution.version == VERSION and own.resolve() == folder.resolve()


def broken_lines(folder: Path) -> list[Path]:
    """The files of a Detectron2 that fail under NumPy 2."""
    return [
        path
        for name, (broken, _) in MENDED.items()
        if (path := folder / name).is_file() and broken in path.read_text(encoding="utf-8")
    ]


def mend(folder: Path) -> None:
    """Let a Detectron2 run under NumPy 2, whose meaning of copy=False is newer than it.

    Args:
        folder: of the package; files that are in order stay as they are.

    Raises:
        OSError: a file cannot be written.
    """
    for path in broken_lines(folder):
        broken, right = MENDED[path.relative_to(folder).as_posix()]
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(broken, right), encoding="utf-8")


def describe(folder: Path) -> str:
    """Say which Detectron2 this is, and what it lacks."""
    if is_the_wheel(folder):
        return (
            f"Detectron2: the wheel {DISTRIBUTION} {VERSION} in {folder}, not compiled, "
            f"{len(MENDED)} lines mended for NumPy 2. The project's main branch, compiled, does as "
            f"well: pip uninstall {DISTRIBUTION}, then {FROM_SOURCE}"
        )
    found = f"Detectron2: the one installed already, in {folder}, as it is"
    if broken_lines(folder):
        return (
            f"{found}. Its SemSegEvaluator or paste_mask_in_image_old fails under NumPy 2; the "
            f"main branch does not: {FROM_SOURCE}"
        )
    return found


def main() -> int:
    """Run the command line.

    Returns:
        Exit code.
    """
    args = argument_parser().parse_args()
    try:
        folder = find_installed()
        if folder is None:
            install(("-c", args.constraint) if args.constraint else ())
            folder = find_installed()
            if folder is None:
                raise ValueError("pip has installed Detectron2, but this Python does not find it")
        if is_the_wheel(folder):
            mend(folder)
    except (subprocess.CalledProcessError, OSError, ValueError) as error:
        sys.stderr.write(f"error: {error}\nTo install Detectron2 from source: {FROM_SOURCE}\n")
        return 1
    sys.stderr.write(f"{describe(folder)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
