"""What a model costs: its parameters, and the time that it takes for a picture."""

from __future__ import annotations

from torch import nn

from ..modeling.stages import Hooked, now
from ..modeling.waiting import check_waiting


class Stopwatch(Hooked):
    """Times the calls of a model while it is open, all but the first.

    The first call embeds the words, whose number a picture's time should not depend on, and warms
    up.

    Args:
        model: called with a list of samples.
    """

    def __init__(self, model: nn.Module):
        super().__init__({"model": model})
        self.model = model
        self.calls = 0
        self.samples = 0
        self.seconds = 0.0
        self._start = 0.0

    @property
    def seconds_per_sample(self) -> float | None:
        """Mean of the calls after the first; None if there were none."""
        return self.seconds / self.samples if self.samples else None

    def before(self, name: str, arguments: tuple) -> None:
        """Note the time."""
        self._start = now()

    def after(self, name: str, arguments: tuple, output: object) -> None:
        """Add up the time."""
        seconds = now() - self._start
        if self.calls:
            self.seconds += seconds
            self.samples += len(arguments[0])
        self.calls += 1
        parameter = next(self.model.parameters(), None)
        if parameter is not None:
            check_waiting(seconds, parameter.device)


def model_cost(model: nn.Module, watch: Stopwatch) -> dict[str, float | None]:
    """Describe a model that was timed.

    Args:
        model: its parameters are counted.
        watch: that timed it.

    Returns:
        "parameters" and "trained_parameters" (those that training changes), numbers of values, and
        "seconds_per_picture" in this process; with TEST.AUG a picture is one of its views.
    """
    counts = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return {
        "parameters": sum(count for count, _ in counts),
        "trained_parameters": sum(count for count, trains in counts if trains),
        "seconds_per_picture": watch.seconds_per_sample,
    }
