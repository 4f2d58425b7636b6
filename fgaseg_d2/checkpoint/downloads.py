"""Checkpoints from web addresses, kept in iopath's cache folder ($FVCORE_CACHE).

Whatever an address looks like, its file lies in one folder of the cache, under a name made of a
digest.
"""

import contextlib
import errno
import hashlib
import http.client
import logging
import os
import re
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from filelock import FileLock
from iopath.common.file_io import get_cache_dir

from ..wording import plain
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


def fetch_checkpoint(url: str, stall_seconds: float = STALL_SECONDS) -> str:
    """Download a checkpoint, once.

    Args:
        url: http:// or https://.
        stall_seconds: how long a server may send nothing, or next to nothing.

    Returns:
        The local path, in iopath's cache folder.

    Raises:
        ValueError: the address is none.
        OSError: it could not be fetched whole.
    """
    parts = _checked(url)
    target = _place(parts)
    if target.is_file():
        return str(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Other processes of a run want the same file.
        with FileLock(f"{target}.lock"):
            if not target.is_file():
                transfer_file(parts.geturl(), target, stall_seconds)
    # urllib lets the errors of a broken connection through.
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
            raise OSError(
                f"cannot write {plain(target.parent)}: {error.strerror}; make room there, or "
                "choose another cache folder ($FVCORE_CACHE)."
            ) from error
        raise OSError(
            f"expected a checkpoint at {plain(url)}, but it could not be fetched: "
            f"{reason_of(error, stall_seconds)}; check the address and the network, or give the "
            "path of a file."
        ) from error
    return str(target)


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
    last = re.split(r"[/\\]", unquote(parts.path))[-1]
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", last).strip("._-")[-80:] or "checkpoint"
    return _folder() / f"{digest[:32]}-{name}"
