"""What the frozen towers say of pictures: levels and global embeddings, kept on disk by choice.

Letters: B images, W width of a tower, h w its patch grid.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...checkpoint.kept_tensors import KeptTensors, fingerprint
from ...modeling.towers import ImageTower, load_image_tower, tower_class
from ...modeling.towers.base import GLOBAL
from ...modeling.towers.second_tower import Preprocessing, prepared, relative_pixels

Features = dict[str, Tensor]
OWN_CLIP = "clip"  # the name of MODEL.CLIP's tower


class FrozenTowers:
    """Runs one tower or more over the same pictures, without gradients.

    The towers are given with each call, because the model owns them.

    Args:
        names: of the towers.
        preprocessing: for each the mean and the deviation of its pixels, 3 each, in units of the
            model's own normalised pixels; None where they are the same.
        kept: where features are kept by what they were computed from; None for nowhere.
    """

    def __init__(
        self,
        names: Sequence[str],
        preprocessing: Sequence[Preprocessing],
        kept: KeptTensors | None = None,
    ) -> None:
        self.names, self.preprocessing, self.kept = tuple(names), tuple(preprocessing), kept
        self._fingerprint: tuple[object, str] | None = None

    def __call__(self, towers: Sequence[ImageTower], images: Tensor, whole: bool) -> Features:
        """Levels and global embeddings of pictures.

        Args:
            towers: in the order of the names.
            images: B x 3 x H x W, normalised as the first tower's CLIP has it.
            whole: also the global embeddings.

        Returns:
            Levels B x W x h x w, and global embeddings B x W, by `level_name` and `whole_name`.
        """
        if self.kept is None:
            return self._run(towers, images, whole)
        return self._looked_up(self.kept, towers, images, whole)

    @torch.no_grad()
    def _run(self, towers: Sequence[ImageTower], images: Tensor, whole: bool) -> Features:
        found: Features = {}
        for name, tower, own in zip(self.names, towers, self.preprocessing, strict=True):
            levels = [level for level in tower.output_shape() if level.startswith(_LEVEL)]
            outputs = tower(
                prepared(images, tower.size_divisibility, own),
                outputs=(*levels, GLOBAL) if whole else levels,
            )
            found |= {level_name(name, level): outputs[level] for level in levels}
            if whole:
                found[whole_name(name)] = outputs[GLOBAL]
        return found

    def _looked_up(
        self, kept: KeptTensors, towers: Sequence[ImageTower], images: Tensor, whole: bool
    ) -> Features:
        weights = self._weights(towers)
        keys = [_digest(weights, image, whole) for image in images]
        each = [kept.get_all(key) for key in keys]
        missing = [index for index, found in enumerate(each) if found is None]
        if missing:
            new = self._run(towers, images[missing], whole)
            for row, index in enumerate(missing):
                # What is used now is what will be read later.
                halves = {name: value[row].half().cpu() for name, value in new.items()}
                kept.put_all(keys[index], halves)
                each[index] = halves
        rows = [found for found in each if found is not None]
        return {
            name: torch.stack([row[name] for row in rows]).to(images.device).float()
            for name in rows[0]
        }

    def _weights(self, towers: Sequence[ImageTower]) -> str:
        """A digest of the towers, computed anew when their weights have been written."""
        parameters = [p for tower in towers for p in tower.parameters()]
        state = tuple((p.data_ptr(), p._version, p.dtype) for p in parameters)
        if self._fingerprint is None or self._fingerprint[0] != state:
            tensors: Mapping[str, Tensor] = {
                f"{name}.{key}": value
                for name, tower in zip(self.names, towers, strict=True)
                for key, value in tower.state_dict().items()
            }
            settings = [(tower.output_shape(), _settings(tower)) for tower in towers]
            digest = fingerprint(tensors, *self.names, *settings, self.preprocessing)
            self._fingerprint = state, digest
        return self._fingerprint[1]


_LEVEL = "block"


def tower_names(items: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the towers of MODEL.USE.TOWERS are called in names of parameters."""
    return [
        OWN_CLIP if item["name"] == OWN_CLIP else f"tower{number}"
        for number, item in enumerate(items, start=1)
    ]


def level_of(block: int) -> str:
    """What a tower calls the output of a block, counted from 1."""
    return f"{_LEVEL}{block}"


def level_name(tower: str, level: str) -> str:
    """What the head calls a level of a tower."""
    return f"{tower}_{level}"


def whole_name(tower: str) -> str:
    """What the head calls the global embedding of a tower."""
    return f"{tower}_whole"


def level_blocks(depth: int, blocks: Sequence[int], count: int) -> list[int]:
    """The blocks, counted from 1, whose outputs are levels.

    Args:
        depth: blocks of the tower.
        blocks: those wanted; empty for as many as `count`, evenly spaced, the last one among them.
        count: levels, 1 or more.

    Raises:
        ValueError: a block that the tower does not have.
    """
    chosen = list(blocks) or sorted({max(1, round(depth * (i + 1) / count)) for i in range(count)})
    if sorted(set(chosen)) != chosen or not 1 <= chosen[0] <= chosen[-1] <= depth:
        raise ValueError(
            f"expected `blocks` ascending from 1 to {depth} of this tower, got {chosen}; choose "
            f"such as [{depth}], or [] for {count} evenly spaced ones."
        )
    return chosen


def built_towers(
    items: Sequence[Mapping[str, Any]],
    clip: ImageTower,
    *,
    count: int,
    last_alone: bool,
    filled: bool,
    pixels: tuple[Sequence[float], Sequence[float]],
    order: int,
) -> tuple[list[ImageTower], dict[str, int], dict[str, int], list[Preprocessing]]:
    """The towers of MODEL.USE.TOWERS.

    Args:
        items: of the key.
        clip: the tower of MODEL.CLIP.
        count: levels of a tower whose item does not say which blocks.
        last_alone: keep the last of them alone.
        filled: a checkpoint brings the weights.
        pixels: mean and deviation of the model's pixels, 0..255.
        order: 1 where they are RGB, -1 where they are BGR.

    Returns:
        The towers; channels of all levels and of all global embeddings, by name; and what their
        pixels are in units of the model's, see `FrozenTowers`.

    Raises:
        ValueError: a tower that cannot be built, or a block that it does not have.
    """
    towers: list[ImageTower] = []
    levels: dict[str, int] = {}
    wholes: dict[str, int] = {}
    preprocessing: list[Preprocessing] = []
    for item, name in zip(items, tower_names(items), strict=True):
        visual: Any = getattr(clip, "visual", None)
        if item["name"] != OWN_CLIP:
            visual = load_image_tower(item["name"], "" if filled else item.get("pretrained", ""))
        # A pyramid of stages says in one line that it has no blocks.
        kind = tower_class(visual)
        depth = kind(visual).token_shape[0]
        blocks = level_blocks(depth, item.get("blocks", ()), count)[-1 if last_alone else 0 :]
        named = {level_of(block): block - 1 for block in blocks}
        tower = kind(visual, dense_reading="clip", levels=named)
        shape = tower.output_shape()
        levels |= {level_name(name, one): shape[one].channels for one in named}
        wholes[whole_name(name)] = tower.embed_dim
        towers.append(tower)
        own = None
        if item["name"] != OWN_CLIP:
            given = {key: item[key] for key in ("mean", "std") if key in item}
            pretrained = item.get("pretrained", "")
            own = relative_pixels(item["name"], pretrained, pixels, order, given)
        preprocessing.append(own)
    return towers, levels, wholes, preprocessing


def _settings(tower: nn.Module) -> object:
    return type(tower).__name__, getattr(tower, "levels", None)


def _digest(weights: str, image: Tensor, whole: bool) -> str:
    content = image.detach().cpu().contiguous().float().numpy()
    head = f"{weights} {image.shape} {whole}".encode()
    return hashlib.sha256(head + content.tobytes()).hexdigest()
