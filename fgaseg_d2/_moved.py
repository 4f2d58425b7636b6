"""Old names of modules: each can be imported for one more release, with a warning."""

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_MODULES = {
    "checkpoint.catseg": "methods.fgaseg.catseg",
    "checkpoint.parameter_names": "methods.fgaseg.parameter_names",
    "class_lists": "vocabulary.parsing",
    "config_files": "config.loading",
    "data.folders": "data.datasets.folders",
    "data.mapper": "data.mappers.labelled",
    "data.storybook": "storybook",
    "explanation": "predict.explanation",
    "files": "io.files",
    "modeling.clip": "modeling.towers",
    "modeling.fgaseg": "methods.fgaseg",
    "predictor": "predict.predictor",
    "segmentation": "predict.segmentation",
    "visualization": "drawing.overlay",
}
# What a module handed out and its successor does not.
_NAMES = {
    "data.storybook": {"register_storybook": "data"},
    "modeling.clip": {
        "CLIPPretraining": "methods.clip_pretraining",
        "CLIPTextEncoder": "modeling.text",
        "DenseCLIPHead": "methods.dense_clip",
        "resolve_templates": "modeling.text",
    },
}
_PACKAGE = __name__.rpartition(".")[0]


def _successor(name: str) -> str | None:
    """Dotted name, in this package, of the module that took over; None if none had to."""
    package, _, head = name.partition(".")
    tail = ""
    while package == _PACKAGE and head:
        if head in _MODULES:
            return _MODULES[head] + tail
        head, _, last = head.rpartition(".")
        tail = f".{last}{tail}"
    return None


class MovedModules(MetaPathFinder, Loader):
    """Gives the module of today to whom asks for it by its old name."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Answer for old names alone."""
        return ModuleSpec(name, self, is_package=True) if _successor(name) else None

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to the import system to make an empty module."""

    def exec_module(self, module: ModuleType) -> None:
        """Put the module of today, with the names that it lost, in the place of the empty one."""
        old = module.__name__
        new = f"{_PACKAGE}.{_successor(old)}"
        warnings.warn(
            f"{old} is now {new}; the old name goes with the next release",
            FutureWarning,
            stacklevel=2,
        )
        current = importlib.import_module(new)
        lost = _NAMES.get(old.partition(".")[2])
        if lost is None:
            sys.modules[old] = current
            return
        public = {name: getattr(current, name) for name in current.__all__}
        for name, where in lost.items():
            public[name] = getattr(importlib.import_module(f"{_PACKAGE}.{where}"), name)
        vars(module).update(public, __all__=sorted(public), __doc__=current.__doc__)


def keep_old_names() -> None:
    """Let the old names be found, before the folders are searched."""
    if not any(isinstance(finder, MovedModules) for finder in sys.meta_path):
        sys.meta_path.insert(0, MovedModules())
