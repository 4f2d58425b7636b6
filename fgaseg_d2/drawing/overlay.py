"""Pictures of results: an overlay with outlines and a legend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np

from ..vocabulary.colors import default_colors
from .legend import PAPER, LegendEntry, add_legend
from .words import write_words

_MIN_SIDE = 480  # smaller pictures are enlarged, so that a legend in readable type fits them
_LINE = 225  # opacity of the outlines, of 255
_GAP = 12  # pixels between picture and overlay
_SLOTS = 24  # lines of the legend of a video
_REST_COLOR = (222, 226, 230)


def draw_overlay(
    image_rgb: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    colors: np.ndarray | None = None,
    alpha: float = 0.55,
    *,
    ignore_label: int | None = None,
    legend: Literal["present", "fixed", "none"] = "present",
    words: bool | None = None,
    beside: bool = False,
) -> np.ndarray:
    """Lay the class colours over a picture, outline the regions, and add words and a legend.

    The legend stands beside a tall picture and below a wide one. Small pictures are enlarged by a
    whole factor first.

    Args:
        image_rgb: H x W x 3, uint8, RGB.
        labels: H x W, class indices in [0, K).
        class_names: K display names.
        colors: K x 3, uint8, RGB; None: :func:`default_colors`.
        alpha: weight of the colours in [0, 1].
        ignore_label: pixels of this label show the bare picture and are not in the legend.
        legend: "present" lists the classes in the picture, largest first, and sums up those that
            come after the 24th and below 0.1%; "fixed" keeps one layout for all frames of a video:
            every class in its own order, or of more than 24 classes the 24 largest in the frame;
            "none" leaves it out.
        words: write the classes' names onto their largest regions, where there is room; None: if
            the legend is "present", because in a video they would jump.
        beside: put the bare picture on the left.

    Returns:
        A larger picture, uint8, RGB, with even height and width.

    Raises:
        ValueError: shapes that do not fit, labels without a name, alpha outside [0, 1].
    """
    ignored = np.zeros(labels.shape, bool) if ignore_label is None else labels == ignore_label
    _check(image_rgb, labels, ignored, class_names, alpha)
    if colors is None:
        colors = default_colors(class_names)
    factor = max(1, -(-_MIN_SIDE // max(labels.shape)))
    picture = _paint(
        image_rgb, np.where(ignored, -1, labels.astype(np.int32)), colors, alpha, factor
    )
    if words or (words is None and legend == "present"):
        picture = write_words(picture, np.where(ignored, -1, labels), class_names)
    if beside:
        bare = _enlarged(image_rgb, factor)
        gap = np.full((bare.shape[0], _GAP, 3), PAPER, np.uint8)
        picture = np.hstack([bare, gap, picture])
    if legend != "none":
        counts = np.bincount(labels[~ignored].astype(np.int64), minlength=len(class_names))
        picture = _append_legend(picture, class_names, colors, counts / labels.size, legend)
    bottom, right = picture.shape[0] % 2, picture.shape[1] % 2
    return cv2.copyMakeBorder(picture, 0, bottom, 0, right, cv2.BORDER_REPLICATE)


def _append_legend(
    picture: np.ndarray,
    class_names: Sequence[str],
    colors: np.ndarray,
    shares: np.ndarray,
    legend: str,
) -> np.ndarray:
    def _entry(row: int) -> LegendEntry:
        return LegendEntry(class_names[row], tuple(colors[row]), float(shares[row]))

    rows = np.argsort(-shares, kind="stable")[: np.count_nonzero(shares)]
    if legend == "present":
        tiny = [row for row in rows[_SLOTS:] if shares[row] < 0.001]
        entries = [_entry(row) for row in rows[: len(rows) - len(tiny)]]
        if tiny:
            name = f"{len(tiny)} more"
            entries.append(LegendEntry(name, _REST_COLOR, float(shares[tiny].sum())))
        return add_legend(picture, entries)
    rows = rows[:_SLOTS] if len(class_names) > _SLOTS else np.arange(len(class_names))
    slots = min(len(class_names), _SLOTS)
    return add_legend(picture, [_entry(row) for row in rows], class_names, slots)


def _check(
    image: np.ndarray,
    labels: np.ndarray,
    ignored: np.ndarray,
    class_names: Sequence[str],
    alpha: float,
) -> None:
    if image.shape != (*labels.shape, 3) or image.dtype != np.uint8 or labels.ndim != 2:
        raise ValueError(
            "expected a picture H x W x 3 of uint8 and labels H x W, got "
            f"{image.shape} of {image.dtype} and {labels.shape}; resize one to the other"
        )
    known = labels[~ignored]
    if known.size and not 0 <= known.min() <= known.max() < len(class_names):
        raise ValueError(
            f"expected labels from 0 to {len(class_names) - 1}, got {known.min()} to "
            f"{known.max()}; give ignore_label or the missing class names"
        )
    if not 0 <= alpha <= 1:
        raise ValueError(f"expected alpha from 0 to 1, got {alpha}; choose one such as 0.55")


def _paint(
    image: np.ndarray, labels: np.ndarray, colors: np.ndarray, alpha: float, factor: int
) -> np.ndarray:
    """Blend and outline; label -1 stays bare. Returns (factor * H) x (factor * W) x 3."""
    image = _enlarged(image, factor)
    if factor > 1:
        size = image.shape[1::-1]
        labels = cv2.resize(labels.astype(np.int32), size, interpolation=cv2.INTER_NEAREST)
    table = np.vstack([np.asarray(colors, np.uint8), np.zeros((1, 3), np.uint8)])  # last for -1
    # The picture's own hues would mix with those of the classes, so that no legend fits.
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    pale = cv2.addWeighted(grey, alpha, image, 1 - alpha, 0)
    painted = cv2.addWeighted(table[labels], alpha, pale, 1 - alpha, 0)
    painted[labels < 0] = image[labels < 0]
    return _outline(painted, labels)


def _enlarged(image: np.ndarray, factor: int) -> np.ndarray:
    if factor == 1:
        return image
    size = (image.shape[1] * factor, image.shape[0] * factor)
    return cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)


def _outline(picture: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Draw a light line, soft at its edges, where the label changes."""
    edges = np.zeros(labels.shape, np.uint8)
    edges[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    edges[1:] |= labels[1:] != labels[:-1]
    width = max(1, round(max(labels.shape) / 480))
    lines = cv2.dilate(edges * _LINE, np.ones((width, width), np.uint8))
    softness = 2 * (width // 2) + 1
    weight = cv2.GaussianBlur(lines, (softness, softness), 0)[..., None].astype(np.uint16)
    blended = (picture * (255 - weight) + 255 * weight) // 255
    return blended.astype(np.uint8)
