"""A configuration -> where segments come from."""

from __future__ import annotations

from detectron2.config import CfgNode

from ...checkpoint.kept_tensors import KeptTensors
from ...config.key_names import keys_of
from ...io.segment_files import read_segment_file
from .proposing import FiledSegments, GivenSegments, PictureSegments, Proposals, Proposer
from .sam import SAMMasks
from .superpixels import Superpixels


def from_config(cfg: CfgNode) -> Proposals:
    """What TEST.PROPOSALS describes.

    Args:
        cfg: TEST.PROPOSALS, INPUT.FORMAT and MODEL.DEVICE are used.

    Raises:
        FileNotFoundError, ValueError: a file of segments that is not there, or is none.
    """
    chosen = cfg.TEST.PROPOSALS
    if chosen.KIND == "given":
        return GivenSegments()
    if chosen.KIND == "file":
        with keys_of(path="TEST.PROPOSALS.FILE"):
            return FiledSegments(read_segment_file(chosen.FILE))
    propose: Proposer = Superpixels(chosen.SUPERPIXELS, chosen.COMPACTNESS)
    if chosen.KIND == "sam":
        propose = SAMMasks(
            chosen.SAM,
            points=chosen.POINTS,
            iou=chosen.IOU,
            stability=chosen.STABILITY,
            nms=chosen.NMS,
            smallest=chosen.SMALLEST,
            same=chosen.SAME,
            device=cfg.MODEL.DEVICE,
        )
    kept = None
    if chosen.CACHE:
        kept = KeptTensors(chosen.CACHE * 2**20, "proposals", "segments of pictures")
    return PictureSegments(propose, cfg.INPUT.FORMAT, kept)
