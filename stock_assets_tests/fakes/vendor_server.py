"""A fake vendor: a server on this machine with the vendor's protocol, real HTTP and synthetic prices.

Start it by hand to try the live client without a key:

    python -m stock_assets_tests.fakes.vendor_server --port 8910 --mischief NVDA=late --mischief AMD=burst

Prices are a random walk that depends on the symbol alone, so that they are the same after every start. Any `Mischief`
can replace the response for a symbol, for some requests or for all.
"""

import argparse
import gzip
import json
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from stock_assets.core.calendar import closing_time, sessions_between
from stock_assets.core.tables import RAW_COLUMNS
from stock_assets_tests.fakes.serving import serving
from stock_assets_tests.fakes.sliding_windows import SlidingWindows

HISTORY_BEGINS = date(1999, 11, 1)
HEADER = ",".join(RAW_COLUMNS)
_BETWEEN_DROPS_SECONDS = 0.05
_PATIENCE_SECONDS = 120
PREMIUM = "https://www.alphavantage.co/premium/"


class Mischief(StrEnum):
    """Faults of a response. A slow or dripping one lasts until the client disconnects."""

    LATE = "late"
    BURST = "burst"
    DAILY_QUOTA = "daily_quota"
    FULL_IS_PREMIUM = "full_is_premium"
    ENDPOINT_IS_PREMIUM = "endpoint_is_premium"
    LEGACY_NOTE = "legacy_note"
    INVALID_CALL = "invalid_call"
    MISSING_KEY = "missing_key"
    EMPTY_OBJECT = "empty_object"
    NEW_TEXT = "new_text"
    JSON_LIST = "json_list"
    HTML = "html"
    ZERO_BYTES = "zero_bytes"
    HEADER_ONLY = "header_only"
    INFORMATION_ROW = "information_row"
    WRONG_SYMBOL = "wrong_symbol"
    GZIP = "gzip"
    GZIP_403 = "gzip_403"
    CUT = "cut"
    CHUNKS_CUT = "chunks_cut"
    CHUNKED = "chunked"
    RESET = "reset"
    SLOW = "slow"
    DRIP = "drip"
    DRIP_HEADER = "drip_header"
    REDIRECT = "redirect"
    HTTP_403 = "http_403"
    HTTP_429 = "http_429"
    HTTP_500 = "http_500"
    HTTP_502 = "http_502"
    HTTP_503 = "http_503"


# The vendor's own texts. The one of the daily quota quotes the key.
TEXTS: dict[Mischief, dict[str, str]] = {
    Mischief.BURST: {
        "Information": "Thank you for using Alpha Vantage! Please consider spreading out your free API requests more "
        f"sparingly (1 request per second). You may subscribe to any of the premium plans at {PREMIUM} to lift the "
        "free key rate limit (25 requests per day), raise the per-second burst limit, and instantly unlock all "
        "premium endpoints"
    },
    Mischief.DAILY_QUOTA: {
        "Information": "We have detected your API key as {key} and our standard API rate limit is 25 requests per "
        f"day. Please subscribe to any of the premium plans at {PREMIUM} to instantly remove all daily rate limits."
    },
    Mischief.FULL_IS_PREMIUM: {
        "Information": "Thank you for using Alpha Vantage! The outputsize=full parameter value is a premium feature "
        f"for the TIME_SERIES_DAILY endpoint. You may subscribe to any of the premium plans at {PREMIUM} to "
        "instantly unlock all premium features"
    },
    Mischief.ENDPOINT_IS_PREMIUM: {
        "Information": "Thank you for using Alpha Vantage! This is a premium endpoint. You may subscribe to any of "
        f"the premium plans at {PREMIUM} to instantly unlock all premium endpoints"
    },
    Mischief.LEGACY_NOTE: {
        "Note": "Thank you for using Alpha Vantage! Our standard API call frequency is 5 calls per minute and 500 "
        f"calls per day. Please visit {PREMIUM} if you would like to target a higher API call frequency."
    },
    Mischief.INVALID_CALL: {
        "Error Message": "Invalid API call. Please retry or visit the documentation "
        "(https://www.alphavantage.co/documentation/) for TIME_SERIES_DAILY."
    },
    Mischief.MISSING_KEY: {
        "Error Message": "the parameter apikey is invalid or missing. Please claim your free API key on "
        "(https://www.alphavantage.co/support/#api-key). It should take less than 20 seconds."
    },
    Mischief.EMPTY_OBJECT: {},
    Mischief.NEW_TEXT: {"Information": "The premium moon is in the seventh house, {key}."},
}

_BODIES: dict[Mischief, bytes] = {
    Mischief.JSON_LIST: b'[{"timestamp": "2024-03-01"}]',
    Mischief.HTML: b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>{}</body></html>",
    Mischief.ZERO_BYTES: b"",
    Mischief.HEADER_ONLY: f"{HEADER}\r\n".encode(),
    Mischief.INFORMATION_ROW: f"{HEADER}\r\nI,n,f,o,r,m,a\r\n".encode(),
}
_STATUS = {
    Mischief.HTTP_403: 403,
    Mischief.HTTP_429: 429,
    Mischief.HTTP_500: 500,
    Mischief.HTTP_502: 502,
    Mischief.HTTP_503: 503,
}


@dataclass(frozen=True)
class Reply:
    """A response with any status, body and headers."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


Response = Mischief | Reply | bytes | None
"""A planned response: a fault, a status with a body, a body, or None for the correct response."""


@dataclass(frozen=True)
class Request:
    """One request as the server received it."""

    function: str
    symbol: str
    outputsize: str
    key: str
    accepts: str
    received_at: datetime


@cache
def walk(symbol: str) -> list[tuple[date, str]]:
    """Return the synthetic bars of a symbol, oldest first, up to the end of 2030."""
    chance = random.Random(symbol)  # noqa: S311 (synthetic prices)
    close, bars = chance.uniform(20, 400), []
    for session in sessions_between(HISTORY_BEGINS, date(2030, 12, 31)):
        opened = close * chance.uniform(0.99, 1.01)
        close = min(max(opened * chance.uniform(0.98, 1.0204), 2), 5000)
        high, low = max(opened, close) * chance.uniform(1, 1.01), min(opened, close) * chance.uniform(0.99, 1)
        line = f"{opened:.4f},{high:.4f},{low:.4f},{close:.4f},{chance.randrange(100_000, 90_000_000)}"
        bars.append((session, line))
    return bars


def csv_body(symbol: str, last: date, size: str = "full") -> bytes:
    """Return the bars up to a session as the vendor sends them: newest first, lines ending in CRLF."""
    bars = [bar for bar in walk(symbol) if bar[0] <= last][::-1]
    chosen = bars[:100] if size == "compact" else bars
    return "".join(f"{line}\r\n" for line in (HEADER, *(f"{day},{rest}" for day, rest in chosen))).encode()


class VendorServer(ThreadingHTTPServer):
    """The server, and the requests that it received.

    Attributes:
        last_session: newest session with bars.
        full_history: whether the key's plan has `outputsize=full`.
        splits: split events by symbol: ex-date and ratio.
        names: names of the symbols that a search by ticker finds.
        requests: all requests so far, in order.
        dripping: called after the first byte of each dripping response.
        resumed: slow responses continue when it is set.
        retry_after: header sent with 429 and 503, if any.
        redirect_to: target of a redirect.
        windows: limits that the vendor enforces; a request above a limit gets the message about bursts.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int = 0, *, last_session: date | None = None, full_history: bool = True) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.last_session = last_session or newest_closed_session()
        self.full_history = full_history
        self.splits: dict[str, dict[str, str]] = {}
        self.names: dict[str, str] = {}
        self.requests: list[Request] = []
        self.dripping: Callable[[], None] = lambda: None
        self.resumed = threading.Event()
        self.retry_after: str | None = None
        self.redirect_to = f"{self.url}/query?moved"
        self.windows = SlidingWindows(())
        self._mischief: dict[tuple[str, str], list[Response]] = {}
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)

    @property
    def url(self) -> str:
        """Address of the server."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def respond(self, symbol: str, *responses: Response, function: str = "TIME_SERIES_DAILY") -> None:
        """Set the next responses for a symbol; the last one repeats forever, and None is a correct response."""
        with self._lock:
            self._mischief[function, symbol] = list(responses) or [None]

    def received(self, count: int) -> list[Request]:
        """Wait for some requests, which a client may have ended before they arrived; return all."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.requests) >= count, _PATIENCE_SECONDS)
            return list(self.requests)

    def requested(self, function: str = "TIME_SERIES_DAILY") -> list[str]:
        """Return the requested symbols so far, in order."""
        return [request.symbol for request in self.requests if request.function == function]

    def next_response(self, request: Request) -> Response:
        """Record a request and return its planned response."""
        with self._lock:
            self.requests.append(request)
            self._arrived.notify_all()
            if not self.windows.accept(time.monotonic()):
                return Mischief.BURST
            planned = self._mischief.get((request.function, request.symbol), [None])
            return planned.pop(0) if len(planned) > 1 else planned[0]

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing when a client disconnects, as clients of slow responses do."""


class _Handler(BaseHTTPRequestHandler):
    server: VendorServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Respond to `/query`."""
        parameters = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        request = Request(
            parameters.get("function", ""),
            parameters.get("symbol", parameters.get("keywords", "")),
            parameters.get("outputsize", "compact"),
            parameters.get("apikey", ""),
            self.headers.get("Accept-Encoding", ""),
            datetime.now(UTC),
        )
        response = self.server.next_response(request)
        if isinstance(response, bytes):
            self._send(response)
        elif isinstance(response, Reply):
            self._send(response.body, status=response.status, headers=response.headers)
        elif not request.key:
            self._send(_text(Mischief.MISSING_KEY, request.key))
        elif response is None:
            self._send(self._good(request))
        else:
            self._misbehave(response, request)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library's name)
        """Print nothing: the line contains the key."""

    def _good(self, request: Request, last: date | None = None) -> bytes:
        if request.function == "SPLITS":
            events = self.server.splits.get(request.symbol, {})
            data = [{"effective_date": day, "split_factor": ratio} for day, ratio in sorted(events.items())[::-1]]
            return json.dumps({"symbol": request.symbol, "data": data}).encode()
        if request.function == "SYMBOL_SEARCH":
            return json.dumps({"bestMatches": self._matches(request.symbol)}).encode()
        if request.outputsize == "full" and not self.server.full_history:
            return _text(Mischief.FULL_IS_PREMIUM, request.key)
        return csv_body(request.symbol, last or self.server.last_session, request.outputsize)

    def _matches(self, text: str) -> list[dict[str, str]]:
        found = {symbol: name for symbol, name in self.server.names.items() if symbol.startswith(text[:3])}
        return [
            {
                "1. symbol": symbol,
                "2. name": name,
                "3. type": "Equity",
                "4. region": "United States",
                "5. marketOpen": "09:30",
                "8. currency": "USD",
                "9. matchScore": "0.8",
            }
            for symbol, name in found.items()
        ]

    def _misbehave(self, mischief: Mischief, request: Request) -> None:
        good = self._good(request)
        if mischief in TEXTS:
            self._send(_text(mischief, request.key))
        elif mischief in _BODIES:
            self._send(_BODIES[mischief])
        elif mischief in _STATUS:
            self._send(f"<h1>{_STATUS[mischief]}</h1> key {request.key}".encode(), status=_STATUS[mischief])
        elif mischief is Mischief.LATE:
            self._send(self._good(request, self.server.last_session - timedelta(days=1)))
        elif mischief is Mischief.WRONG_SYMBOL:
            self._send(csv_body("WRONG", self.server.last_session, request.outputsize))
        elif mischief is Mischief.REDIRECT:
            self._send(b"", status=302, headers={"Location": self.server.redirect_to})
        elif mischief in {Mischief.GZIP, Mischief.GZIP_403}:
            status, body = (200, good) if mischief is Mischief.GZIP else (403, f"key {request.key}".encode())
            self._send(gzip.compress(body), status=status, headers={"Content-Encoding": "gzip"})
        else:
            self._break(mischief, good)

    def _break(self, mischief: Mischief, good: bytes) -> None:
        """Break the protocol, which a library of HTTP servers would not do."""
        self.close_connection = True
        if mischief is Mischief.RESET:
            # A linger of zero seconds closes with a reset instead of an end.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif mischief is Mischief.DRIP_HEADER:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            self._drip(b"x" * len(good))
        elif mischief is Mischief.SLOW:
            self.server.resumed.wait(_PATIENCE_SECONDS)
            self._send(good)
        elif mischief in {Mischief.CUT, Mischief.DRIP}:
            self._head(length=len(good))
            if mischief is Mischief.CUT:
                # Cut at the end of a line, so that the body looks complete.
                self.wfile.write(good[: good.rfind(b"\r\n", 0, len(good) // 2) + 2])
                return
            self._drip(good)
        else:
            self._head(length=None)
            half = good.rfind(b"\r\n", 0, len(good) // 2) + 2
            parts = [good[:half]] if mischief is Mischief.CHUNKS_CUT else [good[:half], good[half:], b""]
            for part in parts:
                self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")

    def _drip(self, body: bytes) -> None:
        for byte in range(len(body)):
            self.wfile.write(body[byte : byte + 1])
            if byte == 0:
                self.server.dripping()
            time.sleep(_BETWEEN_DROPS_SECONDS)

    def _head(self, *, length: int | None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/x-download")
        if length is None:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _send(self, body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if self.server.retry_after is not None and status in {429, 503}:
            self.send_header("Retry-After", self.server.retry_after)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def newest_closed_session() -> date:
    """Return the newest session after its market close, by the machine's clock."""
    now = datetime.now(UTC)
    days = sessions_between((now - timedelta(days=10)).date(), now.date())
    return [day for day in days if closing_time(day) <= now][-1]


@contextmanager
def running(server: VendorServer) -> Iterator[VendorServer]:
    """Run the server in a thread."""
    with serving(server):
        try:
            yield server
        finally:
            server.resumed.set()


def _text(mischief: Mischief, key: str) -> bytes:
    return json.dumps({name: text.replace("{key}", key) for name, text in TEXTS[mischief].items()}).encode()


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--port", type=int, default=8910)
    parser.add_argument("--free", action="store_true", help="reject outputsize=full, as for a free key")
    parser.add_argument("--mischief", action="append", default=[], metavar="SYMBOL=KIND", help=", ".join(Mischief))
    options = parser.parse_args(arguments)
    server = VendorServer(options.port, full_history=not options.free)
    for entry in options.mischief:
        symbol, _, kind = entry.partition("=")
        server.respond(symbol, Mischief(kind))
    print(f"serving bars up to {server.last_session} on {server.url}; stop with Ctrl-C")  # noqa: T201 (started by hand)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()
