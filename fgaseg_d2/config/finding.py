"""Finds configurations by path or name: files, rows of tables, folders of a model, repositories."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from pathlib import Path

from ..checkpoint.hub import fetch_hub_file, hub_file, hub_parts, is_hub
from ..io.regular_files import home_path, is_file
from ..wording import PATH, few, shown
from .rows import row_names, table_of

_PACKAGE = Path(__file__).resolve().parent.parent
# Names of the files with rows: of a paper's tables, and CLIP's training-free readings.
_TABLES = ("ablations", "readings", "eight_sets_readings")
# What a folder of a model holds, or a repository on a hub.
CONFIG_FILE, WEIGHTS_FILE = "config.yaml", "model.safetensors"
# What a training run leaves beside its configuration.
_TRAINED = "model_final.pth"


@dataclass(frozen=True)
class FoundModel:
    """A configuration, and where the files lie that it names without a folder.

    Attributes:
        file: YAML file, or a row of a table.
        home: a folder, or the address of a repository; "" where names are paths as usual.
        weights: MODEL.WEIGHTS, if not what the file says.
    """

    file: Path
    home: str = ""
    weights: str = ""

    def place(self, name: str, ending: str) -> str:
        """Where a file is that the configuration names: at home, if it is there.

        Args:
            name: value of a key; what is no name with this ending stays as it is.
            ending: such as ".json".
        """
        if not self.home or not name.endswith(ending) or os.path.basename(name) != name:
            return name
        if is_hub(self.home):
            return fetch_hub_file(hub_file(self.home, name))
        path = os.path.join(self.home, name)
        return path if is_file(path) else name


def config_folder() -> Path:
    """Folder of the bundled configurations: in the package (a wheel) or beside it (a checkout)."""
    installed = _PACKAGE / "configs"
    return installed if installed.is_dir() else _PACKAGE.parent / "configs"


def find_model(name_or_path: str | os.PathLike[str]) -> FoundModel:
    """Find a configuration, and the weights beside it.

    Args:
        name_or_path: path of a YAML file; name of a bundled configuration, such as "tiny",
            "fgaseg/tiny" or "catseg_vitb16"; a folder that `fgaseg-d2 export` wrote or a training
            run; or "hf://owner/name", a repository on a hub with such a folder's files. A row of a
            table (see :mod:`.rows`) counts as a file.

    Raises:
        FileNotFoundError: there is none.
        OSError: a repository could not be reached.
        ValueError: no address of a repository.
    """
    given = os.fspath(name_or_path)
    if is_hub(given):
        if hub_parts(given)[2]:
            raise ValueError(
                f"expected a repository, hf://owner/name, got {shown(given, PATH)}; leave out the "
                "file's name"
            )
        file = fetch_hub_file(hub_file(given, CONFIG_FILE))
        return FoundModel(Path(file), given, hub_file(given, WEIGHTS_FILE))
    path = home_path(name_or_path)
    if is_file(path / CONFIG_FILE):
        found = [name for name in (WEIGHTS_FILE, _TRAINED) if is_file(path / name)]
        weights = str(path / found[0]) if found else ""
        return FoundModel(path / CONFIG_FILE, str(path), weights)
    return FoundModel(_find_file(path, given))


def find_config(name_or_path: str | os.PathLike[str]) -> Path:
    """Find a configuration file.

    Args, Raises: as :func:`find_model`.
    """
    return find_model(name_or_path).file


def _find_file(path: Path, given: str) -> Path:
    if is_file(path) or table_of(path):
        return path
    bundled = _bundled(config_folder())
    wanted = path.as_posix().removesuffix(".yaml")
    for name, file in bundled.items():
        if name == wanted or name.endswith(f"/{wanted}"):
            return file
    names = [name.rpartition("/")[2] for name in bundled]
    names = [name for name in names if name not in ("base", *_TABLES)]
    near = difflib.get_close_matches(wanted.rpartition("/")[2], names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"the names are {few(names, 10) or 'none'}"
    raise FileNotFoundError(
        "expected a YAML file or the name of a bundled configuration, got "
        f"{shown(given, PATH)}; {hint}"
    )


def _bundled(folder: Path) -> dict[str, Path]:
    """Configurations of a folder and the rows of its tables, by name."""
    files = sorted(folder.rglob("*.yaml"), key=lambda file: (len(file.parts), file))
    tables = [file for file in files if file.stem in _TABLES]
    rows = [table.with_suffix("") / f"{row}.yaml" for table in tables for row in row_names(table)]
    return {file.relative_to(folder).as_posix()[: -len(".yaml")]: file for file in files + rows}
