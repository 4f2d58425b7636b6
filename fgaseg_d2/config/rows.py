"""Many configurations in one file: FOLDER.yaml with ROWS stands for a FOLDER/ROW.yaml of each.

_BASE_: base.yaml
ROWS:
  small: {MODEL.FGASEG.P2T.LAYERS: 1}
  large: {_BASE_: other.yaml, MODEL.FGASEG.P2T.LAYERS: 7}
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..io.regular_files import is_file
from ..io.yaml_files import read_yaml
from ..wording import few, shown

BASE, ROWS = "_BASE_", "ROWS"
_ENDING = ".yaml"


def table_of(path: str | os.PathLike[str]) -> Path | None:
    """The file that holds a row.

    Args:
        path: such as "configs/fgaseg/ablations/table2_none.yaml".

    Returns:
        Such as "configs/fgaseg/ablations.yaml"; None if no table of rows is there.
    """
    path = Path(path)
    table = path.parent.parent / f"{path.parent.name}{_ENDING}"
    if path.suffix != _ENDING or not path.parent.name or not is_file(table):
        return None
    try:
        content = read_yaml(table)
    except (OSError, ValueError):
        # Whatever it is, nobody has asked for it.
        return None
    return table if isinstance(content, dict) and ROWS in content else None


def row_names(table: Path) -> list[str]:
    """Names of the rows of a table, in its order.

    Raises:
        ValueError: it is none.
    """
    return list(_rows(table, read_yaml(table)))


def row_of(table: Path, name: str) -> dict[str, Any]:
    """Read a row as if it were a file of its own.

    Args:
        table: of :func:`table_of`.
        name: of the row.

    Returns:
        Sections and keys; what is named as base is relative to the table.

    Raises:
        ValueError: no table of rows, or without this row.
    """
    content = read_yaml(table)
    rows = _rows(table, content)
    if name not in rows:
        near = difflib.get_close_matches(name, rows, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the rows are {few(list(rows), 10)}"
        raise ValueError(f"{table}: expected one of its rows, got {shown(name)}; {hint}")
    base = {BASE: content[BASE]} if BASE in content else {}
    return base | _nested(rows[name], f"{table}: row {shown(name)}")


def refuse_table(content: Mapping[str, Any], path: str) -> None:
    """Raise a ValueError if what was read as one configuration is a table of them."""
    if ROWS in content:
        first = next(iter(_rows(Path(path), content)))
        raise ValueError(
            f"{path}: expected one configuration, got a table of them; name a row, such as "
            f"{path.removesuffix(_ENDING)}/{first}{_ENDING}"
        )


def _rows(table: Path, content: Any) -> dict[str, Any]:
    rows = content.get(ROWS) if isinstance(content, dict) else None
    if not isinstance(rows, dict) or not rows or not all(isinstance(name, str) for name in rows):
        raise ValueError(f"{table}: expected {ROWS} with names and changes, got {shown(rows)}")
    # Nothing would read it.
    if others := [shown(name) for name in content if name not in (BASE, ROWS)]:
        raise ValueError(
            f"{table}: expected nothing beside {BASE} and {ROWS}, got {few(others, 3)}; what all "
            f"rows share belongs into the file that {BASE} names"
        )
    return rows


def _nested(row: Any, where: str) -> dict[str, Any]:
    """A row's keys ("MODEL.DEVICE") in their sections, as a file has them."""
    if not isinstance(row, dict | None):
        raise ValueError(f"{where}: expected keys with values, got {shown(row)}")
    content: dict[str, Any] = {}
    for key, value in (row or {}).items():
        *sections, last = str(key).split(".")
        node = content
        for section in sections:
            node = node.setdefault(section, {})
            if not isinstance(node, dict):
                raise ValueError(f"{where}: {shown(section)} is both a section and a key")
        node[last] = value
    return content
