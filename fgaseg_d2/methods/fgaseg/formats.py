"""The formats that FGAseg's weights come in beside our own: FGA-seg's and CAT-Seg's, EVA or not."""

import logging
from collections.abc import Mapping

from torch import Tensor, nn

from ...checkpoint.formats import register_format
from ...modeling.towers.dense_reading import find_reading
from .catseg import complete_catseg, is_catseg
from .parameter_names import (
    from_reference,
    is_reference,
    is_reference_name,
    stands_on_eva_clip,
)

logger = logging.getLogger(__name__)


class FGASegFormat:
    """Checkpoints of the authors' code."""

    name = "FGA-seg"

    def knows(self, name: str) -> bool:
        """See `CheckpointFormat`."""
        return is_reference_name(name)

    def recognises(self, state: Mapping[str, Tensor]) -> bool:
        """See `CheckpointFormat`."""
        return is_reference(state)

    def translated(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `CheckpointFormat`."""
        return from_reference(state)

    def completed(self, state: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
        """See `CheckpointFormat`; nothing is lacking."""
        return dict(state)


class CATSegFormat:
    """CAT-Seg's own checkpoints, and whatever holds CAT-Seg under the names of this package."""

    name = "CAT-Seg"

    def knows(self, name: str) -> bool:
        """See `CheckpointFormat`."""
        return is_reference_name(name)

    def recognises(self, state: Mapping[str, Tensor]) -> bool:
        """See `CheckpointFormat`."""
        return is_catseg(self.translated(state))

    def translated(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `CheckpointFormat`."""
        return from_reference(state) if is_reference(state) else dict(state)

    def completed(self, state: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
        """See `CheckpointFormat`; a warning says which parts are not ready to use."""
        completed = complete_catseg(state, model.state_dict())
        _warn_about_added_parts(model)
        return completed


class EVACATSegFormat(CATSegFormat):
    """CAT-Seg on EVA02-CLIP, as DeCLIP's authors publish it (arXiv 2505.04410)."""

    name = "CAT-Seg on EVA02-CLIP"

    def recognises(self, state: Mapping[str, Tensor]) -> bool:
        """See `CheckpointFormat`."""
        return stands_on_eva_clip(state)

    def completed(self, state: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
        """See `CheckpointFormat`; a warning says where the tower is read otherwise."""
        tower = getattr(model, "backbone", None)
        reading = getattr(tower, "dense_reading", None)
        if (reading, getattr(tower, "position_resize", "")) != (find_reading("declip"), "bicubic"):
            logger.warning(
                "These weights were trained with MODEL.CLIP.DENSE_READING declip and "
                "MODEL.CLIP.POSITION_RESIZE bicubic, and mean less with others; set these."
            )
        return super().completed(state, model)


def _warn_about_added_parts(model: nn.Module) -> None:
    """Say which parts cannot take over from CAT-Seg's zero start, or are not ready to use."""
    for name, parameter in model.named_parameters():
        if name.endswith("p2tformer.gamma") and not parameter.requires_grad:
            logger.warning(
                "gamma is 0 after a CAT-Seg checkpoint and does not train: the P2Tformer stays "
                "without effect; set MODEL.FGASEG.P2T.GAMMA_TRAINABLE True."
            )
        elif name.endswith("early_rejection.heads.0.weight"):
            logger.warning(
                "CAT-Seg has no early rejection: until its heads are trained, the fast variant "
                "drops classes at random; set MODEL.FGASEG.FAST.ENABLED False to use the "
                "checkpoint as it is."
            )


register_format(FGASegFormat())
register_format(CATSegFormat())
register_format(EVACATSegFormat())
