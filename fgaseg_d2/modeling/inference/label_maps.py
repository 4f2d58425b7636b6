"""Scores at a model's own resolution -> what an input asks for at the picture's size."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

_CHUNK = 2**25  # scores held at the picture's size at a time: 128 MiB of float32
# PyTorch resizes fewer channels, or to fewer pixels, with other code, which rounds differently.
_MIN_CLASSES = 4
_SMALL_PICTURE = 128  # height + width


def resize_scores(maps: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
    """Resize score maps of one picture and average them.

    Args:
        maps: each K x h x w; their heights and widths may differ.
        size: height and width of the result.

    Returns:
        K x size, bilinear (corners not aligned).
    """
    resized = (F.interpolate(part[None], size, mode="bilinear").squeeze(0) for part in maps)
    total = next(resized)
    for other in resized:
        total = total.add_(other)
    return total if len(maps) == 1 else total.div_(len(maps))


def best_classes(maps: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
    """Resize score maps of one picture and take the best class of each pixel.

    Bit for bit ``resize_scores(maps, size).argmax(0)``, the first of equal scores included. Classes
    are resized a few at a time and only the best so far is kept, so that besides `maps` the memory
    needed depends on the size of the picture and not on the number of classes.

    Args:
        maps: each K x h x w; their heights and widths may differ.
        size: height and width of the result.

    Returns:
        size, int32, indices of classes.
    """
    if torch.jit.is_tracing():
        # Both the classes that are possible and the number of steps depend on the picture.
        return resize_scores(maps, size).argmax(0).to(torch.int32)
    possible = _possible_classes(maps)
    if len(possible) <= len(maps[0]) // 2:
        kept = [part[possible] for part in maps]
        return possible.to(torch.int32)[best_classes(kept, size)]
    classes = len(maps[0])
    step = min(classes, max(_MIN_CLASSES, _CHUNK // (size[0] * size[1])))
    if sum(size) <= _SMALL_PICTURE:
        step = classes
    best, labels = resize_scores([part[:step] for part in maps], size).max(0)
    labels = labels.to(torch.int32)
    for start in range(step, classes, step):
        # The last step is as long as the others: it looks at some classes again.
        start = min(start, classes - step)
        scores = resize_scores([part[start : start + step] for part in maps], size)
        scores, indices = scores.max(0)
        better = scores > best
        labels = torch.where(better, indices.to(torch.int32).add_(start), labels)
        best = torch.where(better, scores, best)
    return labels


def _possible_classes(maps: Sequence[Tensor]) -> Tensor:
    """The classes that can be best at some pixel of a resized map, in order, and a few more.

    Resizing stays between a map's extremes: what nowhere reaches another map's lowest score loses
    everywhere. With many words most were rejected and have no score at all.
    """
    lowest = torch.stack([part.amin((1, 2)) for part in maps]).sum(0)
    highest = torch.stack([part.amax((1, 2)) for part in maps]).sum(0)
    # Less than the bound itself, because resizing rounds.
    possible = highest >= 0.999 * lowest.max()
    possible[:_MIN_CLASSES] = True
    return possible.nonzero().squeeze(1)


def requested_output(item: Mapping, *maps: Tensor) -> dict[str, Tensor]:
    """Make the output that an input of a model asks for.

    Args:
        item: "image" C x H x W; optional "height" and "width" of the result (default: the image's)
            and "output", one of "scores" (the default), "labels" and "canvas".
        maps: score maps of the picture, each K x h x w, which are averaged.

    Returns:
        "scores": "sem_seg", K x height x width. "labels": "labels", height x width int32, with
        memory that does not grow with K. "canvas": "sem_seg" at the size of the largest map.

    Raises:
        ValueError: another output.
    """
    height, width = item["image"].shape[-2:]
    size = (item.get("height", height), item.get("width", width))
    match item.get("output", "scores"):
        case "scores":
            return {"sem_seg": resize_scores(maps, size)}
        case "labels":
            return {"labels": best_classes(maps, size)}
        case "canvas":
            tall, wide = max((part.shape[-2:] for part in maps), key=lambda shape: shape.numel())
            return {"sem_seg": maps[0] if len(maps) == 1 else resize_scores(maps, (tall, wide))}
        case other:
            raise ValueError(
                f"expected \"output\" 'scores', 'labels' or 'canvas' in the input, got {other!r}."
            )
