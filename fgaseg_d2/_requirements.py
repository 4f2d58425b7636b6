"""Says how to get what installing this package leaves to the user."""

import importlib.metadata
import importlib.util

_HOW = {
    "torch": "pip install torch torchvision  (https://pytorch.org says which build fits your GPU)",
    "torchvision": "pip install torchvision",
    "detectron2": (
        "pip install 'setuptools>=70.1' && pip install --no-build-isolation "
        "'git+https://github.com/facebookresearch/detectron2.git', or `make install` in a checkout "
        "of fgaseg_d2, which sets up everything"
    ),
    "open_clip": "pip install open_clip_torch",
    "cv2": "pip install opencv-python-headless",
}


_OLDEST_TORCH = (2, 5)  # torch.OutOfMemoryError, autocast by device type


def check_requirements() -> None:
    """Raise one ImportError that names everything missing and the commands that install it.

    Raises:
        ImportError: PyTorch, torchvision, Detectron2, OpenCLIP or OpenCV is not installed, or
            PyTorch is too old.
    """
    missing = {name: how for name, how in _HOW.items() if importlib.util.find_spec(name) is None}
    if missing:
        commands = "; ".join(f"{name}: {how}" for name, how in missing.items())
        raise ImportError(f"fgaseg_d2 needs what is not installed here -- {commands}")
    found = importlib.metadata.version("torch")
    if tuple(int(part) for part in found.split(".")[:2]) < _OLDEST_TORCH:
        raise ImportError(
            f"fgaseg_d2 needs PyTorch {'.'.join(map(str, _OLDEST_TORCH))} or later, but {found} is "
            "installed; pip install --upgrade torch torchvision"
        )
