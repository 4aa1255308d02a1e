"""Serve the page, and nothing else, on the local network."""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kd_keras.demo.page import KIND, PAGE
from kd_keras.folders import is_own_page

# All that can be asked for: nothing in a request is ever a path on the disk.
_ADDRESSES = ("/", f"/{PAGE}")


class _OnePage(http.server.BaseHTTPRequestHandler):
    def __init__(self, *arguments: Any, page: bytes):
        self._page = page
        super().__init__(*arguments)

    def do_GET(self) -> None:
        if self._answered():
            self.wfile.write(self._page)

    def do_HEAD(self) -> None:
        self._answered()

    def _answered(self) -> bool:
        if self.path.partition("?")[0] not in _ADDRESSES:
            self.send_error(http.HTTPStatus.NOT_FOUND)
            return False
        self.send_response(http.HTTPStatus.OK)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(self._page)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        return True

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def serve(
    folder: str | os.PathLike[str], *, host: str = "127.0.0.1", port: int = 8000
) -> Iterator[http.server.ThreadingHTTPServer]:
    """Give a server of the page in a folder, closed when the block ends.

    The page is served as it is when the block begins, and nothing else: no other file of the
    folder, no list of them, nothing that a link points to.

    Args:
        folder: Where `write_demo` wrote its page.
        host: The address to listen on. "127.0.0.1" is this machine alone; "0.0.0.0" lets a phone in
            the same network in.
        port: The port; 0 takes any free one.

    Returns:
        The server; call its `serve_forever()`. `server_address[1]` is the port.

    Raises:
        ValueError: If there is no page of `write_demo` in the folder, `host` is empty, or the
            address or the port is not to be had.

    Example:

    ```python
    from kd_keras.demo import serve, write_demo

    write_demo("student_int8.tflite", "demo")
    with serve("demo", port=0) as server:
        print(f"http://127.0.0.1:{server.server_address[1]}/")
        server.serve_forever()
    ```
    """
    check_host(host)
    page = Path(folder) / PAGE
    if not is_own_page(page, KIND):
        raise ValueError(
            f"`folder` must hold the page that `kd_keras.demo.write_demo` writes, {PAGE}, and no "
            f"other of that name. Write it first. Received: folder={str(folder)!r}"
        )
    handler = functools.partial(_OnePage, page=page.read_bytes())
    try:
        server = http.server.ThreadingHTTPServer((host, port), handler)
    except (OSError, OverflowError) as error:
        raise ValueError(
            f"Cannot listen there: {getattr(error, 'strerror', None) or error}. Choose another "
            f"--port (0 takes any free one) or --host. Received: host={host!r}, port={port}"
        ) from error
    with server:
        yield server


def check_host(host: str) -> None:
    """Raise unless `host` names an address: an empty one would be every address of the machine."""
    if not isinstance(host, str) or not host.strip():
        raise ValueError(
            "`host` must name an address: 127.0.0.1 for this machine alone, 0.0.0.0 for all that "
            f"reach it. Received: host={host!r}"
        )
