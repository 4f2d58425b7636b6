"""The tokenizer of a CLIP's text tower."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import open_clip
from open_clip.tokenizer import HFTokenizer
from torch import Tensor

from ...io.regular_files import home_path
from ...wording import plain
from .model_names import resolve_name

Tokenizer = Callable[[list[str]], Tensor]


def build_tokenizer(name: str, folder: str = "") -> Tokenizer:
    """The tokenizer that goes with a model.

    Args:
        name: of a model or configuration file, see `load_clip`.
        folder: with the files of a Hugging Face tokenizer, to take instead of the one that the
            model names; "" for that, from the cache of transformers or the network.

    Raises:
        ValueError: the tokenizer needs a library that is missing, or cannot be had.
        FileNotFoundError: there is no such folder.
    """
    name = resolve_name(name)
    text = open_clip.get_model_config(name)["text_cfg"]
    source = folder or text.get("hf_tokenizer_name") or text.get("hf_model_name")
    if not source:
        return open_clip.get_tokenizer(name)
    if folder and not home_path(folder).is_dir():
        raise FileNotFoundError(
            f"expected `tokenizer` to be a folder with a tokenizer's files, got {plain(folder)}, "
            "which is none; check the path."
        )
    with _one_line(name, source):
        if not folder:
            return open_clip.get_tokenizer(name)
        return HFTokenizer(
            str(home_path(folder)),
            context_length=text.get("context_length", 77),
            tokenizer_mode=text.get("tokenizer_mode"),
            **text.get("tokenizer_kwargs", {}),
        )


@contextmanager
def _one_line(name: str, source: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise ValueError(
            f"expected the library transformers, which the tokenizer {plain(source, 60)} of "
            f"'{plain(name, 40)}' needs, got none ({plain(str(error), 60)}); pip install "
            "'fgaseg_d2[tokenizers]'."
        ) from error
    # transformers passes on whatever its parts raise.
    except Exception as error:
        lines = str(error).strip().rstrip(".").splitlines() or [type(error).__name__]
        raise ValueError(
            f"expected the tokenizer {plain(source, 60)} of '{plain(name, 40)}', but: "
            f"{plain(lines[0], 200)}; connect to the network, or set `tokenizer` to a folder with "
            "its files."
        ) from error
