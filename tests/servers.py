"""A web server for tests, whose files behave as their names begin."""

import contextlib
import functools
import http.server
import io
import re
import threading
from collections.abc import Iterator
from pathlib import Path


class Server(http.server.ThreadingHTTPServer):
    """Serves until its context ends, and notes what it was asked for.

    Attributes:
        ranges: the Range header of each request, "" for none.
        over: set at the end, for handlers that wait.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), functools.partial(_Handler, directory=str(folder)))
        self.ranges: list[str] = []
        self.over = threading.Event()


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder.

    cut*: breaks off in the middle. once*: does so where the whole is asked for, and gives the rest.
    stall*: sends half and no more. trickle*: then a byte now and then. silent*: never answers.
    head*: never ends its headers. endless*: never ends. gone*: leads elsewhere, /gone/ADDRESS.
    """

    server: Server

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer."""
        self.server.ranges.append(self.headers.get("Range", ""))
        name = self.path.rpartition("/")[2]
        with contextlib.suppress(ConnectionError):
            if self.path.startswith("/gone/"):
                self.send_response(302)
                self.send_header("Location", self.path.removeprefix("/gone/"))
                self.end_headers()
            elif name.startswith("silent"):
                self.server.over.wait()
            elif name.startswith("head"):
                self._drip(b"HTTP/1.0 200 OK\r\n", b"X")
            elif name.startswith("endless"):
                self.send_response(200)
                self.end_headers()
                while not self.server.over.is_set():
                    self.wfile.write(bytes(2**16))
            else:
                super().do_GET()

    def send_head(self):
        """Answer with a part of a file that breaks off once, if a part is asked for."""
        name = self.path.rpartition("/")[2]
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if not name.startswith(("once", "other")) or asked is None:
            return super().send_head()
        path = Path(self.translate_path(self.path))
        data, start = path.read_bytes(), int(asked[1])
        if self.headers["If-Range"] != self.date_time_string(int(path.stat().st_mtime)):
            return super().send_head()
        part = data[start:]
        start += name.startswith("other")
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        return io.BytesIO(part)

    def copyfile(self, source, outputfile) -> None:
        """Send a file, or half of it."""
        name = self.path.rpartition("/")[2]
        whole = not name.startswith(("cut", "stall", "trickle", "once", "other"))
        if whole or (name.startswith("once") and self.headers.get("Range")):
            super().copyfile(source, outputfile)
            return
        data = source.read()
        outputfile.write(data[: len(data) // 2])
        outputfile.flush()
        if name.startswith("stall"):
            self.server.over.wait()
        elif name.startswith("trickle"):
            self._drip(b"", b"X")

    def _drip(self, start: bytes, drop: bytes) -> None:
        self.wfile.write(start)
        while not self.server.over.wait(0.02):
            self.wfile.write(drop)


@contextlib.contextmanager
def server_of(folder: Path) -> Iterator[Server]:
    """Serve a folder while the context is open."""
    with Server(folder) as httpd:
        threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield httpd
        finally:
            httpd.over.set()
            httpd.shutdown()


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a folder while the context is open; gives the address."""
    with server_of(folder) as httpd:
        yield f"http://127.0.0.1:{httpd.server_port}"
