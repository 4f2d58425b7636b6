"""Pictures of the earth: where they lie, and bands beyond red, green and blue, by rasterio."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..wording import PATH, in_one_line, shown
from .extras import import_extra
from .regular_files import home_path, require_file

# What lies beyond these percentiles of a band becomes black or white.
_DARKEST, _BRIGHTEST = 2.0, 98.0
_LOOKED_AT = 2**20  # values of a band that say which these are, about


@dataclasses.dataclass(frozen=True)
class Georeference:
    """Where the pixels of a picture lie.

    Args:
        crs: ``rasterio.crs.CRS``, the system of coordinates; None if the file does not say.
        transform: ``affine.Affine``: column and row of a corner of a pixel -> coordinates.
    """

    crs: Any
    transform: Any


def read_georeference(path: str | os.PathLike[str], size: tuple[int, int]) -> Georeference | None:
    """Where a file says that it lies, in its tags or in a world file beside it.

    Args:
        path: of a picture in any format that rasterio reads.
        size: height and width of what is to lie there.

    Returns:
        None where the file does not say it, rasterio does not read it, or it has another size
        there, because an orientation tag turned it.

    Raises:
        ImportError: rasterio is not installed.
    """
    rasterio = import_extra("rasterio", "geo")
    with no_georeference_warnings():
        try:
            with rasterio.open(home_path(path)) as dataset:
                if dataset.transform.is_identity or dataset.shape != size:
                    return None
                return Georeference(dataset.crs, dataset.transform)
        except rasterio.errors.RasterioError:
            return None


def read_bands(path: str | os.PathLike[str], bands: Sequence[int]) -> np.ndarray:
    """Make a picture of three bands of a file, or of one in grey.

    Bands of 8 bits are taken as they are. Values of others are stretched between the 2nd and 98th
    percentile of each band, because sensors use a small part of the range; what the file calls "no
    data" is black.

    Args:
        path: of a picture in any format that rasterio reads.
        bands: numbers from 1 of those to show as red, green and blue, or of a single one.

    Returns:
        H x W x 3, uint8, RGB.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a picture, or without these bands.
        ImportError: rasterio is not installed.
    """
    rasterio = import_extra("rasterio", "geo")
    path = require_file(home_path(path), "a picture")
    if len(bands) not in (1, 3):
        raise ValueError(
            "expected 1 band, or 3 to show as red, green and blue, got "
            f"{len(bands)}; name them by numbers from 1, such as 4 3 2"
        )
    with no_georeference_warnings():
        try:
            with rasterio.open(path) as dataset:
                missing = [band for band in bands if not 1 <= band <= dataset.count]
                if missing:
                    raise ValueError(
                        f"expected bands from 1 to {dataset.count} of {shown(path, PATH)}, got "
                        f"{missing[0]}; name others"
                    )
                layers = [_shown_band(dataset.read(band, masked=True)) for band in bands]
        except rasterio.errors.RasterioError as error:
            raise ValueError(
                f"expected a picture that rasterio reads, got {shown(path, PATH)} "
                f"({in_one_line(str(error), 160)}); convert it to GeoTIFF"
            ) from error
    return np.stack([layers[0]] * 3 if len(layers) == 1 else layers, -1)


def _shown_band(band: np.ma.MaskedArray) -> np.ndarray:
    """A band as it is shown, uint8."""
    if band.dtype == np.uint8:
        return band.filled(0)
    there = ~np.ma.getmaskarray(band) & np.isfinite(band.data)
    values = band.data[there]
    if not values.size:
        return np.zeros(band.shape, np.uint8)
    low, high = np.percentile(values[:: max(1, values.size // _LOOKED_AT)], (_DARKEST, _BRIGHTEST))
    scaled = (band.data.astype(np.float32) - low) * (255 / max(high - low, 1e-12))
    return np.where(there, np.rint(np.clip(scaled, 0, 255)), 0).astype(np.uint8)


@contextlib.contextmanager
def no_georeference_warnings() -> Iterator[None]:
    """In this block, keep rasterio from warning of pictures that lie nowhere, which are usual."""
    with warnings.catch_warnings():
        from rasterio.errors import NotGeoreferencedWarning

        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield
