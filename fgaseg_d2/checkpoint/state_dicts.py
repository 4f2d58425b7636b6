"""Finds the weights of a model in whatever a training program saved around them.

Containers (``{"state_dict": ...}``) add levels, wrappers (DataParallel, torch.compile, FSDP, a
LightningModule, an average of the weights) add parts to the names, and helpers add entries of their
own. Levels and parts are the same thing here: what stands before a name that the model knows.
"""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..wording import plain
from .weight_checks import check_plain, is_plain

logger = logging.getLogger(__name__)

# These may stand anywhere in a name; no model of the family has such parts.
_WRAPPERS = {
    "module",
    "_orig_mod",
    "_forward_module",
    "_fsdp_wrapped_module",
    "_checkpoint_wrapped_module",
}
# Optimisers keep tensors under the names of the weights too.
_OPTIMIZER = re.compile("optim", re.IGNORECASE)
# A second copy of the weights, beside what the training program calls its model.
_COPY = re.compile(
    r"(?:^|[._])(?:ema|averaged?|avg|swa|shadow|teacher|momentum|target|best)(?:$|[._])"
)
_DEEPEST = 8  # levels of containers


@dataclass
class _Level:
    """One dictionary of a file: where it is, its tensors, and the names of what else is in it."""

    prefix: str
    tensors: dict[str, Tensor] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)


@dataclass
class _Group:
    """Tensors that the model knows behind one prefix: by level and own name, the model's name."""

    prefix: str
    names: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def rank(self) -> tuple[int, bool]:
        """The most tensors first; of two alike the model rather than its copy."""
        return -len(set(self.names.values())), _COPY.search(self.prefix) is not None


def find_weights(
    loaded: Mapping[Any, Any], knows: Callable[[str], bool], source: str
) -> dict[str, Tensor]:
    """Take the weights out of containers and wrappers.

    Args:
        loaded: what a checkpoint file holds.
        knows: whether a name is one of the model's, without anything before it.
        source: what messages call the file.

    Returns:
        Tensors by the model's names; what lies beside them and does not belong to the model keeps
        its own name. Where no name is known, the largest dictionary of tensors as it is.

    Raises:
        ValueError: one of the model's tensors is sparse, quantised or without values.
    """
    levels: list[_Level] = []
    _flatten(loaded, "", levels, set())
    groups = sorted(_groups(levels, knows), key=lambda group: group.rank)
    if not groups:
        largest = max(levels, key=lambda level: len(level.tensors))
        return {name: tensor for name, tensor in largest.tensors.items() if is_plain(tensor)}
    main = groups[0]
    _tell_of_copies(main, groups[1:], source)
    found: dict[str, Tensor] = {}
    left_out: list[str] = []
    for level in levels:
        known = {name: main.names.get((level.prefix, name)) for name in level.tensors}
        if not any(known.values()):
            continue
        left_out += level.others
        for name, tensor in level.tensors.items():
            own = known[name]
            if own is not None:
                check_plain(own, tensor, source)
                found[own] = tensor
            elif not is_plain(tensor):
                left_out.append(name)
            else:
                full = ".".join(_without_wrappers(f"{level.prefix}{name}".replace("\0", ".")))
                rest = full.removeprefix(main.prefix)
                found.setdefault(rest if rest != full else name, tensor)
    if left_out:
        logger.warning(
            "left out %d entries of %s that are no tensors: %s",
            len(left_out),
            plain(source),
            [plain(name, 40) for name in left_out[:5]],
        )
    return found


def _flatten(node: Mapping[Any, Any], prefix: str, levels: list[_Level], seen: set[int]) -> None:
    """List a dictionary and those in it; one that is there twice, or in itself, only once."""
    level = _Level(prefix)
    levels.append(level)
    seen.add(id(node))
    for key, value in node.items():
        name = str(key)
        if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
            # torch knows no other order of bytes than the machine's.
            value = torch.from_numpy(value.astype(value.dtype.newbyteorder("=")))
        if isinstance(value, Tensor):
            level.tensors[name] = value.detach()
            continue
        level.others.append(name)
        if isinstance(value, (list, tuple)) and any(isinstance(item, Mapping) for item in value):
            value = dict(enumerate(value))
        inside = isinstance(value, Mapping) and id(value) not in seen
        if inside and prefix.count("\0") < _DEEPEST and not _OPTIMIZER.search(name):
            _flatten(value, f"{prefix}{name}\0", levels, seen)


def _groups(levels: list[_Level], knows: Callable[[str], bool]) -> list[_Group]:
    groups: dict[str, _Group] = {}
    for level in levels:
        for name in level.tensors:
            full = f"{level.prefix}{name}".replace("\0", ".")
            prefix, own = _split(full, knows)
            if own:
                group = groups.setdefault(prefix, _Group(prefix))
                group.names[level.prefix, name] = own
    return list(groups.values())


def _split(name: str, knows: Callable[[str], bool]) -> tuple[str, str]:
    """A name's prefix and the rest, which the model knows; "" if it knows none of it."""
    for parts in (name.split("."), _without_wrappers(name)):
        for start in range(len(parts)):
            if knows(own := ".".join(parts[start:])):
                prefix = [part for part in parts[:start] if part not in _WRAPPERS]
                return "".join(f"{part}." for part in prefix), own
    return "", ""


def _without_wrappers(name: str) -> list[str]:
    return [part for part in name.split(".") if part not in _WRAPPERS]


def _tell_of_copies(main: _Group, others: list[_Group], source: str) -> None:
    copies = [group.prefix for group in others if 2 * len(group.names) > len(main.names)]
    if copies:
        logger.warning(
            "%s holds several copies of the weights: took those under '%s', left those under %s",
            plain(source),
            plain(main.prefix, 40),
            [plain(prefix, 40) for prefix in copies[:5]],
        )
