"""A hub on this machine: what huggingface_hub asks of one, with the files of a folder."""

import contextlib
import hashlib
import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path

COMMIT = "c0ffee" * 6 + "abcd"


class Hub(http.server.ThreadingHTTPServer):
    """Serves FOLDER/owner/name/file as hf://owner/name/file.

    Attributes:
        asked: method, path and Range header of each request for a file.
        cut: names of files that break off in the middle when they are asked for as a whole.
        false_sum: names of files that are said to have another SHA-256 than they have.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.asked: list[tuple[str, str, str]] = []
        self.cut: set[str] = set()
        self.false_sum: set[str] = set()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer(b"")

    def do_GET(self) -> None:
        self._answer(None)

    def _answer(self, content: bytes | None) -> None:
        found = re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", self.path)
        repository = self.server.folder / found[1] if found else None
        if found is None or not repository.is_dir():
            self._refuse("RepoNotFound")
            return
        self.server.asked.append((self.command, self.path, self.headers.get("Range", "")))
        name = found[2]
        if not (repository / name).is_file():
            self._refuse("EntryNotFound")
            return
        data = (repository / name).read_bytes()
        start = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        part = data[int(start[1]) :] if start else data
        self.send_response(206 if start else 200)
        if start:
            span = f"bytes {start[1]}-{len(data) - 1}/{len(data)}"
            self.send_header("Content-Range", span)
        wrong = b"?" if name in self.server.false_sum else b""
        self.send_header("ETag", f'"{hashlib.sha256(data + wrong).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        if content is None:
            half = name in self.server.cut and not start
            self.wfile.write(part[: len(part) // 2] if half else part)

    def _refuse(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextlib.contextmanager
def hub_of(folder: Path) -> Iterator[Hub]:
    """Run a hub while the context is open."""
    with Hub(folder) as hub:
        threading.Thread(target=hub.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield hub
        finally:
            hub.shutdown()
