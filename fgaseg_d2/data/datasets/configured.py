"""Registers the datasets that a configuration describes."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from detectron2.config import CfgNode

from ...wording import shown
from .captions import register_captions
from .folders import register_folders
from .segments import register_segments
from .shards import register_caption_shards


class _Form(NamedTuple):
    """What registers an item, the keys that it must have, the name first, and those it may have."""

    register: Callable[..., None]
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()


# Key of DATASETS -> what its items may be.
_FORMS: dict[str, tuple[_Form, ...]] = {
    "FOLDERS": (
        _Form(register_folders, ("name", "images", "labels", "vocabulary"), ("ignore_label",)),
    ),
    "CAPTIONS": (
        _Form(register_captions, ("name", "file"), ("images", "columns")),
        _Form(register_caption_shards, ("name", "shards")),
    ),
    "SEGMENTS": (_Form(register_segments, ("name", "file"), ("images",)),),
}


def register_configured(cfg: CfgNode) -> list[str]:
    """Register every item of DATASETS.FOLDERS, DATASETS.CAPTIONS and DATASETS.SEGMENTS.

    Args:
        cfg: only these are used, lists of the arguments of :func:`register_folders`,
            :func:`register_captions` or :func:`register_caption_shards`, and
            :func:`register_segments` by name.

    Returns:
        The names of the datasets.

    Raises:
        FileNotFoundError, ValueError: as these functions, or an item of another form.
    """
    names: list[str] = []
    for key in _FORMS:
        for position, item in enumerate(cfg.DATASETS[key]):
            where = f"DATASETS.{key}, item {position + 1}"
            form = _form_of(item, _FORMS[key], where)
            try:
                form.register(**item)
            except (FileNotFoundError, ValueError) as error:
                raise type(error)(f"{where}: {error}") from None
            if item["name"] in names:
                raise ValueError(f"{where}: expected another name, got {shown(item['name'])} again")
            names.append(item["name"])
    return names


def _form_of(item: Any, forms: tuple[_Form, ...], where: str) -> _Form:
    """The first form of which an item has a key beside the name that it must have."""
    if not isinstance(item, Mapping):
        texts = (f"{{{', '.join(f'{key}: ...' for key in form.required)}}}" for form in forms)
        raise ValueError(f"{where}: expected {' or '.join(texts)}, got {shown(item)}")
    fitting = [form for form in forms if any(key in item for key in form.required[1:])]
    meant = fitting[:1] or list(forms)
    keys = list(dict.fromkeys(key for form in meant for key in (*form.required, *form.optional)))
    for key in item:
        if key not in keys:
            near = difflib.get_close_matches(str(key), keys, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"the keys are {', '.join(keys)}"
            raise ValueError(f"{where}: unknown key {shown(key)}; {hint}")
    missing = [key for form in meant for key in form.required if key not in item]
    if missing:
        wanted = " or ".join(", ".join(form.required) for form in meant)
        added = missing[:1] if len(meant) == 1 or "name" in missing else missing
        raise ValueError(
            f"{where}: expected the keys {wanted}; add {' or '.join(map(shown, added))}"
        )
    return meant[0]
