"""Reads JSON files so that whatever is wrong with one is an error of one short line."""

import json
import os
from pathlib import Path
from typing import Any

from .file_errors import reading
from .nesting import check_depth, too_deep


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a UTF-8 file of JSON.

    Raises:
        FileNotFoundError: there is no such file.
        ReadError: it cannot be read.
        ValueError: another encoding, not JSON, or JSON nested deeper than 64 levels; the message
            says which, without the file's content.
    """
    with reading(path):
        data = Path(path).read_bytes()
    return parse_json(data)


def parse_json(data: bytes | str) -> Any:
    """Parse JSON; see :func:`read_json`."""
    try:
        content = json.loads(data)
    except UnicodeDecodeError as error:
        raise ValueError(f"expected UTF-8 text, got other bytes at {error.start}") from None
    except RecursionError:
        raise too_deep("JSON") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"expected JSON, got an error ({error})") from None
    check_depth(content, "JSON")
    return content
