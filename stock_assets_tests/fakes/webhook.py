"""A fake webhook server that records the posted messages, and fails when a test sets an error status."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from stock_assets_tests.fakes.serving import serving


class WebhookServer(ThreadingHTTPServer):
    """The server.

    Attributes:
        accepted: bodies of the accepted posts.
        posts: number of posts, accepted or not.
        status: HTTP status of the responses.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.accepted: list[dict[str, Any]] = []
        self.posts = 0
        self.status = 200

    @property
    def url(self) -> str:
        """Address of the server; it contains a secret."""
        return f"http://127.0.0.1:{self.server_address[1]}/hooks/T0P-SECRET"


class _Handler(BaseHTTPRequestHandler):
    server: WebhookServer

    def do_POST(self) -> None:
        """Record a message."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts += 1
        if self.server.status == 200:
            self.server.accepted.append(json.loads(body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library's name)
        """Print nothing."""


@contextmanager
def webhook() -> Iterator[WebhookServer]:
    """Run the server in a thread."""
    with serving(WebhookServer()) as server:
        yield server
