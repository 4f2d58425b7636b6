"""Checkpoints from web addresses, kept in iopath's cache folder ($FVCORE_CACHE).

Whatever an address looks like, its file lies in one folder of the cache, under a name made of a
digest. An address may say what it leads to: ``https://server/model.pth#sha256=<64 digits>``.
"""

import contextlib
import errno
import hashlib
import http.client
import logging
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from filelock import FileLock
from iopath.common.file_io import get_cache_dir

from ..io.file_errors import reading
from ..wording import plain
from .part_files import sha256_of
from .transfers import STALL_SECONDS, reason_of, transfer_file

logger = logging.getLogger(__name__)

_OF_THE_DISK = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG),
}
# What the address of one file is followed by on some sites.
_WITHOUT_MEANING = {"download", "dl", "matching_heuristics"}
# Characters that stand for themselves in an address (RFC 3986), and escapes.
_LEGAL = "/%:@!$&'()*+,;=~"
_SUM = re.compile(r"sha256=([0-9a-f]{64})", re.IGNORECASE)


def fetch_checkpoint(url: str, stall_seconds: float = STALL_SECONDS) -> str:
    """Download a checkpoint, once.

    Args:
        url: http:// or https://, with ``#sha256=`` and the sum of the file, if that is known.
        stall_seconds: how long a server may send nothing, or next to nothing.

    Returns:
        The local path, in iopath's cache folder.

    Raises:
        ValueError: the address is none.
        OSError: it could not be fetched whole, or is another file than the sum says.
    """
    parts = _checked(url)
    target, wanted = _place(parts), _sum_of(url)
    if not target.is_file():
        _fetch(url, parts.geturl(), target, stall_seconds)
    if wanted:
        _check_sum(url, target, wanted)
    return str(target)


@contextlib.contextmanager
def fetched_file(url: str, what: str, stall_seconds: float = STALL_SECONDS) -> Iterator[Path]:
    """Fetch a file for as long as the context is open; it is not kept.

    Args:
        url: http:// or https://.
        what: what it should be, for messages, such as "a picture".
        stall_seconds: how long a server may send nothing, or next to nothing.

    Raises:
        ValueError: the address is none.
        OSError: it could not be fetched whole.
    """
    parts = _checked(url)
    with tempfile.TemporaryDirectory(prefix="fgaseg_d2-") as folder:
        target = Path(folder) / (readable_name(url) or "file")
        _fetch(url, parts.geturl(), target, stall_seconds, what)
        yield target


def readable_name(url: str) -> str:
    """The name that a file has by its address, in characters that any disk takes."""
    last = re.split(r"[/\\]", unquote(urlsplit(url.strip()).path))[-1]
    return re.sub(r"[^A-Za-z0-9._-]+", "_", last).strip("._-")[-80:]


def _fetch(
    url: str, sent: str, target: Path, stall_seconds: float, what: str = "a checkpoint"
) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Other processes of a run want the same file.
        with FileLock(f"{target}.lock"):
            if not target.is_file():
                transfer_file(sent, target, stall_seconds)
    # urllib lets the errors of a broken connection through.
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
            raise OSError(
                f"cannot write {plain(target.parent)}: {error.strerror}; make room there, or "
                "choose another cache folder ($FVCORE_CACHE)."
            ) from error
        raise OSError(
            f"expected {what} at {plain(url.partition('#')[0])}, but it could not be fetched: "
            f"{reason_of(error, stall_seconds)}; check the address and the network, or give the "
            "path of a file."
        ) from error


def _sum_of(url: str) -> str:
    """The SHA-256 that an address asks for, 64 digits; "" for none."""
    fragment = url.strip().partition("#")[2]
    found = _SUM.fullmatch(fragment)
    if found is None and fragment.lower().startswith("sha256"):
        raise ValueError(
            f"expected 64 hexadecimal digits after #sha256= in {plain(url)}, got something else; "
            "correct them, or leave them out."
        )
    return found[1].lower() if found else ""


def _check_sum(url: str, target: Path, wanted: str) -> None:
    """Compare a file's sum with the one asked for, which is noted, because it takes seconds."""
    note = target.with_name(f"{target.name}.sha256")
    with reading(target, "checkpoint"):
        stamp = f"{wanted} {target.stat().st_size} {target.stat().st_mtime_ns}"
        if note.is_file() and note.read_text(encoding="ascii", errors="replace") == stamp:
            return
        found = sha256_of(target)
    if found != wanted:
        set_aside(str(target))
        raise OSError(
            f"expected a file with SHA-256 {wanted[:12]}... at {plain(url.partition('#')[0])}, got "
            f"{found[:12]}...; the server has another file now, or it was changed on the way: "
            "fetch it from where you trust it and give its path."
        )
    # Another user's cache may only be read.
    with contextlib.suppress(OSError):
        note.write_text(stamp, encoding="ascii")


def cache_path(url: str) -> Path:
    """Where :func:`fetch_checkpoint` keeps, or would keep, the file of an address.

    Raises:
        ValueError: the address is none.
    """
    return _place(_checked(url))


def set_aside(path: str) -> None:
    """Move a download that cannot be read out of the way, so that it is fetched anew next time.

    Args:
        path: what :func:`fetch_checkpoint` returned; anything else stays where it is.
    """
    if Path(path).parent != _folder():
        return
    aside = f"{path}.damaged"
    with contextlib.suppress(OSError):
        os.replace(path, aside)
        logger.warning("Kept what cannot be read as %s; the next run fetches it anew.", aside)


def _folder() -> Path:
    return Path(get_cache_dir()) / "fgaseg_d2" / "downloads"


def _checked(url: str) -> SplitResult:
    """The parts of an address, in characters that may be sent."""
    try:
        parts = urlsplit(url.strip())
        host = (parts.hostname or "").encode("idna").decode()
        port = f":{parts.port}" if parts.port else ""
    # UnicodeError is one.
    except ValueError:
        host, port = "", ""
    if not host:
        raise ValueError(
            f"expected an address such as https://server/model.pth, got {plain(url)}; correct it."
        )
    if parts.username or parts.password:
        raise ValueError(
            f"expected an address without a user's name and password (server {plain(host)}); "
            "download the file yourself and give its path."
        )
    return parts._replace(
        scheme=parts.scheme.lower(),
        netloc=(f"[{host}]" if ":" in host else host) + port,
        path=quote(parts.path or "/", safe=_LEGAL),
        query=quote(parts.query, safe=f"{_LEGAL}?"),
        fragment="",
    )


def _place(parts: SplitResult) -> Path:
    """Where a file is kept: a digest, because two servers may use one name, and a readable end."""
    query = [pair for pair in parse_qsl(parts.query, True) if pair[0] not in _WITHOUT_MEANING]
    digest = hashlib.sha256(parts._replace(query=urlencode(query)).geturl().encode()).hexdigest()
    return _folder() / f"{digest[:32]}-{readable_name(parts.geturl()) or 'checkpoint'}"
