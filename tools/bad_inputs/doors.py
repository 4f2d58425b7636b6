"""The public doors that inputs are given to, and what an answer of theirs must fulfil."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import torch

from bad_inputs.material import Material
from fgaseg_d2.checkpoint.checkpointer import FGASegCheckpointer
from fgaseg_d2.predict.segmentation import Segmentation

# All that have a main function for a command line; imported once, before the first input.
PROGRAMS = (
    "benchmark",
    "check_dataset",
    "check_parity",
    "convert_checkpoint",
    "demo",
    "evaluate_predictions",
    "make_storybook",
    "prepare_datasets",
    "run_study",
    "train_net",
    "view_predictions",
)
# What these import when they are called.
_LATER = (
    "fgaseg_d2.data.preparation",
    "fgaseg_d2.storybook.checksums",
    "fgaseg_d2.engine.setup",
    "fgaseg_d2.engine.testing",
    "fgaseg_d2.evaluation.gallery",
    "fgaseg_d2.evaluation.rescoring",
    "parity.measure",
    "speed.measuring",
    "speed.workloads",
    "studies.command",
    "detectron2.projects.point_rend",
    "filelock",
    "matplotlib.pyplot",
    "fgaseg_d2_cli.segmenting.first_looks",
    "fgaseg_d2_cli.segmenting.runner",
)


def import_everything() -> None:
    """Import all programs, and what they leave for later, so that no input has to."""
    for name in (*PROGRAMS, *_LATER):
        importlib.import_module(name)


def command(program: str, arguments: Sequence[object]) -> int:
    """Run a program's main function in this process; returns its exit code."""
    main: Callable[[list[str]], int] = _module(program).main
    return main([str(argument) for argument in arguments])


def _module(program: str) -> ModuleType:
    return importlib.import_module(program)


def load_into_model(material: Material, path: str) -> None:
    """Load a checkpoint into the shared model; afterwards its weights are numbers."""
    model = material.predictor.model
    FGASegCheckpointer(model).load(path)
    assert_finite(model.state_dict())


def assert_finite(state: Mapping[str, Any]) -> None:
    """Assert that tensors are real numbers, without NaN and infinity."""
    for name, tensor in state.items():
        assert isinstance(tensor, torch.Tensor), f"{name} is {type(tensor).__name__}"
        assert not tensor.is_complex(), f"{name} is complex"
        assert bool(torch.isfinite(tensor.float()).all()), f"{name} is not finite"


def segment(material: Material, picture: Any, words: Any = "cat,dog,sky") -> None:
    """Segment with the shared model, and assert that the result belongs to the picture."""
    check_segmentation(material.predictor(picture, words))


def check_segmentation(result: Segmentation) -> None:
    """Assert that labels fit picture and words."""
    assert result.labels.shape == result.image.shape[:2], "labels of another size"
    assert 0 <= result.labels.min() <= result.labels.max() < len(result.class_names)
    assert np.isclose(sum(result.shares.values()), 1), "shares that are no whole"
    assert bool(torch.isfinite(result.scores).all()), "scores that are no numbers"
