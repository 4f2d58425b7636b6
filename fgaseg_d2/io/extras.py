"""Libraries that only some results need, and that an extra of this package installs."""

from __future__ import annotations

import importlib
from types import ModuleType


def import_extra(module: str, extra: str) -> ModuleType:
    """Import a library that is no requirement.

    Args:
        module: name of the library.
        extra: of this package, which installs it.

    Raises:
        ImportError: it is not installed; the message says how to get it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise ImportError(
            f"expected the library {error.name}, which is not installed here; get it by: "
            f"pip install 'fgaseg_d2[{extra}]'",
            name=error.name,
        ) from None
