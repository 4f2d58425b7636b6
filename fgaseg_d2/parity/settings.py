"""The reference's configurations in ours: the one table of its names and keys.

A golden file names one of the reference's configuration files and the keys that were changed.
"""

import ast
import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Any

_HEAD = "MODEL.SEM_SEG_HEAD."
_FGA = "MODEL.FGASEG."

# Words of a configuration file's name -> our keys. The size comes first.
_SIZES = {"vitb_384": "fgaseg/vitb16_384", "vitl_336": "fgaseg/vitl14_336"}
_WORDS: list[tuple[str, dict[str, Any]]] = [
    (r"no_fast", {f"{_FGA}FAST.ENABLED": False}),
    (r"fast", {f"{_FGA}FAST.ENABLED": True}),
    (r"cat", {f"{_FGA}FUSION": "cat"}),
    (r"add", {f"{_FGA}FUSION": "add"}),
    # Early rejection in inference belongs to every fast model here.
    (r"topk_inference", {}),
    (r"kernel_(\d+)", {f"{_FGA}LCS.KERNEL_SIZE": int}),
    (r"p2t_(\d+)", {f"{_FGA}P2T.LAYERS": int}),
    (r"align_([\d.]+)", {f"{_FGA}LOSS.T2P_WEIGHT": float}),
    (r"frozen_w_P2Tformer", {"MODEL.CLIP.FINETUNE": "frozen"}),
    (r"frozen_wo_P2Tformer", {"MODEL.CLIP.FINETUNE": "frozen", f"{_FGA}P2T.LAYERS": 0}),
]


def _as_is(*keys: str) -> Callable[[Any], dict[str, Any]]:
    return lambda value: dict.fromkeys(keys, value)


def _choice(key: str, values: dict[Any, Any]) -> Callable[[Any], dict[str, Any]]:
    return lambda value: {key: values[value]}


# Changed keys -> ours.
_KEYS: dict[str, Callable[[Any], dict[str, Any]]] = {
    f"{_HEAD}POOLING_SIZES": _as_is(f"{_FGA}POOLING_TRAIN", f"{_FGA}POOLING_TEST"),
    f"{_HEAD}KERNEL_SIZE": _as_is(f"{_FGA}LCS.KERNEL_SIZE"),
    f"{_HEAD}P2T_LAYER": _as_is(f"{_FGA}P2T.LAYERS"),
    f"{_HEAD}FUSION_MOD": _as_is(f"{_FGA}FUSION"),
    f"{_HEAD}DECODER_MOD": _choice(
        f"{_FGA}FAST.ENABLED", {"no_fast": False, "fast": True, "fast_topk_inference": True}
    ),
    f"{_HEAD}LAMBDA_ALIGN": lambda value: {f"{_FGA}LOSS.T2P_WEIGHT": float(value)},
    # The authors' code weighs the first auxiliary head only.
    f"{_HEAD}LAMBDA_AUXI": lambda value: {f"{_FGA}LOSS.AUX_WEIGHTS": [float(value), 1.0, 1.0]},
    f"{_HEAD}CLIP_FINETUNE": _as_is("MODEL.CLIP.FINETUNE"),
    f"{_HEAD}CLIP_PRETRAINED": _choice(
        "MODEL.CLIP.NAME",
        {"ViT-B/16": "ViT-B-16-quickgelu", "ViT-L/14@336px": "ViT-L-14-336-quickgelu"},
    ),
    f"{_HEAD}HIDDEN_DIMS": _as_is(f"{_FGA}HIDDEN_DIM"),
    f"{_HEAD}NUM_LAYERS": _as_is(f"{_FGA}AGGREGATION_LAYERS"),
    f"{_HEAD}NUM_HEADS": _as_is(f"{_FGA}ATTENTION_HEADS"),
    f"{_HEAD}WINDOW_SIZES": _as_is(f"{_FGA}WINDOW_SIZE"),
    f"{_HEAD}DECODER_DIMS": _as_is(f"{_FGA}DECODER_DIMS"),
    f"{_HEAD}DECODER_GUIDANCE_DIMS": _as_is(f"{_FGA}GUIDANCE_DIMS"),
    f"{_HEAD}DECODER_GUIDANCE_PROJ_DIMS": _as_is(f"{_FGA}DECODER_GUIDANCE_DIMS"),
    f"{_HEAD}TEXT_GUIDANCE_PROJ_DIM": _as_is(f"{_FGA}GUIDANCE_DIM"),
    f"{_HEAD}APPEARANCE_GUIDANCE_PROJ_DIM": _as_is(f"{_FGA}GUIDANCE_DIM"),
    f"{_HEAD}IGNORE_VALUE": _as_is(f"{_HEAD}IGNORE_VALUE"),
    "MODEL.PROMPT_ENSEMBLE_TYPE": _choice(f"{_FGA}PROMPT_TEMPLATES", {"single": "single"}),
    "TEST.SLIDING_WINDOW": _as_is("TEST.SLIDING_WINDOW.ENABLED"),
}
# Says nothing about what is computed here: the vocabulary comes with the file, sizes follow from
# the picture, the model runs on the CPU.
_WITHOUT_EFFECT = {
    *(f"{_HEAD}{key}" for key in ("TRAIN_CLASS_JSON", "TEST_CLASS_JSON", "NUM_CLASSES")),
    *(f"{_HEAD}{key}" for key in ("FEATURE_RESOLUTION", "TEXT_GUIDANCE_DIM")),
    *(f"{_HEAD}{key}" for key in ("APPEARANCE_GUIDANCE_DIM", "ATTENTION_TYPE")),
    *("MODEL.DEVICE", "MODEL.WEIGHTS", "OUTPUT_DIR", "INPUT.SIZE_DIVISIBILITY"),
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """A configuration of the reference in our terms.

    Args:
        config: name of our configuration.
        values: our keys and values on top of it.
        is_catseg: whether it is CAT-Seg's, not FGA-seg's.
    """

    config: str
    values: dict[str, Any]
    is_catseg: bool

    @property
    def opts(self) -> list[Any]:
        """Keys and values in turn."""
        return [word for item in self.values.items() for word in item]

    @property
    def is_fast(self) -> bool:
        """Whether early rejection is on."""
        return bool(self.values.get(f"{_FGA}FAST.ENABLED", False))


def translate(config: str, opts: Sequence[str]) -> Settings:
    """Translate a configuration of the reference.

    Args:
        config: name of its configuration file, such as "vitb_384_no_fast_cat", or of one of
            CAT-Seg's, such as "vitb_384".
        opts: changed keys and their values in turn, as text.

    Returns:
        The same in our terms.

    Raises:
        ValueError: a name, key or value that has no counterpart here.
    """
    size, *words = _split(config.removesuffix(".yaml").rpartition("/")[2])
    # Trained, and by default tested, with pooling; weights come from the golden file's rule.
    values: dict[str, Any] = {f"{_FGA}POOLING_TEST": [2, 2], "MODEL.CLIP.PRETRAINED": ""}
    # Everything is to be computed anew.
    values["MODEL.CLIP.TEXT_CACHE_SIZE"] = 0
    for word in words:
        values |= word
    if len(opts) % 2:
        raise ValueError(f"expected keys and values in turn, got {len(opts)} words: {opts}.")
    for key, text in zip(opts[::2], opts[1::2], strict=True):
        if key in _WITHOUT_EFFECT:
            continue
        if key not in _KEYS:
            raise ValueError(f"expected one of the keys {', '.join(_KEYS)}, got {key}.")
        try:
            values |= _KEYS[key](_value(text))
        except KeyError:
            raise ValueError(f"expected a value of {key} known here, got {text}.") from None
    if not words:
        # The T2P branch is a loss that CAT-Seg does not have.
        values[f"{_FGA}LOSS.T2P_WEIGHT"] = 0.0
    return Settings(size, values, is_catseg=not words)


def _split(name: str) -> list[Any]:
    """Our configuration's name, and what each further word of the reference's says."""
    size = next((size for size in _SIZES if name == size or name.startswith(f"{size}_")), None)
    if size is None:
        raise ValueError(f"expected a configuration {' or '.join(_SIZES)}_..., got {name}.")
    found: list[Any] = [_SIZES[size]]
    rest = name[len(size) :]
    while rest:
        for pattern, values in _WORDS:
            if match := re.match(f"_{pattern}(?=_|$)", rest):
                found.append({k: v(match[1]) if callable(v) else v for k, v in values.items()})
                rest = rest[match.end() :]
                break
        else:
            raise ValueError(f"expected words known here in configuration {name}, got '{rest}'.")
    return found


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
