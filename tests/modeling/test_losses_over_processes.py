"""Losses of two processes: their mean and its gradients are those of one with the whole batch."""

import pytest
import torch
from detectron2.utils import comm
from torch.nn import functional as F

from fgaseg_d2.engine.launch import launch
from fgaseg_d2.methods.ldvc.losses import LDVCCriterion
from fgaseg_d2.methods.mgca.criterion import MGCACriterion, Sampling
from fgaseg_d2.methods.mgca.grounding import TextGrounding
from fgaseg_d2.methods.use.losses import SegmentTextLoss
from fgaseg_d2.modeling.losses.contrastive import contrastive_loss, pooled_similarity

BATCH = 6
KEYS = torch.tensor([3.0, 8, 3, 8, 1, 3])


def contrastive(pictures, texts):
    pictures, texts = (F.normalize(x, dim=-1) for x in (pictures, texts))
    return contrastive_loss(pictures, texts, torch.tensor(7.0))


def masks(logits, targets):
    criterion = LDVCCriterion(
        ignore_value=9, focal_weight=100.0, dice_weight=1.0, ignored_as_negative=True
    )
    return sum(criterion([logits[:, :3], logits[:, 3:]], targets.long()).values())


def segments(pictures, texts, keys, kind="contrastive"):
    pictures, texts = (F.normalize(x, dim=-1) for x in (pictures, texts))
    return SegmentTextLoss(kind, 0.07)(pictures, texts, keys.long())


def sigmoids(*arguments):
    return segments(*arguments, kind="sigmoid")


def mgca(level):
    """One of MGCA's losses, of maps and texts."""

    def loss(maps, texts, sharpness, offset, log_scale):
        wanted = dict.fromkeys(("object", "region", "pixel", "area", "smooth"), 0.0) | {level: 1.0}
        few = Sampling(
            regions=3, hard_regions=2, least_pixels=2, region_negatives=4, pixels=8,
            pixel_negatives=20, pairs_at_once=7,
        )  # fmt: skip
        criterion, grounding = MGCACriterion(weights=wanted, sampling=few), TextGrounding()
        # As numbers that train.
        del criterion.log_scale, grounding.sharpness, grounding.offset
        criterion.log_scale, grounding.sharpness, grounding.offset = log_scale, sharpness, offset
        maps, texts = F.normalize(maps, dim=1), F.normalize(texts, dim=1)
        return criterion(maps, texts, grounding, 5)[f"loss_{level}"]

    return loss


def inputs():
    """Of each loss: the function, and its arguments, of which those of torch.double train."""
    torch.manual_seed(0)
    # The halves show different numbers of classes.
    targets = torch.randint(0, 3, (BATCH, 8, 8)).float()
    targets[: BATCH // 2] = 1
    targets[0, :4] = 9
    texts = torch.randn(BATCH, 4)
    maps = torch.randn(BATCH, 4, 6, 6) + texts[..., None, None]
    ours = (maps, texts, torch.tensor(10.0), torch.tensor(-2.5), torch.tensor(2.0))
    levels = ("object", "region", "pixel", "area", "smooth")
    return {
        **{f"mgca_{level}": (mgca(level), *(x.clone() for x in ours)) for level in levels},
        "global": (contrastive, torch.randn(BATCH, 1, 4), torch.randn(BATCH, 4)),
        "tokens": (contrastive, torch.randn(BATCH, 5, 4), torch.randn(BATCH, 4)),
        "masks": (masks, torch.randn(BATCH, 6, 4, 4), targets),
        # Equal texts in both halves.
        "segments": (segments, torch.randn(BATCH, 4), torch.randn(BATCH, 4), KEYS),
        "sigmoids": (sigmoids, torch.randn(BATCH, 4), torch.randn(BATCH, 4), KEYS),
    }


def losses_and_gradients(share):
    """Of each loss over a share of the batch: its value and the gradients."""
    found = {}
    for name, (function, *arguments) in inputs().items():
        leaves = [x.clone().requires_grad_() for x in arguments]
        # Numbers belong to all pairs.
        loss = function(*(x[share] if x.ndim else x for x in leaves))
        loss.backward()
        gradients = [x.grad for x in leaves if x.grad is not None]
        found[name] = loss.detach(), gradients
    return found


def unequal(share):
    """The segments' loss and all gradients, those of its own parameters too."""
    torch.manual_seed(2)
    loss, (pictures, texts) = SegmentTextLoss("sigmoid", 0.07), torch.randn(2, BATCH, 4)
    pictures.requires_grad_()
    value = loss(F.normalize(pictures[share], dim=-1), texts[share], KEYS.long()[share])
    value.backward()
    return value.detach(), [pictures.grad, loss.log_scale.grad, loss.bias.grad]


def of_one_of_two(folder):
    half = BATCH // 2
    share = slice(comm.get_rank() * half, (comm.get_rank() + 1) * half)
    found = losses_and_gradients(share)
    # One of five, and even none.
    found["uneven"] = unequal(slice(1) if comm.get_rank() == 0 else slice(1, None))
    found["none"] = unequal(slice(0) if comm.get_rank() == 0 else slice(None))
    found["nowhere"] = unequal(slice(0))
    torch.save(found, folder / f"{comm.get_rank()}.pth")


@pytest.mark.skipif(torch.cuda.is_available(), reason="processes would share the GPUs over NCCL")
def test_two_processes_equal_one(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    launch(of_one_of_two, 2, args=(tmp_path,))
    first, second = (torch.load(tmp_path / f"{rank}.pth") for rank in (0, 1))
    whole_batch = losses_and_gradients(slice(None))
    whole_batch |= dict.fromkeys(("uneven", "none"), unequal(slice(None)))
    whole_batch["nowhere"] = unequal(slice(0))
    assert whole_batch["nowhere"][0] == 0
    for name, (loss, gradients) in whole_batch.items():
        # As DistributedDataParallel does with gradients, and the log with losses.
        torch.testing.assert_close((first[name][0] + second[name][0]) / 2, loss)
        for one, other, whole in zip(first[name][1], second[name][1], gradients, strict=True):
            torch.testing.assert_close((one + other) / 2, whole, atol=1e-6, rtol=1e-5)


def test_a_smooth_maximum_against_loops():
    torch.manual_seed(1)
    pictures, texts = torch.randn(3, 4, 5), torch.randn(2, 5)
    found = pooled_similarity(pictures, texts, 3.0)
    for p in range(3):
        for t in range(2):
            terms = [torch.exp(3.0 * (pictures[p, n] * texts[t]).sum()) for n in range(4)]
            torch.testing.assert_close(found[p, t], torch.log(sum(terms) / 4))
    alone = pooled_similarity(pictures[:, :1], texts, 3.0)
    torch.testing.assert_close(alone, 3.0 * pictures[:, 0] @ texts.T)
    # The larger the scale, the more the best place decides.
    hard = pooled_similarity(pictures, texts, 1000.0) / 1000
    torch.testing.assert_close(
        hard, torch.einsum("pnc,tc->ptn", pictures, texts).amax(-1), atol=2e-3, rtol=0
    )
