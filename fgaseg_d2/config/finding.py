"""Finds configuration files, and rows of tables, by path or name."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from ..io.regular_files import home_path, is_file
from ..wording import PATH, few, shown
from .rows import row_names, table_of

_PACKAGE = Path(__file__).resolve().parent.parent
# Name of the files with the rows of a paper's tables.
_TABLE = "ablations"


def config_folder() -> Path:
    """Folder of the bundled configurations: in the package (a wheel) or beside it (a checkout)."""
    installed = _PACKAGE / "configs"
    return installed if installed.is_dir() else _PACKAGE.parent / "configs"


def find_config(name_or_path: str | os.PathLike[str]) -> Path:
    """Find a configuration file.

    Args:
        name_or_path: path of a YAML file, or name of a bundled configuration, such as "tiny",
            "fgaseg/tiny" or "vitb16_384". A row of a table (see :mod:`.rows`) counts as a file.

    Raises:
        FileNotFoundError: there is none.
    """
    path = home_path(name_or_path)
    if is_file(path) or table_of(path):
        return path
    bundled = _bundled(config_folder())
    wanted = path.as_posix().removesuffix(".yaml")
    for name, file in bundled.items():
        if name == wanted or name.endswith(f"/{wanted}"):
            return file
    names = [name.rpartition("/")[2] for name in bundled]
    near = difflib.get_close_matches(wanted.rpartition("/")[2], names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"the names are {few(names, 10) or 'none'}"
    raise FileNotFoundError(
        "expected a YAML file or the name of a bundled configuration, got "
        f"{shown(os.fspath(name_or_path), PATH)}; {hint}"
    )


def _bundled(folder: Path) -> dict[str, Path]:
    """Configurations of a folder and the rows of its tables, by name."""
    files = sorted(folder.rglob("*.yaml"), key=lambda file: (len(file.parts), file))
    tables = [file for file in files if file.stem == _TABLE]
    rows = [table.with_suffix("") / f"{row}.yaml" for table in tables for row in row_names(table)]
    return {file.relative_to(folder).as_posix()[: -len(".yaml")]: file for file in files + rows}
