"""One file from a web server, whole or not at all.

A server that sends nothing, or no end, is given up. An interrupted transfer goes on where it was,
if the server still has the same file.
"""

import contextlib
import http.client
import json
import logging
import os
import queue
import re
import shutil
import stat
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ..io.progress import Progress
from ..wording import plain

logger = logging.getLogger(__name__)

STALL_SECONDS = 30.0
LARGEST_DOWNLOAD = 2**36  # 64 GiB, several times the largest CLIP
_LEAST_PER_SECOND = 1024  # bytes; a server that sends less has stalled
_ATTEMPTS = 5  # as long as each brings something
_BLOCK = 2**20


def is_url(path: str) -> bool:
    """Whether a path is a web address."""
    return path.lower().startswith(("http://", "https://"))


def transfer_file(url: str, target: Path, stall_seconds: float) -> None:
    """Fetch a file.

    Args:
        url: http:// or https://, in characters that may be sent.
        target: where it goes; beside it lie the part that has come, and a note of what it is of.
        stall_seconds: how long a server may send nothing, or next to nothing.

    Raises:
        OSError, http.client.HTTPException: it could not be fetched whole, or not be written.
    """
    part, note = target.with_name(f"{target.name}.part"), target.with_name(f"{target.name}.json")
    logger.info("Fetching %s into %s", plain(url), target.parent)
    for attempt in range(1, _ATTEMPTS + 1):
        before = _size(part)
        try:
            _transfer(url, part, note, stall_seconds)
            break
        except urllib.error.URLError:
            raise
        except (TimeoutError, ConnectionError, http.client.HTTPException) as error:
            if attempt == _ATTEMPTS or _size(part) <= before:
                raise
            logger.warning("Goes on after an interruption: %s", reason_of(error, stall_seconds))
    part.replace(target)
    note.unlink(missing_ok=True)


def _transfer(url: str, part: Path, note: Path, stall_seconds: float) -> None:
    """Fetch what is still missing of a file, or all of it if the server has another one now."""
    validator = _read_note(note)
    start = _size(part) if validator else 0
    wanted = {"Range": f"bytes={start}-", "If-Range": validator} if start else {}
    try:
        response = _answer(url, wanted, stall_seconds)
    except urllib.error.HTTPError as error:
        if not start or error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        start, response = 0, _answer(url, {}, stall_seconds)
    with response:
        if response.status == http.client.PARTIAL_CONTENT and start:
            total = _total_of_range(response.headers.get("Content-Range", ""), start)
        elif response.status == http.client.OK:
            start, total = 0, response.length
        else:
            raise OSError(f"the server answered {response.status} {response.reason}")
        _check_room(part.parent, start, total)
        _write_note(note, response.headers)
        with _own_file(part) as file:
            file.truncate(start)
            file.seek(start)
            size = _copy(response, file, start, total, stall_seconds)
    if not size or size != (size if total is None else total):
        raise ConnectionError(f"it ended after {size:,} of {total or 'some'} bytes")


def _copy(response: Any, file: BinaryIO, size: int, total: int | None, seconds: float) -> int:
    """Write what comes behind the first `size` bytes; returns how many there are in the end."""
    with Progress(total, "byte", done=size) as progress:
        since, amount = time.monotonic(), 0
        # read1 gives what is there; read would wait for a whole block.
        while block := response.read1(_BLOCK):
            file.write(block)
            size += len(block)
            amount += len(block)
            progress.update(len(block))
            if size > LARGEST_DOWNLOAD:
                raise OSError(_too_large(size))
            if (now := time.monotonic()) > since + seconds:
                if amount < _LEAST_PER_SECOND * seconds:
                    raise TimeoutError
                since, amount = now, 0
    return size


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirection to another kind of address, or from https:// to http://."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        if not is_url(newurl) or (req.type == "https" and not newurl.lower().startswith("https:")):
            reason = f"it leads to {plain(newurl)}, which is not followed"
            raise urllib.error.HTTPError(req.full_url, code, reason, headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _answer(url: str, headers: dict[str, str], seconds: float) -> Any:
    """The server's answer, up to its contents.

    A socket's own time-out starts anew with every byte, so that headers could trickle for ever.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "fgaseg_d2", **headers})
    opener = urllib.request.build_opener(_Redirects)
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(opener.open(request, timeout=seconds))
        # Handed over to the thread that waits.
        except Exception as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=4 * seconds)
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _total_of_range(content_range: str, start: int) -> int | None:
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", content_range.strip())
    if match is None or int(match[1]) != start:
        raise OSError(f"the server sent another part than asked for ({plain(content_range)})")
    return None if match[2] == "*" else int(match[2])


def _check_room(folder: Path, start: int, total: int | None) -> None:
    if total is None:
        return
    if total > LARGEST_DOWNLOAD:
        raise OSError(_too_large(total))
    free = shutil.disk_usage(folder).free
    if total - start > free:
        raise OSError(f"{plain(folder)} has {free:,} bytes free of the {total - start:,} needed")


def _too_large(size: int) -> str:
    return f"it has {size:,} bytes and more, above the bound of {LARGEST_DOWNLOAD:,}"


@contextlib.contextmanager
def _own_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file of the cache to write; a link in its place would lead out of the cache."""
    flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with os.fdopen(os.open(path, flags, 0o666), "wb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(f"{plain(path)} is no file; remove it")
        yield file


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() and not path.is_symlink() else 0


def _write_note(note: Path, headers: Any) -> None:
    """Note by what the server will know its file again; without it nothing is continued."""
    etag = headers.get("ETag", "")
    validator = etag if etag.startswith('"') else headers.get("Last-Modified", "")
    with _own_file(note) as file:
        file.truncate()
        file.write(json.dumps(validator).encode())


def _read_note(note: Path) -> str:
    try:
        validator = json.loads(note.read_bytes())
    except (OSError, ValueError):
        return ""
    legal = isinstance(validator, str) and validator.isascii() and validator.isprintable()
    return validator if legal else ""


def reason_of(error: BaseException, seconds: float) -> str:
    """What went wrong in a transfer with this bound on its stalls, in a few words."""
    cause = getattr(error, "reason", error) if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"the server sent next to nothing for {seconds:g} seconds"
    text = " ".join(str(error).split())
    return plain(text, 200) or type(error).__name__
