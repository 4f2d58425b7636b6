"""What figures of speed depend on besides the code."""

import platform
from pathlib import Path
from typing import Any

import detectron2
import torch

import fgaseg_d2


def versions() -> dict[str, str]:
    """Versions of this package and of what figures depend on."""
    return {
        "fgaseg_d2": fgaseg_d2.__version__,
        "detectron2": detectron2.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def machine() -> dict[str, Any]:
    """The processor, the threads that torch uses, and the GPU if there is one."""
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _processor() -> str:
    """The processor's name, which Python's platform module does not know on Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
