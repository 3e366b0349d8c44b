"""A webhook on this machine that keeps what it is told, and fails when a test wants it to."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class WebhookServer(ThreadingHTTPServer):
    """The server.

    Attributes:
        got: bodies of the accepted posts.
        asked: number of posts, accepted or not.
        status: what it answers.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: list[dict[str, Any]] = []
        self.asked = 0
        self.status = 200

    @property
    def url(self) -> str:
        """Its address, with something secret in it."""
        return f"http://127.0.0.1:{self.server_address[1]}/hooks/T0P-SECRET"


class _Handler(BaseHTTPRequestHandler):
    server: WebhookServer

    def do_POST(self) -> None:
        """Take a message."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked += 1
        if self.server.status == 200:
            self.server.got.append(json.loads(body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library's name)
        """Print nothing."""


@contextmanager
def webhook() -> Iterator[WebhookServer]:
    """Serve from a thread of its own."""
    server = WebhookServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
