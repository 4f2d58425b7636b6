"""GeoJSON and GeoTIFF lie where the picture does; pictures of many bands and of 16 bits."""

import json
import logging

import numpy as np
import pytest
from PIL import Image

from fgaseg_d2.exports import Export
from fgaseg_d2.io.rasters import read_bands, read_georeference
from fgaseg_d2.vocabulary.colors import default_colors
from tests.exports.readers import pieces
from tests.exports.scenes import WORDS, labels, noise, segmentation

rasterio = pytest.importorskip("rasterio")
features = pytest.importorskip("rasterio.features")
warp = pytest.importorskip("rasterio.warp")

FOUND = labels()
# 10 m a pixel, in the zone of Berlin; turned by 90 degrees, in a system of Great Britain.
PLACES = {
    "north": ("EPSG:32633", rasterio.Affine(10, 0, 391000, 0, -10, 5820000)),
    "turned": ("EPSG:27700", rasterio.Affine(0, 2, 530000, 3, 0, 180000)),
}
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def write_tiff(path, bands, place=None):
    """A TIFF of bands x H x W, at one of the places."""
    profile = {"count": len(bands), "dtype": bands.dtype.name}
    if place:
        profile |= dict(zip(("crs", "transform"), PLACES[place]))
    size = {"height": bands.shape[1], "width": bands.shape[2]}
    with rasterio.open(path, "w", driver="GTiff", **size, **profile) as file:
        file.write(bands)


def export(folder, path, found=FOUND):
    """Write the scene's labels as results of a picture; returns the GeoJSON and the GeoTIFF."""
    result = segmentation(found)
    with Export(folder / "out", ["geojson", "geotiff"], WORDS.class_names) as run:
        run.add(result.label_map, result.image, path)
    out = folder / "out"
    return out / "geojson" / f"{path.stem}.geojson", out / "geotiff" / f"{path.stem}.tif"


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("found", [FOUND, noise(0)])
def test_results_lie_where_the_picture_does(tmp_path, place, found):
    picture = tmp_path / "scene.tif"
    write_tiff(picture, np.zeros((3, *found.shape), np.uint8), place)
    geojson, geotiff = export(tmp_path, picture, found)
    crs, transform = PLACES[place]
    with rasterio.open(geotiff) as file:
        assert file.crs == rasterio.CRS.from_string(crs) and file.transform == transform
        assert (file.read(1) == found).all() and file.dtypes == ("uint8",)
        assert [file.tags()[f"CLASS_{k}"] for k in range(4)] == list(WORDS.class_names)
        colors = default_colors(WORDS.class_names)
        assert [file.colormap(1)[k][:3] for k in range(4)] == [tuple(c) for c in colors.tolist()]
    content = json.loads(geojson.read_text())
    assert content["type"] == "FeatureCollection"
    shapes = []
    for feature in content["features"]:
        properties, geometry = feature["properties"], feature["geometry"]
        assert properties["class"] == WORDS.class_names[properties["class_index"]]
        assert properties["score"] == pytest.approx(0.7)
        for number, ring in enumerate(geometry["coordinates"]):
            assert ring[0] == ring[-1]
            x, y = np.array(ring).T
            # RFC 7946: outer rings counterclockwise, holes clockwise.
            assert ((x[:-1] * y[1:] - x[1:] * y[:-1]).sum() > 0) == (number == 0)
            assert x.min() >= -180 and x.max() <= 180 and y.min() > 50 and y.max() < 53
        shape = warp.transform_geom("EPSG:4326", crs, geometry)
        shapes.append((shape, properties["class_index"]))
    drawn = features.rasterize(shapes, found.shape, fill=3, transform=transform, dtype="int32")
    assert (drawn == found).all()
    objects = np.where(found == 3, -1, found)
    areas = [mask.sum() for mask in pieces(objects) if objects[mask][0] >= 0]
    assert sorted(f["properties"]["pixels"] for f in content["features"]) == sorted(areas)


def test_a_world_file_counts_and_coordinates_of_no_system_stay(tmp_path):
    Image.fromarray(segmentation().image).save(tmp_path / "scene.png")
    (tmp_path / "scene.pgw").write_text("2\n0\n0\n-2\n1001\n4999\n")
    geojson, geotiff = export(tmp_path, tmp_path / "scene.png")
    transform = rasterio.Affine(2, 0, 1000, 0, -2, 5000)
    with rasterio.open(geotiff) as file:
        assert file.transform == transform and file.crs is None
    found = json.loads(geojson.read_text())["features"]
    shapes = [(feature["geometry"], feature["properties"]["class_index"]) for feature in found]
    drawn = features.rasterize(shapes, FOUND.shape, fill=3, transform=transform, dtype="int32")
    assert (drawn == FOUND).all()


def test_pixels_where_nobody_knows_the_place_and_a_word_about_it(tmp_path, caplog):
    Image.fromarray(segmentation().image).save(tmp_path / "scene.png")
    with caplog.at_level(logging.WARNING, "fgaseg_d2"):
        geojson, geotiff = export(tmp_path, tmp_path / "scene.png")
    said = [record.getMessage() for record in caplog.records]
    kinds = ("GeoJSON", "GeoTIFF")
    assert said == [f"scene.png has no georeference: its {k} is in pixels" for k in kinds]
    found = json.loads(geojson.read_text())["features"]
    shapes = [(feature["geometry"], feature["properties"]["class_index"]) for feature in found]
    assert (features.rasterize(shapes, FOUND.shape, fill=3, dtype="int32") == FOUND).all()
    with rasterio.open(geotiff) as file:
        assert file.crs is None and (file.read(1) == FOUND).all()


def test_a_picture_that_was_turned_has_no_place(tmp_path):
    write_tiff(tmp_path / "scene.tif", np.zeros((1, 60, 40), np.uint8), "north")
    assert read_georeference(tmp_path / "scene.tif", (60, 40)) is not None
    assert read_georeference(tmp_path / "scene.tif", (40, 60)) is None
    (tmp_path / "none.tif").write_bytes(b"no picture")
    assert read_georeference(tmp_path / "none.tif", (40, 60)) is None


def test_more_than_256_classes_take_16_bits(tmp_path):
    names = [f"word {number}" for number in range(300)]
    from fgaseg_d2.exports.regions import LabelMap

    values = np.arange(300, dtype=np.int32).reshape(10, 30)
    with Export(tmp_path, ["geotiff"], names) as run:
        run.add(LabelMap(values, names), np.zeros((10, 30, 3), np.uint8), stem="many")
    with rasterio.open(tmp_path / "geotiff" / "many.tif") as file:
        assert (file.read(1) == values).all() and file.dtypes == ("uint16",)


def test_named_bands_become_a_picture(tmp_path):
    generator = np.random.default_rng(0)
    bands = generator.integers(200, 3000, (6, 50, 40)).astype(np.uint16)
    bands[:, 0, 0] = 65535  # a glint, which must not darken everything else
    write_tiff(tmp_path / "many.tif", bands, "north")
    picture = read_bands(tmp_path / "many.tif", (4, 3, 2))
    assert picture.shape == (50, 40, 3) and picture.dtype == np.uint8
    for channel, band in enumerate((3, 2, 1)):
        low, high = np.percentile(bands[band], (2, 98))
        expected = np.clip((bands[band] - low) / (high - low), 0, 1) * 255
        assert np.abs(picture[..., channel] - expected).max() <= 1
    grey = read_bands(tmp_path / "many.tif", (5,))
    assert (grey[..., 0] == grey[..., 2]).all() and grey.std() > 50


def test_bands_of_8_bits_are_taken_as_they_are(tmp_path):
    bands = np.random.default_rng(0).integers(0, 255, (5, 9, 8), np.uint8)
    write_tiff(tmp_path / "a.tif", bands)
    assert (read_bands(tmp_path / "a.tif", (5, 1, 2)) == bands[[4, 0, 1]].transpose(1, 2, 0)).all()


def test_values_that_are_no_data_are_black(tmp_path):
    band = np.linspace(-1, 1, 400, dtype=np.float32).reshape(20, 20)
    band[3, 3], band[4, 4] = np.nan, -9999
    profile = {"height": 20, "width": 20, "count": 1, "dtype": "float32", "nodata": -9999}
    with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", **profile) as file:
        file.write(band, 1)
    picture = read_bands(tmp_path / "a.tif", (1,))
    assert (picture[[3, 4], [3, 4]] == 0).all() and 120 < picture.mean() < 135


@pytest.mark.parametrize(
    ("bands", "reason"),
    [
        ((1, 2), "expected 1 band, or 3 to show as red, green and blue, got 2"),
        ((1, 2, 7), "expected bands from 1 to 5 of .* got 7"),
        ((0, 1, 2), "expected bands from 1 to 5 of .* got 0"),
    ],
)
def test_wrong_bands_are_one_line(tmp_path, bands, reason):
    write_tiff(tmp_path / "a.tif", np.zeros((5, 4, 4), np.uint8))
    with pytest.raises(ValueError, match=reason) as error:
        read_bands(tmp_path / "a.tif", bands)
    assert "\n" not in str(error.value)
    (tmp_path / "b.tif").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="expected a picture that rasterio reads"):
        read_bands(tmp_path / "b.tif", (1,))
    with pytest.raises(FileNotFoundError, match="got nothing"):
        read_bands(tmp_path / "c.tif", (1,))
