"""Compute what a golden file recorded, on the path a user takes, and compare.

Letters: B views, T classes, C joint embedding, h w token grid.
"""

import dataclasses
import functools
import math
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.modeling import build_model
from torch import Tensor, nn

from fgaseg_d2.catseg import is_added
from fgaseg_d2.checkpoint import FGASegCheckpointer
from fgaseg_d2.checkpoint_files import write_checkpoint
from fgaseg_d2.config_files import load_config
from fgaseg_d2.parity.golden import Golden, drawn_image, drawn_state, drawn_targets
from fgaseg_d2.parity.settings import Settings, translate
from fgaseg_d2.reference_names import from_reference, to_reference
from fgaseg_d2.vocabulary import Vocabulary

LOGITS, RELATIVE, PIXELS, GRADIENTS = 1e-3, 1e-4, 1e-3, 1e-2
# Scores this close are the same but for float32's rounding, which decides the best class then.
_TIE = 1e-6
REJECTED = -100.0
_PADDING = 32  # the reference pads whole pictures to a multiple of this


@dataclasses.dataclass(frozen=True)
class Row:
    """One comparison.

    Args:
        file: name of the golden file.
        quantity: what was compared.
        difference: the largest difference.
        tolerance: how large it may be.
    """

    file: str
    quantity: str
    difference: float
    tolerance: float

    @property
    def agrees(self) -> bool:
        """Whether the difference is within the tolerance (a number that is none is not)."""
        return self.difference <= self.tolerance


def measure(golden: Golden) -> list[Row]:
    """Compare the model with a golden file.

    Returns:
        One row for each recorded quantity.

    Raises:
        ValueError: the file's configuration has no counterpart here.
    """
    settings = translate(golden.config, golden.opts)
    model = build_drawn(settings)
    compare = _compare_training if golden.is_training else _compare_inference
    return [Row(golden.name, *row) for row in compare(model, golden, settings)]


def build_drawn(settings: Settings) -> nn.Module:
    """Build the model of a configuration with weights drawn from the reference's names.

    The last one built is kept.

    Raises:
        ValueError: the configuration cannot be built, or the reference has no name for a part.
    """
    key = (settings.config, repr(sorted(settings.values.items())), settings.is_catseg)
    if key not in _built:
        _built.clear()
        _built[key] = _build_drawn(settings)
    return _built[key]


_built: dict[tuple, nn.Module] = {}


def _build_drawn(settings: Settings) -> nn.Module:
    model = build_model(load_config(settings.config, settings.opts, device="cpu")).eval()
    own = {
        name: tensor
        for name, tensor in model.state_dict().items()
        if not (settings.is_catseg and is_added(name))
    }
    shapes = {name: tuple(tensor.shape) for name, tensor in to_reference(own).items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "drawn.safetensors"
        write_checkpoint(path, drawn_state(shapes))
        FGASegCheckpointer(model).load(str(path))
    return model


def _compare_inference(
    model: Any, golden: Golden, settings: Settings
) -> Iterator[tuple[str, float, float]]:
    """Quantity, difference and tolerance of everything recorded in a pass over a picture."""
    seen: dict[str, Any] = {}
    head = model.sem_seg_head
    as_recorded = _probabilities if settings.is_fast else None
    image, (height, width) = drawn_image(*golden.image_size), golden.image_size
    if model.sliding_window is None:
        image = _padded(image, model.pixel_mean)
    words = Vocabulary.from_names(golden.names)
    item = {"image": image, "height": height, "width": width, "vocabulary": words}
    with torch.no_grad(), _Outputs(model, seen, as_recorded):
        scores = model([item])[0]["sem_seg"]
    arrays, dense, aligned = golden.arrays, seen["backbone"]["dense"], seen["p2tformer"]
    # CLIP's recorded tokens begin with CLS, which is not part of a map.
    ours: dict[str, Callable[[], Tensor]] = {
        "clip_dense": lambda: dense.flatten(2).transpose(1, 2),
        "text_embeds": lambda: seen["text_encoder"][:, None],
        "pixel_text_embeds": lambda: aligned.transpose(0, 1),
        "local_similarity": lambda: head.local_similarity(aligned, dense),
        "t2p_logits": lambda: head.t2p(aligned, dense),
    }
    for name, compute in ours.items():
        if name in arrays:
            recorded = arrays[name][:, 1:] if name == "clip_dense" else arrays[name]
            with torch.no_grad():
                yield name, _relative(compute(), recorded), RELATIVE
    if "logits" in arrays:
        yield from _compare_logits(seen["logits"], arrays["logits"], settings.is_fast)
    if "sem_seg_argmax" in arrays:
        yield "sem_seg_argmax (wrong pixels)", _wrong(scores, arrays["sem_seg_argmax"]), PIXELS


def _wrong(scores: Tensor, recorded: np.ndarray) -> float:
    """Share of pixels whose recorded class is not the best, or as good, by our scores T x H x W."""
    if scores.shape[1:] != recorded.shape:
        return math.inf
    theirs = scores.gather(0, torch.from_numpy(recorded.astype(np.int64))[None])[0]
    return float((scores.amax(0) - theirs > _TIE).float().mean())


def _compare_logits(
    logits: Tensor, recorded: np.ndarray, probabilities: bool
) -> Iterator[tuple[str, float, float]]:
    ours = _strided(logits, recorded)
    if ours.shape != recorded.shape:
        yield "logits", math.inf, LOGITS
        return
    kept, recorded_kept = ours > REJECTED, recorded > (0 if probabilities else REJECTED)
    if not (kept.all() and recorded_kept.all()):
        wrong = (kept != recorded_kept).any((0, 2, 3)).sum()
        yield "rejected classes", float(wrong), 0.0
    both = kept & recorded_kept
    if probabilities:
        # Float32 holds too few digits of a probability near 0 or 1 to say what its logit was.
        both &= (recorded > 1e-4) & (recorded < 1 - 1e-4)
        with np.errstate(divide="ignore"):
            recorded = np.log(recorded / (1 - recorded))
    yield "logits", _largest(ours[both] - recorded[both]), LOGITS


def _compare_training(
    model: Any, golden: Golden, settings: Settings
) -> Iterator[tuple[str, float, float]]:
    """Quantity, difference and tolerance of everything recorded in a training step."""
    image, arrays = drawn_image(*golden.image_size), golden.arrays
    seen: dict[str, Any] = {}
    seed = int(arrays.get("target_seed", 7))
    targets = drawn_targets(len(golden.names), *golden.image_size, seed)
    words = Vocabulary.from_names(golden.names)
    inputs = [
        {"image": view, "sem_seg": target, "vocabulary": words}
        for view, target in zip((image, image.flip(2)), targets, strict=True)
    ]
    model.train()
    with _Outputs(model, seen):
        loss = torch.stack(list(model(inputs).values())).sum()
    loss.backward()
    # The step moved BatchNorm's statistics, so no other file may use this model.
    _built.clear()
    recorded = float(arrays["loss"])
    yield "loss", abs(float(loss.detach()) - recorded) / abs(recorded), RELATIVE
    for name, output in (("logits", "logits"), ("t2p_logits", "t2p")):
        if name in arrays:
            maps = seen["head"].get(output)
            if name == "t2p_logits":
                yield name, _relative(maps, arrays[name]), RELATIVE
            else:
                yield from _compare_logits(maps, arrays[name], probabilities=False)
    if "grad_norm" in arrays:
        yield from _compare_gradients(model, golden, settings)


def _compare_gradients(
    model: Any, golden: Golden, settings: Settings
) -> Iterator[tuple[str, float, float]]:
    norms = {
        name: 0.0 if parameter.grad is None else float(parameter.grad.norm())
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and not (settings.is_catseg and is_added(name))
    }
    worst, seen = 0.0, set()
    recorded = zip(golden.arrays["trainable"], golden.arrays["grad_norm"], strict=True)
    for name, expected in recorded:
        # One of the reference's may be three of ours.
        ours = from_reference({str(name): torch.zeros(3)}).keys() & norms.keys()
        seen |= ours
        norm = math.hypot(*(norms[part] for part in ours))
        # A softmax does not see a bias of its keys: both sides hold rounding noise there. What
        # never gets a gradient in the reference may be frozen here.
        worst = max(worst, abs(norm - float(expected)) / max(float(expected), 1e-4))
    yield "gradient norms", worst, GRADIENTS
    yield "parameters that train here only", float(len(norms.keys() - seen)), 0.0


class _Outputs:
    """While it is open, notes what the parts of a model return.

    Args:
        model: an FGASeg.
        seen: filled with the outputs by name.
        logits: what the rest of the model gets in place of the head's logits.
    """

    def __init__(
        self,
        model: Any,
        seen: dict[str, Any],
        logits: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.seen, self.change = seen, logits
        self.parts: dict[str, nn.Module] = {
            "backbone": model.backbone,
            "text_encoder": model.text_encoder,
            "p2tformer": model.sem_seg_head.p2tformer,
            "head": model.sem_seg_head,
        }

    def __enter__(self) -> None:
        self.handles = [
            part.register_forward_hook(functools.partial(self._note, name))
            for name, part in self.parts.items()
        ]

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()

    def _note(self, name: str, _module: nn.Module, _inputs: tuple, output: Any) -> Any:
        self.seen[name] = output
        if name != "head":
            return None
        self.seen["logits"] = output["logits"]
        return output | {"logits": self.change(output["logits"])} if self.change else None


def _probabilities(logits: Tensor) -> Tensor:
    """What the reference's fast variant passes on: it applies the sigmoid twice, ours once."""
    return torch.where(logits > REJECTED, logits.sigmoid(), torch.zeros_like(logits))


def _padded(image: Tensor, mean: Tensor) -> Tensor:
    """Pad as the reference does, which leaves the padding in the result."""
    height, width = image.shape[-2:]
    padded = mean.expand(3, height + -height % _PADDING, width + -width % _PADDING).clone()
    padded[:, :height, :width] = image
    return padded


def _strided(ours: Tensor, recorded: np.ndarray) -> np.ndarray:
    """Leave out of maps B x T x h x w what was not recorded."""
    step = max(1, ours.shape[-1] // recorded.shape[-1])
    return ours.detach()[..., ::step, ::step].numpy()


def _relative(ours: Tensor | None, recorded: np.ndarray) -> float:
    """Largest difference, as a share of the largest recorded value."""
    if ours is None:
        return math.inf
    array = _strided(ours, recorded) if ours.ndim == 4 else ours.detach().numpy()
    if array.shape != recorded.shape:
        return math.inf
    return _largest(array - recorded) / max(_largest(recorded), 1e-12)


def _largest(values: np.ndarray) -> float:
    return float(np.abs(values).max()) if values.size else 0.0
