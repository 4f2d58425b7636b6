"""Looks at the first sources before the model is built, which takes longer."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import numpy as np

from fgaseg_d2.predict.cautions import Cautions, knows_drawings_only

from .sources import Source
from .videos import VideoReader

_LOOKED_AT = 8


def look_at_pictures(sources: Sequence[Source], weights: str) -> None:
    """Warn before anything else if the weights cannot know what the first sources show.

    Args:
        sources: pictures, videos and cameras.
        weights: MODEL.WEIGHTS, or where that is empty MODEL.CLIP.PRETRAINED.
    """
    if not knows_drawings_only(weights):
        return
    cautions = Cautions()
    for source in [source for source in sources if not source.is_camera][:_LOOKED_AT]:
        # What is wrong with a file is told in its turn.
        with contextlib.suppress(ValueError, OSError):
            cautions.look_at_picture(_first_picture(source), source.name, weights)


def _first_picture(source: Source) -> np.ndarray:
    if not source.is_video:
        return source.picture()
    with contextlib.closing(VideoReader(source)) as reader:
        for (frame,) in reader.batches(1, limit=1):
            return frame
    raise ValueError("expected a video with frames, got none; save it anew")
