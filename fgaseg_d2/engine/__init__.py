"""Training: the trainer, its loop, its optimiser, and how processes are started."""

from .trainer import FGASegTrainer

__all__ = ["FGASegTrainer"]
