"""A picture with segments -> the dict that a method takes which embeds segments, augmented."""

import random
from collections.abc import Sequence

import torch

from ...wording import shown
from ..segments import check_segments, segment_mask, segment_texts, text_weights
from .pictures import opened_record
from .unlabelled import UnlabelledMapper


class SegmentMapper(UnlabelledMapper):
    """Reads the picture and the segments of one sample, augments both, and draws a text of each."""

    def __call__(self, record: dict) -> dict:
        """Read and transform one sample.

        Args:
            record: a dataset dict with ``file_name``, ``segments`` (dicts with ``rle`` and
                ``texts``, see :mod:`fgaseg_d2.data.segments`) and possibly ``height``, ``width``.

        Returns:
            The record with ``image`` (3 x H x W uint8), ``height`` and ``width`` of the picture
            file in pixels, ``segments`` (M x H x W bool: masks, empty where the augmentation left
            nothing, which who trains on them counts) and ``texts`` (M texts, one of each
            segment's, drawn by their weights).

        Raises:
            FileNotFoundError: the picture is missing.
            ValueError: it is damaged, or a segment does not fit it.
        """
        item, image, picture = opened_record(record)
        masks, texts = [], []
        for number, segment in enumerate(item["segments"]):
            where = f"dataset {shown(self.dataset_name)}: {picture.name}, segment {number}"
            masks.append(segment_mask(segment, picture.size, where))
            texts += random.choices(segment_texts(segment, where), text_weights(segment, where))
        # The first decides which crops are good, where the crop asks.
        tensor, *moved = self.prepare.with_labels(image, masks[0], *masks[1:])
        return item | {"image": tensor, "segments": torch.stack(moved).bool(), "texts": texts}

    def look_over(self, records: Sequence[dict]) -> None:
        """Find before the training what has no text; see :func:`check_segments`."""
        check_segments(self.dataset_name, records)
