"""Who may import whom, read from the source without importing it."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "fgaseg_d2"
FILES = sorted(PACKAGE.rglob("*.py"))
METHODS = sorted(
    folder.name
    for folder in (PACKAGE / "modeling").iterdir()
    if (folder / "meta_arch.py").is_file()
)
# What the parts of a method that hold no configuration may use.
TORCH_ONLY = {"torch", "fgaseg_d2.modeling.layers"}


def name_of(path: Path) -> str:
    """Dotted name of a source file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """Dotted names that a file imports, relative ones resolved, standard library left out."""
    package = name_of(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            # "from .. import sibling" names a module, "from .sibling import name" may not.
            names = [base] if node.module else [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] not in sys.stdlib_module_names)


def files_of(part: str) -> list[Path]:
    """Source files of a folder or module of the package."""
    return [path for path in FILES if within(name_of(path), {f"fgaseg_d2.{part}"})]


def within(name: str, allowed: set[str]) -> bool:
    """Whether a dotted name is one of those allowed, or lies in one."""
    return any(name == one or name.startswith(f"{one}.") for one in allowed)


def strangers(part: str, allowed: set[str]) -> list[str]:
    """Imports of a part that are not allowed."""
    own = {f"fgaseg_d2.{part}"}
    return [
        f"{name_of(path)} imports {name}"
        for path in files_of(part)
        for name in imports(path)
        if not within(name, allowed | own)
    ]


def test_the_walk_sees_imports():
    assert "torch" in set(imports(PACKAGE / "engine" / "train_loop.py"))
    assert METHODS and files_of("data") and files_of("modeling.layers")


@pytest.mark.parametrize("part", ["modeling.layers", "modeling.inference"])
def test_layers_and_inference_import_torch_only(part):
    assert strangers(part, {"torch"}) == []


def test_clip_is_the_only_folder_that_imports_open_clip():
    users = {
        name_of(path) for path in FILES if any(within(n, {"open_clip"}) for n in imports(path))
    }
    assert users and all(within(user, {"fgaseg_d2.modeling.clip"}) for user in users)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_imports_no_other_method(method):
    others = {f"fgaseg_d2.modeling.{other}" for other in METHODS if other != method}
    assert [
        f"{name_of(path)} imports {name}"
        for path in files_of(f"modeling.{method}")
        for name in imports(path)
        if within(name, others)
    ] == []


@pytest.mark.parametrize("method", METHODS)
def test_stages_and_losses_of_a_method_import_torch_and_layers_only(method):
    entries = {"__init__", "meta_arch", "head"}
    parts = [p.stem for p in files_of(f"modeling.{method}") if p.stem not in entries]
    own = {f"fgaseg_d2.modeling.{method}"}
    assert [
        line for p in parts for line in strangers(f"modeling.{method}.{p}", TORCH_ONLY | own)
    ] == []


def test_shared_parts_import_no_method():
    methods = {f"fgaseg_d2.modeling.{method}" for method in METHODS}
    for part in ("modeling.clip", "modeling.layers", "modeling.inference"):
        found = [name for path in files_of(part) for name in imports(path) if within(name, methods)]
        assert found == [], part


@pytest.mark.parametrize("part", ["data", "evaluation"])
def test_data_and_evaluation_never_import_modeling(part):
    bad = {
        "fgaseg_d2.modeling",
        "fgaseg_d2.engine",
        "fgaseg_d2.predict.predictor",
        "detectron2.modeling",
    }
    found = [name for path in files_of(part) for name in imports(path) if within(name, bad)]
    assert found == []


def test_modeling_imports_neither_data_nor_engine():
    bad = {f"fgaseg_d2.{part}" for part in ("data", "engine", "evaluation", "predictor")}
    found = [name for path in files_of("modeling") for name in imports(path) if within(name, bad)]
    assert found == []


def functions_that_read_cfg(path: Path) -> Iterator[str]:
    """Names of functions that look something up in a variable called cfg."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                reads = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
                if reads and node.value.id == "cfg":
                    yield function.name
                    break


@pytest.mark.parametrize("part", ["modeling", "evaluation", "vocabulary", "visualization"])
def test_cfg_is_read_in_from_config_only(part):
    found = {
        f"{name_of(path)}.{function}"
        for path in files_of(part)
        for function in functions_that_read_cfg(path)
        if function != "from_config"
    }
    assert found == set()


def test_only_public_names_of_libraries_are_imported():
    private = [
        f"{name_of(path)} imports {name}"
        for path in FILES
        for name in imports(path)
        if not within(name, {"fgaseg_d2"}) and any(part.startswith("_") for part in name.split("."))
    ]
    assert private == []


def test_files_and_functions_stay_short():
    long = []
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        if text.count("\n") > 300:
            long.append(f"{name_of(path)}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= 60:
                long.append(
                    f"{name_of(path)}.{node.name}: {node.end_lineno - node.lineno + 1} lines"
                )
    assert long == []
