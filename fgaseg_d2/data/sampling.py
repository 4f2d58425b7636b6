"""Which sample comes when: shuffled epochs that depend on the seed and the position alone."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import Dataset, Sampler

from .seeding import derived_seed, seeded


class PositionSampler(Sampler):
    """Endless shuffled epochs as (position, index), the same for any number of ranks.

    Position p is the p-th sample of the whole run over all ranks. There may be several groups of
    samples, one behind the other in the dataset: batch b is of group b modulo their number, and
    each group has epochs of its own.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        batch_size: int,
        seed: int,
        start: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ):
        """Choose where in the run to begin and which share of it to yield.

        Args:
            sizes: number of samples in each group.
            batch_size: samples of a batch over all ranks.
            seed: of the shuffling, 0 or more.
            start: first position, over all ranks.
            rank: this process yields positions start + rank, start + rank + world_size, ...
            world_size: number of processes.
        """
        self.sizes = tuple(sizes)
        self.batch_size = batch_size
        self.seed = seed
        self.start = start
        self.rank = rank
        self.world_size = world_size

    def __iter__(self) -> Iterator[tuple[int, int]]:
        orders: dict[int, tuple[int, torch.Tensor]] = {}
        position = self.start + self.rank
        while True:
            batch, place = divmod(position, self.batch_size)
            turn, group = divmod(batch, len(self.sizes))
            epoch, offset = divmod(turn * self.batch_size + place, self.sizes[group])
            if group not in orders or orders[group][0] != epoch:
                orders[group] = epoch, self._order(group, epoch)
            yield position, sum(self.sizes[:group]) + int(orders[group][1][offset])
            position += self.world_size

    def _order(self, group: int, epoch: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(derived_seed(self.seed, epoch, 2, group))
        return torch.randperm(self.sizes[group], generator=generator)


class SeededDataset(Dataset):
    """A dataset whose random augmentations depend on the position in the run alone."""

    def __init__(self, dataset: Dataset, seed: int):
        """Wrap a map-style dataset.

        Args:
            dataset: asked for one index at a time.
            seed: of the run, 0 or more.
        """
        self.dataset = dataset
        self.seed = seed

    def __getitem__(self, key: tuple[int, int]) -> Any:
        """Return the sample of a (position, index) pair of :class:`PositionSampler`."""
        position, index = key
        # The third part keeps these seeds apart from those of the shuffling, which have 2 there.
        with seeded(derived_seed(self.seed, position, 1)):
            return self.dataset[index]
