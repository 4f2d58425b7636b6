"""Loading checkpoints, our own and the reference code's, without running code from a file."""

import dataclasses
import os
import pickle
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.utils.file_io import PathManager
from iopath.common.file_io import PathHandler, file_lock, get_cache_dir
from torch import nn

from .reference_names import from_reference, is_reference

BUNDLED = "fgaseg_d2://"


@dataclasses.dataclass(frozen=True)
class LoadReport:
    """What a checkpoint brought into a model.

    Args:
        path: what was loaded, "" for nothing.
        kind: "fgaseg_d2" or "FGA-seg".
        loaded, total: numbers (not tensors) that came from the checkpoint, and in the model.
        missing: names of the model's tensors that the checkpoint lacks or has in another shape.
        unexpected: names in the checkpoint that the model lacks.
    """

    path: str
    kind: str
    loaded: int
    total: int
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()

    def summary(self) -> str:
        """One line for people."""
        if not self.path:
            return f"no checkpoint: none of {self.total:,} parameters loaded"
        text = f"{self.loaded:,} of {self.total:,} parameters from {self.path} ({self.kind} format)"
        if self.missing:
            text += f"; {len(self.missing)} tensors missing, which keep their initial values"
        if self.unexpected:
            text += f"; {len(self.unexpected)} left over"
        return text


class FGASegCheckpointer(DetectionCheckpointer):
    """Detectron2's checkpointer that reads safetensors and the reference's checkpoints as well.

    Args:
        model: what to load into.
        save_dir: folder of the checkpoints that it writes.
        allow_partial: accept a checkpoint that lacks some of the model's tensors; the default is to
            refuse, because a half-loaded model runs and is wrong.
        checkpointables: further objects to save and load, as in Detectron2.

    Attributes:
        report: what the last `load` did.
    """

    def __init__(
        self,
        model: nn.Module,
        save_dir: str = "",
        *,
        allow_partial: bool = False,
        save_to_disk: bool | None = None,
        **checkpointables: Any,
    ) -> None:
        super().__init__(model, save_dir, save_to_disk=save_to_disk, **checkpointables)
        self.allow_partial = allow_partial
        self.report = LoadReport("", "", 0, _count(self.model))
        self._path = ""

    def load(self, path: str, checkpointables: list[str] | None = None) -> dict[str, Any]:
        """Load a checkpoint.

        Args:
            path: a file (.pth or .safetensors), a URL, "fgaseg_d2://NAME" for weights that come
                with the package, or "" to load nothing.
            checkpointables: as in Detectron2.

        Returns:
            What the checkpoint holds beyond model and checkpointables.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is no checkpoint, is damaged, or does not fit the model.
        """
        self._path = path
        if path and "://" not in path and not os.path.isfile(path):
            raise FileNotFoundError(
                f"expected MODEL.WEIGHTS to be a checkpoint, got {path}, which is not a file; "
                "check the path."
            )
        if path.startswith(BUNDLED):
            path = str(_bundled_file(path))
        try:
            return super().load(path, checkpointables)
        finally:
            # Detectron2 leaves this set when loading fails, and then refuses to load again.
            self._parsed_url_during_load = None

    def _load_file(self, filename: str) -> dict[str, Any]:
        # Detectron2 would unpickle these, which can run code.
        if filename.endswith((".pkl", ".pyth")):
            raise ValueError(
                f"expected a .pth or .safetensors checkpoint, got {filename}; it is read by "
                "running what it contains, so save its tensors with torch.save first."
            )
        return read_checkpoint(filename)

    def _load_model(self, checkpoint: dict[str, Any]) -> Any:
        state, kind = checkpoint["model"], "fgaseg_d2"
        if is_reference(state):
            state, kind = from_reference(state), "FGA-seg"
            checkpoint = checkpoint | {"model": state}
        wanted = self.model.state_dict()
        fitting = {n for n, t in state.items() if n in wanted and wanted[n].shape == t.shape}
        # Step counters of BatchNorm: other code leaves them out, and nothing here reads them.
        missing = [n for n in wanted if n not in fitting and not n.endswith("num_batches_tracked")]
        self.report = LoadReport(
            self._path,
            kind,
            sum(p.numel() for n, p in self.model.named_parameters() if n in fitting),
            _count(self.model),
            tuple(missing),
            tuple(n for n in state if n not in wanted),
        )
        if not fitting:
            raise ValueError(
                f"expected a checkpoint of FGAseg, got {self._path}, none of whose {len(state)} "
                "tensors fits the model; check MODEL.WEIGHTS."
            )
        if missing and not self.allow_partial:
            raise ValueError(
                f"expected a checkpoint for this model, got {self._path}, which lacks or has in "
                f"another shape {len(missing)} of {len(wanted)} tensors ({missing[0]}, ...); use "
                "the configuration it was trained with, or set MODEL.WEIGHTS_PARTIAL True."
            )
        incompatible = super()._load_model(checkpoint)
        self.logger.info("Loaded %s", self.report.summary())
        return incompatible


def read_checkpoint(path: str) -> dict[str, Any]:
    """Read tensors and plain containers from a file, never code.

    Args:
        path: a local .safetensors file, or one written by torch.save.

    Returns:
        The state dict under "model", with whatever else the file holds beside it.

    Raises:
        ValueError: the file is damaged or no checkpoint.
    """
    try:
        loaded: Any
        if path.endswith(".safetensors"):
            loaded = safetensors.torch.load_file(path)
        else:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"expected only tensors and plain containers in {path}, but it holds other objects, "
            "which are not loaded because they could run code, or it is damaged; keep only its "
            "'model' and save that with torch.save."
        ) from error
    # Damaged bytes make the readers raise nearly anything.
    except Exception as error:
        raise ValueError(
            f"expected a checkpoint of tensors in {path}, but it cannot be read; it is damaged, "
            "cut short, or something else. Fetch or save it again."
        ) from error
    if isinstance(loaded, dict) and "model" not in loaded:
        loaded = {"model": loaded}
    if not isinstance(loaded, dict) or not _is_state(loaded["model"]):
        raise ValueError(
            f"expected a checkpoint with named tensors in {path}, got something else; name a "
            "checkpoint of FGAseg."
        )
    return loaded


class _BundledWeights(PathHandler):
    """Makes "fgaseg_d2://NAME" the path of a checkpoint that comes with the package.

    The package holds safetensors, which Detectron2's own checkpointer does not read; so that
    DefaultPredictor works, the path resolves to a copy in Detectron2's format.
    """

    def _get_supported_prefixes(self) -> list[str]:
        return [BUNDLED]

    def _get_local_path(self, path: str, force: bool = False, **kwargs: Any) -> str:
        source = _bundled_file(path)
        folder = Path(get_cache_dir()) / "fgaseg_d2"
        folder.mkdir(parents=True, exist_ok=True)
        stamp = f"{source.stat().st_size}-{source.stat().st_mtime_ns}"
        copy = folder / f"{source.stem}-{stamp}.pth"
        with file_lock(str(copy)):
            if not copy.is_file():
                part = copy.with_suffix(".part")
                torch.save({"model": safetensors.torch.load_file(source)}, part)
                part.replace(copy)
        return str(copy)

    def _open(self, path: str, mode: str = "r", buffering: int = -1, **kwargs: Any) -> Any:
        return open(self._get_local_path(path), mode, buffering=buffering)


def _bundled_file(path: str) -> Path:
    file = Path(__file__).parent / "weights" / path[len(BUNDLED) :]
    if not file.is_file():
        known = ", ".join(sorted(p.name for p in file.parent.glob("*.safetensors")))
        raise FileNotFoundError(
            f"expected weights that come with fgaseg_d2, got '{path}'; there are: {known}."
        )
    return file


PathManager.register_handler(_BundledWeights(), allow_override=True)


def _is_state(value: object) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(tensor, torch.Tensor) for tensor in value.values())
    )


def _count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
