"""The report as a web page with current data, for `stock-assets ui`.

Belongs here: the application, its process, and when a page is rendered again. Does not belong here: the page itself
(`page`), the command (`cli.operate`).

The application reads published tables and changes nothing. It renders a page only when somebody requests it and rows
have changed since the last one. It is bound to 127.0.0.1 and rejects requests with another host name, so that a page of
another origin cannot read it through DNS.
"""

import os
import socket
import threading
from datetime import UTC, datetime

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from stock_assets.core.tables import PUBLISHED_TABLES
from stock_assets.ingest.parts import PipelineParts
from stock_assets.serve.report.data import read_report
from stock_assets.serve.report.page import render_page

HOST = "127.0.0.1"
_HEADERS = {
    "Cache-Control": "no-store",
    # The page has its scripts and styles in itself; it may request nothing but its version.
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; frame-ancestors 'none'",
}
_PARENT_SECONDS = 1.0


class LivePage:
    """The newest page, rendered again after a change of published rows."""

    def __init__(self, parts: PipelineParts) -> None:
        self._parts = parts
        self._lock = threading.Lock()
        self._rendered = ("", "")

    def version(self) -> str:
        """Return the current snapshots of the published tables."""
        warehouse = self._parts.backend.warehouse
        current = (
            next((str(one.snapshot_id) for one in warehouse.history(table) if one.is_current), "none")
            for table in PUBLISHED_TABLES
        )
        return " ".join(current)

    def html(self) -> str:
        """Return the page of the current snapshots."""
        with self._lock:
            version = self.version()
            if self._rendered[0] != version:
                page = render_page(read_report(self._parts), datetime.now(UTC), version=version)
                self._rendered = (version, page)
            return self._rendered[1]


def application(page: LivePage) -> Starlette:
    """Return the application: `/` is the page, `/version` the state of the tables."""

    # Plain functions run in a thread, so that reading does not stop other requests.
    def show(_: Request) -> Response:
        return HTMLResponse(page.html(), headers=_HEADERS)

    def version(_: Request) -> Response:
        return PlainTextResponse(page.version(), headers=_HEADERS)

    return Starlette(
        routes=[Route("/", show), Route("/version", version)],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])],
    )


def listen(port: int) -> socket.socket:
    """Return a socket of this machine only; port 0 is any free port.

    Raises:
        OSError: the port is in use.
    """
    return socket.create_server((HOST, port))


def serve_while_parent_runs(parts: PipelineParts, listening: socket.socket) -> None:
    """Serve the page until the process that started this one ends, or a signal arrives."""
    server = uvicorn.Server(uvicorn.Config(application(LivePage(parts)), log_level="warning"))
    parent, ended = os.getppid(), threading.Event()

    def watch() -> None:
        while os.getppid() == parent and not ended.wait(_PARENT_SECONDS):
            pass
        server.should_exit = True

    threading.Thread(target=watch).start()
    try:
        server.run(sockets=[listening])
    finally:
        ended.set()
