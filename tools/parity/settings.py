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

# Words of a configuration file's name -> our keys. The size comes first; earlier patterns win.
_SIZES = {"vitb_384": "fgaseg/vitb16_384", "vitl_336": "fgaseg/vitl14_336"}
_WORDS: list[tuple[str, dict[str, Any]]] = [
    (r"no_fast", {f"{_FGA}FAST.ENABLED": False}),
    (r"fast", {f"{_FGA}FAST.ENABLED": True}),
    (r"cat", {f"{_FGA}FUSION": "cat"}),
    (r"add", {f"{_FGA}FUSION": "add"}),
    # Early rejection in inference belongs to every fast model here.
    (r"topk_inference", {}),
    # No more than no_fast and cat, which this file's name leaves out.
    (r"ablation_blank", {f"{_FGA}FUSION": "cat"}),
    (r"kernel_(\d+)", {f"{_FGA}LCS.KERNEL_SIZE": int}),
    (r"p2t_(\d+)", {f"{_FGA}P2T.LAYERS": int}),
    # Not what its name says.
    (r"align_0\.001", {f"{_FGA}LOSS.T2P_WEIGHT": 0.002}),
    (r"align_([\d.]+)", {f"{_FGA}LOSS.T2P_WEIGHT": float}),
    # With (w) or without (wo): both files have one layer.
    (r"frozen_wo?_P2Tformer", {"MODEL.CLIP.FINETUNE": "frozen"}),
]

Translation = Callable[[Any], dict[str, Any]]


def _as_is(*keys: str) -> Translation:
    return lambda value: dict.fromkeys(keys, value)


def _choice(key: str, values: dict[Any, Any]) -> Translation:
    return lambda value: {key: values[value]}


def _only(*values: Any) -> Translation:
    """A key that may stand there, but with nothing else than these values."""

    def translate_value(value: Any) -> dict[str, Any]:
        if value not in values:
            raise KeyError(value)
        return {}

    return translate_value


def _t2p_weight(value: Any) -> dict[str, Any]:
    # 0 would leave the branch out of our model, though its output may be recorded: a weight that no
    # recorded number can show instead.
    return {f"{_FGA}LOSS.T2P_WEIGHT": float(value) or 1e-9}


def _layers(value: Any) -> dict[str, Any]:
    # Without layers the authors' code still scales the text by gamma, which nothing here does.
    if int(value) < 1:
        raise KeyError(value)
    return {f"{_FGA}P2T.LAYERS": int(value)}


def _clip(value: Any) -> dict[str, Any]:
    name, side = {
        "ViT-B/16": ("ViT-B-16-quickgelu", 384),
        "ViT-L/14": ("ViT-L-14-quickgelu", 336),
        "ViT-L/14@336px": ("ViT-L-14-336-quickgelu", 336),
    }[value]
    return {"MODEL.CLIP.NAME": name, "MODEL.CLIP.IMAGE_SIZE": [side, side]}


# Changed keys -> ours. A KeyError says that the value has no counterpart here.
_KEYS: dict[str, Translation] = {
    f"{_HEAD}POOLING_SIZES": _as_is(f"{_FGA}POOLING_TRAIN", f"{_FGA}POOLING_TEST"),
    f"{_HEAD}KERNEL_SIZE": _as_is(f"{_FGA}LCS.KERNEL_SIZE"),
    f"{_HEAD}P2T_LAYER": _layers,
    f"{_HEAD}FUSION_MOD": _as_is(f"{_FGA}FUSION"),
    f"{_HEAD}DECODER_MOD": _choice(
        f"{_FGA}FAST.ENABLED", {"no_fast": False, "fast": True, "fast_topk_inference": True}
    ),
    f"{_HEAD}LAMBDA_ALIGN": _t2p_weight,
    # The authors' code weighs the first auxiliary head only.
    f"{_HEAD}LAMBDA_AUXI": lambda value: {f"{_FGA}LOSS.AUX_WEIGHTS": [float(value), 1.0, 1.0]},
    f"{_HEAD}CLIP_FINETUNE": _as_is("MODEL.CLIP.FINETUNE"),
    f"{_HEAD}PROMPT_LENGTH": _as_is("MODEL.CLIP.PROMPT_LENGTH"),
    f"{_HEAD}PROMPT_DEPTH": _as_is("MODEL.CLIP.PROMPT_DEPTH"),
    f"{_HEAD}CLIP_PRETRAINED": _clip,
    f"{_HEAD}HIDDEN_DIMS": _as_is(f"{_FGA}HIDDEN_DIM"),
    f"{_HEAD}NUM_LAYERS": _as_is(f"{_FGA}AGGREGATION_LAYERS"),
    f"{_HEAD}NUM_HEADS": _as_is(f"{_FGA}ATTENTION_HEADS"),
    f"{_HEAD}WINDOW_SIZES": _as_is(f"{_FGA}WINDOW_SIZE"),
    f"{_HEAD}DECODER_DIMS": _as_is(f"{_FGA}DECODER_DIMS"),
    f"{_HEAD}DECODER_GUIDANCE_DIMS": _only([256, 128]),
    f"{_HEAD}DECODER_GUIDANCE_PROJ_DIMS": _as_is(f"{_FGA}DECODER_GUIDANCE_DIMS"),
    # Two widths there, one here.
    f"{_HEAD}TEXT_GUIDANCE_PROJ_DIM": _only(128),
    f"{_HEAD}APPEARANCE_GUIDANCE_PROJ_DIM": _only(128),
    # The width of CLIP's joint embedding, which the model knows.
    f"{_HEAD}TEXT_GUIDANCE_DIM": _only(512, 768),
    f"{_HEAD}APPEARANCE_GUIDANCE_DIM": _only(512, 768),
    f"{_HEAD}FEATURE_RESOLUTION": _only([24, 24]),
    f"{_HEAD}ATTENTION_TYPE": _only("linear"),
    f"{_HEAD}IGNORE_VALUE": _only(255),
    "MODEL.PROMPT_ENSEMBLE_TYPE": _choice(f"{_FGA}PROMPT_TEMPLATES", {"single": "single"}),
    "MODEL.CLIP_PIXEL_MEAN": _as_is("MODEL.PIXEL_MEAN"),
    "MODEL.CLIP_PIXEL_STD": _as_is("MODEL.PIXEL_STD"),
    "MODEL.MASK_FORMER.SIZE_DIVISIBILITY": _only(32),
    "TEST.SLIDING_WINDOW": _as_is("TEST.SLIDING_WINDOW.ENABLED"),
}
# Says nothing about what is recorded: the vocabulary, the picture and the weights come with the
# file, the model runs on the CPU, one training step has no optimiser, and MODEL.PIXEL_MEAN and
# MODEL.PIXEL_STD belong to a backbone that these models do not have.
_WITHOUT_EFFECT = re.compile(
    rf"{re.escape(_HEAD)}(T(RAIN|EST)_CLASS_(JSON|INDEXES)|NUM_CLASSES|IN_FEATURES|NAME)"
    r"|MODEL\.(DEVICE|WEIGHTS|META_ARCHITECTURE|PROMPT_ENSEMBLE|PIXEL_MEAN|PIXEL_STD)"
    r"|MODEL\.(SWIN|BACKBONE)\..*|(SOLVER|DATASETS|DATALOADER|INPUT)\..*"
    r"|TEST\.EVAL_PERIOD|OUTPUT_DIR|SEED|VERSION|CUDNN_BENCHMARK"
)


@dataclasses.dataclass(frozen=True)
class Settings:
    """A configuration of the reference in our terms.

    Args:
        config: name of our configuration.
        values: our keys and values on top of it.
        is_catseg: whether it is CAT-Seg's, not FGA-seg's.
        ignored: keys of the reference that say nothing about what is recorded.
    """

    config: str
    values: dict[str, Any]
    is_catseg: bool
    ignored: tuple[str, ...] = ()

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
    ignored = []
    for key, text in zip(opts[::2], opts[1::2], strict=True):
        if _WITHOUT_EFFECT.fullmatch(key):
            ignored.append(key)
        else:
            values |= _translate_key(key, text)
    if not words:
        # The T2P branch is a loss that CAT-Seg does not have.
        values[f"{_FGA}LOSS.T2P_WEIGHT"] = 0.0
    return Settings(size, values, not words, tuple(ignored))


def _translate_key(key: str, text: str) -> dict[str, Any]:
    if key not in _KEYS:
        raise ValueError(f"expected one of the keys {', '.join(_KEYS)}, got {key}.")
    value = _value(text)
    # Lists and tuples are the same to a configuration.
    value = list(value) if isinstance(value, tuple) else value
    try:
        return _KEYS[key](value)
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"expected a value of {key} known here, got {text}.") from None


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
