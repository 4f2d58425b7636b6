"""Training: the trainer, its loop, its optimiser, and how processes are started."""

from fgaseg_d2.engine.trainer import FGASegTrainer

__all__ = ["FGASegTrainer"]
