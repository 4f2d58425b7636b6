"""A picture with captions -> the dict that a method takes which trains on text, augmented."""

import random
from collections.abc import Sequence

from ..records import check_captions
from .pictures import opened_record
from .unlabelled import UnlabelledMapper


class CaptionMapper(UnlabelledMapper):
    """Reads the picture of one sample, augments it, and draws one of its captions.

    The caption stays as it is: who flips pictures whose captions say "left of" decides that the
    method may not learn left and right.
    """

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
