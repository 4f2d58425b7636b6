"""Registers the datasets that a configuration describes."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from detectron2.config import CfgNode

from ...wording import shown
from .captions import register_captions
from .folders import register_folders
from .segments import register_segments
from .shards import register_caption_shards

# Key of DATASETS -> what registers an item, the keys that it must have, and those it may have.
_Form: TypeAlias = tuple[Callable[..., None], tuple[str, ...], tuple[str, ...]]
_FORMS: dict[str, _Form] = {
    "FOLDERS": (register_folders, ("name", "images", "labels", "vocabulary"), ("ignore_label",)),
    "CAPTIONS": (register_captions, ("name", "file"), ("images", "columns")),
    "SEGMENTS": (register_segments, ("name", "file"), ("images",)),
}
# Instead of these, where an item has this key.
_OTHER_FORMS: dict[tuple[str, str], _Form] = {
    ("CAPTIONS", "shards"): (register_caption_shards, ("name", "shards"), ()),
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
            register, required, optional = _form_of(key, item)
            _check_item(item, required, optional, where)
            try:
                register(**item)
            except (FileNotFoundError, ValueError) as error:
                raise type(error)(f"{where}: {error}") from None
            if item["name"] in names:
                raise ValueError(f"{where}: expected another name, got {shown(item['name'])} again")
            names.append(item["name"])
    return names


def _form_of(key: str, item: Any) -> _Form:
    for (other, sign), form in _OTHER_FORMS.items():
        if other == key and isinstance(item, Mapping) and sign in item:
            return form
    return _FORMS[key]


def _check_item(
    item: Any, required: tuple[str, ...], optional: tuple[str, ...], where: str
) -> None:
    if not isinstance(item, Mapping):
        form = ", ".join(f"{key}: ..." for key in required)
        raise ValueError(f"{where}: expected {{{form}}}, got {shown(item)}")
    keys = (*required, *optional)
    for key in item:
        if key not in keys:
            near = difflib.get_close_matches(str(key), keys, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"the keys are {', '.join(keys)}"
            raise ValueError(f"{where}: unknown key {shown(key)}; {hint}")
    missing = [key for key in required if key not in item]
    if missing:
        raise ValueError(
            f"{where}: expected the keys {', '.join(required)}; add {shown(missing[0])}"
        )
