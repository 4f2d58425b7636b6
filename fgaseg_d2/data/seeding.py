"""Random numbers that depend on where they are drawn, not on what was drawn before."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derived_seed(*parts: int) -> int:
    """Mix integers into one seed; neighbouring parts give unrelated seeds.

    Args:
        parts: 0 or more each, such as a run's seed and a sample's position.

    Returns:
        A seed of 0 .. 2**32 - 1.
    """
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed Python's, NumPy's and PyTorch's CPU generators, and put them back afterwards.

    Args:
        seed: 0 .. 2**32 - 1.
    """
    python_state, numpy_state = random.getstate(), np.random.get_state()
    torch_state = torch.default_generator.get_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        torch.default_generator.set_state(torch_state)
