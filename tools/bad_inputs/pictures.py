"""Bad pictures: damaged files of every format, odd modes and sizes, tags, arrays, other things."""

from __future__ import annotations

import io
import os
import random
import struct
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bad_inputs.case import Case, Draw
from bad_inputs.doors import segment
from bad_inputs.material import picture_bytes
from bad_inputs.mutations import cut, damaged, odd_value

# Format, ending, modes, options of the writer.
FORMATS: tuple[tuple[str, str, tuple[str, ...], tuple[dict[str, Any], ...]], ...] = (
    ("PNG", "png", ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"), ({}, {"transparency": 0})),
    ("JPEG", "jpg", ("L", "RGB", "CMYK"), ({}, {"progressive": True}, {"quality": 1})),
    (
        *("TIFF", "tif", ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "F", "I", "I;16", "LAB")),
        ({}, {"compression": "tiff_lzw"}, {"compression": "tiff_deflate"}),
    ),
    ("GIF", "gif", ("L", "P"), ({}, {"interlace": 1})),
    ("WEBP", "webp", ("RGB", "RGBA"), ({}, {"lossless": True})),
    ("BMP", "bmp", ("1", "L", "P", "RGB"), ({},)),
    ("PPM", "ppm", ("1", "L", "RGB"), ({},)),
    ("ICO", "ico", ("RGBA",), ({},)),
    ("TGA", "tga", ("L", "RGB", "RGBA"), ({},)),
    ("PCX", "pcx", ("L", "RGB"), ({},)),
    ("JPEG2000", "jp2", ("L", "RGB"), ({},)),
    ("DDS", "dds", ("RGB", "RGBA"), ({},)),
)
_MODES = "1 L P RGB RGBA CMYK YCbCr LAB HSV I F LA PA RGBX RGBa La I;16 I;16B I;16L"
_TYPES = "u1 u2 u4 i1 i4 i8 f2 f4 f8 ? c8 U1 O S3 M8[s] >u2 V3"


def sound_picture(rng: random.Random, only: tuple[str, ...] = ()) -> tuple[bytes, str, str]:
    """A sound file: its bytes, its name, and what it is."""
    chosen = [item for item in FORMATS if not only or item[0] in only]
    form, ending, modes, options = rng.choice(chosen)
    mode, option = rng.choice(modes), rng.choice(options)
    # Not every writer takes every option in every mode.
    known = ("1", "L", "P", "I;16") if "transparency" in option else ("L", "P", "RGB", "RGBA")
    if {"transparency", "compression"} & option.keys() and mode not in known:
        option = {}
    return picture_bytes(form, mode, **option), f"picture.{ending}", f"{form} {mode} {option or ''}"


def _case(draw: Draw, name: str, data: bytes, text: str) -> Case:
    path = draw.write(name, data)
    return Case(text, partial(segment, draw.material, path))


def damaged_bytes(draw: Draw) -> Case:
    """A file with wrong bytes."""
    data, name, text = sound_picture(draw.rng)
    return _case(draw, name, damaged(draw.rng, data), text)


def damaged_head(draw: Draw) -> Case:
    """A file with wrong bytes in its first hundred."""
    data, name, text = sound_picture(draw.rng)
    return _case(draw, name, damaged(draw.rng, data, 0, 100), f"{text}, its beginning")


def truncated(draw: Draw) -> Case:
    """A file that was cut short."""
    data, name, text = sound_picture(draw.rng)
    data = cut(draw.rng, data)
    return _case(draw, name, data, f"{text}, {len(data)} bytes of it")


def modes(draw: Draw) -> Case:
    """A sound file, under the right name or another."""
    data, name, text = sound_picture(draw.rng)
    name = draw.rng.choice((name, name, "picture.png", "picture", "pict\u00fcre .jpg", "a,b#.tif"))
    return _case(draw, name, data, f"{text} as {name}")


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG, with its check sum."""
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def png_of_chunks(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of these chunks and the last."""
    parts = [png_chunk(kind, content) for kind, content in (*chunks, (b"IEND", b""))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def png_chunks(draw: Draw) -> Case:
    """A PNG whose chunks say something impossible, or much, with sound check sums."""
    rng = draw.rng
    width, height = (rng.choice((0, 1, 32, 2**31 - 1, 20_000, 60_000, 13_000)) for _ in range(2))
    depth, color = rng.choice((1, 2, 8, 16, 3, 0)), rng.choice((0, 2, 3, 4, 6, 1, 9))
    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, rng.choice((0, 0, 1, 7)))
    pixels = zlib.compress(b"\0" * rng.choice((0, 100, 3200, 10_000_000)))
    extra = rng.choice(
        (
            *((), ((b"zTXt", b"a\0\0" + zlib.compress(b"x" * 100_000_000)),)),
            *(((b"iCCP", b"a\0\0" + zlib.compress(b"x" * 100_000_000)),), ((b"PLTE", b"\0" * 7),)),
            *(((b"eXIf", rng.randbytes(60)),), ((b"tRNS", b""),), ((b"acTL", b"\0" * 8),)),
            *(((b"gAMA", b"\0" * 4),), ((b"IHDR", head),), ((b"tEXt", b"\xff" * 9),)),
        )
    )
    data = png_of_chunks((b"IHDR", head), *extra, (b"IDAT", pixels))
    names = [kind.decode() for kind, _ in extra]
    return _case(
        draw, "picture.png", data, f"{width} x {height}, {depth} bits, colour {color} {names}"
    )


def tagged(rng: random.Random, form: str, mode: str = "RGB") -> tuple[bytes, str]:
    """A file with an EXIF block that says something odd about its orientation.

    Args:
        rng: random numbers.
        form: "PNG", "JPEG", "WEBP" or "TIFF".
        mode: of Pillow.

    Returns:
        Its bytes, and what it says.
    """
    value, kind, times = rng.choice((*range(10), 255, 65535)), rng.choice((3, 3, 3, 2, 4, 12)), 1
    if form == "TIFF":
        image = Image.open(io.BytesIO(picture_bytes("PNG", mode)))
        image.save(stream := io.BytesIO(), form, tiffinfo={0x0112: value})
        return stream.getvalue(), f"{form}, {value}"
    times = rng.choice((1, 1, 1, 0, 2, 60_000))
    entry = struct.pack("<HHIHH", 0x0112, kind, times, value, 0)
    block = b"II*\0\x08\0\0\0\x01\0" + entry + b"\0\0\0\0"
    if rng.random() < 0.3:
        block = damaged(rng, block)
    text = f"{form}, {value} of type {kind}, {times} times"
    if form == "WEBP":
        return picture_bytes(form, mode, exif=block), text
    data = picture_bytes(form, mode)
    if form == "PNG":
        return data[:33] + png_chunk(b"eXIf", block) + data[33:], text
    block = b"Exif\0\0" + block
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + data[2:], text


def orientation_tags(draw: Draw) -> Case:
    """A picture with an orientation tag that is usual, odd or damaged."""
    form = draw.rng.choice(("PNG", "JPEG", "TIFF", "WEBP"))
    data, text = tagged(draw.rng, form)
    return _case(draw, f"picture.{form.lower()}", data, text)


def sizes(draw: Draw) -> Case:
    """Very small, long and large pictures."""
    rng = draw.rng
    sides = ((1, 1), (1, 3000), (3000, 1), (1, 2), (2000, 3), (1500, 1500), (7, 9), (65500, 1))
    size = rng.choice(sides)
    form = rng.choice(("PNG", "JPEG", "BMP", "TIFF"))
    Image.new("RGB", size, (9, 99, 199)).save(stream := io.BytesIO(), form)
    return _case(draw, f"picture.{form.lower()}", stream.getvalue(), f"{form} {size}")


def several_frames(draw: Draw) -> Case:
    """Animations and files of several pages, of several sizes."""
    rng = draw.rng
    form = rng.choice(("GIF", "WEBP", "TIFF", "PNG"))
    frames = [Image.new("RGB", (32, 24), (i * 40, 9, 9)) for i in range(rng.choice((2, 5)))]
    if form == "TIFF":
        frames[1] = Image.new("L", (5, 7))
    frames[0].save(stream := io.BytesIO(), form, save_all=True, append_images=frames[1:])
    data = rng.choice((stream.getvalue(), damaged(rng, stream.getvalue()), stream.getvalue()[:-40]))
    return _case(draw, f"picture.{form.lower()}", data, f"{form} of {len(frames)}")


def arrays(draw: Draw) -> Case:
    """Arrays of odd shapes, types and values."""
    rng = draw.rng
    shape = rng.choice(
        (
            *((24, 32, 3), (24, 32), (24, 32, 1), (24, 32, 4), (3, 24, 32), (24, 32, 2)),
            *(
                (1, 24, 32, 3),
                (0, 32, 3),
                (24, 0, 3),
                (),
                (24,),
                (24, 32, 0),
                (1, 1, 3),
                (32, 24, 5),
            ),
        )
    )
    array: Any = np.zeros(shape, rng.choice(_TYPES.split()))
    if array.dtype.kind == "f" and array.size:
        array.flat[0] = rng.choice((np.nan, 0.5, 300, -1, np.inf))
    array = rng.choice((array, array, array[..., ::-1] if array.ndim else array, array.T))
    text = f"{array.dtype} {array.shape}"
    if rng.random() < 0.1:
        array = np.ma.masked_array(array)
    array.setflags(write=rng.random() < 0.5)
    return Case(text, partial(segment, draw.material, array))


def objects(draw: Draw) -> Case:
    """Pillow's pictures of every mode, closed ones, and what is no picture."""
    rng = draw.rng
    image = Image.new(rng.choice(_MODES.split()), rng.choice(((32, 24), (1, 1), (0, 5), (5, 0))))
    damaged_file = Image.open(io.BytesIO(picture_bytes("PNG")[:-60]))
    closed = Image.open(io.BytesIO(picture_bytes("JPEG")))
    closed.close()
    others = (damaged_file, closed, b"bytes", io.BytesIO(b"x"), [[0, 1], [1, 0]], odd_value(rng))
    given = image if rng.random() < 0.6 else rng.choice(others)
    return Case(str(given)[:60], partial(segment, draw.material, given))


def other_things(draw: Draw) -> Case:
    """Something else where a picture should be."""
    rng = draw.rng
    ending = rng.choice(("png", "jpg", "svg", "pdf", "heic", "eps", "mp4", ""))
    content = rng.choice(
        (
            *(
                b"",
                b"\0" * 3000,
                b"text",
                b"<svg xmlns='http://www.w3.org/2000/svg'/>",
                b"%PDF-1.4",
            ),
            *(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n", b"RIFF\4\0\0\0WEBP"),
            *(
                b"\xff\xd8\xff",
                b"GIF89a",
                b"BM",
                b"II*\0",
                b"P6 9 9 255\n",
                b"P6 -1 99999999 255\n",
            ),
            *(
                rng.randbytes(2000),
                b"8BPS\0\1",
                b"\0\0\1\0\1\0",
                b"SIMPLE  =  T",
                b"\x76\x2f\x31\x01",
            ),
        )
    )
    path = draw.folder / f"picture.{ending}"
    what = rng.choice(("file", "file", "file", "folder", "pipe", "link", "null", "none"))
    if what == "file":
        path.write_bytes(content)
    elif what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    elif what in ("link", "null"):
        path.symlink_to("/dev/null" if what == "null" else path.name)
    given: Any = rng.choice((path, str(path), "", "\0", "a" * 5000, Path(".")))
    given = path if what != "none" else given
    return Case(f"{what} .{ending} {content[:16]!r}", partial(segment, draw.material, given))


RECIPES = {
    "bytes": damaged_bytes,
    "beginning": damaged_head,
    "truncated": truncated,
    "modes": modes,
    "PNG chunks": png_chunks,
    "EXIF": orientation_tags,
    "sizes": sizes,
    "frames": several_frames,
    "arrays": arrays,
    "objects": objects,
    "other things": other_things,
}
