"""How far computed values are from recorded ones.

Letters: B views, T classes, h w size of a map.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

LOGITS, RELATIVE, PIXELS, GRADIENTS = 1e-3, 1e-4, 1e-3, 1e-2
REJECTED = -100.0
# Scores this close are the same but for float32's rounding, which decides the best class then.
_TIE = 1e-6
# Gradient norms below this share of the largest are rounding noise: a softmax does not see a bias
# of its keys, for example.
_NOISE = 1e-7


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One recorded quantity.

    Args:
        quantity: what was compared.
        difference: the largest difference; infinite where there is nothing to compare with.
        tolerance: how large it may be.
        note: what else there is to say about it.
    """

    quantity: str
    difference: float
    tolerance: float
    note: str = ""

    @property
    def agrees(self) -> bool:
        """Whether the difference is within the tolerance (a number that is none is not)."""
        return self.difference <= self.tolerance


def values(quantity: str, ours: Tensor | None, recorded: np.ndarray) -> Comparison:
    """Largest difference as a share of the largest recorded value.

    Args:
        quantity: what it is.
        ours: what was computed, None if this model does not.
        recorded: of the same shape, or B x T x h x w with only every n-th row and column.
    """
    if ours is None:
        return Comparison(quantity, math.inf, RELATIVE, "this model does not compute it")
    array = _every_nth(ours, recorded)
    if array.shape != recorded.shape:
        return _other_shape(quantity, RELATIVE, array, recorded)
    difference = _largest(array - recorded) / max(_largest(recorded), 1e-12)
    return Comparison(quantity, difference, RELATIVE)


def logits(ours: Tensor, recorded: np.ndarray, as_probabilities: bool) -> Iterator[Comparison]:
    """Compare logits B x T x h x w, and which classes were rejected.

    Args:
        ours: logits, -100 for a rejected class.
        recorded: the same, possibly only every n-th row and column.
        as_probabilities: what is recorded are probabilities; 0, or -100, for a rejected class.
    """
    array = _every_nth(ours, recorded)
    if array.shape != recorded.shape:
        yield _other_shape("logits", LOGITS, array, recorded)
        return
    kept, recorded_kept = array > REJECTED, recorded > (0 if as_probabilities else REJECTED)
    if not (kept.all() and recorded_kept.all()):
        wrong = (kept != recorded_kept).any((2, 3)).sum()
        counts = f"{_count(~kept)} here, {_count(~recorded_kept)} recorded"
        yield Comparison("rejected classes", float(wrong), 0.0, counts)
    both = kept & recorded_kept
    note = ""
    if as_probabilities:
        # Float32 holds too few digits of a probability near 0 or 1 to say what its logit was.
        both &= (recorded > 1e-4) & (recorded < 1 - 1e-4)
        note = f"{both.sum()} of {both.size} values, from probabilities"
    theirs = recorded[both].astype(np.float64)
    if as_probabilities:
        theirs = np.log(theirs / (1 - theirs))
    yield Comparison("logits", _largest(array[both] - theirs), LOGITS, note)


def labels(scores: Tensor, recorded: np.ndarray) -> Comparison:
    """Share of pixels whose recorded class is not the best by our scores.

    Where two classes score the same but for rounding, either is right: the recorded class counts as
    wrong only if it scores more than 1e-6 below our best.

    Args:
        scores: T x H x W, in [0, 1].
        recorded: H x W class numbers.
    """
    quantity = "sem_seg_argmax (wrong pixels)"
    if scores.shape[1:] != recorded.shape:
        return _other_shape(quantity, PIXELS, scores[0].numpy(), recorded)
    if recorded.max() >= len(scores):
        note = f"class {recorded.max()} of {len(scores)} recorded"
        return Comparison(quantity, math.inf, PIXELS, note)
    classes = torch.from_numpy(recorded.astype(np.int64))
    behind = scores.amax(0) - scores.gather(0, classes[None])[0]
    same = float((scores.argmax(0) == classes).double().mean())
    note = f"same class on {same:.4%} of pixels"
    return Comparison(quantity, float((behind > _TIE).double().mean()), PIXELS, note)


def gradients(ours: Mapping[str, float], recorded: Mapping[str, float]) -> Comparison:
    """Largest difference of gradient norms by name, as a share of the recorded norm.

    Args:
        ours: norms of the parameters that have a gradient here.
        recorded: norms of the parameters that train in the reference; one that never gets a
            gradient there may be frozen here.
    """
    noise = _NOISE * max(recorded.values())
    errors = {
        name: abs(ours.get(name, 0.0) - norm) / max(norm, noise) for name, norm in recorded.items()
    }
    # A number that is none is the worst.
    worst = max(errors, key=lambda name: math.inf if math.isnan(errors[name]) else errors[name])
    return Comparison("gradient norms", errors[worst], GRADIENTS, f"worst: {worst}")


def _every_nth(ours: Tensor, recorded: np.ndarray) -> np.ndarray:
    """Leave out of maps ... x h x w the rows and columns that were not recorded."""
    array = ours.detach().numpy()
    if array.ndim != 4 or recorded.ndim != 4:
        return array
    for step in range(1, array.shape[-1] + 1):
        part = array[..., ::step, ::step]
        if part.shape[-2:] == recorded.shape[-2:]:
            return part
    return array


def _other_shape(
    quantity: str, tolerance: float, ours: np.ndarray, recorded: np.ndarray
) -> Comparison:
    shapes = (" x ".join(map(str, array.shape)) for array in (ours, recorded))
    note = "shape {} here, {} recorded".format(*shapes)
    return Comparison(quantity, math.inf, tolerance, note)


def _count(rejected: np.ndarray) -> int:
    return int(rejected.all((2, 3)).sum())


def _largest(array: np.ndarray) -> float:
    return float(np.abs(array).max()) if array.size else 0.0
