"""SAM's and SAM 2's automatic masks, through transformers."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ...io.extras import import_extra
from ...wording import plain, shown
from .filtering import filtered

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SAMMasks:
    """The masks of a grid of points, filtered by SAM's own scores, then small and equal ones gone.

    Args:
        model: a name on the Hugging Face hub ("facebook/sam-vit-base",
            "facebook/sam2.1-hiera-large"), or a folder of transformers.
        points: of the grid, a side.
        iou: predicted IoU of a mask, at least.
        stability: of a mask under another threshold, at least.
        nms: IoU of the boxes of two masks above which the better one stays.
        smallest: pixels of a mask, at least.
        same: IoU of two masks above which the better one stays.
        device: to compute on.

    Raises:
        ImportError: transformers is not installed.
        OSError: no such model.

    Source: Kirillov et al., "Segment Anything", ICCV 2023.
    """

    model: str
    points: int = 32
    iou: float = 0.88
    stability: float = 0.95
    nms: float = 0.7
    smallest: int = 100
    same: float = 0.8
    device: str = "cpu"
    _files: tuple[tuple[str, int, int], ...] = field(init=False, default=())
    _loaded: list[Any] = field(default_factory=list, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Note which files a folder holds, so that masks of others are not taken for its own."""
        object.__setattr__(self, "_files", _files_of(Path(self.model)))

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """H x W x 3 uint8, RGB -> M x H x W, bool, which may overlap and need not cover it."""
        found = self._generator()(
            Image.fromarray(picture),
            points_per_crop=self.points,
            pred_iou_thresh=self.iou,
            stability_score_thresh=self.stability,
            crops_nms_thresh=self.nms,
        )
        masks = [np.asarray(mask, bool) for mask in found["masks"]]
        if not masks:
            return np.zeros((0, *picture.shape[:2]), bool)
        scores = torch.as_tensor(found["scores"]).float().cpu().numpy()
        return filtered(np.stack(masks), scores, self.smallest, self.same)[0]

    def _generator(self) -> Any:
        if not self._loaded:
            transformers = import_extra("transformers", "use")
            try:
                generator = transformers.pipeline(
                    "mask-generation", model=self.model, device=self.device
                )
            # It raises whatever its hub or a configuration raises.
            except Exception as error:
                reason = str(error).strip().partition("\n")[0] or type(error).__name__
                raise OSError(
                    f"expected `model` to name a SAM or SAM 2 of transformers, got "
                    f"{shown(self.model)}, which fails ({plain(reason, 200)}); name one such as "
                    "facebook/sam-vit-base, or the folder of a downloaded one"
                ) from error
            self._loaded.append(generator)
        return self._loaded[0]


def _files_of(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Name, bytes and time of each file of a folder; none of what is no folder."""
    try:
        states = [(file.name, file.stat()) for file in sorted(folder.iterdir())]
    except OSError:
        return ()
    return tuple((name, state.st_size, state.st_mtime_ns) for name, state in states)
