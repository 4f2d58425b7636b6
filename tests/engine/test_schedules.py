"""The schedule that Detectron2 does not have, against its formula."""

import pytest
import torch

from fgaseg_d2.engine import FGASegTrainer
from tests.conftest import config

POLY = (
    *("SOLVER.LR_SCHEDULER_NAME", "WarmupPolyLR", "SOLVER.MAX_ITER", 100),
    *("SOLVER.BASE_LR", 0.2, "SOLVER.BASE_LR_END", 0.001),
)


def rates(*opts):
    """The learning rate of every iteration, of a group with the base rate and one of a tenth."""
    cfg = config("tests/data/small.yaml", *POLY, *opts)
    groups = [{"params": [torch.zeros(1)], "lr": rate} for rate in (0.2, 0.02)]
    optimizer = torch.optim.SGD(groups)
    schedule = FGASegTrainer.build_lr_scheduler(cfg, optimizer)
    found = []
    for _ in range(100):
        found.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    return torch.tensor(found)


@pytest.mark.parametrize("power", [0.9, 2.0], ids=str)
def test_the_rate_falls_to_its_end_along_a_power(power):
    found = rates("SOLVER.POLY_LR_POWER", power, "SOLVER.WARMUP_ITERS", 0)
    expected = torch.tensor([0.001 + 0.199 * (1 - i / 100) ** power for i in range(100)])
    torch.testing.assert_close(found[:, 0], expected)
    torch.testing.assert_close(found[:, 1], expected / 10)


def test_the_warm_up_leads_to_the_same_curve():
    whole = rates("SOLVER.WARMUP_ITERS", 0)[:, 0]
    warm = rates("SOLVER.WARMUP_ITERS", 10, "SOLVER.WARMUP_FACTOR", 0.0)[:, 0]
    torch.testing.assert_close(warm[:10], whole[10] * torch.arange(10) / 10)
    torch.testing.assert_close(warm[10:], whole[10:])


def test_an_end_above_the_beginning_is_one_line():
    cfg = config("tests/data/small.yaml", *POLY, "SOLVER.BASE_LR", 0.0001)
    with pytest.raises(ValueError, match="BASE_LR_END of at most SOLVER.BASE_LR"):
        FGASegTrainer(cfg)
