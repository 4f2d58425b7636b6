"""A configuration -> the arguments that all methods share."""

from typing import Any

from detectron2.config import CfgNode
from detectron2.modeling import build_backbone

from ..config.checks import check_config
from ..config.renamed_keys import setting
from .inference.class_scores import SCORE_FUNCTIONS
from .inference.refinement import PixelAdaptiveRefinement
from .precision import amp_dtype
from .proposals import proposals_from_config
from .samples import configured_unseen, configured_words
from .text.encoder import CLIPTextEncoder
from .towers import normalisation
from .towers.loading import shared_clip


def shared_arguments(cfg: CfgNode, scores: str = "sigmoid") -> dict[str, Any]:
    """The arguments of `OpenVocabSegmentor` from a configuration.

    Args:
        cfg: complete configuration.
        scores: what MODEL.SCORES "" stands for.
    """
    check_config(cfg)
    window, words = cfg.TEST.SLIDING_WINDOW, setting(cfg, "MODEL.WORDS.VOCABULARY")
    # One CLIP, whose two towers are shared out.
    with shared_clip():
        backbone, text_encoder = build_backbone(cfg), CLIPTextEncoder(cfg)
    return {
        "backbone": backbone,
        "text_encoder": text_encoder,
        "finetune": cfg.MODEL.CLIP.FINETUNE,
        "train_vocabulary": configured_words(words, cfg.DATASETS.TRAIN),
        "test_vocabulary": configured_words(words, cfg.DATASETS.TEST),
        "unseen": configured_unseen(setting(cfg, "DATASETS.UNSEEN"), cfg.DATASETS.TRAIN),
        "image_size": normalisation.image_size(cfg.MODEL.CLIP.IMAGE_SIZE, backbone),
        **normalisation.from_config(cfg),
        "sliding_window": (tuple(window.CANVAS), tuple(window.SIZE), tuple(window.STRIDE))
        if window.ENABLED
        else None,
        "slide_sides": (window.SHORT_SIDE, window.LONG_SIDE) if window.SHORT_SIDE else None,
        "max_views": cfg.TEST.MAX_VIEWS,
        "score_function": SCORE_FUNCTIONS[cfg.MODEL.SCORES or scores],
        "autocast_dtype": amp_dtype(cfg.TEST.AMP_DTYPE, "TEST.AMP_DTYPE"),
        "refinement": PixelAdaptiveRefinement(pamr.ITERATIONS, tuple(pamr.DILATIONS))
        if (pamr := cfg.TEST.PAMR).ITERATIONS
        else None,
        "proposals": proposals_from_config(cfg) if cfg.TEST.SEGMENT_VOTE else None,
    }
