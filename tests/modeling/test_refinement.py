"""PAMR against the formulas of its paper, one pixel after the other."""

import math

import pytest
import torch
from torch.nn import functional as F

from fgaseg_d2 import Vocabulary
from fgaseg_d2.engine.run_description import describe_run
from fgaseg_d2.modeling.inference.refinement import PixelAdaptiveRefinement
from tests.conftest import build_small, config
from tests.methods.tester import picture

PAMR = ("TEST.PAMR.ITERATIONS", 3, "TEST.PAMR.DILATIONS", [1, 4])


def around(y, x, dilation):
    """The 9 places of a square."""
    steps = (-dilation, 0, dilation)
    return [(y + down, x + right) for down in steps for right in steps]


def at(maps, place):
    """The values of a place; beyond the edge those of the edge."""
    height, width = maps.shape[1:]
    y, x = (min(max(p, 0), side - 1) for p, side in zip(place, (height, width), strict=True))
    return [maps[c, y, x].item() for c in range(len(maps))]


def weights_of(image, y, x, dilations):
    """Neighbors of a pixel with their weights, which add up to 1."""
    squares = [around(y, x, dilation) for dilation in dilations]
    values = [at(image, place) for square in squares for place in square]
    deviations = []
    for channel in range(3):
        column = [value[channel] for value in values]
        mean = math.fsum(column) / len(column)
        deviations.append(math.sqrt(math.fsum((v - mean) ** 2 for v in column) / (len(column) - 1)))
    here = at(image, (y, x))
    neighbors = [place for square in squares for place in square if place != (y, x)]
    kernels = []
    for place in neighbors:
        unlike = [
            abs(a - b) / (0.1 * s + 1e-8)
            for a, b, s in zip(at(image, place), here, deviations, strict=True)
        ]
        kernels.append(math.exp(-math.fsum(unlike) / 3))
    return [(place, k / math.fsum(kernels)) for place, k in zip(neighbors, kernels, strict=True)]


def plainly(scores, image, iterations, dilations):
    scores = F.interpolate(scores[None], image.shape[1:], mode="bilinear")[0].double()
    height, width = image.shape[1:]
    for _ in range(iterations):
        new = torch.zeros_like(scores)
        for y in range(height):
            for x in range(width):
                for place, weight in weights_of(image.double(), y, x, dilations):
                    new[:, y, x] += weight * torch.tensor(at(scores, place), dtype=torch.float64)
        scores = new
    return scores.float()


def drawn(*size, seed=0):
    """Two flat halves with a little noise."""
    image = torch.rand(3, *size, generator=torch.manual_seed(seed)) * 20
    image[:, :, size[1] // 2 :] += 150
    return image


@pytest.mark.parametrize("size", [(7, 11), (9, 5), (1, 6), (3, 3)], ids=str)
@pytest.mark.parametrize("dilations", [(1,), (1, 2), (2, 5, 24)], ids=str)
def test_scores_are_the_weighted_means_of_neighbors(size, dilations):
    """On odd sizes, and where a dilation is larger than the picture."""
    image, scores = drawn(*size), torch.rand(4, 3, 4, generator=torch.manual_seed(1))
    refined = PixelAdaptiveRefinement(2, dilations)(scores, image)
    expected = plainly(scores, image, 2, dilations)
    torch.testing.assert_close(refined, expected, atol=2e-5, rtol=1e-4)


def test_no_iterations_change_nothing():
    scores = torch.rand(4, 3, 4)
    assert PixelAdaptiveRefinement(0, (1,))(scores, drawn(9, 9)) is scores
    item = {"image": picture(48, 63), "vocabulary": "cat,dog,sky"}
    with torch.no_grad():
        (plain,) = build_small()([item])
        (off,) = build_small("TEST.PAMR.DILATIONS", [1, 4])([item])
        (on,) = build_small(*PAMR)([item])
    assert torch.equal(plain["sem_seg"], off["sem_seg"])
    assert not torch.equal(plain["sem_seg"], on["sem_seg"])


@pytest.mark.parametrize("value", [0.0, 255.0, -1.79, 1 / 3])
def test_in_a_constant_picture_all_neighbors_weigh_the_same(value):
    refinement = PixelAdaptiveRefinement(1, (1, 2))
    image = torch.full((3, 9, 9), value)
    torch.testing.assert_close(refinement.weights(image), torch.full((16, 9, 9), 1 / 16))
    scores = torch.rand(2, 9, 9)
    box = F.pad(scores[None], (2,) * 4, mode="replicate")[0]
    near = [
        box[:, 2 + dy : 11 + dy, 2 + dx : 11 + dx]
        for d in (1, 2)
        for dy in (-d, 0, d)
        for dx in (-d, 0, d)
        if dy or dx
    ]
    torch.testing.assert_close(refinement(scores, image), torch.stack(near).mean(0))


def test_a_channel_that_is_constant_does_no_harm():
    image = drawn(8, 9)
    image[1] = 77
    refined = PixelAdaptiveRefinement(2, (1, 2))(torch.rand(2, 8, 9), image)
    assert refined.isfinite().all()


def test_scores_stop_at_an_edge_of_the_picture():
    """Less than half of what a blur did is left; no score leaves the range that there was."""
    image = drawn(32, 40)
    truth = torch.zeros(1, 32, 40)
    truth[:, :, 20:] = 1.0
    blurred = F.interpolate(
        F.interpolate(truth[None], (4, 5), mode="area"), (32, 40), mode="bilinear"
    )[0]
    refined = PixelAdaptiveRefinement(10, (1, 2, 4, 8))(blurred, image)
    assert (refined - truth).abs().mean() < 0.5 * (blurred - truth).abs().mean()
    assert refined.min() >= 0 and refined.max() <= 1 + 1e-5


@pytest.mark.parametrize("factor", [1 / 255, 1.0, 300.0])
def test_the_range_of_the_picture_does_not_matter(factor):
    scores, image = torch.rand(3, 9, 9), drawn(9, 9)
    refinement = PixelAdaptiveRefinement(3, (1, 2))
    torch.testing.assert_close(
        refinement(scores, image * factor), refinement(scores, image), atol=1e-4, rtol=1e-3
    )


def test_classes_are_refined_each_by_itself():
    """So many that they are done in several parts."""
    scores, image = torch.rand(150, 5, 7), drawn(9, 13)
    refinement = PixelAdaptiveRefinement(2, (1, 3))
    together = refinement(scores, image)
    for index in (0, 70, 149):
        torch.testing.assert_close(together[[index]], refinement(scores[[index]], image))


@pytest.mark.parametrize(
    ("iterations", "dilations", "words"),
    [
        (-1, (1,), "`iterations` of 0 or more, got -1"),
        (1, (), "`dilations` of 1 or more, one at least, got []"),
        (1, (1, 0), "got [1, 0]"),
    ],
)
def test_what_cannot_be_is_refused(iterations, dilations, words):
    with pytest.raises(ValueError) as caught:
        PixelAdaptiveRefinement(iterations, dilations)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "opts",
    [
        ("MODEL.META_ARCHITECTURE", "DenseCLIP"),
        (
            *("TEST.SLIDING_WINDOW.ENABLED", True, "TEST.SLIDING_WINDOW.SIZE", [64, 64]),
            *("TEST.SLIDING_WINDOW.STRIDE", [48, 48], "TEST.SLIDING_WINDOW.SHORT_SIDE", 64),
        ),
    ],
    ids=("whole", "slide"),
)
def test_class_scores_are_refined_at_the_size_of_the_picture(opts):
    """After synonyms have become classes, and before the scores get another size."""
    item = {"image": picture(48, 63), "vocabulary": "cat|kitten,dog,sky", "output": "canvas"}
    asked = {**item, "output": "scores", "height": 90, "width": 70}
    model = build_small(*opts, *PAMR)
    with torch.no_grad():
        (off,), (on,), (resized,) = build_small(*opts)([item]), model([item]), model([asked])
    expected = PixelAdaptiveRefinement(3, (1, 4))(off["sem_seg"], item["image"])
    torch.testing.assert_close(on["sem_seg"], expected)
    larger = F.interpolate(expected[None], (90, 70), mode="bilinear")[0]
    torch.testing.assert_close(resized["sem_seg"], larger)


def test_segments_vote_on_refined_scores():
    masks = torch.zeros(1, 48, 63, dtype=torch.bool)
    masks[:, :20, :30] = True
    item = {"image": picture(48, 63), "vocabulary": "cat,dog", "output": "canvas"}
    vote = ("TEST.SEGMENT_VOTE", True, "TEST.PROPOSALS.KIND", "given")
    with torch.no_grad():
        (refined,) = build_small(*PAMR)([item])
        (voted,) = build_small(*PAMR, *vote)([item | {"segments": masks}])
    means = refined["sem_seg"][:, masks[0]].mean(1)
    torch.testing.assert_close(voted["sem_seg"][:, masks[0]], means[:, None].expand(-1, 600))
    outside = ~masks[0]
    assert torch.equal(voted["sem_seg"][:, outside], refined["sem_seg"][:, outside])


def test_the_threshold_is_asked_of_refined_scores():

    words = Vocabulary.parse("cat,dog").with_background(["sky"], 0.5)
    item = {"image": picture(48, 63), "vocabulary": words, "output": "canvas"}
    with torch.no_grad():
        (plain,) = build_small()([{**item, "vocabulary": words.with_background(["sky"])}])
        (on,) = build_small(*PAMR)([item])
    refined = PixelAdaptiveRefinement(3, (1, 4))(plain["sem_seg"], item["image"])
    refined[2].clamp_(min=0.5)
    torch.testing.assert_close(on["sem_seg"], refined)


def test_the_results_say_that_scores_were_refined():
    said = describe_run(config("tests/data/small.yaml", *PAMR))
    assert "PAMR, 3 iterations, dilations 1, 4" in said["protocol"]
    assert "TEST.PAMR.ITERATIONS is 3 instead of 0" in said["deviations"]
    assert "PAMR" not in describe_run(config("tests/data/small.yaml"))["protocol"]
