"""Learning rates over a training that Detectron2 itself does not have."""

import torch
from detectron2.config import CfgNode
from detectron2.solver.lr_scheduler import LRMultiplier, WarmupParamScheduler
from fvcore.common.param_scheduler import ParamScheduler


class PolynomialSchedule(ParamScheduler):
    """From 1 to an end along (1 - share of the training) to a power.

    Args:
        power: above 0.
        end: the last value, in 0..1.
    """

    def __init__(self, power: float, end: float) -> None:
        self.power, self.end = power, end

    def __call__(self, where: float) -> float:
        """The factor after a share of the training, in 0..1."""
        return self.end + (1 - self.end) * (1 - where) ** self.power


def build_poly_schedule(cfg: CfgNode, optimizer: torch.optim.Optimizer) -> LRMultiplier:
    """The schedule "WarmupPolyLR": SOLVER.POLY_LR_POWER, down to SOLVER.BASE_LR_END.

    Args:
        cfg: complete configuration.
        optimizer: whose groups follow it.
    """
    solver = cfg.SOLVER
    schedule = WarmupParamScheduler(
        PolynomialSchedule(solver.POLY_LR_POWER, solver.BASE_LR_END / solver.BASE_LR),
        solver.WARMUP_FACTOR,
        min(solver.WARMUP_ITERS / solver.MAX_ITER, 1.0),
        solver.WARMUP_METHOD,
        solver.RESCALE_INTERVAL,
    )
    return LRMultiplier(optimizer, multiplier=schedule, max_iter=solver.MAX_ITER)
