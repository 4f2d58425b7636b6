"""Samples of shards for training: another takes the place of one that is broken."""

from __future__ import annotations

from collections.abc import Callable

from torch.utils.data import Dataset

from ...wording import shown
from ..seeding import derived_seed
from .broken import Broken, BrokenPictureError
from .records import ShardRecords

# Key of a sample: what was passed over before it was taken.
PASSED_OVER = "passed_over"


class ShardSamples(Dataset):
    """A map-style dataset; what a position gives depends on the shards alone."""

    def __init__(self, name: str, records: ShardRecords, mapper: Callable[[dict], dict]):
        """Take everything as plain values.

        Args:
            name: of the dataset.
            records: of its shards.
            mapper: makes a sample of a record; raises :class:`BrokenPictureError` before it draws
                any random number.
        """
        self.name, self.records, self.mapper = name, records, mapper

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> dict:
        """Make a sample, or that of another place that follows from this one.

        Returns:
            A sample; with "passed_over", a list of (dataset name, :class:`Broken`), where others
            were.

        Raises:
            ValueError: so many were broken one after the other that too many are.
        """
        passed: dict[Broken, None] = {}
        at, attempt = index, 0
        while True:
            try:
                item = self.mapper(self.records[at])
                break
            except BrokenPictureError as error:
                passed[self.records.broken(at, error.reason)] = None
                attempt += 1
            part = self.records.broken_part
            part = part._replace(broken=(*passed, *part.broken))
            if part.too_many:
                raise ValueError(f"dataset {shown(self.name)}: {part.error()}")
            at = derived_seed(index, attempt) % len(self.records)
        return item | {PASSED_OVER: [(self.name, one) for one in passed]} if passed else item
