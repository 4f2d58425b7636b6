"""What all runs in one output folder share, kept there so that a later command continues."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.modeling import build_model

from fgaseg_d2.checkpoint.files import BUNDLED, locate_checkpoint, read_checkpoint, write_checkpoint
from fgaseg_d2.checkpoint.formats import recognise
from fgaseg_d2.checkpoint.part_files import sha256_of
from fgaseg_d2.checkpoint.weight_checks import check_values
from fgaseg_d2.config.checks import check_names
from fgaseg_d2.io.files import write_json
from fgaseg_d2.io.json_files import read_json
from fgaseg_d2.wording import shown

BUNDLED_MODEL = f"{BUNDLED}storybook_vit8.safetensors"
RUNS, CLIP, _SETTINGS = "runs", "clip.pth", "settings.json"


@dataclass(frozen=True)
class Settings:
    """What all runs in one output folder share.

    Attributes:
        weights: name of the checkpoint whose CLIP the rows start from, without its folder.
        weights_sha256: of that file.
        iterations: of each training; 0 for what the study's configuration says.
        scenes: first pictures of each test set that are tested; 0 for what the configuration says.
        overrides: configuration changes of all rows.
    """

    weights: str = ""
    weights_sha256: str = ""
    iterations: int = 0
    scenes: int = 0
    overrides: Mapping[str, Any] = field(default_factory=dict)


def settle(
    output: Path,
    weights: str | None,
    iterations: int | None,
    scenes: int | None,
    overrides: Mapping[str, Any] | None,
) -> tuple[Settings, str]:
    """Decide on the settings of an output folder: those of its first command, and of this one.

    Args:
        output: folder of the studies.
        weights, iterations, scenes, overrides: as the command line has them, None for not at all.

    Returns:
        The settings, and the path of the checkpoint, "" if its CLIP is in the folder already.

    Raises:
        ValueError: the folder was begun with others; only the number of scenes may change.
        FileNotFoundError: no such checkpoint.
    """
    earlier = read_settings(output)
    is_there = (output / RUNS / CLIP).is_file()
    path = weights or ("" if earlier and is_there else BUNDLED_MODEL)
    name = path if path.startswith(BUNDLED) else os.path.basename(path)
    given: dict[str, Any] = {"iterations": iterations, "overrides": overrides}
    if path:
        given |= {"weights_sha256": sha256_of(locate_checkpoint(path, "--weights"))}
    for key, value in given.items():
        old = getattr(earlier, key, value)
        if value is not None and value != old:
            raise ValueError(
                f"{output} was begun with {key} {shown(old)}, not {shown(value)}: rows of a study "
                "must share "
                "them; give another --output, or remove that folder"
            )
    start = earlier or Settings(weights=name)
    changed = {k: v for k, v in (given | {"scenes": scenes}).items() if v is not None}
    return Settings(**(asdict(start) | changed)), "" if earlier and is_there else path


def read_settings(output: Path) -> Settings | None:
    """Settings of an output folder, None if it has none.

    Raises:
        ValueError: the file is damaged.
    """
    path = output / RUNS / _SETTINGS
    if not path.is_file():
        return None
    try:
        return Settings(**read_json(path))
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"expected the settings of studies in {path}, got something else ({error}); remove it "
            "if nothing there is worth keeping, or give another --output"
        ) from error


def write_settings(output: Path, settings: Settings) -> None:
    """Keep the settings for later commands.

    Raises:
        OSError: the file cannot be written.
    """
    write_json(output / RUNS / _SETTINGS, asdict(settings))


def write_clip(cfg: CfgNode, checkpoint: str, target: Path) -> None:
    """Take CLIP out of a checkpoint, so that no other part of a model starts trained.

    Args:
        cfg: of the studies' default row.
        checkpoint: a file, an address, or "fgaseg_d2://NAME".
        target: the file to write.

    Raises:
        FileNotFoundError: no such checkpoint.
        ValueError: no checkpoint, or not with the CLIP of the configuration.
        OSError: the file cannot be written.
    """
    state, _ = recognise(read_checkpoint(checkpoint, setting="--weights")["model"])
    check_names(cfg)
    model = build_model(cfg)
    ours = {id(parameter) for parameter in model.parameter_roles()["clip"]}
    wanted = {name: p for name, p in model.named_parameters() if id(p) in ours}
    fitting = {n: state[n] for n, p in wanted.items() if n in state and state[n].shape == p.shape}
    if len(fitting) < len(wanted):
        missing = next(name for name in wanted if name not in fitting)
        raise ValueError(
            f"expected --weights with a CLIP like {cfg.MODEL.CLIP.NAME}, got {checkpoint}, where "
            f"{len(wanted) - len(fitting)} of its {len(wanted)} tensors are missing or of another "
            f"shape, such as {missing}"
        )
    check_values(fitting, checkpoint, wanted)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_checkpoint(target, {name: tensor.float() for name, tensor in fitting.items()})
