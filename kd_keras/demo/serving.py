"""Serve a folder with the page on the local network."""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
from collections.abc import Iterator
from pathlib import Path


class _Quiet(http.server.SimpleHTTPRequestHandler):
    # Of the machine's own table of types, which may be odd, nothing is used.
    extensions_map = {".html": "text/html; charset=utf-8", "": "application/octet-stream"}  # noqa: RUF012

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def serve(
    folder: str | os.PathLike[str], *, host: str = "127.0.0.1", port: int = 8000
) -> Iterator[http.server.ThreadingHTTPServer]:
    """Give a server of the files in a folder, closed when the block ends.

    Args:
        folder: What to serve.
        host: The address to listen on. "127.0.0.1" is this machine alone; "0.0.0.0" lets a phone in
            the same network in.
        port: The port; 0 takes any free one.

    Returns:
        The server; call its `serve_forever()`. `server_address[1]` is the port.

    Raises:
        ValueError: If the address or the port is not to be had.

    Example:

    >>> import kd_keras.demo
    >>> with kd_keras.demo.serve(".", port=0) as server:
    ...     server.server_address[0]
    '127.0.0.1'
    """
    handler = functools.partial(_Quiet, directory=str(Path(folder)))
    try:
        server = http.server.ThreadingHTTPServer((host, port), handler)
    except (OSError, OverflowError) as error:
        raise ValueError(
            f"Cannot listen there: {getattr(error, 'strerror', None) or error}. Choose another "
            f"--port (0 takes any free one) or --host. Received: host={host!r}, port={port}"
        ) from error
    with server:
        yield server
