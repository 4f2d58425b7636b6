"""What mappers of samples without label maps share: no words of the dataset, and one picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from detectron2.config import CfgNode, configurable

from ...vocabulary import Vocabulary
from ..records import require_registered
from .inputs import PictureInput, Step, train_augmentations


class UnlabelledMapper:
    """Prepares pictures; what comes with them a subclass makes of the record."""

    vocabulary: Vocabulary | None = None

    @configurable
    def __init__(self, *, augmentations: Sequence[Step], image_format: str, dataset_name: str):
        """Take everything as plain values.

        Args:
            augmentations: applied in this order.
            image_format: channel order of the result, "RGB" or "BGR".
            dataset_name: for messages.
        """
        self.prepare = PictureInput(augmentations, image_format)
        self.dataset_name = dataset_name

    @classmethod
    def from_config(cls, cfg: CfgNode, dataset_name: str) -> dict[str, Any]:
        """Read the arguments from a configuration.

        Args:
            cfg: INPUT is used.
            dataset_name: a registered dataset.
        """
        require_registered(dataset_name)
        return {
            "augmentations": train_augmentations(cfg),
            "image_format": cfg.INPUT.FORMAT,
            "dataset_name": dataset_name,
        }
