"""Loads configuration files safely, with errors of one line."""

from __future__ import annotations

import ast
import difflib
import logging
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode, get_cfg

from ..checkpoint.files import check_address
from ..checkpoint.hub import is_hub
from ..io.nesting import MAX_DEPTH, check_depth
from ..io.regular_files import is_file
from ..io.yaml_files import MAX_NODES, MAX_YAML_BYTES, parse_yaml
from ..wording import PATH, in_one_line, shown
from .bases import ConfigFiles, is_below
from .checks import check_keys, check_values
from .effects import Use, warn, without_effect
from .finding import FoundModel, config_folder, find_model
from .finding import find_config as find_config  # it has been looked for here
from .keys import add_fgaseg_config
from .renamed_keys import NEW_NAMES, OLD_NAMES, forget_old_name, put, warn_of_old_name
from .values import RULES, leaves, value_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedConfig:
    """A configuration, and what of it somebody wrote down.

    Attributes:
        cfg: frozen.
        changed: keys of ``opts``.
        written: keys of files that do not come with the package.
    """

    cfg: CfgNode
    changed: tuple[str, ...] = ()
    written: tuple[str, ...] = ()

    def without_effect(self, use: Use | None = None) -> dict[str, str]:
        """The keys that somebody set and that change nothing, with the reasons.

        Args:
            use: what the configuration is for. Of a file only what nothing reads is told, because
                it may describe other uses, too.
        """
        found = dict(without_effect(self.cfg, self.written))
        return found | dict(without_effect(self.cfg, self.changed, use))


def load_config(
    config: str | os.PathLike[str] | CfgNode,
    opts: Sequence[Any] = (),
    weights: str | os.PathLike[str] | None = None,
    device: str | torch.device | None = None,
    use: Use | None = None,
) -> CfgNode:
    """Load a configuration: defaults, then the file, then what the caller changes.

    A file is read as plain YAML: tags that would build Python objects are refused. A warning says
    which of the keys that somebody set change nothing.

    Args:
        config: what :func:`find_model` takes, or a configuration, which is copied.
        opts: keys and values in turn, values as text or as they are.
        weights: value of MODEL.WEIGHTS, "" for random ones; None keeps the configuration's.
            ``~`` becomes the home folder, here and in the configuration's other paths.
        device: value of MODEL.DEVICE; None takes the configuration's, and the CPU where that is
            "cuda", no GPU is there, and ``opts`` do not ask for one.
        use: what it is for; a warning then also says which of ``opts`` that does not read.

    Returns:
        The configuration, frozen.

    Raises:
        FileNotFoundError: no such configuration or weights.
        ValueError: not YAML, an unknown key, a value of the wrong type or range, a configuration
            without the keys of fgaseg_d2, or a device that this machine does not have; the message
            is one line.
    """
    loaded = read_config(config, opts, weights, device)
    warn(loaded.without_effect(use).items(), loaded.cfg, logger)
    return loaded.cfg


def read_config(
    config: str | os.PathLike[str] | CfgNode,
    opts: Sequence[Any] = (),
    weights: str | os.PathLike[str] | None = None,
    device: str | torch.device | None = None,
) -> LoadedConfig:
    """As :func:`load_config`, for callers that warn by themselves."""
    written: list[str] = []
    if isinstance(config, CfgNode):
        check_keys(config)
        cfg = config.clone()
        cfg.defrost()
    else:
        cfg = get_cfg()
        add_fgaseg_config(cfg)
        found = find_model(config)
        written += _merge_file(cfg, found.file, bases=not is_hub(found.home))
        _find_own_files(cfg, found)
    changed = _merge_opts(cfg, list(opts))
    if weights is not None:
        cfg.MODEL.WEIGHTS = os.fspath(weights)
    check_values(cfg)
    _expand_paths(cfg)
    _check_weights(cfg.MODEL.WEIGHTS)
    asked = "MODEL.DEVICE" in list(opts)[::2]
    if device is not None:
        cfg.MODEL.DEVICE = str(device)
    elif cfg.MODEL.DEVICE == "cuda" and not asked and not torch.cuda.is_available():
        cfg.MODEL.DEVICE = "cpu"
    _check_device(cfg.MODEL.DEVICE)
    cfg.freeze()
    return LoadedConfig(cfg, tuple(changed), tuple(written))


def _merge_file(cfg: CfgNode, path: Path, *, bases: bool) -> list[str]:
    """Set the keys of a file and its bases; returns those that a person wrote."""
    files = ConfigFiles(bases)
    content = files.read(path)
    try:
        for key, value in leaves(content):
            _set(cfg, key, value)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    written: list[str] = []
    for file, own in files.contents.items():
        keys = [key for key, _ in leaves(own)]
        # A file with most keys is what a run has left behind (config.yaml), not somebody's choice.
        record = len(RULES.keys() & set(keys)) > len(RULES) / 2
        if not record and not is_below(file, config_folder()):
            written += keys
    return written


def _find_own_files(cfg: CfgNode, found: FoundModel) -> None:
    """Let a model's configuration name the files beside it."""
    cfg.MODEL.WEIGHTS = found.weights or found.place(cfg.MODEL.WEIGHTS, ".safetensors")
    cfg.MODEL.CLIP.NAME = found.place(cfg.MODEL.CLIP.NAME, ".json")
    words = cfg.MODEL.WORDS
    words.VOCABULARY = found.place(words.VOCABULARY, ".json")
    words.PROMPT_TEMPLATES = found.place(words.PROMPT_TEMPLATES, ".txt")


def _merge_opts(cfg: CfgNode, opts: list[Any]) -> list[str]:
    """Set keys to values; returns the keys."""
    if len(opts) % 2:
        raise ValueError(
            f"expected pairs of a configuration key and its value, got {len(opts)} words "
            f"({in_one_line(' '.join(map(str, opts)), 200)}); quote a value that has blanks"
        )
    for key, value in zip(opts[::2], opts[1::2], strict=True):
        _set(cfg, str(key), value)
    return [str(key) for key in opts[::2]]


def _set(cfg: CfgNode, key: str, value: Any) -> None:
    """Set one key, by its old or its new name, of which the last that is set counts."""
    _set_one(cfg, key, value)
    if key in NEW_NAMES:
        warn_of_old_name(key)
        put(cfg, NEW_NAMES[key], value_of(cfg, key))
    elif key in OLD_NAMES:
        forget_old_name(cfg, key)


def _set_one(cfg: CfgNode, key: str, value: Any) -> None:
    """Set one key as ``merge_from_list`` does, kinder to whole numbers and to text."""
    known = dict(leaves(cfg))
    if any(name.startswith(f"{key}.") for name in known):
        raise ValueError(
            f"expected {key} to be a section of keys, got {shown(value)}; name a key in it"
        )
    if key not in known:
        near = difflib.get_close_matches(key.upper()[:100], known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else "see fgaseg_d2/config/keys.py for the keys"
        raise ValueError(f"unknown configuration key {in_one_line(key, 120)}; {hint}")
    if key == "VERSION" and value != cfg.VERSION:
        raise ValueError(f"expected a configuration of version {cfg.VERSION}, got {shown(value)}")
    # What reads as a number is meant as text where the key wants text, and 1 as 1.0.
    plain = _plain(key, value)
    current = known[key]
    if isinstance(current, str) and isinstance(value, str) and not isinstance(plain, str):
        value = repr(value)
    elif isinstance(current, list) and isinstance(plain, str):
        value = _list_of_a_file(plain)
    elif isinstance(current, float) and type(plain) is int:
        # No float is as large as some whole numbers.
        value = float(plain) if abs(plain) < 1e300 else math.inf
    try:
        cfg.merge_from_list([key, value])
    except (ValueError, AssertionError) as error:
        raise ValueError(
            f"expected {key} of type {type(current).__name__}, such as {shown(current)}, got "
            f"{shown(value)}; correct the value"
        ) from error


def _list_of_a_file(text: str) -> Any:
    """A list as a configuration file writes it, such as [{name: mine}]; other text as it is."""
    try:
        found = parse_yaml(text)
    except ValueError:
        return text
    return found if isinstance(found, list) else text


def _plain(key: str, value: Any) -> Any:
    """A value as Detectron2 reads it from a command line, within the bounds of a file's."""
    if isinstance(value, str):
        if len(value) > MAX_YAML_BYTES:
            raise ValueError(
                f"expected {key} of at most {MAX_YAML_BYTES} characters, got {len(value)}"
            )
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            return value
        except (RecursionError, MemoryError):
            raise ValueError(
                f"expected {key} of at most {MAX_DEPTH} levels, one in the other, got "
                f"{shown(value)}"
            ) from None
    check_depth(value, key, MAX_NODES)
    return value


def expand_paths(cfg: CfgNode) -> CfgNode:
    """Return the configuration with the home folder for ``~`` wherever a value is a path.

    Args:
        cfg: not changed.
    """
    frozen, cfg = cfg.is_frozen(), cfg.clone()
    cfg.defrost()
    _expand_paths(cfg)
    if frozen:
        cfg.freeze()
    return cfg


def _expand_paths(cfg: CfgNode) -> None:
    cfg.OUTPUT_DIR = os.path.expanduser(cfg.OUTPUT_DIR)
    cfg.MODEL.WEIGHTS = os.path.expanduser(cfg.MODEL.WEIGHTS)
    cfg.MODEL.CLIP.PRETRAINED = os.path.expanduser(cfg.MODEL.CLIP.PRETRAINED)
    if cfg.MODEL.CLIP.NAME.endswith(".json"):
        cfg.MODEL.CLIP.NAME = os.path.expanduser(cfg.MODEL.CLIP.NAME)
    for words in (cfg.MODEL.WORDS, cfg.MODEL.FGASEG):
        if "{}" not in words.PROMPT_TEMPLATES:
            words.PROMPT_TEMPLATES = os.path.expanduser(words.PROMPT_TEMPLATES)


def _check_weights(weights: str) -> None:
    check_address(weights)
    if weights and "://" not in weights and not is_file(weights):
        raise FileNotFoundError(
            f"expected a file with weights at {shown(weights, PATH)}, got nothing; check the path, "
            'or give "" for random weights'
        )


def _check_device(device: str) -> None:
    try:
        wanted = torch.device(device)
        torch.empty(0, device=wanted)
    # torch raises whatever its backend does: RuntimeError, AssertionError, NotImplementedError.
    except Exception as error:
        reason = in_one_line(str(error).strip().partition("\n")[0], 150)
        raise ValueError(
            f"expected a device that this machine has, such as 'cpu', got {shown(device)} "
            f"({reason}); choose another"
        ) from error
