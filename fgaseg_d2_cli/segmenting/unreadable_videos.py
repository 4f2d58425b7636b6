"""Why OpenCV does not open a file that is called a video, as far as its bytes tell."""

from __future__ import annotations

import os
import re
from pathlib import Path

_LOOKED_AT = 2**22  # bytes at the begin and at the end of a file, where headers stand
# What announces pictures and sound in MP4 and MOV, AVI, Matroska and WebM, and Ogg.
_PICTURES = re.compile(
    rb"hdlr.{8}vide|strh.{4}vids|V_(?:AV1|MPEG|MS|PRORES|THEORA|UNCOMP|VP[89])|\x80theora",
    re.DOTALL,
)
_SOUND = re.compile(
    rb"hdlr.{8}soun|strh.{4}auds|A_[A-Z]{3}|\x01vorbis|OpusHead|\ARIFF.{4}WAVE|\AID3|\AfLaC",
    re.DOTALL,
)


def reason(path: Path) -> str:
    """Say what is wrong with a file that OpenCV does not open, and what to do."""
    try:
        content = _begin_and_end(path)
    except OSError as error:
        return f"which cannot be read ({error.strerror}); check its permissions"
    if not content:
        return "an empty file; fetch or save it again"
    if _SOUND.search(content) and not _PICTURES.search(content):
        return "sound without pictures; give a video that has pictures"
    return (
        "a file that is damaged, cut short or in a format that OpenCV lacks; fetch it again, or "
        "convert it by: ffmpeg -i IN -c:v mpeg4 OUT.mp4"
    )


def _begin_and_end(path: Path) -> bytes:
    size = os.path.getsize(path)
    with path.open("rb") as file:
        begin = file.read(_LOOKED_AT)
        file.seek(max(len(begin), size - _LOOKED_AT))
        return begin + file.read(_LOOKED_AT)
