"""A fake proxy that makes no connection: it answers each CONNECT with an HTTP status."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from stock_assets_tests.fakes.serving import serving

LOGIN = "analyst:T0P-SECRET"


class ProxyServer(ThreadingHTTPServer):
    """The server.

    Attributes:
        status: HTTP status of the responses.
        connects: login and target of each CONNECT.
    """

    daemon_threads = True

    def __init__(self, status: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = status
        self.connects: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        """Address of the proxy, with a login, as users set it in HTTPS_PROXY."""
        return f"http://{LOGIN}@127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: ProxyServer

    def do_CONNECT(self) -> None:
        """Deny the connection, in words that repeat the login."""
        login = self.headers["Proxy-Authorization"]
        self.server.connects.append((login, self.path))
        self.send_response(self.server.status, f"no access for {LOGIN} {login}")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library's name)
        """Print nothing."""


@contextmanager
def proxy(status: int) -> Iterator[ProxyServer]:
    """Run the server in a thread."""
    with serving(ProxyServer(status)) as server:
        yield server
