"""Errors of a part name its arguments; where a configuration built the part, they name its keys.

A part knows no key: it writes "expected `heads` to divide `dim` 128, got 3".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar

from detectron2.config import CfgNode

_ARGUMENT = re.compile(r"`(\w+)`")
_Init = TypeVar("_Init", bound=Callable[..., None])
# Where what all methods share comes from, for their `built_from_keys`.
SHARED_KEYS = {
    "image_size": "MODEL.CLIP.IMAGE_SIZE",
    "sliding_window": "TEST.SLIDING_WINDOW",
    "max_views": "TEST.MAX_VIEWS",
    "mode": "MODEL.CLIP.FINETUNE",
    "prompt_length": "MODEL.CLIP.PROMPT_LENGTH",
    "prompt_depth": "MODEL.CLIP.PROMPT_DEPTH",
}


@contextmanager
def keys_of(**keys: str) -> Iterator[None]:
    """While open, errors name keys in place of the arguments that stand in backticks.

    Args:
        keys: the key that each argument comes from, such as heads="MODEL.FGASEG.P2T.HEADS";
            other arguments stay as they are.
    """
    try:
        yield
    except (ValueError, OSError) as error:
        # Not a new error: its type and what else it carries stay.
        if len(error.args) == 1 and isinstance(error.args[0], str):
            named = _ARGUMENT.sub(lambda found: keys.get(found[1], found[0]), error.args[0])
            error.args = (named,)
        raise


def built_from_keys(**keys: str) -> Callable[[_Init], _Init]:
    """Decorate a `configurable` constructor: `keys_of` where it is called with a configuration.

    Args:
        keys: as for `keys_of`; also of the arguments of what `from_config` builds.
    """

    def decorate(init: _Init) -> _Init:
        @wraps(init)
        def wrapped(self: Any, *args: Any, **kwargs: Any) -> None:
            if any(isinstance(value, CfgNode) for value in (*args, *kwargs.values())):
                with keys_of(**keys):
                    return init(self, *args, **kwargs)
            return init(self, *args, **kwargs)

        return wrapped  # type: ignore[return-value]

    return decorate
