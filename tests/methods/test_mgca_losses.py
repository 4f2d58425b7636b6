"""Every loss of MGCA against a loop in plain Python, one number at a time."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fgaseg_d2.methods.mgca.criterion import MGCACriterion, Sampling
from fgaseg_d2.methods.mgca.grounding import TextGrounding, compare_pairs
from fgaseg_d2.methods.mgca.sampling import find_regions, sample_pixels

SIDE, CHANNELS, BATCH, SCALE = 6, 5, 4, 1 / 0.07
LEVELS = ("object", "region", "pixel", "area", "smooth")
SAMPLING = Sampling(
    regions=4, hard_regions=2, least_pixels=2, region_negatives=3, pixels=6, pixel_negatives=7,
    pairs_at_once=5,
)  # fmt: skip


def inputs(seed=0):
    """Maps that have something of their own text, and texts."""
    generator = torch.Generator().manual_seed(seed)
    texts = F.normalize(torch.randn(BATCH, CHANNELS, generator=generator), dim=1)
    maps = torch.randn(BATCH, CHANNELS, SIDE, SIDE, generator=generator) + texts[..., None, None]
    # Of the last picture hardly a pixel is in the mask.
    maps[3] -= 2.2 * texts[3][:, None, None]
    return F.normalize(maps, dim=1), texts


def losses(maps, texts, iteration=3, **weights):
    wanted = {level: weights.get(level, 1.0) for level in LEVELS}
    criterion = MGCACriterion(weights=wanted, sampling=SAMPLING)
    return criterion(maps, texts, TextGrounding(), iteration)


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def unit(a):
    length = math.sqrt(dot(a, a))
    return [x / length for x in a]


def mask_value(cosine):
    return 1 / (1 + math.exp(-(10 * cosine - 2.5)))


class Plain:
    """The same numbers as lists."""

    def __init__(self, maps, texts):
        self.pixels = maps.flatten(2).transpose(1, 2).tolist()
        self.texts = texts.tolist()
        self.n = SIDE * SIDE

    def cosine(self, picture, pixel, text):
        return dot(self.pixels[picture][pixel], self.texts[text])

    def mask(self, picture, text):
        return [mask_value(self.cosine(picture, i, text)) for i in range(self.n)]

    def inside(self, picture):
        return [i for i, m in enumerate(self.mask(picture, picture)) if m > 0.5]

    def contrast(self, positives, negatives):
        """`positives`: picture -> embeddings; `negatives`: text -> cosines, all sorted."""
        terms = []
        for b, chosen in positives.items():
            for p in chosen:
                own = math.exp(SCALE * dot(p, self.texts[b]))
                places = sum(math.exp(SCALE * c) for c in negatives[b])
                others = sum(
                    math.exp(SCALE * dot(p, t)) for j, t in enumerate(self.texts) if j != b
                )
                terms.append((-math.log(own / (own + places)) - math.log(own / (own + others))) / 2)
        return sum(terms) / max(1, len(terms))

    def regions(self, picture):
        """Lists of pixels."""
        inside = self.inside(picture)
        pixels = self.pixels[picture]
        if not inside:
            return []
        centres = [pixels[max(inside, key=lambda i: self.cosine(picture, i, picture))]]
        while len(centres) < min(SAMPLING.regions, len(inside)):
            far = min(inside, key=lambda i: max(dot(pixels[i], c) for c in centres))
            centres.append(pixels[far])
        for _ in range(5):
            groups = [[] for _ in centres]
            for i in inside:
                best = max(range(len(centres)), key=lambda k: dot(pixels[i], centres[k]))
                groups[best].append(i)
            for k, group in enumerate(groups):
                if group:
                    centres[k] = self.mean(picture, group)
        return [group for group in groups if group]

    def mean(self, picture, group):
        return unit([sum(self.pixels[picture][i][c] for i in group) for c in range(CHANNELS)])


@pytest.fixture(scope="module")
def plain():
    return Plain(*inputs())


def test_objects(plain):
    table = [[0.0] * BATCH for _ in range(BATCH)]
    for b in range(BATCH):
        for t in range(BATCH):
            mask = plain.mask(b, t)
            taken = [
                sum(mask[i] * plain.pixels[b][i][c] for i in range(plain.n)) / sum(mask)
                for c in range(CHANNELS)
            ]
            table[b][t] = SCALE * dot(unit(taken), plain.texts[t])
    terms = []
    for i in range(BATCH):
        row = sum(math.exp(table[i][j]) for j in range(BATCH))
        column = sum(math.exp(table[j][i]) for j in range(BATCH))
        own = math.exp(table[i][i])
        terms.append((-math.log(own / row) - math.log(own / column)) / 2)
    found = losses(*inputs())["loss_object"]
    assert found.item() == pytest.approx(sum(terms) / BATCH, rel=1e-4)


def test_regions(plain):
    regions = {b: plain.regions(b) for b in range(BATCH)}
    means = {b: [plain.mean(b, g) for g in regions[b]] for b in range(BATCH)}
    positives, negatives = {}, {}
    for b in range(BATCH):
        large = [m for g, m in zip(regions[b], means[b], strict=True) if len(g) >= 2]
        positives[b] = sorted(large, key=lambda m: dot(m, plain.texts[b]))[:2]
        others = [dot(m, plain.texts[b]) for o in range(BATCH) if o != b for m in means[o]]
        negatives[b] = sorted(others, reverse=True)[:3]
    assert any(len(groups) == 4 for groups in regions.values())
    found = losses(*inputs())["loss_region"]
    assert found.item() == pytest.approx(plain.contrast(positives, negatives), rel=1e-4)


def test_pixels(plain):
    positives, negatives = {}, {}
    for b in range(BATCH):
        order = sorted(plain.inside(b), key=lambda i: plain.cosine(b, i, b))
        if len(order) > 6:
            # Seeded by the iteration and the pair's number among all.
            generator = torch.Generator().manual_seed(3 * 2**20 + b)
            rest = order[3:]
            order = order[:3] + [
                rest[i] for i in torch.randperm(len(rest), generator=generator).tolist()[:3]
            ]
        positives[b] = [plain.pixels[b][i] for i in order]
        others = [plain.cosine(o, i, b) for o in range(BATCH) if o != b for i in range(plain.n)]
        negatives[b] = sorted(others, reverse=True)[:7]
    sizes = [len(chosen) for chosen in positives.values()]
    assert max(sizes) == 6 and min(sizes) < 6
    found = losses(*inputs())["loss_pixel"]
    assert found.item() == pytest.approx(plain.contrast(positives, negatives), rel=1e-4)


def test_area(plain):
    own = [m for b in range(BATCH) for m in plain.mask(b, b)]
    other = [m for b in range(BATCH) for t in range(BATCH) if t != b for m in plain.mask(b, t)]
    wanted = abs(sum(own) / len(own) - 0.4) + sum(other) / len(other)
    assert losses(*inputs())["loss_area"].item() == pytest.approx(wanted, rel=1e-5)


def test_smoothness():
    maps, texts = inputs()
    values = maps.tolist()
    masks = [[[[mask_value(dot([values[b][c][y][x] for c in range(CHANNELS)], texts[b].tolist()))
                for x in range(SIDE)] for y in range(SIDE)]] for b in range(BATCH)]  # fmt: skip

    def variation(grids):
        down, across = [], []
        for grid in (grid for picture in grids for grid in picture):
            for y in range(SIDE):
                for x in range(SIDE):
                    if y + 1 < SIDE:
                        down.append(abs(grid[y + 1][x] - grid[y][x]))
                    if x + 1 < SIDE:
                        across.append(abs(grid[y][x + 1] - grid[y][x]))
        return sum(down) / len(down) + sum(across) / len(across)

    wanted = variation(values) + variation(masks)
    assert losses(maps, texts)["loss_smooth"].item() == pytest.approx(wanted, rel=1e-5)


def test_a_level_of_weight_0_is_not_there_and_the_others_scale():
    whole = losses(*inputs())
    part = losses(*inputs(), pixel=0.0, region=0.0, area=0.4)
    assert set(part) == {"loss_object", "loss_area", "loss_smooth"}
    torch.testing.assert_close(part["loss_area"], 0.4 * whole["loss_area"])
    torch.testing.assert_close(part["loss_object"], whole["loss_object"])


@pytest.mark.parametrize("at_once", [1, 4, 8, 10**6])
def test_how_many_pairs_are_in_memory_changes_neither_values_nor_gradients(at_once):
    def run(pairs_at_once):
        maps, texts = inputs()
        pixels = maps.flatten(2).transpose(1, 2).clone().requires_grad_()
        grounding = TextGrounding()
        pairs = compare_pairs(
            *(pixels, texts, torch.arange(BATCH), grounding), hard=9, pairs_at_once=pairs_at_once
        )
        total = pairs.objects.square().sum() + pairs.negative_area + pairs.hardest.cos().sum()
        total.backward()
        return pairs, (pixels.grad, grounding.sharpness.grad, grounding.offset.grad)

    (found, gradients), (wanted, other) = run(at_once), run(3)
    for name in ("objects", "negative_area", "hardest"):
        torch.testing.assert_close(getattr(found, name), getattr(wanted, name))
    torch.testing.assert_close(gradients, other)


def test_masks_without_a_pixel_and_a_single_pair_leave_losses_that_are_numbers():
    maps, texts = inputs()
    away = F.normalize(maps - 3 * texts[..., None, None], dim=1)
    for pictures, words in ((away, texts), (maps[:1], texts[:1]), (away[:1], texts[:1])):
        leaf = pictures.clone().requires_grad_()
        found = losses(leaf, words)
        assert all(loss.isfinite() for loss in found.values())
        sum(found.values()).backward()
        assert leaf.grad.isfinite().all()
    # No positive anywhere.
    assert losses(away, texts)["loss_pixel"] == losses(away, texts)["loss_region"] == 0


def test_regions_of_few_pixels_are_no_more_than_these():
    maps, texts = inputs()
    pixels = maps.flatten(2).transpose(1, 2)
    cosines = torch.einsum("bnc,bc->bn", pixels, texts)
    masks = torch.zeros(BATCH, SIDE * SIDE, dtype=torch.bool)
    masks[0, :3] = masks[1, 7] = masks[2, :] = True
    regions = find_regions(pixels, cosines, masks, 8)
    assert regions.any(2).sum(1).tolist() == [3, 1, 8, 0]
    assert torch.equal(regions.any(1), masks) and regions.sum(1).max() == 1


def test_random_pixels_depend_on_the_seed_and_hard_ones_do_not():
    cosines, masks = torch.linspace(-1, 1, 50)[None], torch.ones(1, 50, dtype=torch.bool)
    (first, counted), (second, _) = (sample_pixels(cosines, masks, 8, [s]) for s in (1, 2))
    assert counted.all() and first[0, :4].tolist() == second[0, :4].tolist() == [0, 1, 2, 3]
    assert first[0, 4:].tolist() != second[0, 4:].tolist()
    assert len(np.unique(first)) == 8
