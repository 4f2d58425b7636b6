"""CVAT for images 1.1 (https://docs.cvat.ai/docs/dataset_management/formats/format-cvat): masks."""

from __future__ import annotations

import re
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from .regions import Region
from .rle import run_lengths
from .writer import Picture, Settings, Spool, Writer, write_parts

# What XML 1.0 cannot hold, and names of files can.
_NO_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class CvatWriter(Writer):
    """``annotations.xml`` with a mask a region, in run lengths row by row within its box.

    A mask has holes like any other pixels outside it. CVAT finds pictures by their names in the
    task that the file is uploaded to.
    """

    about = "CVAT for images 1.1, XML with masks"

    def __init__(self, folder: Path, settings: Settings) -> None:
        super().__init__(folder, settings)
        self.images = Spool(folder, "")

    def add(self, picture: Picture) -> None:
        """Keep an image with its masks."""
        height, width = picture.label_map.size
        masks = "".join(map(_mask, self.settings.regions(picture)))
        name = quoteattr(_NO_XML.sub("\N{REPLACEMENT CHARACTER}", picture.file_name))
        self.images.append(
            f'  <image id="{self.images.count}" name={name} width="{width}" height="{height}">\n'
            f"{masks}  </image>\n"
        )

    def close(self) -> None:
        """Write the XML."""
        labels = "".join(
            f"        <label>\n          <name>{escape(name)}</name>\n"
            f"          <color>{color}</color>\n          <type>mask</type>\n"
            "          <attributes>\n          </attributes>\n        </label>\n"
            for name, color in self.settings.object_colors.items()
        )
        begin = (
            '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n'
            f"  <meta>\n    <task>\n      <size>{self.images.count}</size>\n"
            f"      <mode>annotation</mode>\n      <labels>\n{labels}      </labels>\n"
            "    </task>\n  </meta>\n"
        )
        write_parts(self.folder / "annotations.xml", begin, self.images, "</annotations>\n")
        self.images.close()


def _mask(region: Region) -> str:
    left, top, right, bottom = region.box
    lengths = ", ".join(map(str, run_lengths(region.mask).tolist()))
    return (
        f'    <mask label={quoteattr(region.name)} source="auto" occluded="0" rle="{lengths}" '
        f'left="{left}" top="{top}" width="{right - left}" height="{bottom - top}" z_order="0">\n'
        "    </mask>\n"
    )
