"""How a forward pass divides into its stages."""

import time
from collections.abc import Callable

import torch

from fgaseg_d2.modeling.segmentor import OpenVocabSegmentor
from fgaseg_d2.modeling.stages import StageRecorder

from .clock import wait


def stage_seconds(
    function: Callable[[], object], model: OpenVocabSegmentor, device: torch.device
) -> dict[str, float]:
    """Run a function once and time what the stages of the model took in it.

    Args:
        function: calls the model.
        model: its stages are told apart, all but its head, which is what they make up.
        device: where it computes.

    Returns:
        Seconds by stage, in the order of the flow; the last one is "everything else".
    """
    stages = {name: module for name, module in model.stages().items() if name != "head"}
    with StageRecorder(stages, timed=True) as record:
        start = time.perf_counter()
        function()
        wait(device)
        total = time.perf_counter() - start
    return record.seconds | {"everything else": total - sum(record.seconds.values())}
