"""What a segmentation gives to other programs in Python."""

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageShow
from pycocotools.coco import COCO

from fgaseg_d2.predict.explanation import Explanation
from tests.exports.scenes import WORDS, labels, segmentation

FOUND = labels()


def test_masks_by_name_and_synonym():
    result = segmentation()
    assert (result.mask("cat") == (FOUND == 0)).all()
    assert (result.mask("kitten") == result.mask("cat")).all()
    assert list(result.masks) == ["cat", "red car", "sky", "background"]
    assert (sum(result.masks.values()) == 1).all()
    with pytest.raises(ValueError, match=r"got 'dog'; take one of 'cat', 'red car', 'sky'"):
        result.mask("dog")


def test_classes_without_a_pixel_have_no_mask():
    assert list(segmentation(np.zeros((4, 5), np.int32)).masks) == ["cat"]
    assert not segmentation(np.zeros((4, 5), np.int32)).mask("sky").any()


def test_boxes_pieces_and_polygons_fit_each_other():
    result = segmentation()
    pieces = [piece for piece in result.pieces() if piece.name == "cat"]
    # Two corners, a speck on the edge below, a line, and the cat itself, from top to bottom.
    assert [piece.area for piece in pieces] == [1, 1, 60, 45, 1]
    assert result.boxes["cat"].tolist() == [list(piece.box) for piece in pieces]
    assert result.boxes["cat"][2].tolist() == [20, 14, 30, 20]
    (car,) = result.polygons["red car"]
    assert len(car) == 4  # the outline, the wall in it, and two pixels of sky
    assert car[0].tolist() == [[10, 5], [40, 5], [40, 30], [10, 30]]
    assert sorted(len(ring) for ring in car) == [4, 4, 4, 4]
    assert [piece.name for piece in result.pieces(smallest=50)] == [
        *("cat", "red car", "sky", "background")
    ]


def test_scores_of_regions_are_mean_probabilities():
    result = segmentation()
    result.scores[0, 14:20, 20:25] = 0.9
    cat = max((p for p in result.pieces() if p.name == "cat"), key=lambda piece: piece.area)
    assert cat.score == pytest.approx(0.8)


def test_unsure_and_none():
    result = segmentation()
    assert not result.unsure().any() and not result.none().any()
    result.scores[1, :3] = 0.65
    assert (np.nonzero(result.unsure(0.1).all(1))[0] == [0, 1, 2]).all()
    assert not result.unsure(0.01).any()
    result.scores[:, -1] = 0.2
    assert result.none(0.3)[-1].all() and not result.none(0.3)[:-1].any()
    assert result.none(0.75).all()
    with pytest.raises(ValueError, match="expected `margin`, a probability from 0 to 1, got 3"):
        result.unsure(3)
    with pytest.raises(ValueError, match="expected `threshold`.* got -1"):
        result.none(-1)


def test_smaller_scores_and_a_single_class():
    result = segmentation()
    small = segmentation()
    object.__setattr__(small, "scores", result.scores[:, ::2, ::2].contiguous())
    small.scores[:, 5, 7] = 0.0
    assert small.none().shape == FOUND.shape and small.none()[10:12, 14:16].all()
    assert small.none().sum() == 4
    assert all(0 <= piece.score <= 0.7 + 1e-6 for piece in small.pieces())
    object.__setattr__(result, "scores", torch.full((1, 40, 60), 0.5))
    assert not result.unsure().any()


def test_coco_is_read_by_pycocotools():
    result = segmentation(source="folder/a.png")
    for pieces, counts in ((False, [1, 1, 1]), (True, [5, 1, None])):
        coco = COCO()
        coco.dataset = result.to_coco(pieces)
        coco.createIndex()
        assert coco.loadImgs(1)[0]["file_name"] == "a.png"
        assert [cat["name"] for cat in coco.loadCats(coco.getCatIds())] == list(
            WORDS.class_names[:3]
        )
        for index, count in enumerate(counts):
            found = coco.loadAnns(coco.getAnnIds(catIds=[index + 1]))
            masks = np.stack([coco.annToMask(annotation) for annotation in found])
            assert (masks.sum(0) == (index == FOUND)).all()
            assert count in (None, len(found))
            for annotation, mask in zip(found, masks):
                assert annotation["area"] == mask.sum()
                assert annotation["score"] == pytest.approx(0.7)
                rows, columns = np.nonzero(mask)
                size = [np.ptp(columns) + 1, np.ptp(rows) + 1]
                assert annotation["bbox"] == [columns.min(), rows.min(), *size]


def test_supervision_takes_detections():
    library = pytest.importorskip("supervision")
    result = segmentation()
    found = result.to_supervision()
    assert isinstance(found, library.Detections) and len(found) == 3
    assert found.data["class_name"].tolist() == ["cat", "red car", "sky"]
    assert found.class_id.tolist() == [0, 1, 2]
    assert found.confidence == pytest.approx([0.7] * 3)
    for index, mask in enumerate(found.mask):
        assert (mask == (index == FOUND)).all()
    assert found.area.tolist() == [(index == FOUND).sum() for index in range(3)]
    pieces = result.to_supervision(pieces=True)
    assert (pieces.class_id == 0).sum() == 5
    picture = library.MaskAnnotator().annotate(result.image.copy(), pieces)
    assert picture.shape == result.image.shape and (picture != result.image).any()
    nothing = segmentation(np.full((4, 5), 3, np.int32))
    assert len(nothing.to_supervision()) == 0


def test_without_supervision_the_extra_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(ImportError, match=r"pip install 'fgaseg_d2\[supervision\]'"):
        segmentation().to_supervision()


def test_repr_is_a_short_line():
    text = repr(segmentation())
    sky = f"{(FOUND == 2).mean():.1%}"
    assert text.startswith(f"Segmentation(60 x 40 pixels: sky {sky}, red car ")
    assert len(text) < 120 and "\n" not in text
    fields = ("image", "labels", "scores", "vocabulary")
    values = {name: getattr(segmentation(), name) for name in fields}
    assert repr(Explanation(**values, maps={})) == text.replace("Segmentation", "Explanation")


def test_pictures_for_pillow_and_notebooks():
    result = segmentation()
    assert (np.asarray(result.to_pil()) == result.overlay()).all()
    large = segmentation(np.zeros((100, 3000), np.int32))
    with Image.open(io.BytesIO(large._repr_png_())) as shown:
        assert shown.format == "PNG" and shown.width <= 1024
    with Image.open(io.BytesIO(result._repr_png_())) as shown:
        assert shown.size == result.to_pil().size


class Viewer(ImageShow.Viewer):
    """Keeps what it is asked to show."""

    def show(self, image, **options):
        self.image = image
        return 1


def test_show_takes_the_systems_viewer_or_says_that_there_is_none(monkeypatch):
    monkeypatch.setattr(ImageShow, "_viewers", [])
    with pytest.raises(RuntimeError, match="found none; write the picture with save"):
        segmentation().show()
    viewer = Viewer()
    ImageShow.register(viewer)
    segmentation().show()
    assert viewer.image.size == segmentation().to_pil().size
