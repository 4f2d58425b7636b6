"""Files of a repository on a hub, ``hf://owner/name/file``, through huggingface_hub and its cache.

HF_ENDPOINT, HF_HOME, HF_TOKEN and HF_HUB_OFFLINE count, as everywhere with that library.
"""

from __future__ import annotations

import os
import re

from ..wording import plain
from .part_files import sha256_of

HUB = "hf://"
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"hf://({_NAME}/{_NAME})(?:@([A-Za-z0-9._-]+))?(?:/({_NAME}))?")
_FORM = "hf://owner/name, or hf://owner/name@revision"


def is_hub(path: str) -> bool:
    """Whether a path is an address on a hub."""
    return path.lower().startswith(HUB)


def hub_parts(address: str) -> tuple[str, str | None, str]:
    """Repository, revision (None for the newest) and file ("" for none) of an address.

    Raises:
        ValueError: it is none. Files in folders of a repository have no address.
    """
    found = _ADDRESS.fullmatch(address.rstrip("/"))
    if found is None or ".." in address:
        raise ValueError(f"expected an address such as {_FORM}, got {plain(address)}; correct it.")
    return found[1], found[2], found[3] or ""


def check_hub_file(address: str) -> None:
    """Raise a ValueError for what is no address of a file."""
    if not hub_parts(address)[2]:
        raise ValueError(f"expected the address of a file, got {plain(address)}; add its name.")


def hub_file(address: str, name: str) -> str:
    """Address of a file in a repository.

    Args:
        address: of the repository.
        name: of the file.

    Raises:
        ValueError: it is none.
    """
    repository, revision, _ = hub_parts(address)
    whole = f"{HUB}{repository}{f'@{revision}' if revision else ''}/{name}"
    hub_parts(whole)
    return whole


def kept_hub_file(address: str) -> str:
    """Where a file already is that :func:`fetch_hub_file` would fetch; "" if it is not here."""
    from huggingface_hub import try_to_load_from_cache

    repository, revision, name = hub_parts(address)
    found = try_to_load_from_cache(repository, name, revision=revision)
    return found if isinstance(found, str) else ""


def fetch_hub_file(address: str) -> str:
    """Fetch a file, unless its newest version is here.

    Args:
        address: hf://owner/name/file.

    Returns:
        The local path, in the cache of huggingface_hub, which goes on where it was interrupted.

    Raises:
        ValueError: it is no address of a file.
        OSError: there is no such file, or it could not be fetched whole.
    """
    from huggingface_hub import errors, hf_hub_download

    check_hub_file(address)
    repository, revision, name = hub_parts(address)
    before = kept_hub_file(address)
    try:
        # The library reads the variable when it is imported, for which it may be too late here.
        endpoint = os.environ.get("HF_ENDPOINT") or None
        path = hf_hub_download(repository, name, revision=revision, endpoint=endpoint)
    except errors.LocalEntryNotFoundError as error:
        raise OSError(_failed(address, error.__cause__ or error)) from error
    except errors.EntryNotFoundError as error:
        raise FileNotFoundError(
            f"expected {plain(name, 40)} in the repository {plain(repository)}, got none; name a "
            "repository that `fgaseg-d2 export` has written."
        ) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise FileNotFoundError(
            f"expected a repository at {plain(address)}, got none that this user may see; check "
            "owner, name and revision, or log in by: hf auth login"
        ) from error
    # Whatever the library's own libraries raise of a network.
    except Exception as error:
        raise OSError(_failed(address, error)) from error
    if path != before:
        _check_sum(address, path)
    return path


def _check_sum(address: str, path: str) -> None:
    """Compare a new file with its name in the cache, which for large files is their SHA-256."""
    wanted = os.path.basename(os.path.realpath(path))
    if not re.fullmatch(r"[0-9a-f]{64}", wanted) or sha256_of(path) == wanted:
        return
    os.remove(os.path.realpath(path))
    raise OSError(_failed(address, ValueError("another SHA-256 than the hub says")))


def _failed(address: str, error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    reason = plain(lines[0].rstrip(".:"), 200) if lines else type(error).__name__
    return (
        f"expected a model at {plain(address)}, but it could not be fetched: {reason}; check the "
        "network and HF_ENDPOINT, or give the path of a folder."
    )
