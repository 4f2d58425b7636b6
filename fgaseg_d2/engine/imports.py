"""Imports a user's own module, so that what it registers is there."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from fgaseg_d2.regular_files import kind_of_file


def import_user_module(name_or_file: str) -> ModuleType:
    """Import a module once in this process.

    Args:
        name_or_file: name of an importable module, or path of a .py file.

    Returns:
        The module.

    Raises:
        FileNotFoundError: no such file.
        ImportError: no such module, or one that fails to import another.
    """
    if not name_or_file.endswith(".py"):
        if "" not in sys.path:
            # A script's own folder is searched, the folder it is called from is not.
            sys.path.append("")
        return importlib.import_module(name_or_file)
    path = Path(name_or_file).expanduser().resolve()
    if (found := kind_of_file(path)) != "a file":
        found = "there is no such file" if found == "nothing" else f"this is {found}, no file"
        raise FileNotFoundError(f"--import {name_or_file}: {found}")
    # A name of its own, because the file may be called like a module that exists already.
    name = f"imported_{path.stem}"
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) == str(path):
        return known
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Worker processes look what the module defines up here.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
