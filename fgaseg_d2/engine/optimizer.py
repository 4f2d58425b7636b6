"""Parameter groups by what a parameter belongs to, never by what it is called."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.solver.build import maybe_add_gradient_clipping
from torch import nn

from ..config.renamed_keys import setting
from ..wording import shown

_NORMS = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.SyncBatchNorm,
    nn.GroupNorm,
    nn.InstanceNorm1d,
    nn.InstanceNorm2d,
    nn.InstanceNorm3d,
    nn.LayerNorm,
    nn.LocalResponseNorm,
)
_OPTIMIZERS = ("ADAMW", "SGD")


def build_optimizer(cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
    """Build AdamW or SGD over the parameters that train.

    Args:
        cfg: SOLVER is used. SOLVER.CLIP_GRADIENTS.CLIP_TYPE takes Detectron2's "value" and "norm"
            (each parameter by itself) and "full_model" (norm of all gradients together).
        model: see :func:`parameter_groups`.

    Raises:
        ValueError: unknown optimiser, or no parameter trains.
    """
    groups = parameter_groups(cfg, model)
    solver = cfg.SOLVER
    if solver.OPTIMIZER not in _OPTIMIZERS:
        raise ValueError(
            f"expected SOLVER.OPTIMIZER {' or '.join(_OPTIMIZERS)}, got {shown(solver.OPTIMIZER)}"
        )
    full_model = solver.CLIP_GRADIENTS.ENABLED and solver.CLIP_GRADIENTS.CLIP_TYPE == "full_model"
    kinds: dict[str, Any] = {"ADAMW": torch.optim.AdamW, "SGD": torch.optim.SGD}
    kind = kinds[solver.OPTIMIZER]
    if not full_model:
        kind = maybe_add_gradient_clipping(cfg, kind)
    settings = {"lr": solver.BASE_LR, "weight_decay": solver.WEIGHT_DECAY}
    if solver.OPTIMIZER == "SGD":
        settings.update(momentum=solver.MOMENTUM, nesterov=solver.NESTEROV)
    else:
        settings.update(eps=solver.ADAMW_EPS)
    optimizer = kind(groups, **settings)
    if full_model:
        _clip_full_model(optimizer, solver.CLIP_GRADIENTS)
    return optimizer


def parameter_groups(cfg: CfgNode, model: nn.Module) -> list[dict[str, Any]]:
    """Sort the parameters that train into groups of one learning rate and weight decay each.

    Args:
        cfg: SOLVER.BASE_LR, LR_MULTIPLIERS, BIAS_LR_FACTOR and the four WEIGHT_DECAY keys, of which
            none is for single numbers: temperatures and gates do not decay.
        model: its `parameter_roles()`, where it has them, say which parameters have which of
            LR_MULTIPLIERS; all others have that of HEAD. A model with `clip_parameters()` alone has
            the one role.

    Returns:
        Groups for a torch optimiser; every parameter that requires a gradient is in exactly one.

    Raises:
        ValueError: no parameter requires a gradient.
    """
    factors = _factors(cfg, model)
    groups: dict[tuple[float, float], list[nn.Parameter]] = defaultdict(list)
    for module, name, parameter in _trained_parameters(model):
        rate, decay = cfg.SOLVER.BASE_LR, _weight_decay(cfg, module, name, parameter)
        rate *= factors.get(id(parameter), cfg.SOLVER.LR_MULTIPLIERS.HEAD)
        if name == "bias":
            rate *= cfg.SOLVER.BIAS_LR_FACTOR
        groups[rate, decay].append(parameter)
    if not groups:
        raise ValueError(
            "no parameter of the model trains; check MODEL.CLIP.FINETUNE and which parts of the "
            "model are frozen"
        )
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


def _factors(cfg: CfgNode, model: nn.Module) -> dict[int, float]:
    """The factor on the learning rate of each parameter that has a role, by its id."""
    found: dict[int, float] = {}
    for role, parameters in _roles(model).items():
        key = role.upper()
        if key not in cfg.SOLVER.LR_MULTIPLIERS:
            raise ValueError(
                "expected a key in SOLVER.LR_MULTIPLIERS for each role of parameters, got none "
                f"for {shown(role)}; add cfg.SOLVER.LR_MULTIPLIERS.{key} = 1.0, the base rate"
            )
        factor = setting(cfg, f"SOLVER.LR_MULTIPLIERS.{key}")
        found |= {id(parameter): factor for parameter in parameters}
    return found


def _roles(model: Any) -> dict[str, Iterable[nn.Parameter]]:
    if hasattr(model, "parameter_roles"):
        return model.parameter_roles()
    return {"clip": model.clip_parameters()} if hasattr(model, "clip_parameters") else {}


def _trained_parameters(model: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Parameter]]:
    """Yield owner, name within the owner, and parameter, each parameter once."""
    seen: set[int] = set()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad and id(parameter) not in seen:
                seen.add(id(parameter))
                yield module, name, parameter


def _weight_decay(cfg: CfgNode, module: nn.Module, name: str, parameter: nn.Parameter) -> float:
    if name == "bias" and cfg.SOLVER.WEIGHT_DECAY_BIAS is not None:
        return cfg.SOLVER.WEIGHT_DECAY_BIAS
    # A single number (a temperature, a gate) has nothing of a matrix that is to stay small.
    if not parameter.ndim:
        return 0.0
    if isinstance(module, _NORMS):
        return cfg.SOLVER.WEIGHT_DECAY_NORM
    if isinstance(module, nn.Embedding):
        return cfg.SOLVER.WEIGHT_DECAY_EMBED
    return cfg.SOLVER.WEIGHT_DECAY


def _clip_full_model(optimizer: torch.optim.Optimizer, clip: CfgNode) -> None:
    """Clip the norm of all gradients together before each step."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]

    # A hook of the step runs after a gradient scaler has unscaled.
    def clip_gradients(*_: Any) -> None:
        nn.utils.clip_grad_norm_(parameters, clip.CLIP_VALUE, clip.NORM_TYPE)

    optimizer.register_step_pre_hook(clip_gradients)
