"""GeoJSON and GeoTIFF: results that lie where their picture does."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

from ..io.extras import import_extra
from ..io.files import atomic_path
from ..io.rasters import Georeference, no_georeference_warnings, read_georeference
from .regions import Region
from .writer import Picture, Settings, Writer, write_parts

logger = logging.getLogger(__name__)

_WGS84 = "EPSG:4326"
_DECIMALS = 9  # of a degree: a tenth of a millimeter
_MOST_COLORS = 256


class _GeoWriter(Writer):
    """Looks up where pictures lie."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        super().__init__(folder, settings)
        self.rasterio = import_extra("rasterio", "geo")

    def georeference(self, picture: Picture) -> Georeference | None:
        """Where a picture lies; a warning if nobody knows."""
        found = None
        if picture.path:
            found = read_georeference(picture.path, picture.label_map.size)
        if found is None:
            logger.warning(
                "%s has no georeference: its %s is in pixels",
                *(picture.file_name, self.kind),
                extra={"kind": f"no georeference for {self.kind}"},
            )
        return found

    kind: str


class GeoJsonWriter(_GeoWriter):
    """``NAME.geojson`` (RFC 7946) with a feature for each connected piece.

    Polygons follow the edges of the pixels and have their holes as further rings. Coordinates are
    longitude and latitude (WGS 84), as the standard asks; where the file of the picture gives
    coordinates and not their system, they stay as they are; where it gives none, they are pixels
    from the upper left corner, x to the right and y down.
    """

    about = "GeoJSON, a file a picture, polygons on the earth"
    kind = "GeoJSON"

    @classmethod
    def own_files(cls, stem: str) -> tuple[str, ...]:
        """The GeoJSON."""
        return (f"{stem}.geojson",)

    def add(self, picture: Picture) -> None:
        """Write the GeoJSON."""
        where = self.georeference(picture)
        features = (
            json.dumps(self._feature(piece, where), ensure_ascii=False)
            for piece in self.settings.single_pieces(picture)
        )
        begin, end = '{"type": "FeatureCollection", "features": [\n', "\n]}\n"
        path = self.folder / f"{picture.stem}.geojson"
        write_parts(path, begin, ",\n".join(features), end)

    def _feature(self, piece: Region, where: Georeference | None) -> dict[str, Any]:
        properties: dict[str, Any] = {
            "class": piece.name,
            "class_index": piece.label,
            "pixels": piece.area,
        }
        if piece.score is not None:
            properties["score"] = round(piece.score, 6)
        rings = [self._ring(ring, number == 0, where) for number, ring in enumerate(piece.rings)]
        geometry = {"type": "Polygon", "coordinates": rings}
        return {"type": "Feature", "properties": properties, "geometry": geometry}

    def _ring(self, ring: np.ndarray, outer: bool, where: Georeference | None) -> list[list[float]]:
        """Coordinates, closed; an outer ring counterclockwise."""
        points = ring.astype(float)
        if where is not None:
            a, b, c, d, e, f = where.transform[:6]
            x, y = (points @ np.array([[a, d], [b, e]]) + (c, f)).T
            if where.crs is not None:
                from rasterio.warp import transform

                x, y = transform(where.crs, _WGS84, x, y)
            points = np.round(np.stack([x, y], 1), _DECIMALS)
        # From a corner of the ring, because small rings lie far from where coordinates begin.
        (x, y), (next_x, next_y) = (points - points[0]).T, (np.roll(points, -1, 0) - points[0]).T
        if ((x * next_y - next_x * y).sum() > 0) != outer:
            points = points[::-1]
        return [*points.tolist(), points[0].tolist()]


class GeoTiffWriter(_GeoWriter):
    """``NAME.tif``: class indices in 8 bits, in 16 above 256 classes, where the picture lies.

    Up to 256 classes have their colors. The names stand in the tags CLASS_0, CLASS_1, ...
    """

    about = "GeoTIFF of class indices, where the picture lies"
    kind = "GeoTIFF"

    @classmethod
    def own_files(cls, stem: str) -> tuple[str, ...]:
        """The GeoTIFF."""
        return (f"{stem}.tif",)

    def add(self, picture: Picture) -> None:
        """Write the GeoTIFF."""
        where = self.georeference(picture)
        names = self.settings.class_names
        kind = np.uint8 if len(names) <= _MOST_COLORS else np.uint16
        labels = picture.label_map.labels.astype(kind)
        profile: dict[str, Any] = {
            "driver": "GTiff",
            "height": labels.shape[0],
            "width": labels.shape[1],
            "count": 1,
            "dtype": labels.dtype.name,
            "compress": "deflate",
        }
        if where is not None:
            profile |= {"crs": where.crs, "transform": where.transform}
        # GDAL tells nobody of a full disk, so it writes into memory.
        with no_georeference_warnings(), self.rasterio.MemoryFile() as memory:
            with memory.open(**profile) as dataset:
                dataset.write(labels, 1)
                if kind is np.uint8:
                    colors = self.settings.colors.tolist()
                    dataset.write_colormap(1, {k: tuple(rgb) for k, rgb in enumerate(colors)})
                dataset.update_tags(**{f"CLASS_{k}": name for k, name in enumerate(names)})
            with atomic_path(self.folder / f"{picture.stem}.tif") as temporary:
                temporary.write_bytes(memory.getbuffer())
