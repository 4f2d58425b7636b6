"""Loading checkpoints, our own and the reference code's, without running code from a file."""

import dataclasses
import logging
import os
from collections.abc import Callable, Mapping
from typing import Any

from detectron2.checkpoint import DetectionCheckpointer
from torch import Tensor, nn

from ..wording import plain
from .files import locate_checkpoint, read_checkpoint
from .formats import find_format
from .part_files import CLIP_SHA256, forget_files, from_clip
from .unfilled import UnfilledModel
from .weight_checks import check_values

logger = logging.getLogger(__name__)
# Names in the CLIPs of OpenAI and open_clip, and of transformers.
_CLIP = ("visual.", "text.transformer.", "token_embedding.", "vision_model.", "text_model.")
# Of BatchNorm: other code leaves them out, and nothing here reads them.
_COUNTER = "num_batches_tracked"


@dataclasses.dataclass(frozen=True)
class LoadReport:
    """What a checkpoint brought into a model.

    Args:
        path: what was loaded, "" for nothing.
        kind: the format's name: "fgaseg_d2", "FGA-seg" or "CAT-Seg".
        loaded, total: numbers (not tensors) that came from the checkpoint, and in the model.
        missing: names of the model's tensors that the checkpoint lacks or has in another shape.
        unexpected: names in the checkpoint that the model lacks.
        added: names of the model's parts that the format does not have, set so that the model
            computes what the checkpoint was trained for.
        clip: names of the model's tensors that come from the CLIP which a part file stands on.
    """

    path: str
    kind: str
    loaded: int
    total: int
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    clip: tuple[str, ...] = ()

    def summary(self) -> str:
        """One line for people."""
        if not self.path:
            return f"no checkpoint: none of {self.total:,} parameters loaded"
        text = f"{self.loaded:,} of {self.total:,} parameters from {self.path} ({self.kind} format)"
        if self.clip:
            text += f"; {len(self.clip)} tensors from the CLIP that it stands on"
        if self.added:
            text += f"; {len(self.added)} tensors that {self.kind} lacks start without effect"
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
        self._unfilled: UnfilledModel | None = None

    @classmethod
    def of_new_model(
        cls,
        build: Callable[[], nn.Module],
        weights: str,
        save_dir: str = "",
        *,
        allow_partial: bool = False,
    ) -> "FGASegCheckpointer":
        """Build a model that is loaded into next; its initial values are drawn only if needed.

        Args:
            build: makes the model, from the same random numbers the same one.
            weights: what will be loaded if there is nothing newer, "" for nothing.
            save_dir, allow_partial: as for the constructor.
        """
        if not weights or allow_partial:
            return cls(build(), save_dir, allow_partial=allow_partial)
        unfilled = UnfilledModel(build)
        checkpointer = cls(unfilled.model, save_dir)
        checkpointer._unfilled = unfilled
        return checkpointer

    def load(self, path: str, checkpointables: list[str] | None = None) -> dict[str, Any]:
        """Load a checkpoint.

        Args:
            path: a file (of torch.save or safetensors, with whatever a training program put around
                the weights), http(s)://..., "fgaseg_d2://NAME" for weights that come with the
                package, or "" to load nothing.
            checkpointables: as in Detectron2.

        Returns:
            What the checkpoint holds beyond model and checkpointables.

        Raises:
            OSError: there is no such file, or it cannot be read or fetched.
            ValueError: the file is no checkpoint, is damaged, does not fit the model, or holds
                values that are no weights (NaN, whole numbers).
        """
        self._path = path = os.path.expanduser(path)
        local = locate_checkpoint(path) if path else ""
        # Detectron2's own step would take a file's name for an address with a query.
        try:
            return super(DetectionCheckpointer, self).load(local, checkpointables)
        # Each checkpointable has errors of its own for a state that is not its.
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError) as error:
            reason = plain(" ".join(str(error).split()), 120)
            raise ValueError(
                f"expected a checkpoint to go on from in {plain(path)}, got {type(error).__name__} "
                f"({reason}); start from its weights alone: MODEL.WEIGHTS, without --resume."
            ) from error

    def _load_file(self, filename: str) -> dict[str, Any]:
        # Detectron2 would unpickle some kinds, which can run code.
        return read_checkpoint(self._path, self.model.state_dict())

    def _load_model(self, checkpoint: dict[str, Any]) -> Any:
        wanted = self.model.state_dict()
        found = find_format(checkpoint["model"])
        state = found.translated(checkpoint.pop("model"))
        clip = self._from_clip(checkpoint.pop(CLIP_SHA256, "")) - state.keys()
        self._fill_if_needed(state, clip)
        loadable = found.completed(state, self.model)
        fitting = {n for n, t in loadable.items() if n in wanted and wanted[n].shape == t.shape}
        missing = [n for n in wanted if n not in fitting | clip and not n.endswith(_COUNTER)]
        known = fitting & state.keys()
        self.report = LoadReport(
            path=self._path,
            kind=found.name,
            loaded=sum(p.numel() for n, p in self.model.named_parameters() if n in known),
            total=_count(self.model),
            missing=tuple(missing),
            unexpected=tuple(n for n in state if n not in wanted),
            added=tuple(name for name in loadable if name not in state),
            clip=tuple(name for name in wanted if name in clip),
        )
        if not fitting and wanted.keys().isdisjoint(loadable):
            raise ValueError(
                f"expected a checkpoint of this model, got {plain(self._path)}, none of whose "
                f"{len(state)} tensors fits the model; it holds {_what(state)}. Check "
                "MODEL.WEIGHTS."
            )
        if not fitting or (missing and not self.allow_partial):
            raise ValueError(
                f"expected a checkpoint for this model, got {plain(self._path)}, which lacks or "
                f"has in another shape {len(missing)} of {len(wanted)} tensors ({missing[0]}, "
                "...); use the configuration it was trained with, or set MODEL.WEIGHTS_PARTIAL "
                "True."
            )
        check_values({name: loadable[name] for name in fitting}, self._path, wanted)
        if not clip:
            forget_files(self.model)
        incompatible = super()._load_model({"model": loadable})
        # What the CLIP of a part file has filled is not missing, and nobody is to be warned of it.
        incompatible.missing_keys[:] = [n for n in incompatible.missing_keys if n not in clip]
        self.logger.info("Loaded %s", self.report.summary())
        return incompatible

    def _from_clip(self, sha256: str) -> set[str]:
        """Names that a part file leaves to its CLIP, none for any other checkpoint."""
        return from_clip(self.model, sha256, self._path) if sha256 else set()

    def _fill_if_needed(self, state: Mapping[str, Tensor], clip: set[str]) -> None:
        """Draw the initial values that were left out, unless the checkpoint brings all of them."""
        if self._unfilled is None:
            return
        for name, tensor in self.model.state_dict().items():
            brought = name in clip or (name in state and state[name].shape == tensor.shape)
            if not brought and not name.endswith(_COUNTER):
                self._unfilled.fill()
                break
        self._unfilled = None


def _what(state: Mapping[str, Tensor]) -> str:
    """What a checkpoint holds that is not ours, in a few words."""
    if any(name.startswith(_CLIP) for name in state):
        return "a CLIP, which belongs in MODEL.CLIP.PRETRAINED"
    names = [plain(name, 40) for name in list(state)[:2]]
    return f"{', '.join(names)}{', ...' if len(state) > 2 else ''}"


def _count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
