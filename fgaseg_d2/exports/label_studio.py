"""Label Studio's tasks (https://labelstud.io/guide/predictions): brushes as predictions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from .rle import brush_rle
from .writer import Picture, Settings, Spool, Writer, write_parts

_MODEL = "fgaseg_d2"
# Names of the tags in the labeling interface.
_IMAGE, _BRUSH = "image", "brush"


class LabelStudioWriter(Writer):
    """``tasks.json`` to import, and ``interface.xml`` to paste as the labeling interface.

    Pictures are named as files of the server, below the folder of all pictures, to which
    LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT must be set. A region is a brush in run lengths, which
    has holes like any other pixels outside it.
    """

    about = "Label Studio's tasks with predictions (brushes)"

    def __init__(self, folder: Path, settings: Settings) -> None:
        super().__init__(folder, settings)
        self.tasks = Spool(folder)

    def add(self, picture: Picture) -> None:
        """Keep a task."""
        regions = list(self.settings.regions(picture))
        height, width = picture.label_map.size
        results = []
        for number, region in enumerate(regions):
            mask = region.whole_mask((height, width))
            value = {"format": "rle", "rle": brush_rle(mask), "brushlabels": [region.name]}
            result: dict[str, Any] = {
                "id": f"region-{number}",
                "from_name": _BRUSH,
                "to_name": _IMAGE,
                "type": "brushlabels",
                "original_width": width,
                "original_height": height,
                "image_rotation": 0,
                "value": value,
            }
            if region.score is not None:
                result["score"] = round(region.score, 6)
            results.append(result)
        prediction: dict[str, Any] = {"model_version": _MODEL, "result": results}
        if scores := [region.score * region.area for region in regions if region.score is not None]:
            mean = sum(scores) / sum(region.area for region in regions)
            prediction["score"] = round(mean, 6)
        address = f"/data/local-files/?d={quote(picture.file_name, errors='surrogateescape')}"
        task = {"data": {_IMAGE: address}, "predictions": [prediction]}
        self.tasks.append(json.dumps(task, ensure_ascii=False))

    def close(self) -> None:
        """Write both files."""
        write_parts(self.folder / "tasks.json", "[\n", self.tasks, "\n]\n")
        self.tasks.close()
        labels = "".join(
            f"    <Label value={quoteattr(name)} background={quoteattr(color)}/>\n"
            for name, color in self.settings.object_colors.items()
        )
        interface = (
            f'<View>\n  <Image name="{_IMAGE}" value="${_IMAGE}" zoom="true"/>\n'
            f'  <BrushLabels name="{_BRUSH}" toName="{_IMAGE}">\n{labels}  </BrushLabels>\n'
            "</View>\n"
        )
        write_parts(self.folder / "interface.xml", interface)
