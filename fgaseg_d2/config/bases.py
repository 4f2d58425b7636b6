"""Reads a configuration file with those that it names as ``_BASE_``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from detectron2.utils.file_io import PathManager

from ..io.yaml_files import MAX_YAML_BYTES, decode_yaml, parse_yaml
from ..wording import PATH, shown
from .rows import BASE as _BASE
from .rows import refuse_table, row_of, table_of

_MAX_FILES = 32


class ConfigFiles:
    """Reads as Detectron2 does: bases first, then what a file changes in them.

    Args:
        bases: whether files may have some; what comes from elsewhere may not read files here.

    Attributes:
        contents: what each file says by itself, by path, in the order of reading.
    """

    def __init__(self, bases: bool = True) -> None:
        self.contents: dict[str, dict] = {}
        self._bases = bases
        self._count = 0

    def read(self, path: str | os.PathLike[str]) -> dict[str, Any]:
        """Read one file.

        Args:
            path: local, or of a kind that Detectron2's PathManager opens.

        Returns:
            Sections and keys, as the file has them.

        Raises:
            FileNotFoundError: no such file, or not a base of it.
            OSError: a file that cannot be read.
            ValueError: not YAML, not a configuration, more than 32 files, or a circle of bases.
        """
        return self._read(os.fspath(path), ())

    def _read(self, path: str, above: tuple[str, ...]) -> dict[str, Any]:
        if any(_same(path, other) for other in above):
            raise ValueError(
                f"{path}: expected a {_BASE} that ends somewhere, got a circle; cut it"
            )
        self._count += 1
        if self._count > _MAX_FILES:
            raise ValueError(
                f"{path}: expected at most {_MAX_FILES} files that name each other as {_BASE}, got "
                "more; join some"
            )
        content, file = _sections(path, above)
        bases = content.pop(_BASE, [])
        if isinstance(bases, str):
            bases = [bases]
        if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
            raise ValueError(f"{path}: expected {_BASE} to be a path, got {shown(bases)}")
        if bases and not self._bases:
            raise ValueError(
                f"{path}: expected a configuration without {_BASE}, as it comes from elsewhere; "
                "`fgaseg-d2 config` writes such a file"
            )
        merged: dict[str, Any] = {}
        for base in bases:
            merged = _merged(merged, self._read(_beside(file, base), (*above, path)), path)
        self.contents[path] = content
        return _merged(merged, content, path)


def _sections(path: str, above: tuple[str, ...]) -> tuple[dict[str, Any], str]:
    """What stands at a path, and the file that its bases are relative to."""
    if "://" not in path and not os.path.isfile(path):
        if table := table_of(path):
            return row_of(table, Path(path).stem), str(table)
        found = "a folder" if os.path.isdir(path) else "nothing that is a file"
        where = f"{above[-1]}: expected its {_BASE} at" if above else "expected a file at"
        raise FileNotFoundError(f"{where} {shown(path, PATH)}, got {found}; correct the path")
    try:
        with PathManager.open(path, "rb") as file:
            text = decode_yaml(file.read(MAX_YAML_BYTES + 1))
    except OSError as error:
        raise OSError(
            f"expected to read {shown(path, PATH)}, got {error.strerror or error}; check "
            "the path and its permissions"
        ) from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    try:
        content = parse_yaml(text)
        if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
            raise ValueError(
                "expected sections such as MODEL: with keys, got other YAML; correct it"
            )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    refuse_table(content, path)
    return content, path


def _beside(path: str, base: str) -> str:
    """Where a base is; a relative path is relative to the file that names it."""
    base = os.path.expanduser(base)
    return base if "://" in base else os.path.join(os.path.dirname(path), base)


def _same(path: str, other: str) -> bool:
    return path == other or os.path.realpath(path) == os.path.realpath(other)


def _merged(base: dict, changes: dict, path: str) -> dict:
    """Sections of both, values of the second; neither is changed, as aliases may share parts."""
    merged = dict(base)
    for key, value in changes.items():
        if isinstance(value, dict) and key in base:
            if not isinstance(base[key], dict):
                raise ValueError(
                    f"{path}: expected {shown(key)} to be a section in its {_BASE}, too, got "
                    f"{shown(base[key])}"
                )
            value = _merged(base[key], value, path)
        merged[key] = value
    return merged


def is_below(path: str, folder: Path) -> bool:
    """Whether a file lies in a folder."""
    return "://" not in path and folder.resolve() in Path(path).resolve().parents
