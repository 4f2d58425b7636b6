"""A picture with captions -> the dict that a method takes which trains on text, augmented."""

import random
from collections.abc import Sequence

from detectron2.config import CfgNode, configurable

from ...vocabulary import Vocabulary
from ..records import check_captions, require_registered
from .inputs import PictureInput, Step, train_augmentations
from .pictures import opened_record


class CaptionMapper:
    """Reads the picture of one sample, augments it, and draws one of its captions.

    The caption stays as it is: who flips pictures whose captions say "left of" decides that the
    method may not learn left and right.
    """

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
    def from_config(cls, cfg: CfgNode, dataset_name: str) -> dict:
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

    def __call__(self, record: dict) -> dict:
        """Read and transform one sample.

        Args:
            record: a dataset dict with ``file_name``, ``captions`` (texts) and possibly ``height``
                and ``width``.

        Returns:
            The record with ``image`` (3 x H x W uint8), ``caption`` in place of ``captions``, and
            ``height`` and ``width`` of the picture file in pixels.

        Raises:
            FileNotFoundError: the picture is missing.
            ValueError: it is damaged, or its size is not the record's.
        """
        item, image, _ = opened_record(record)
        captions = item.pop("captions")
        # Drawn first, so that the augmentations need not be of one length.
        item["caption"] = random.choice(captions) if len(captions) > 1 else captions[0]
        item["image"] = self.prepare(image)
        return item

    def look_over(self, records: Sequence[dict]) -> None:
        """Find before the training what is no text; see :func:`check_captions`."""
        check_captions(self.dataset_name, records)
