"""Bad label files: damaged, of other modes, values, sizes and tags, for all who read them."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bad_inputs.case import Case, Draw
from bad_inputs.doors import command
from bad_inputs.material import CLASSES, WORDS, Material
from bad_inputs.mutations import cut, damaged
from bad_inputs.pictures import png_chunks as picture_chunks
from bad_inputs.pictures import sound_picture, tagged
from fgaseg_d2.data.checking import check_dataset
from fgaseg_d2.data.datasets.catalog import replace_dataset
from fgaseg_d2.data.labels import read_label
from fgaseg_d2.data.mappers.labelled import SemanticMapper


def _checked(record: dict[str, Any], settings: dict[str, Any]) -> None:
    replace_dataset("bad_label", lambda: [record], stuff_classes=list(CLASSES), **settings)
    report = check_dataset("bad_label")
    assert report.text().startswith("bad_label")
    for problem in report.problems:
        raise ValueError(problem)


def _mapped(material: Material, record: dict[str, Any], settings: dict[str, Any]) -> None:
    replace_dataset("bad_label", lambda: [record], stuff_classes=list(CLASSES), **settings)
    for is_train in (True, False):
        sample = SemanticMapper(material.cfg, "bad_label", is_train=is_train)(record)
        if is_train:
            values = set(np.unique(sample["sem_seg"].numpy()).tolist())
            assert values <= {0, 1, 2, 255}, f"labels {values}"


def _read(path: Path) -> None:
    label = read_label(str(path))
    assert label.ndim == 2 and label.dtype == np.int32, f"{label.dtype} {label.shape}"


def _door(draw: Draw, label: Path) -> Callable[[], int | None]:
    """One of the doors that take a label file."""
    material, rng = draw.material, draw.rng
    record = {
        "file_name": material.pairs()[0]["file_name"],
        "sem_seg_file_name": rng.choice((str(label), label)),
    }
    settings = rng.choice(({}, {}, {"ignore_label": 7}, {"ignore_label": 65535}))
    folder = label.parent
    truth = [folder, "--truth", folder, "--classes", WORDS, "--output", "scores"]
    return rng.choice(
        (
            partial(_checked, record, settings),
            partial(_mapped, material, record, settings),
            partial(_read, label),
            partial(command, "evaluate_predictions", truth),
        )
    )


def _case(draw: Draw, name: str, data: bytes, text: str) -> Case:
    path = draw.write(f"labels/{name}", data)
    return Case(text, _door(draw, path))


def damaged_bytes(draw: Draw) -> Case:
    """A file with wrong bytes."""
    data, name, text = sound_picture(draw.rng, ("PNG", "TIFF", "BMP"))
    return _case(draw, name, damaged(draw.rng, data), text)


def truncated(draw: Draw) -> Case:
    """A file that was cut short."""
    data, name, text = sound_picture(draw.rng, ("PNG", "TIFF", "BMP"))
    return _case(draw, name, cut(draw.rng, data), text)


def modes(draw: Draw) -> Case:
    """A sound picture of any format that is no label file."""
    data, name, text = sound_picture(draw.rng)
    return _case(draw, draw.rng.choice((name, "picture.png")), data, text)


def png_chunks(draw: Draw) -> Case:
    """A PNG whose chunks say something impossible, or much."""
    case = picture_chunks(draw)
    return Case(case.text, _door(draw, draw.folder / "picture.png"))


def values(draw: Draw) -> Case:
    """Sound files of one channel with values that are no class."""
    rng = draw.rng
    kind = rng.choice(("u1", "u2", "i4", "f4", "?"))
    value = rng.choice((0, 3, 7, 254, 255, 256, 65535, 2**31 - 1, -1))
    limits = {"u1": 255, "u2": 65535, "?": 1}
    array = np.zeros((24, 32), kind)
    array[rng.randrange(24), rng.randrange(32) :] = max(0, min(value, limits.get(kind, value)))
    if kind in ("i4", "f4"):
        array[0, 0] = value
    form = "TIFF" if kind in ("i4", "f4") else rng.choice(("PNG", "TIFF"))
    Image.fromarray(array).save(stream := io.BytesIO(), form)
    return _case(draw, f"label.{form.lower()[:3]}", stream.getvalue(), f"{kind} {value}")


def sizes(draw: Draw) -> Case:
    """Label files of another size than their picture."""
    size = draw.rng.choice(((24, 32), (32, 23), (1, 1), (64, 48), (3000, 1), (1, 3000), (33, 24)))
    Image.new("L", size).save(stream := io.BytesIO(), "PNG")
    return _case(draw, "label.png", stream.getvalue(), f"{size[0]} x {size[1]}")


def tags(draw: Draw) -> Case:
    """Label files with an orientation tag."""
    form = draw.rng.choice(("PNG", "TIFF"))
    data, text = tagged(draw.rng, form, "L")
    return _case(draw, f"label.{form.lower()[:3]}", data, text)


def palettes(draw: Draw) -> Case:
    """Palette files with odd palettes, several pages, transparency."""
    rng = draw.rng
    image = Image.new("P", (32, 24), rng.choice((0, 2, 3, 255)))
    image.putpalette(rng.randbytes(3 * rng.choice((1, 3, 16, 256))))
    form = rng.choice(("PNG", "TIFF", "GIF", "BMP"))
    options: dict[str, Any] = (
        rng.choice(({}, {"transparency": 0})) if form in ("PNG", "GIF") else {}
    )
    if form in ("TIFF", "GIF", "PNG") and rng.random() < 0.5:
        options |= {"save_all": True, "append_images": [image.copy(), image.convert("L")]}
    image.save(stream := io.BytesIO(), form, **options)
    return _case(draw, f"label.{form.lower()[:3]}", stream.getvalue(), f"{form} {list(options)}")


def other_things(draw: Draw) -> Case:
    """Something else where a label file should be."""
    rng = draw.rng
    path = draw.write(
        "labels/label.png", rng.choice((b"", b"text", b"\0" * 999, b"\x89PNG\r\n\x1a\n"))
    )
    what = rng.choice(("file", "file", "folder", "pipe", "link", "null", "none"))
    if what != "file":
        path.unlink()
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    elif what in ("link", "null"):
        path.symlink_to("/dev/null" if what == "null" else "nowhere")
    return Case(what, _door(draw, path))


RECIPES = {
    "bytes": damaged_bytes,
    "truncated": truncated,
    "modes": modes,
    "PNG chunks": png_chunks,
    "values": values,
    "sizes": sizes,
    "tags": tags,
    "palettes": palettes,
    "other things": other_things,
}
