"""Where the segments of an input come from: its picture, the input itself, or a file.

Letters: M segments, H W the size of their masks, which need not be that of the picture.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ...checkpoint.kept_tensors import KeptTensors
from ...io.coco_masks import decoded_mask, encoded_mask
from ...wording import PATH, plain
from ..samples import Sample
from .given import given_masks

Proposer = Callable[[np.ndarray], np.ndarray]


class Proposals(Protocol):
    """Gives the class-agnostic segments of an input."""

    def __call__(self, item: Sample) -> Tensor:
        """M x H x W, bool, on the CPU; segments may overlap, and need not cover the picture."""


def segments_of(item: Sample, proposals: Proposals) -> Tensor:
    """The segments that an input brings, or else those that are proposed: M x H x W, bool."""
    return GivenSegments()(item) if "segments" in item else proposals(item)


class PictureSegments:
    """Segments that are found in the picture, kept on disk by picture and setting.

    Args:
        propose: H x W x 3 uint8, RGB -> M x H x W, bool; its repr says all its settings.
        image_format: of inputs, "RGB" or "BGR".
        kept: where they are kept; None for nowhere.
    """

    def __init__(
        self, propose: Proposer, image_format: str = "RGB", kept: KeptTensors | None = None
    ) -> None:
        self.propose, self.image_format, self.kept = propose, image_format, kept

    def __call__(self, item: Sample) -> Tensor:
        """See `Proposals`."""
        image = item["image"].detach().cpu().round().clamp(0, 255).to(torch.uint8)
        picture = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
        if self.image_format == "BGR":
            picture = np.ascontiguousarray(picture[:, :, ::-1])
        if self.kept is None:
            return torch.from_numpy(self.propose(picture))
        settings = f"{self.propose!r} {picture.shape}".encode()
        key = hashlib.sha256(settings + picture.tobytes()).hexdigest()
        found = self.kept.get_all(key)
        if found is None:
            masks = self.propose(picture)
            self.kept.put_all(key, _packed(masks))
            return torch.from_numpy(masks)
        return torch.from_numpy(_unpacked(found, picture.shape[:2]))


class GivenSegments:
    """The segments that an input brings."""

    def __call__(self, item: Sample) -> Tensor:
        """See `Proposals`.

        Raises:
            ValueError: it brings none, or what are no masks; see `given_masks`.
        """
        if "segments" not in item:
            raise ValueError(
                'expected "segments" in the input, masks M x H x W, got none; give some, or let '
                "TEST.PROPOSALS.KIND find them"
            )
        return given_masks(item["segments"])


class FiledSegments:
    """The segments of a file of JSON Lines (docs/USE.md), looked up by the picture's path.

    Args:
        records: of the file.
    """

    def __init__(self, records: Sequence[dict[str, Any]]) -> None:
        self._records: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for record in records:
            self._records[PurePath(record["file_name"]).name].append(record)

    def __call__(self, item: Sample) -> Tensor:
        """See `Proposals`.

        Raises:
            ValueError: the file has no record of the picture, or several, or a bad mask.
        """
        path = os.fsdecode(item.get("file_name", ""))  # type: ignore[call-overload]
        parts = PurePath(path).parts
        found = [
            record
            for record in self._records.get(PurePath(path).name, ())
            if parts[-len(own := PurePath(record["file_name"]).parts) :] == own
        ]
        if len(found) != 1:
            raise ValueError(
                f"expected one record of {plain(path, PATH) or 'a picture without a path'} in "
                f"TEST.PROPOSALS.FILE, got {len(found)}; add it, or name another file"
            )
        size = (found[0]["height"], found[0]["width"])
        masks = [
            decoded_mask(segment["rle"], size, f"{plain(path, PATH)}, segment {number}")
            for number, segment in enumerate(found[0]["segments"])
        ]
        if not masks:
            return torch.zeros(0, *size, dtype=torch.bool)
        return torch.from_numpy(np.stack(masks).astype(bool))


def _packed(masks: np.ndarray) -> dict[str, Tensor]:
    """Run lengths as bytes, a hundredth of the masks themselves."""
    text = json.dumps([encoded_mask(mask)["counts"] for mask in masks]).encode()
    return {"runs": torch.frombuffer(bytearray(text), dtype=torch.uint8)}


def _unpacked(kept: dict[str, Tensor], size: tuple[int, ...]) -> np.ndarray:
    runs = json.loads(kept["runs"].numpy().tobytes())
    side = (size[0], size[1])
    masks = [decoded_mask({"size": side, "counts": counts}, side, "kept") for counts in runs]
    return np.stack(masks).astype(bool) if masks else np.zeros((0, *side), bool)
