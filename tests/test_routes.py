"""Routes of a point: boxes against windows counted by hand, drawn panels, and what is refused."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fgaseg_d2 import OpenVocabPredictor
from fgaseg_d2.drawing.route_panels import FRAME, RoutePanel, draw_panel
from fgaseg_d2.modeling.inference.protocols import CanvasWindows, Slide, Whole
from fgaseg_d2.modeling.routes import Routes
from fgaseg_d2.predict.point_routes import routes_of_point
from tests.conftest import config

WORDS = "red house,tree,sky"
LDVC = (
    *("MODEL.META_ARCHITECTURE", "LDVC", "MODEL.LDVC.PROMPTS", "vision"),
    *("MODEL.LDVC.LAYERS", 2, "MODEL.LDVC.HEADS", 4, "MODEL.LDVC.TOP_WINDOWS", 3),
)
# 90 x 50 pixels become 115 x 64: two windows beside each other.
SLIDE = (
    *("TEST.SLIDING_WINDOW.ENABLED", True, "TEST.SLIDING_WINDOW.SHORT_SIDE", 64),
    *("TEST.SLIDING_WINDOW.SIZE", [64, 64], "TEST.SLIDING_WINDOW.STRIDE", [51, 51]),
)


def predictor(*opts):
    torch.manual_seed(0)
    return OpenVocabPredictor(config("tests/data/small.yaml", *LDVC, *opts))


def picture(height=50, width=90):
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)


def noted_choices(model, run):
    """What the router of each layer returns in a pass of its own, which nobody explains."""
    noted = []
    handles = [
        layer.consensus.router.register_forward_hook(lambda *call: noted.append(call[-1]))
        for layer in model.sem_seg_head.layers
    ]
    with torch.no_grad():
        run()
    for handle in handles:
        handle.remove()
    return noted


def windows_by_hand(tokens, size):
    """The tokens (row, column) of each window of a square grid."""
    places = [(row, column) for row in range(tokens) for column in range(tokens)]
    across = range(-(-tokens // size))
    return [
        [(r, c) for r, c in places if (r // size, c // size) == (row, column)]
        for row in across
        for column in across
    ]


def box_by_hand(places, tokens, left, top, width, height):
    """The smallest box around tokens of a view that begins at a place of the picture."""
    rows, columns = zip(*places, strict=True)
    return [
        left + min(columns) * width / tokens,
        top + min(rows) * height / tokens,
        left + (max(columns) + 1) * width / tokens,
        top + (max(rows) + 1) * height / tokens,
    ]


@pytest.mark.parametrize("size", [4, 3], ids=["divides", "does not divide"])
@pytest.mark.parametrize("point", [(0, 0), (89, 49), (45, 25), (30, 12), (70, 44)], ids=str)
def test_boxes_are_those_of_the_windows_that_the_router_chose(size, point):
    one, image = predictor("MODEL.LDVC.WINDOW_SIZE", size), picture()
    noted = noted_choices(one.model, lambda: one(image, WORDS))
    windows = windows_by_hand(8, size)
    token = (int(8 * (point[1] + 0.5) / 50), int(8 * (point[0] + 0.5) / 90))
    (own,) = (number for number, places in enumerate(windows) if token in places)
    routes = one.explain(image, WORDS).routes_at(*point)
    assert list(routes) == ["layer1", "layer2"]
    for layer, choice in zip(routes.values(), noted, strict=True):
        expected = [
            box_by_hand(windows[window], 8, 0, 0, 90, 50) for window in [own, *choice[0, own]]
        ]
        np.testing.assert_allclose([layer.window, *layer.chosen], expected, atol=1e-9)
        assert layer.view.tolist() == [0, 0, 90, 50]
        assert layer.windows == len(windows) and len(layer.chosen) == 3


@pytest.mark.parametrize(("point", "number"), [((20, 30), 0), ((60, 7), 1)], ids=str)
def test_of_sliding_windows_the_one_around_the_point_tells(point, number):
    one, image = predictor(*SLIDE, "MODEL.LDVC.WINDOW_SIZE", 3), picture()
    resized = one._prepare(image, one.default_vocabulary)["image"]
    board = F.interpolate(one.model.normalize(resized)[None], (64, 115), mode="bilinear")
    left = (0, 51)[number]
    words = one.explain(image, WORDS).vocabulary
    noted = noted_choices(
        one.model, lambda: one.model.logits(board[..., left : left + 64].contiguous(), words)
    )
    windows = windows_by_hand(8, 3)
    # Pixels of the picture that the view shows.
    view = (left * 90 / 115, 0, 64 * 90 / 115, 50)
    token = (int(8 * (point[1] + 0.5) / 50), int(8 * (point[0] + 0.5 - view[0]) / view[2]))
    (own,) = (n for n, places in enumerate(windows) if token in places)
    for layer, choice in zip(
        one.explain(image, WORDS).routes_at(*point).values(), noted, strict=True
    ):
        expected = [box_by_hand(windows[window], 8, *view) for window in [own, *choice[0, own]]]
        np.testing.assert_allclose([layer.window, *layer.chosen], expected, atol=1e-9)
        np.testing.assert_allclose(layer.view, [view[0], 0, view[0] + view[2], 50])


PROTOCOLS = {
    "whole": Whole((64, 64), 8),
    "slide": Slide(64, 256, (64, 64), (51, 51), (64, 64)).for_picture((50, 90)),
    "beside each other": Slide(50, 256, (25, 30), (25, 30), (64, 64)).for_picture((50, 90)),
    "canvas": CanvasWindows((96, 96), (64, 64), (32, 32), (64, 64)),
}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_pixel_lies_in_its_window_and_that_in_its_view(name):
    views = PROTOCOLS[name].boxes()
    assert len(views) == len(PROTOCOLS[name].views(torch.zeros(3, 50, 90)))
    # Each window chooses itself.
    chosen = torch.arange(6)[:, None].expand(len(views), 6, 1)
    routes = {"layer": Routes(chosen=chosen, grid=(5, 9), window=3)}
    for y in range(50):
        for x in range(90):
            layer = routes_of_point(routes, views, (x, y), (90, 50))["layer"]
            for box in (layer.window, layer.view, *layer.chosen):
                assert box[0] - 1e-9 <= x + 0.5 <= box[2] + 1e-9
                assert box[1] - 1e-9 <= y + 0.5 <= box[3] + 1e-9
            assert (layer.chosen[0] == layer.window).all()


@pytest.mark.parametrize(
    ("point", "reason"),
    [
        ((90, 10), "x from 0 to 89 and y from 0 to 49, got 90,10; choose such as 45,25"),
        ((3, 50), "got 3,50"),
        ((-1, 0), "got -1,0"),
        ((1.5, 0), "got 1.5,0"),
        (("a", 0), "got 'a',0"),
    ],
)
def test_what_is_no_pixel_is_refused(point, reason):
    explanation = predictor().explain(picture(), WORDS)
    for ask in (lambda: explanation.routes_at(*point), lambda: explanation.sheet(1, point)):
        with pytest.raises(ValueError, match="expected a point inside the picture") as error:
            ask()
        assert reason in str(error.value)


@pytest.mark.parametrize(
    "opts",
    [("MODEL.LDVC.CONSENSUS", "full"), ("MODEL.META_ARCHITECTURE", "FGASeg")],
    ids=["full", "fgaseg"],
)
def test_a_model_without_routes_says_so_when_asked_and_draws_its_sheet(opts):
    one = predictor(*opts)
    explanation = one.explain(picture(), WORDS)
    assert not one.model.has_routes and not explanation.routes
    for ask in (lambda: explanation.routes_at(3, 4), lambda: explanation.sheet(2, (3, 4))):
        with pytest.raises(ValueError, match=r"expected a model with routes .* without for 3,4"):
            ask()
    assert explanation.sheet().ndim == 3


def test_a_sheet_has_the_routes_of_the_middle_or_of_the_point():
    explanation = predictor().explain(picture(), WORDS)
    bare = dataclasses.replace(explanation, routes={}).sheet()
    sheet = explanation.sheet()
    assert sheet.shape[0] > bare.shape[0] + 150 and sheet.shape[1] == bare.shape[1]
    assert (sheet == explanation.sheet(point=(45, 25))).all()
    assert (sheet != explanation.sheet(point=(2, 2))).any()
    # A frame for each layer, and nothing of the kind in a sheet without routes.
    frames = (sheet == np.array(FRAME)).all(-1).sum()
    assert frames > 200 and not (bare == np.array(FRAME)).all(-1).any()


def test_a_panel_is_bright_where_the_point_looks_and_framed_where_it_lies():
    panel = RoutePanel(
        title="layer1",
        note="",
        window=np.array([0.0, 0, 20, 20]),
        chosen=np.array([[40.0, 20, 60, 40], [60, 40, 80, 50]]),
        view=np.array([0.0, 0, 90, 50]),
    )
    grey = np.full((50, 90, 3), 200, np.uint8)
    drawn = draw_panel(grey, (10, 10), panel, (360, 200))
    bright = (drawn == 200).all(-1)
    dark = (drawn == 60).all(-1)
    # What is neither is a line or a number.
    assert bright[80:160, 160:240].mean() > 0.7 and bright[160:, 240:320].mean() > 0.6
    bright[80:160, 160:240] = bright[160:, 240:320] = False
    assert not bright.any()
    assert dark[:, 100:150].all() and dark[:80, 160:].all()
    assert (drawn[0, :80] == FRAME).all() and (drawn[:80, 79] == FRAME).all()
    assert (drawn[42, 42] == FRAME).all()
    beside = dataclasses.replace(panel, view=np.array([0.0, 0, 60, 50]))
    assert (draw_panel(grey, (10, 10), beside, (360, 200))[100, 239] == 255).all()


@pytest.mark.parametrize("size", [(1, 400), (400, 1), (3, 2)])
def test_panels_of_every_shape(size):
    one = predictor("MODEL.LDVC.WINDOW_SIZE", 1)
    explanation = one.explain(picture(*size), WORDS)
    x, y = explanation.middle
    assert explanation.sheet(1).shape == explanation.sheet(1, (x, y)).shape
