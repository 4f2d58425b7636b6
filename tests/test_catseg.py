"""CAT-Seg checkpoints: recognised, completed to an FGAseg that computes the same, trained on."""

import logging

import pytest
import torch

from fgaseg_d2.checkpoint.checkpointer import FGASegCheckpointer
from fgaseg_d2.methods.fgaseg.catseg import is_added
from fgaseg_d2.methods.fgaseg.parameter_names import to_reference
from tests.conftest import build_small

WORDS = ["cat", "dog", "sky"]
# CAT-Seg is FGAseg without everything it adds.
CATSEG = (
    *("MODEL.FGASEG.P2T.LAYERS", 0, "MODEL.FGASEG.LCS.ENABLED", False),
    *("MODEL.FGASEG.LOSS.T2P_WEIGHT", 0.0),
)
# What stands behind a zero: gradients come when the zero has moved.
SECOND_STEP = ("p2tformer.layers.", "local_similarity.", "embed_local.", "decoder.local_up.")


@pytest.fixture(scope="module")
def catseg():
    return build_small(*CATSEG, seed=3)


@pytest.fixture(scope="module")
def checkpoint(catseg, tmp_path_factory):
    """A file as CAT-Seg's training leaves it: its names, and more than weights."""
    state = to_reference(catseg.state_dict())
    head = "sem_seg_head.predictor."
    state[f"{head}transformer.layers.0.swin_block.block_2.attn_mask"] = torch.zeros(4, 9, 9)
    state[f"{head}clip_model.logit_scale"] = torch.zeros([])
    state |= {name: torch.zeros(3, 1, 1) for name in ("pixel_mean", "pixel_std", "clip_pixel_mean")}
    path = tmp_path_factory.mktemp("catseg") / "model_small.pth"
    extra = {"optimizer": {"state": {}, "param_groups": []}, "scheduler": {"last_epoch": 5}}
    torch.save({"model": state, "iteration": 79999, **extra}, path)
    return path


def picture(height=48, width=80):
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(0)) * 255


def segment(model):
    with torch.no_grad():
        return model.eval()([{"image": picture(), "vocabulary": WORDS}])[0]["sem_seg"]


def warm(checkpoint, *opts):
    model = build_small(*opts, seed=8)
    checkpointer = FGASegCheckpointer(model)
    rest = checkpointer.load(str(checkpoint))
    return model, checkpointer.report, rest


@pytest.mark.parametrize(
    "opts",
    [
        (),
        ("MODEL.FGASEG.P2T.LAYERS", 3, "MODEL.FGASEG.LCS.KERNEL_SIZE", 5),
        ("MODEL.FGASEG.LCS.ENABLED", False, "MODEL.FGASEG.FUSION", "add"),
        CATSEG,
    ],
)
def test_catseg_becomes_an_fgaseg_that_computes_the_same(catseg, checkpoint, opts):
    model, report, _ = warm(checkpoint, *opts)
    torch.testing.assert_close(segment(model), segment(catseg), rtol=0, atol=1e-6)
    assert (report.kind, report.missing, report.unexpected) == ("CAT-Seg", (), ())
    assert report.loaded == sum(parameter.numel() for parameter in catseg.parameters())
    assert set(report.added) == {name for name in model.state_dict() if is_added(name)}
    assert "CAT-Seg format" in report.summary()
    assert ("without effect" in report.summary()) == bool(report.added)


def test_what_was_not_catsegs_keeps_its_initial_values(checkpoint):
    model, report, _ = warm(checkpoint)
    fresh = build_small(seed=8).state_dict()
    changed = {n for n in report.added if not torch.equal(model.state_dict()[n], fresh[n])}
    fusions = {f"{part}.project.{what}" for part in ("fusion", "decoder.fuse1", "decoder.fuse2")
               for what in ("weight", "bias")}  # fmt: skip
    assert changed == {f"sem_seg_head.{name}" for name in fusions | {"p2tformer.gamma"}}


def test_addition_cannot_start_from_catseg(checkpoint):
    with pytest.raises(ValueError, match='FUSION "cat"') as caught:
        warm(checkpoint, "MODEL.FGASEG.FUSION", "add")
    assert "\n" not in str(caught.value)


def test_a_catseg_of_another_size_is_refused(checkpoint):
    with pytest.raises(ValueError, match="in another shape"):
        warm(checkpoint, "MODEL.FGASEG.HIDDEN_DIM", 64)


@pytest.mark.parametrize(
    ("opts", "message"),
    [
        (("MODEL.FGASEG.P2T.GAMMA_TRAINABLE", False), "gamma is 0"),
        (("MODEL.FGASEG.FAST.ENABLED", True), "no early rejection"),
    ],
)
def test_parts_that_cannot_be_used_at_once_are_named(checkpoint, caplog, opts, message):
    logger = logging.getLogger("fvcore.common.checkpoint")
    logger.addHandler(caplog.handler)
    try:
        # Command lines that were tested before may have quietened it.
        with caplog.at_level(logging.WARNING, logger=logger.name):
            warm(checkpoint, *opts)
    finally:
        logger.removeHandler(caplog.handler)
    assert message in caplog.text


def test_training_from_catseg_starts_there_and_reaches_every_part(checkpoint):
    model, _, _ = warm(checkpoint)
    model.train()
    torch.manual_seed(0)
    labels = torch.randint(0, len(WORDS), (64, 64))
    inputs = [{"image": picture(64, 64), "sem_seg": labels, "vocabulary": WORDS}] * 2
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    without = []
    for _ in range(2):
        optimiser.zero_grad()
        sum(model(inputs).values()).backward()
        without.append(
            {
                name.removeprefix("sem_seg_head.")
                for name, parameter in model.named_parameters()
                if parameter.requires_grad and is_added(name)
                and (parameter.grad is None or not parameter.grad.any())
            }
        )  # fmt: skip
        optimiser.step()
    waiting = {
        name.removeprefix("sem_seg_head.")
        for name, _ in model.named_parameters()
        if name.removeprefix("sem_seg_head.").startswith(SECOND_STEP)
    }
    assert without == [waiting, set()]
