"""LabelMe's JSON (https://github.com/wkentaro/labelme): a file a picture, polygons."""

from __future__ import annotations

import base64
import io
import os
from pathlib import PurePath
from typing import Any

from PIL import Image

from ..io.files import write_json
from .writer import Picture, Writer

_VERSION = "5.0.0"  # of the format


class LabelMeWriter(Writer):
    """``NAME.json`` with a polygon for each connected piece.

    Polygons of LabelMe have no holes. A hole is cut open by a line of no width, from its border to
    the one on its left; LabelMe's own ``shape_to_mask`` makes exactly the piece of it.
    """

    about = "LabelMe's JSON, a file a picture, polygons"

    @classmethod
    def own_files(cls, stem: str) -> tuple[str, ...]:
        """The JSON."""
        return (f"{stem}.json",)

    def add(self, picture: Picture) -> None:
        """Write the JSON."""
        shapes = [
            {
                "label": piece.name,
                "points": piece.line.tolist(),
                "group_id": None,
                "description": "",
                "shape_type": "polygon",
                "flags": {},
            }
            for piece in self.settings.single_pieces(picture)
        ]
        height, width = picture.label_map.size
        content: dict[str, Any] = {
            "version": _VERSION,
            "flags": {},
            "shapes": shapes,
            **self._picture(picture),
            "imageHeight": height,
            "imageWidth": width,
        }
        write_json(self.folder / f"{picture.stem}.json", content)

    def _picture(self, picture: Picture) -> dict[str, str | None]:
        """The path from the JSON to the picture, or the picture itself if it has no file."""
        if picture.path is None:
            with io.BytesIO() as file:
                Image.fromarray(picture.pixels).save(file, "PNG")
                data = base64.b64encode(file.getvalue()).decode("ascii")
            return {"imagePath": picture.file_name, "imageData": data}
        try:
            path = os.path.relpath(picture.path, self.folder)
        except ValueError:  # another drive
            path = os.path.abspath(picture.path)
        return {"imagePath": PurePath(path).as_posix(), "imageData": None}
