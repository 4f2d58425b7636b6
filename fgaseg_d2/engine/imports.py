"""Imports a user's own module, so that what it registers is there."""

import importlib
import importlib.util
import sys
import traceback
from types import ModuleType

from ..io.regular_files import home_path, kind_of_file
from ..wording import shown


def import_user_module(name_or_file: str) -> ModuleType:
    """Import a module once in this process.

    Args:
        name_or_file: name of an importable module, or path of a .py file.

    Returns:
        The module.

    Raises:
        FileNotFoundError: no such file.
        ImportError: no such module, or one that fails; the message says in which line.
    """
    if not name_or_file.endswith(".py"):
        return _by_name(name_or_file)
    path = home_path(name_or_file).resolve()
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
    except BaseException as error:
        del sys.modules[name]
        _explain(name_or_file, error)
        raise
    return module


def _by_name(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise ImportError(
            f"--import {shown(name)}: expected the name of a module, such as my_data, or the path "
            "of a .py file"
        )
    if "" not in sys.path:
        # A script's own folder is searched, the folder it is called from is not.
        sys.path.append("")
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        # One that the module itself imports has another name.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise ImportError(
            f"--import {shown(name)}: expected a module that can be imported, but there is none of "
            "this name; correct it, or give the path of a .py file"
        ) from error
    except BaseException as error:
        _explain(name, error)
        raise
    if getattr(module, "__file__", None) is None and name not in sys.builtin_module_names:
        raise ImportError(
            f"--import {name}: expected a module, got a folder without __init__.py; name a .py file"
        )
    return module


def _explain(name: str, error: BaseException) -> None:
    """Raise an ImportError that says where a module failed, if anything in it did."""
    if isinstance(error, ImportError) or not isinstance(error, Exception):
        return
    if isinstance(error, SyntaxError):
        where = f"{error.filename}, line {error.lineno}"
    else:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{last.filename}, line {last.lineno}"
    raise ImportError(
        f"--import {shown(name)}: {type(error).__name__} in {where} ({error}); correct the module"
    ) from error
