"""Compute what a golden file recorded, on the path a user takes, and compare.

Letters: B views, T classes, C joint embedding, h w token grid.
"""

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from detectron2.modeling import build_model
from torch import Tensor, nn

from fgaseg_d2.checkpoint.checkpointer import FGASegCheckpointer
from fgaseg_d2.checkpoint.files import write_checkpoint
from fgaseg_d2.config.checks import check_names
from fgaseg_d2.config.loading import load_config
from fgaseg_d2.methods.fgaseg.catseg import is_added
from fgaseg_d2.methods.fgaseg.head import best_classes
from fgaseg_d2.methods.fgaseg.parameter_names import from_reference, to_reference
from fgaseg_d2.modeling.inference.protocols import Whole
from fgaseg_d2.modeling.stages import StageRecorder
from fgaseg_d2.vocabulary import Vocabulary

from . import compare
from .compare import REJECTED, Comparison
from .golden import Golden, drawn_image, drawn_state, drawn_targets
from .settings import Settings, translate

_PADDING = 32  # the reference pads whole pictures to a multiple of this


def measure(golden: Golden) -> Iterator[Comparison]:
    """Compare the model with a golden file.

    Returns:
        At least one comparison for each recorded output.

    Raises:
        ValueError: the file's configuration has no counterpart here.
    """
    settings = translate(golden.config, golden.opts)
    model = build_drawn(settings)
    if golden.is_training:
        # The step moves BatchNorm's statistics, so no other file may use this model.
        _built.clear()
        seen = _train(model, golden)
    else:
        seen = _segment(model, golden, settings)
    for name, recorded in golden.outputs.items():
        yield from _compare(name, recorded, seen, model, settings, golden)


def reference_shapes(settings: Settings) -> dict[str, tuple[int, ...]]:
    """Names and shapes that a configuration's weights have in the reference.

    Raises:
        ValueError: the configuration cannot be built, or the reference has no name for a part.
    """
    return _reference_shapes(_build(settings), settings)


def build_drawn(settings: Settings) -> nn.Module:
    """Build the model of a configuration with weights drawn from the reference's names.

    The last one built is kept.

    Raises:
        ValueError: the configuration cannot be built, or the reference has no name for a part.
    """
    key = (settings.config, repr(sorted(settings.values.items())), settings.is_catseg)
    if key not in _built:
        _built.clear()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "drawn.pth"
            loader = FGASegCheckpointer.of_new_model(lambda: _build(settings), str(path))
            write_checkpoint(path, drawn_state(_reference_shapes(loader.model, settings)))
            loader.load(str(path))
        _built[key] = loader.model
    return _built[key]


_built: dict[tuple, nn.Module] = {}


def _build(settings: Settings) -> nn.Module:
    cfg = load_config(settings.config, settings.opts, device="cpu")
    check_names(cfg)
    return build_model(cfg).eval()


def _reference_shapes(model: nn.Module, settings: Settings) -> dict[str, tuple[int, ...]]:
    state = {
        name: tensor
        for name, tensor in model.state_dict().items()
        if not (settings.is_catseg and is_added(name))
    }
    return {name: tuple(tensor.shape) for name, tensor in to_reference(state).items()}


def _segment(model: Any, golden: Golden, settings: Settings) -> dict[str, Any]:
    """What the parts of the model return for the file's picture, by name."""
    (height, width), image = golden.image_size, drawn_image(*golden.image_size)
    if isinstance(model.protocol, Whole):
        image = _padded(image, model.pixel_mean)
    item = {"image": image, "height": height, "width": width, "vocabulary": _vocabulary(golden)}

    def change(name: str, output: Any, outputs: Mapping[str, list[Any]]) -> Any:
        if name != "head":
            return None
        logits = _as_the_reference(model, golden, settings, output["logits"], outputs)
        return output | {"logits": logits}

    with torch.no_grad(), StageRecorder(model.stages(), change=change) as record:
        scores = model([item])[0]["sem_seg"]
    return _recorded(record) | {"scores": scores}


def _train(model: Any, golden: Golden) -> dict[str, Any]:
    """The same for a training step on the picture and its mirror image."""
    image = drawn_image(*golden.image_size)
    seed = int(golden.arrays.get("target_seed", 7))
    targets = drawn_targets(len(golden.names), *golden.image_size, seed)
    inputs = [
        {
            "image": _padded(view, model.pixel_mean),
            "sem_seg": target,
            "vocabulary": _vocabulary(golden),
        }
        for view, target in zip((image, image.flip(2)), targets, strict=True)
    ]
    model.train()
    with StageRecorder(model.stages()) as record:
        loss = torch.stack(list(model(inputs).values())).sum()
    loss.backward()
    return _recorded(record) | {"loss": loss}


def _compare(
    name: str,
    recorded: Any,
    seen: Mapping[str, Any],
    model: Any,
    settings: Settings,
    golden: Golden,
) -> Iterator[Comparison]:
    """Compare one output of a golden file."""
    head = model.sem_seg_head
    dense, aligned = seen["backbone"]["dense"], seen["p2tformer"]
    ours: dict[str, Callable[[], Tensor | None]] = {
        "loss": lambda: seen["loss"],
        "clip_dense": lambda: dense.flatten(2).transpose(1, 2),
        "text_embeds": lambda: seen["text_encoder"][:, None],
        "pixel_text_embeds": lambda: aligned.transpose(0, 1),
        "local_similarity": lambda: head.local_similarity and head.local_similarity(aligned, dense),
        "t2p_logits": lambda: seen["head"].get("t2p", head.t2p and head.t2p(aligned, dense)),
    }
    if name == "logits":
        probabilities = settings.is_fast and not golden.is_training
        yield from compare.logits(seen["logits"], recorded, probabilities)
    elif name == "sem_seg_argmax":
        yield compare.labels(seen["scores"], recorded)
    elif name == "grad_norm":
        yield from _compare_gradients(model, golden, settings)
    elif name in ours:
        # CLIP's recorded tokens begin with CLS, which is not part of a map.
        recorded = recorded[:, 1:] if name == "clip_dense" else recorded
        with torch.no_grad():
            yield compare.values(name, ours[name](), recorded)
    else:
        yield Comparison(name, math.inf, 0.0, "recorded, but not known here")


def _compare_gradients(model: Any, golden: Golden, settings: Settings) -> Iterator[Comparison]:
    norms = {
        name: 0.0 if parameter.grad is None else float(parameter.grad.norm())
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and not (settings.is_catseg and is_added(name))
    }
    ours, trained = {}, set()
    for name in map(str, golden.arrays["trainable"]):
        # One of the reference's may be three of ours.
        parts = from_reference({name: torch.zeros(3)}).keys() & norms.keys()
        trained |= parts
        ours[name] = math.hypot(*(norms[part] for part in parts))
    recorded = dict(zip(ours, map(float, golden.arrays["grad_norm"]), strict=True))
    yield compare.gradients(ours, recorded)
    alone = sorted(norms.keys() - trained)
    yield Comparison(
        "parameters that train here only", float(len(alone)), 0.0, ", ".join(alone[:1])
    )


def _vocabulary(golden: Golden) -> Vocabulary:
    # Published class lists hold names twice, and names with commas.
    return Vocabulary(tuple((name,) for name in golden.names))


def _as_the_reference(
    model: Any,
    golden: Golden,
    settings: Settings,
    logits: Tensor,
    outputs: Mapping[str, list[Any]],
) -> Tensor:
    """What the reference makes of the logits B x T x 4h x 4w before they become scores."""
    if settings.is_fast:
        # It applies the sigmoid twice, ours once; between the two an early rejected class has 0,
        # one that was not among the best to begin with -100.
        best = best_classes(outputs["gcs"][-1], model.sem_seg_head.max_classes)
        dropped = torch.full_like(logits, 0.0 if best is None else REJECTED)
        if best is not None:
            dropped.scatter_(1, best[:, :, None, None].expand(-1, -1, *logits.shape[2:]), 0.0)
        logits = torch.where(logits > REJECTED, logits.sigmoid(), dropped)
    if isinstance(model.protocol, Whole):
        # Meant to remove the padding, but from maps that are not yet the picture's size.
        height, width = golden.image_size
        logits = logits[..., :height, :width]
    return logits


def _recorded(record: StageRecorder) -> dict[str, Any]:
    """What the stages returned, by name; each ran once."""
    seen = {name: outputs[-1] for name, outputs in record.outputs.items() if outputs}
    return seen | {"logits": seen["head"]["logits"]}


def _padded(image: Tensor, mean: Tensor) -> Tensor:
    """Pad as the reference does, which leaves the padding in the result."""
    height, width = image.shape[-2:]
    padded = mean.expand(3, height + -height % _PADDING, width + -width % _PADDING).clone()
    padded[:, :height, :width] = image
    return padded
