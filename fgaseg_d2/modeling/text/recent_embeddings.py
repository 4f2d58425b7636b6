"""The text embeddings of the last vocabularies, which several threads may ask for."""

import threading
from collections import OrderedDict
from collections.abc import Hashable

from torch import Tensor


class RecentEmbeddings:
    """Embeddings by what they were computed from; those not used for longest go first.

    A copy, as of a model that is copied or pickled, begins empty.

    Args:
        size: how many to keep.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._kept: OrderedDict[Hashable, Tensor] = OrderedDict()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple:
        return type(self), (self.size,)

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Hashable) -> Tensor | None:
        """What was put under `key`, or None; not to be written to."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: Hashable, embeddings: Tensor) -> None:
        """Keep embeddings, and drop those not used for longest above the size."""
        with self._lock:
            self._kept[key] = embeddings
            self._kept.move_to_end(key)
            while len(self._kept) > self.size:
                self._kept.popitem(last=False)
