"""Regions as detections of Roboflow's library supervision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..io.extras import import_extra
from .regions import LabelMap

if TYPE_CHECKING:
    from supervision import Detections


def to_detections(label_map: LabelMap, pieces: bool = False) -> Detections:
    """``supervision.Detections`` of what is in a picture.

    Args:
        label_map: of the picture.
        pieces: a detection for each connected piece instead of each class.

    Returns:
        N detections: ``xyxy`` (right and bottom behind the last pixel), ``mask`` N x H x W,
        ``class_id`` (indices of the classes), ``confidence`` (mean probability), and the names as
        ``data["class_name"]``. What is "background" is no detection.

    Raises:
        ImportError: supervision is not installed.
    """
    library = import_extra("supervision", "supervision")
    regions = list(label_map.objects(pieces))
    if not regions:
        return library.Detections.empty()
    scores = [region.score for region in regions if region.score is not None]
    return library.Detections(
        xyxy=np.array([region.box for region in regions], np.float32),
        mask=np.stack([region.whole_mask(label_map.size) for region in regions]),
        confidence=np.array(scores, np.float32) if scores else None,
        class_id=np.array([region.label for region in regions]),
        data={"class_name": np.array([region.name for region in regions])},
    )
