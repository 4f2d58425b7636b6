"""Finds configuration files by name, and loads them safely with errors of one line."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from detectron2.config import CfgNode, get_cfg

from fgaseg_d2.checkpoint_files import check_address
from fgaseg_d2.config import add_fgaseg_config

_PACKAGE = Path(__file__).resolve().parent


def config_folder() -> Path:
    """Folder of the bundled configurations: in the package (a wheel) or beside it (a checkout)."""
    installed = _PACKAGE / "configs"
    return installed if installed.is_dir() else _PACKAGE.parent / "configs"


def find_config(name_or_path: str | os.PathLike[str]) -> Path:
    """Find a configuration file.

    Args:
        name_or_path: path of a YAML file, or name of a bundled configuration, such as "tiny",
            "fgaseg/tiny" or "vitb16_384".

    Raises:
        FileNotFoundError: there is none.
    """
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path
    folder = config_folder()
    bundled = {
        file.relative_to(folder).with_suffix("").as_posix(): file
        for file in sorted(folder.rglob("*.yaml"), key=lambda file: (len(file.parts), file))
    }
    wanted = path.as_posix().removesuffix(".yaml")
    for name, file in bundled.items():
        if name == wanted or name.endswith(f"/{wanted}"):
            return file
    names = [name.rpartition("/")[2] for name in bundled]
    near = difflib.get_close_matches(wanted.rpartition("/")[2], names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"the names are {', '.join(names) or 'none'}"
    raise FileNotFoundError(
        f"expected a YAML file or the name of a bundled configuration, got {str(name_or_path)!r}; "
        f"{hint}"
    )


def load_config(
    config: str | os.PathLike[str] | CfgNode,
    opts: Sequence[Any] = (),
    weights: str | os.PathLike[str] | None = None,
    device: str | torch.device | None = None,
) -> CfgNode:
    """Load a configuration: defaults, then the file, then what the caller changes.

    A file is read as plain YAML: tags that would build Python objects are refused.

    Args:
        config: what :func:`find_config` takes, or a configuration, which is copied.
        opts: keys and values in turn, values as text or as they are.
        weights: value of MODEL.WEIGHTS, "" for random ones; None keeps the configuration's.
            ``~`` becomes the home folder, here and in the configuration's other paths.
        device: value of MODEL.DEVICE; None takes the configuration's, and the CPU where that is
            "cuda", no GPU is there, and ``opts`` do not ask for one.

    Returns:
        The configuration, frozen.

    Raises:
        FileNotFoundError: no such configuration or weights.
        ValueError: not YAML, an unknown key, a value of the wrong type, a configuration without the
            keys of fgaseg_d2, or a device that this machine does not have; the message is one line.
    """
    if isinstance(config, CfgNode):
        _check_keys(config)
        cfg = config.clone()
        cfg.defrost()
    else:
        cfg = get_cfg()
        add_fgaseg_config(cfg)
        _merge_file(cfg, find_config(config))
    _merge_opts(cfg, list(opts))
    if weights is not None:
        cfg.MODEL.WEIGHTS = os.fspath(weights)
    _expand_paths(cfg)
    _check_weights(cfg.MODEL.WEIGHTS)
    asked = "MODEL.DEVICE" in list(opts)[::2]
    if device is not None:
        cfg.MODEL.DEVICE = str(device)
    elif cfg.MODEL.DEVICE == "cuda" and not asked and not torch.cuda.is_available():
        cfg.MODEL.DEVICE = "cpu"
    _check_device(cfg.MODEL.DEVICE)
    cfg.freeze()
    return cfg


def _merge_file(cfg: CfgNode, path: Path) -> None:
    try:
        for key, value in leaves(_read_yaml(path)):
            _set(cfg, key, value)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _read_yaml(path: Path) -> dict:
    """Read a file and those that it names as ``_BASE_``."""
    try:
        content = CfgNode.load_yaml_with_base(str(path), allow_unsafe=False)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{path}: expected its _BASE_ at {error.filename!r}, got nothing; correct the path"
        ) from error
    except RecursionError as error:
        raise ValueError("expected a _BASE_ that ends somewhere, got a circle; cut it") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"expected plain YAML, got an error ({reason}); correct it") from error
    # An empty file, or a section that is a value in its base.
    except (TypeError, AttributeError, AssertionError):
        content = None
    if not isinstance(content, dict):
        raise ValueError("expected sections such as MODEL: with keys, got other YAML; correct it")
    return content


def _merge_opts(cfg: CfgNode, opts: list[Any]) -> None:
    if len(opts) % 2:
        raise ValueError(
            f"expected pairs of a configuration key and its value, got {len(opts)} words "
            f"({' '.join(map(str, opts))}); quote a value that has blanks"
        )
    for key, value in zip(opts[::2], opts[1::2], strict=True):
        _set(cfg, str(key), value)


def _set(cfg: CfgNode, key: str, value: Any) -> None:
    """Set one key as ``merge_from_list`` does, kinder to whole numbers and to text."""
    known = dict(leaves(cfg))
    if any(name.startswith(f"{key}.") for name in known):
        raise ValueError(f"expected {key} to be a section of keys, got {value!r}; name a key in it")
    if key not in known:
        near = difflib.get_close_matches(key.upper(), known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else "see fgaseg_d2/config.py for the keys"
        raise ValueError(f"unknown configuration key {key}; {hint}")
    if key == "VERSION" and value != cfg.VERSION:
        raise ValueError(f"expected a configuration of version {cfg.VERSION}, got {value!r}")
    # What reads as a number is meant as text where the key wants text, and 1 as 1.0.
    plain = CfgNode._decode_cfg_value(value)
    current = known[key]
    if isinstance(current, str) and isinstance(value, str) and not isinstance(plain, str):
        value = repr(value)
    elif isinstance(current, float) and type(plain) is int:
        value = float(plain)
    try:
        cfg.merge_from_list([key, value])
    except (ValueError, AssertionError) as error:
        raise ValueError(
            f"expected {key} of type {type(current).__name__}, such as {current!r}, got "
            f"{value!r}; correct the value"
        ) from error


def leaves(node: dict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the keys of a configuration, such as "MODEL.CLIP.NAME", with their values."""
    for key, value in node.items():
        if isinstance(value, dict) and (value or not prefix):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _check_keys(cfg: CfgNode) -> None:
    """Refuse a configuration that ``add_fgaseg_config`` has not seen."""
    wanted = get_cfg()
    add_fgaseg_config(wanted)
    known = dict(leaves(cfg))
    missing = [key for key, _ in leaves(wanted) if key not in known]
    if missing:
        raise ValueError(
            f"expected a configuration with the keys of fgaseg_d2, got one without {missing[0]}; "
            "call add_fgaseg_config(cfg) first"
        )


def _expand_paths(cfg: CfgNode) -> None:
    """Put the home folder for ``~`` wherever a value is a path."""
    cfg.MODEL.WEIGHTS = os.path.expanduser(cfg.MODEL.WEIGHTS)
    cfg.MODEL.CLIP.PRETRAINED = os.path.expanduser(cfg.MODEL.CLIP.PRETRAINED)
    if cfg.MODEL.CLIP.NAME.endswith(".json"):
        cfg.MODEL.CLIP.NAME = os.path.expanduser(cfg.MODEL.CLIP.NAME)
    if "{}" not in cfg.MODEL.FGASEG.PROMPT_TEMPLATES:
        templates = os.path.expanduser(cfg.MODEL.FGASEG.PROMPT_TEMPLATES)
        cfg.MODEL.FGASEG.PROMPT_TEMPLATES = templates


def _check_weights(weights: str) -> None:
    check_address(weights)
    if weights and "://" not in weights and not Path(weights).is_file():
        raise FileNotFoundError(
            f"expected a file with weights at {weights!r}, got nothing; check the path, or give "
            '"" for random weights'
        )


def _check_device(device: str) -> None:
    try:
        wanted = torch.device(device)
        torch.empty(0, device=wanted)
    # torch raises whatever its backend does: RuntimeError, AssertionError, NotImplementedError.
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f"expected a device that this machine has, such as 'cpu', got {device!r} ({reason}); "
            "choose another"
        ) from error
