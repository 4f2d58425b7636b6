"""Who may import whom, read from the source without importing it."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "fgaseg_d2"
FILES = sorted(PACKAGE.rglob("*.py"))
METHODS = sorted(
    folder.name for folder in (PACKAGE / "methods").iterdir() if (folder / "meta_arch.py").is_file()
)
# Who may import whom: part -> parts of the package, and libraries beyond what any file may use.
GROUND = ("io", "parallel", "wording")
MODELING = ("modeling",)
ALLOWED = {
    "wording": (),
    "io": ("wording",),
    "parallel": ("wording", "io"),
    "vocabulary": GROUND,
    "storybook": GROUND,
    "checkpoint": (*GROUND, "vocabulary"),
    "config": (*GROUND, "vocabulary", "checkpoint"),
    "modeling.layers": (),
    "modeling.losses": ("modeling.layers",),
    "modeling.inference": ("modeling.layers",),
    "modeling.towers": (*GROUND, "modeling.layers", "checkpoint", "config"),
    "modeling.text": (*GROUND, "modeling.layers", "modeling.towers", "checkpoint", "config"),
    "modeling": (*GROUND, *MODELING, "checkpoint", "vocabulary", "config"),
    "methods": (*GROUND, *MODELING, "vocabulary", "checkpoint", "config"),
    "data": (*GROUND, "vocabulary", "config", "storybook"),
    "drawing": (*GROUND, "vocabulary"),
    "exports": (*GROUND, "vocabulary"),
    "evaluation": (*GROUND, "vocabulary", "config", "storybook", "data", "drawing"),
    "engine": (
        *(*GROUND, "vocabulary", "config", "checkpoint", "modeling", "methods", "data"),
        "evaluation",
    ),
    "predict": (
        *(*GROUND, "vocabulary", "config", "checkpoint", "modeling", "data", "drawing"),
        "exports",
    ),
}
# Parts whose files name neither torch nor Detectron2.
CHEAP = ("io", "wording", "vocabulary", "storybook", "exports")


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


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """What a file does as it is imported, and what a type checker sees of it."""
    for node in body:
        yield node
        if isinstance(node, ast.If):
            yield from statements([*node.body, *node.orelse])


def top_level_imports(path: Path) -> Iterator[str]:
    """Modules of this package that a file imports as it is imported, for types alone too."""
    package = name_of(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in statements(ast.parse(path.read_text(encoding="utf-8")).body):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = ".".join(
                [*package[: len(package) - node.level + 1], *filter(None, [node.module])]
            )
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def circles(graph: dict[str, set[str]]) -> Iterator[list[str]]:
    """Files that import each other: what is left when who imports nobody goes, again and again."""
    left = {name: set(targets) for name, targets in graph.items()}
    while free := [name for name, targets in left.items() if not targets & left.keys()]:
        for name in free:
            del left[name]
    if left:
        yield sorted(left)


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


@pytest.mark.parametrize("part", ALLOWED)
def test_a_part_imports_only_those_below_it(part):
    allowed = {f"fgaseg_d2.{other}" for other in (part, *ALLOWED[part])}
    assert [
        f"{name_of(path)} imports {name}"
        for path in files_of(part)
        for name in imports(path)
        if within(name, {"fgaseg_d2"}) and not within(name, allowed)
    ] == []


def test_every_folder_of_the_package_has_its_line():
    parts = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in FILES}
    listed = {part.partition(".")[0] for part in ALLOWED}
    assert {part for part in parts - listed if not part.startswith("_")} == set()


@pytest.mark.parametrize("part", ["modeling.layers", "modeling.losses"])
def test_layers_and_losses_import_torch_alone(part):
    assert strangers(part, {"torch", "fgaseg_d2.modeling.layers"}) == []


@pytest.mark.parametrize("part", CHEAP)
def test_cheap_parts_name_neither_torch_nor_detectron2(part):
    found = [
        f"{name_of(path)} names {library}"
        for path in files_of(part)
        for library in ("torch", "detectron2")
        if re.search(rf"^\s*(import|from) {library}\b", path.read_text(encoding="utf-8"), re.M)
    ]
    assert found == []


def test_towers_and_text_alone_import_open_clip():
    users = {
        name_of(path) for path in FILES if any(within(n, {"open_clip"}) for n in imports(path))
    }
    rooms = {"fgaseg_d2.modeling.towers", "fgaseg_d2.modeling.text"}
    # Its contrastive loss gathers over processes.
    rooms.add("fgaseg_d2.methods.clip_pretraining")
    assert users and all(within(user, rooms) for user in users)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_imports_no_other_method(method):
    others = {f"fgaseg_d2.methods.{other}" for other in METHODS if other != method}
    assert [
        f"{name_of(path)} imports {name}"
        for path in files_of(f"methods.{method}")
        for name in imports(path)
        if within(name, others)
    ] == []


@pytest.mark.parametrize("method", METHODS)
def test_no_shared_part_names_a_method(method):
    rooms = ("modeling", "data", "evaluation", "predict", "drawing", "vocabulary", "io", "exports")
    package = f"fgaseg_d2.methods.{method}"
    found = [
        f"{name_of(path)} imports {name}"
        for room in rooms
        for path in files_of(room)
        for name in imports(path)
        if within(name, {package})
    ]
    assert found == []


def test_there_is_no_circle():
    graph = {name_of(path): set() for path in FILES}
    for path in FILES:
        for name in top_level_imports(path):
            while name not in graph and "." in name:
                name = name.rpartition(".")[0]
            # A package's face hands on the names of its files.
            if name in graph and not (PACKAGE.parent / Path(*name.split("."))).is_dir():
                graph[name_of(path)].add(name)
    assert list(circles(graph)) == []


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


@pytest.mark.parametrize(
    "part", ["modeling", "methods", "evaluation", "vocabulary", "drawing", "exports"]
)
def test_cfg_is_read_in_from_config_only(part):
    found = {
        f"{name_of(path)}.{function}"
        for path in files_of(part)
        if path.name != "config.py"  # a method's keys, and what must fit together
        for function in functions_that_read_cfg(path)
        if function not in ("from_config", "shared_arguments")
    }
    assert found == set()


# Where words that a person wrote come in. All else is given a Vocabulary.
BORDERS = {
    "fgaseg_d2.data.dataset_words",  # of a dataset, and DATASETS.TEST_VOCABULARIES
    "fgaseg_d2.data.datasets.folders",  # DATASETS.FOLDERS
    "fgaseg_d2.evaluation.rescoring",  # a command line
    "fgaseg_d2.modeling.samples",  # an input of a model
    "fgaseg_d2.modeling.segmentor",  # MODEL.WORDS.VOCABULARY, or LazyConfig
    "fgaseg_d2.predict.predictor",
}


def test_words_are_parsed_at_the_border_alone():
    parsers = {"coerce", "parse", "from_names", "from_file", "from_benchmark", "from_metadata"}
    found = {
        name_of(path)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "Vocabulary"
        and node.attr in parsers
    }
    assert found == BORDERS


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


# Libraries' own, such that take any number, and an ellipse as geometry writes it.
ROWS_OF_ARGUMENTS = r"(cv2|torch|np|F|logger|super\(\))\..*|_ONEDNN|one_of|_inside|_row|ellipse"


def arguments_in_a_row(call: ast.Call) -> int:
    """How many a call gives by position, those of a tuple that is unpacked on the spot included."""
    rows = (a.value if isinstance(a, ast.Starred) else a for a in call.args)
    starred = [isinstance(argument, ast.Starred) for argument in call.args]
    return sum(
        len(row.elts) if star and isinstance(row, (ast.Tuple, ast.List)) else 1
        for row, star in zip(rows, starred, strict=True)
    )


def test_many_arguments_are_given_by_name():
    found = [
        f"{name_of(path)}, line {node.lineno}: {ast.unparse(node.func)}"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and arguments_in_a_row(node) > 5
        if not re.fullmatch(ROWS_OF_ARGUMENTS, ast.unparse(node.func))
    ]
    assert found == []


def test_a_wheel_holds_what_users_need_and_no_lab():
    """What those who develop work with lies beside their programs, and nothing here imports it."""
    labs = {path.name for path in (ROOT / "tools").iterdir() if (path / "__init__.py").is_file()}
    assert {"bad_inputs", "parity", "speed", "studies"} <= labs
    assert not labs & {path.name for path in PACKAGE.iterdir()}
    assert [
        f"{name_of(path)} imports {name}"
        for path in FILES
        for name in imports(path)
        if name.partition(".")[0] in labs | {"tools"}
    ] == []
