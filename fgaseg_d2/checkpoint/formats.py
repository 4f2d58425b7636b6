"""Whose weights a checkpoint holds: each format recognises, translates and completes.

A method registers the formats that others write its weights in. What no format recognises has the
names of this package.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor, nn

OWN = "fgaseg_d2"


class CheckpointFormat(Protocol):
    """How somebody writes a model's weights.

    Attributes:
        name: what people call it.
    """

    name: str

    def knows(self, name: str) -> bool:
        """Whether a tensor's name can only be one of this format."""

    def recognises(self, state: Mapping[str, Tensor]) -> bool:
        """Whether the tensors of a checkpoint are in this format."""

    def translated(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors under the names of this package."""

    def completed(self, state: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
        """Translated tensors with those that the format lacks and the model needs.

        Raises:
            ValueError: this model cannot compute what the checkpoint was trained for.
        """


class OwnFormat:
    """The names of this package, complete as they are."""

    name = OWN

    def knows(self, name: str) -> bool:
        """See `CheckpointFormat`; the model says which names it has."""
        return False

    def recognises(self, state: Mapping[str, Tensor]) -> bool:
        """See `CheckpointFormat`."""
        return True

    def translated(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `CheckpointFormat`."""
        return dict(state)

    def completed(self, state: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
        """See `CheckpointFormat`."""
        return dict(state)


_formats: list[CheckpointFormat] = [OwnFormat()]


def register_format(one: CheckpointFormat) -> None:
    """Let checkpoints of a format be read; the last one registered is asked first."""
    _formats.insert(0, one)


def find_format(state: Mapping[str, Tensor]) -> CheckpointFormat:
    """The format of a checkpoint's tensors."""
    return next(one for one in _formats if one.recognises(state))


def is_foreign_name(name: str) -> bool:
    """Whether a tensor's name can only be one of a registered format."""
    return any(one.knows(name) for one in _formats)


def recognise(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """Tell whose checkpoint it is, and give its tensors the names of this package.

    Args:
        state: the tensors of a checkpoint.

    Returns:
        The translated tensors, and the format's name: "fgaseg_d2", "FGA-seg" or "CAT-Seg". An
        FGAseg without any of the parts that it adds is CAT-Seg, whoever trained it.
    """
    found = find_format(state)
    return found.translated(state), found.name
