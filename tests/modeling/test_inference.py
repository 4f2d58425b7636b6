"""Sliding window and the reduction of entries to classes."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fgaseg_d2.modeling.inference import label_maps
from fgaseg_d2.modeling.inference.augmentation import AveragedViews
from fgaseg_d2.modeling.inference.class_scores import reduce_entries, with_threshold
from fgaseg_d2.modeling.inference.geometry import window_offsets
from fgaseg_d2.modeling.inference.protocols import CanvasWindows, Slide, make_protocol
from tests.conftest import build_small


def test_windows_of_the_published_protocol():
    assert window_offsets(640, 384, 256) == [0, 256]
    protocol = CanvasWindows((640, 640), (384, 384), (256, 256), (336, 336))
    assert protocol.views(torch.rand(3, 100, 200)).shape == (5, 3, 336, 336)


@pytest.mark.parametrize("length", [384, 385, 640, 641, 1000])
def test_windows_cover_every_pixel_and_stay_inside(length):
    offsets = window_offsets(length, 384, 256)
    covered = {p for offset in offsets for p in range(offset, offset + 384)}
    assert covered == set(range(length))


def test_merging_puts_pixels_back_where_they_were():
    """Scores that are the picture itself come back as the picture."""
    y, x = torch.meshgrid(torch.arange(60.0), torch.arange(80.0), indexing="ij")
    image = torch.stack((y, x, y + x))
    protocol = CanvasWindows((60, 80), (36, 48), (24, 32), (36, 48))
    views = protocol.views(image)
    views[-1] = 0  # the whole view is resized: leave it out of the comparison
    # One after the other, as a generator that holds one at a time gives them.
    merged = protocol.merge(iter(views))
    torch.testing.assert_close(merged, image / 2)


def test_whole_view_weighs_one_half():
    views = torch.zeros(5, 2, 4, 4)
    views[-1] = 1.0
    merged = CanvasWindows((6, 6), (4, 4), (2, 2), (4, 4)).merge(views)
    torch.testing.assert_close(merged, torch.full((2, 6, 6), 0.5))


def test_a_class_scores_as_its_best_entry():
    scores = torch.rand(4, 2, 3)
    reduced = reduce_entries(scores, (0, 0, 1, 2), classes=3)
    torch.testing.assert_close(reduced, torch.stack((scores[:2].amax(0), scores[2], scores[3])))


def test_background_wins_where_no_class_reaches_the_threshold():
    scores = torch.tensor([0.2, 0.6]).reshape(1, 1, 2)
    reduced = with_threshold(reduce_entries(scores, (0,), classes=2), 0.5)
    assert reduced.argmax(0).tolist() == [[1, 0]]
    assert reduced[1].tolist() == [[0.5, 0.5]]


def many_ties(kind, classes, height, width):
    scores = torch.rand(classes, height, width, generator=torch.manual_seed(classes))
    return {"free": scores, "steps": (scores * 4).round() / 4, "equal": scores * 0 + 0.5}[kind]


@pytest.mark.parametrize("kind", ["free", "steps", "equal"])
@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((130, 40, 40), (131, 97)),
        ((7, 24, 24), (301, 200)),
        ((20, 96, 96), (50, 33)),
        ((5, 64, 48), (64, 48)),
        ((1, 4, 4), (9, 9)),
        ((3, 30, 40), (300, 200)),
    ],
)
@pytest.mark.parametrize("classes_at_a_time", [1, 3, 64])
def test_labels_equal_the_argmax_of_all_scores(monkeypatch, kind, shape, size, classes_at_a_time):
    """Bit for bit, also where scores are equal or differ by rounding only."""
    scores = many_ties(kind, *shape)
    whole = F.interpolate(scores[None], size, mode="bilinear").squeeze(0).argmax(0)
    monkeypatch.setattr(label_maps, "_CHUNK", classes_at_a_time * size[0] * size[1])
    labels = label_maps.best_classes([scores], size)
    assert labels.dtype == torch.int32
    assert torch.equal(labels, whole.to(torch.int32))


def test_labels_of_several_maps_are_those_of_their_mean(monkeypatch):
    maps = [many_ties("free", 40, 20, 30), many_ties("steps", 40, 33, 21)]
    mean = sum(F.interpolate(part[None], (90, 70), mode="bilinear") for part in maps).squeeze(0) / 2
    torch.testing.assert_close(label_maps.resize_scores(maps, (90, 70)), mean)
    monkeypatch.setattr(label_maps, "_CHUNK", 1)
    assert torch.equal(label_maps.best_classes(maps, (90, 70)), mean.argmax(0).to(torch.int32))


def test_labels_never_hold_all_classes_at_the_size_of_the_picture(monkeypatch):
    largest = 0
    resize = F.interpolate

    def watch(*arguments, **keywords):
        nonlocal largest
        result = resize(*arguments, **keywords)
        largest = max(largest, result.numel())
        return result

    monkeypatch.setattr(label_maps, "_CHUNK", 8 * 300 * 400)
    monkeypatch.setattr(label_maps.F, "interpolate", watch)
    label_maps.best_classes([torch.rand(847, 6, 8)], (300, 400))
    assert 0 < largest <= 8 * 300 * 400


class Left(nn.Module):
    """Two classes: what is in the picture, and its left half, at a resolution of its own."""

    def forward(self, batch):
        results = []
        for item in batch:
            scores = item["image"].clone()
            scores[1, :, : scores.shape[2] // 2] += 1
            side = round(8 * item["scale"])
            scores = F.interpolate(scores[None], (side, side), mode="nearest").squeeze(0)
            results.append(label_maps.requested_output(item, scores))
        return results


def test_averaging_over_mirrored_pictures_turns_the_scores_back():
    image = torch.zeros(2, 8, 8)
    image[0, :2, :3] = 1.0
    (result,) = AveragedViews(Left(), [1.0], flip=True)([{"image": image}])
    # The picture's own score stays in its place; what depends on the side is averaged out.
    assert torch.equal(result["sem_seg"], torch.stack((image[0], torch.full((8, 8), 0.5))))


def test_averaging_over_scales():
    image = torch.rand(2, 8, 8)
    model = AveragedViews(Left(), [1.0, 2.0], flip=False)
    item = {"image": image, "height": 20, "width": 30}
    (scores,), (labels,) = model([item]), model([{**item, "output": "labels"}])
    expected = [
        F.interpolate(Left()([{**item, "scale": scale, "output": "canvas"}])[0]["sem_seg"][None],
                      (20, 30), mode="bilinear")
        for scale in (1.0, 2.0)
    ]  # fmt: skip
    torch.testing.assert_close(scores["sem_seg"], sum(expected).squeeze(0) / 2)
    assert torch.equal(labels["labels"], scores["sem_seg"].argmax(0).to(torch.int32))


def test_an_unknown_output_is_refused():
    with pytest.raises(ValueError, match="'scores', 'labels' or 'canvas' in the input, got 'map'"):
        label_maps.requested_output({"image": torch.zeros(3, 2, 2), "output": "map"})


@pytest.mark.parametrize("maps", [1, 2])
def test_classes_without_a_chance_are_not_resized(monkeypatch, maps):
    """Most of many words were rejected; the labels are those of all scores."""
    torch.manual_seed(0)
    scores = [torch.rand(300, 6, 8) * 1e-3 for _ in range(maps)]
    for part in scores:
        part[[7, 150, 151, 299]] += 0.5
    expected = label_maps.resize_scores(scores, (90, 120)).argmax(0).to(torch.int32)
    resized = []
    resize = label_maps.resize_scores
    monkeypatch.setattr(
        label_maps, "resize_scores", lambda m, size: resized.append(len(m[0])) or resize(m, size)
    )
    assert torch.equal(label_maps.best_classes(scores, (90, 120)), expected)
    assert sum(resized) <= 8


def slide(height, width, **sizes):
    """The slide protocol of small pictures, for one of them."""
    settings = {"short": 24, "longest": 60, "window": (24, 24), "stride": (20, 20)} | sizes
    return Slide(**settings, image_size=(24, 24)).for_picture((height, width))


@pytest.mark.parametrize(
    ("size", "canvas", "views"),
    [
        ((48, 48), (24, 24), 1),
        ((48, 100), (24, 50), 3),
        ((12, 9), (32, 24), 2),
        # The longer side would be 96: the shorter one yields, and so do the windows.
        ((50, 200), (15, 60), 3),
    ],
    ids=str,
)
def test_slide_keeps_the_shape_of_a_picture(size, canvas, views):
    placed = slide(*size)
    assert placed.canvas == canvas
    assert placed.window == (min(24, canvas[0]), min(24, canvas[1]))
    assert placed.views(torch.rand(3, *size)).shape == (views, 3, 24, 24)


def test_slide_merges_to_the_mean_of_its_windows():
    placed = slide(24, 50)
    assert placed.corners() == [(0, 0), (0, 20), (0, 26)]
    merged = placed.merge(torch.full((2, 24, 24), value) for value in (1.0, 2.0, 4.0))
    columns = [
        [
            v
            for (_, left), v in zip(placed.corners(), (1, 2, 4), strict=True)
            if left <= x < left + 24
        ]
        for x in range(50)
    ]
    expected = torch.tensor([sum(seen) / len(seen) for seen in columns])
    torch.testing.assert_close(merged, expected.expand(2, 24, 50))


def test_slide_at_another_resolution():
    whole = Slide(24, 60, (24, 24), (20, 20), (24, 24)).scaled(1.5)
    assert (whole.short, whole.longest, whole.window) == (36, 90, (24, 24))


def test_a_model_that_slides_gives_scores_at_the_pictures_size():
    model = build_small(
        *("TEST.SLIDING_WINDOW.ENABLED", True, "TEST.SLIDING_WINDOW.SIZE", [64, 64]),
        *("TEST.SLIDING_WINDOW.STRIDE", [48, 48], "TEST.SLIDING_WINDOW.SHORT_SIDE", 64),
    )
    inputs = [
        {"image": torch.rand(3, 40, 100) * 255, "vocabulary": "cat,dog"},
        {"image": torch.rand(3, 64, 64) * 255, "vocabulary": "cat,dog", "explain": True},
    ]
    with torch.no_grad():
        wide, square = model(inputs)
        whole = build_small()(inputs[1:])[0]
    assert wide["sem_seg"].shape == (2, 40, 100)
    # One window, which is the whole picture; logits are enlarged before they become scores.
    torch.testing.assert_close(square["sem_seg"], whole["sem_seg"], atol=0.02, rtol=0)
    assert square["pseudo_masks"]["gcs"].shape == whole["pseudo_masks"]["gcs"].shape


def test_a_stride_beyond_the_window_is_one_line_for_slides_too():
    with pytest.raises(ValueError, match="1 <= stride <= size"):
        make_protocol((24, 24), 8, ((640, 640), (24, 24), (25, 24)), (24, 60))
