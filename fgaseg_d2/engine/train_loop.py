"""One iteration of training: autocast, gradient accumulation, scaling, and what is logged."""

import contextlib
import time
from collections.abc import Iterable, Mapping
from typing import Any

import psutil
import torch
from detectron2.engine import SimpleTrainer
from detectron2.utils import comm
from detectron2.utils.events import get_event_storage
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ..data.seeding import derived_seed
from ..modeling.waiting import check_waiting

_MEBIBYTE = 2**20


class TrainLoop(SimpleTrainer):
    """Detectron2's SimpleTrainer on any device, in mixed precision, over several batches a step.

    Losses are means over the batches of a step, so that k batches of n samples and one batch of
    k * n samples give the same gradients.
    """

    def __init__(
        self,
        model: nn.Module,
        data_loader: Iterable[list[dict]],
        optimizer: torch.optim.Optimizer,
        *,
        accumulate_steps: int = 1,
        amp_dtype: torch.dtype | None = None,
        seed: int = 0,
    ):
        """Take everything as plain values.

        Args:
            model: samples -> dict of named losses; may be wrapped for distributed training.
            data_loader: yields lists of samples without end.
            optimizer: over the model's parameters.
            accumulate_steps: batches of one step, 1 or more.
            amp_dtype: torch.float16 or torch.bfloat16 for autocast; None for full precision.
            seed: of what the model draws at random; each iteration and rank has its own stream.

        Raises:
            ValueError: accumulate_steps below 1.
        """
        super().__init__(model, data_loader, optimizer)
        if accumulate_steps < 1:
            raise ValueError(
                f"expected SOLVER.ACCUMULATE_STEPS of 1 or more, got {accumulate_steps}"
            )
        self.accumulate_steps = accumulate_steps
        self.amp_dtype = amp_dtype
        self.seed = seed
        self.device = next(model.parameters()).device
        # Only float16 underflows, and only CUDA has kernels for the scaler.
        scales = amp_dtype is torch.float16 and self.device.type == "cuda"
        self.grad_scaler = torch.amp.GradScaler(self.device.type, enabled=scales)

    def run_step(self) -> None:
        """Do one iteration.

        Raises:
            FloatingPointError: a loss is infinite or not a number.
        """
        start = time.perf_counter()
        self.optimizer.zero_grad()
        means: dict[str, torch.Tensor] = {}
        images, data_time = 0, 0.0
        for step in range(self.accumulate_steps):
            waiting = time.perf_counter()
            batch = next(self._data_loader_iter)
            data_time += time.perf_counter() - waiting
            images += len(batch)
            for name, loss in self._accumulate(batch, step).items():
                means[name] = means.get(name, 0) + loss.detach() / self.accumulate_steps
        self.after_backward()
        self.grad_scaler.step(self.optimizer)
        self.grad_scaler.update()
        self._write_metrics(means, data_time)
        seconds = time.perf_counter() - start
        self._write_more(means, images * comm.get_world_size(), seconds)
        check_waiting(seconds, self.device)

    def _accumulate(self, batch: list[dict], step: int) -> dict[str, torch.Tensor]:
        """Add one batch's share to the gradients; ranks exchange them after the last batch only."""
        # Seeding each time, not once, lets a resumed run draw what the uninterrupted one drew.
        torch.manual_seed(derived_seed(self.seed, self.iter, step, comm.get_rank(), 2))
        exchange: Any = contextlib.nullcontext()
        is_last = step == self.accumulate_steps - 1
        if isinstance(self.model, DistributedDataParallel) and not is_last:
            exchange = self.model.no_sync()
        enabled = self.amp_dtype is not None
        with exchange:
            with torch.autocast(self.device.type, self.amp_dtype or torch.bfloat16, enabled):
                losses = self.model(batch)
            self._check_finite(losses)
            total = sum(losses.values()) / self.accumulate_steps
            self.grad_scaler.scale(total).backward()
        return losses

    def _check_finite(self, losses: Mapping[str, torch.Tensor]) -> None:
        values = torch.stack([loss.detach().float() for loss in losses.values()]).tolist()
        bad = [
            f"{name} = {value}"
            for name, value in zip(losses, values, strict=True)
            if not -float("inf") < value < float("inf")
        ]
        if bad:
            raise FloatingPointError(
                f"loss became infinite or not a number at iteration {self.iter}: {', '.join(bad)}; "
                "try a smaller SOLVER.BASE_LR, SOLVER.CLIP_GRADIENTS.ENABLED True or "
                "SOLVER.AMP.DTYPE bfloat16"
            )

    def _write_more(self, losses: Mapping[str, torch.Tensor], images: int, seconds: float) -> None:
        """Log what SimpleTrainer does not: pictures, memory, and a loss that has no companion."""
        storage = get_event_storage()
        storage.put_scalar("throughput", images / seconds)
        # Of the whole run, what was seen before it was resumed included.
        storage.put_scalar("pictures", images * (self.iter + 1), smoothing_hint=False)
        storage.put_scalar("memory_mb", self._memory(), smoothing_hint=False)
        if len(losses) == 1:
            storage.put_scalars(**losses)
        if self.grad_scaler.is_enabled():
            storage.put_scalar("[metric]grad_scale", self.grad_scaler.get_scale())

    def _memory(self) -> float:
        """Peak of CUDA memory, or the process's memory on the CPU, in MiB."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / _MEBIBYTE
        return psutil.Process().memory_info().rss / _MEBIBYTE

    def state_dict(self) -> dict:
        """State of the loop, its optimiser and its gradient scaler."""
        return {**super().state_dict(), "grad_scaler": self.grad_scaler.state_dict()}

    def load_state_dict(self, state_dict: dict) -> None:
        """Take over the state of another loop, with or without a gradient scaler."""
        super().load_state_dict(state_dict)
        scaler_state = state_dict.get("grad_scaler")
        if scaler_state and self.grad_scaler.is_enabled():
            self.grad_scaler.load_state_dict(scaler_state)
