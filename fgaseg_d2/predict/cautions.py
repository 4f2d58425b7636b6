"""What a person should know before trusting a result, in words."""

from __future__ import annotations

import logging
from pathlib import PurePath

import numpy as np

from ..config.models import FOR_PHOTOGRAPHS
from ..vocabulary import Vocabulary
from ..vocabulary.duplicates import near_duplicates
from ..vocabulary.parsing import shorten
from .photographs import looks_like_photograph

logger = logging.getLogger(__name__)

# Weights that come with the package, all of which learned from Storybook; a copy of such a file is
# known by its name.
_BUNDLED = "fgaseg_d2://"
_DRAWN = "storybook_"


class Cautions:
    """Warns, of each kind of doubt once."""

    def __init__(self) -> None:
        self._given: dict[str, object] = {}

    def warn(self, message: str, kind: str = "") -> None:
        """Log a warning.

        Args:
            message: "" for none.
            kind: warnings of one kind are given once, "" for whenever the message differs; a
                handler finds it in the record.
        """
        kind, mine = kind or message, object()
        # One step, because several threads may come with the same doubt.
        if message and self._given.setdefault(kind, mine) is mine:
            logger.warning("%s", message, extra={"kind": kind})

    def look_at_words(self, vocabulary: Vocabulary, softmax: bool) -> None:
        """Warn as :func:`about_words` and :func:`about_pairs` say."""
        self.warn(about_words(vocabulary, softmax))
        self.warn(about_pairs(vocabulary))

    def look_at_picture(self, picture: np.ndarray, source: str, weights: str) -> None:
        """Warn as :func:`about_picture` says, of the first such picture."""
        if "photograph" not in self._given:
            self.warn(about_picture(picture, source, weights), "photograph")


def about_words(vocabulary: Vocabulary, softmax: bool) -> str:
    """Say what words cannot do.

    Args:
        vocabulary: the words.
        softmax: whether the scores of the words add up to 1.

    Returns:
        A sentence; "" where there is nothing to say.
    """
    words, threshold = len(vocabulary.entries), vocabulary.background_threshold
    advice = 'name what else there may be, such as --background "wall,floor,sky"'
    if softmax and words == 1:
        return f"this model chooses among the words, and every pixel gets the only one; {advice}"
    if softmax and 0 < threshold <= 1 / words:
        return (
            f"--background-threshold {threshold:g} changes nothing: this model chooses among "
            f"{words} words, and the best has at least {1 / words:.2g}; {advice}"
        )
    if len(vocabulary) == 1:
        name = shorten(vocabulary.class_names[0])
        return (
            f"there is one class only, {name!r}, and every pixel gets it; separate classes with "
            f"commas, and {advice}, or give a background threshold"
        )
    return ""


def about_pairs(vocabulary: Vocabulary) -> str:
    """Say which classes may mean the same.

    Args:
        vocabulary: the words.

    Returns:
        A sentence about the first such pair; "" where there is none.
    """
    pairs = [tuple(map(shorten, pair)) for pair in near_duplicates(vocabulary.classes)]
    if not pairs:
        return ""
    first, second = pairs[0]
    more = f" (and {len(pairs) - 1} more pairs)" if len(pairs) > 1 else ""
    return (
        f"{first!r} and {second!r} may mean the same{more}, and each then gets a part of what both "
        f"mean; for one class write {first}|{second}"
    )


def knows_drawings_only(weights: str) -> bool:
    """Whether MODEL.WEIGHTS names weights that were trained on drawn scenes (Storybook)."""
    return weights.startswith(_BUNDLED) or PurePath(weights).name.startswith(_DRAWN)


def about_picture(picture: np.ndarray, source: str, weights: str) -> str:
    """Say that a picture is none that the weights can know.

    Args:
        picture: H x W x 3, uint8, RGB.
        source: where it came from, "" if that is not known.
        weights: MODEL.WEIGHTS, or where that is empty MODEL.CLIP.PRETRAINED.

    Returns:
        A sentence; "" where there is nothing to say.
    """
    if not knows_drawings_only(weights) or not looks_like_photograph(picture):
        return ""
    name = PurePath(source).name if source else "the picture"
    return (
        f"{shorten(name)} looks like a photograph, and these weights know drawn scenes only: what "
        f"they find in it means nothing. For photographs: --model {FOR_PHOTOGRAPHS}, in Python "
        f'OpenVocabPredictor("{FOR_PHOTOGRAPHS}"); `fgaseg-d2 models` lists others'
    )
