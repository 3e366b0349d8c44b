"""Send one HTTP request; return the whole response or raise a typed failure.

Belongs here: timeouts, the size limit, and the meaning of each HTTP status. Does not belong here: the meaning of a body
(`alpha_vantage`), retries (`ingest.requester`).

This module never repeats a request and never follows a redirect, because each request costs a call of the quota:
`ingest.requester` decides about every request and counts it. Therefore urllib3's own retries stay off.

Responses are requested without compression. A full history is half a megabyte, and urllib3 accepts a gzip stream that
ends in the middle as complete; an uncompressed response that was cut off is recognised by its length. A server or proxy
that compresses all the same is accepted: the body is decompressed.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from threading import Event, Timer
from urllib.parse import urlsplit

import requests
import urllib3

from stock_assets.core.errors import (
    BadKey,
    Redirected,
    SourceError,
    SourceUnreachable,
    Throttled,
    UnrecognisedResponse,
)
from stock_assets.sources.redaction import KeyOnWireAdapter

CONNECT_SECONDS = 5.0
READ_SECONDS = 20.0
"""Longest pause of the vendor within a response."""
WHOLE_RESPONSE_SECONDS = 30.0
"""Longest time for a whole request, so that a response whose header or body comes byte by byte does not block the run:
the library's timeouts end only a pause."""
MAX_BODY_BYTES = 64 * 1024 * 1024
"""Size limit of a body; 20 years of bars are about half a megabyte."""

_CHUNK_BYTES = 64 * 1024
_ABORT_AGAIN_SECONDS = 0.1
_DENIED: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "the vendor, or a proxy on the way, denies access without valid credentials. Check your "
    "API key, then your proxy",
    # The vendor rejects a key with a message, in a response with status 200.
    HTTPStatus.FORBIDDEN: "the vendor, or a proxy on the way, denies access and says nothing about the key. Check your "
    "proxy, and whether the vendor blocks your network, then your API key",
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: "the proxy denies access without a login. Set user and password in its "
    "address, such as HTTPS_PROXY=http://user:password@host:port",
}
"""What to check after a denial whose body has no known message of the vendor, by status."""
_PROXY_STATUS = re.compile(r"Tunnel connection failed: (\d{3})\b")
"""Text of `http.client` for a proxy's response to CONNECT, which is no response for `requests`."""


@dataclass(frozen=True)
class Timeouts:
    """The three times above, in seconds; tests shorten them."""

    connect: float = CONNECT_SECONDS
    read: float = READ_SECONDS
    whole: float = WHOLE_RESPONSE_SECONDS


class Session(requests.Session):
    """A session whose requests need no key in the URL and that never looks at the target of a redirect.

    One thread at a time uses a session: a request that takes too long shuts down all connections of its session.
    """

    def __init__(self, key: Callable[[], str]) -> None:
        super().__init__()
        for scheme in ("https://", "http://"):
            self.mount(scheme, KeyOnWireAdapter(key))

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return None: the library would parse the address even of a redirect that is not followed."""
        del resp


class Sessions:
    """The sessions of all threads; a session keeps its connection open between requests."""

    def __init__(self, key: Callable[[], str]) -> None:
        self._key = key
        self._idle: list[Session] = []

    @contextmanager
    def one(self) -> Iterator[Session]:
        """Lend a session: the one that was used last, or a new one if other threads use all."""
        try:
            session = self._idle.pop()
        except IndexError:
            session = Session(self._key)
        try:
            yield session
        finally:
            self._idle.append(session)


def get(session: Session, url: str, parameters: Mapping[str, str], *, symbol: str, timeouts: Timeouts) -> bytes:
    """Send one GET request.

    Returns:
        the whole body of a response with status 200.

    Raises:
        Throttled: status 429.
        SourceUnreachable: there is no response, an incomplete one, or one with status 408 or 5xx; a later request may
            succeed.
        BadKey: status 401, 403 or 407, from the vendor or from a proxy that makes no connection to it.
        Redirected: status 3xx.
        UnrecognisedResponse: any other status.
    """
    failure: str
    denied_by_proxy: SourceError | None = None
    try:
        with (
            _deadline(session, timeouts.whole),
            session.get(
                url,
                params=dict(parameters),
                headers={"Accept-Encoding": "identity"},
                timeout=(timeouts.connect, timeouts.read),
                allow_redirects=False,
                stream=True,
            ) as response,
        ):
            status, headers = response.status_code, response.headers
            body = _body(response)
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        failure, denied_by_proxy = _names(error), _proxy_denial(error, symbol)
    except _UnusableBody as error:
        failure = str(error)
    else:
        problem = _status_error(status, headers, body, symbol)
        if problem is not None:
            raise problem
        return body
    # Raised outside the handlers: the original error, which holds the URL, must not become the context of this one.
    raise denied_by_proxy or SourceUnreachable(f"no complete response ({failure})", symbol=symbol)


class _UnusableBody(Exception):
    """The body is too large or takes too long."""


@contextmanager
def _deadline(session: Session, seconds: float) -> Iterator[None]:
    """Shut down the connection when the time is over, wherever the request is then.

    A request that was still looking up the vendor's address connects later: this connection is shut down, too.
    """
    expired, ended = Event(), Event()

    def expire() -> None:
        expired.set()
        while not ended.is_set():
            for adapter in session.adapters.values():
                if isinstance(adapter, KeyOnWireAdapter):
                    adapter.abort()
            ended.wait(_ABORT_AGAIN_SECONDS)

    timer = Timer(seconds, expire)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError):
        # The shut down connection looks like a connection that the vendor has closed.
        if not expired.is_set():
            raise
    finally:
        ended.set()
        timer.cancel()
        # The session's next request must not be shut down.
        timer.join()
    # A body without a length looks complete after the connection was shut down.
    if expired.is_set():
        raise _UnusableBody(f"it took longer than {seconds:g} s") from None


def _body(response: requests.Response) -> bytes:
    """Read the body as it arrives; a body shorter than its Content-Length, or without its last chunk, raises."""
    body = bytearray()
    while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise _UnusableBody(f"it has more than {MAX_BODY_BYTES} bytes")
    return bytes(body)


def _status_error(status: int, headers: Mapping[str, str], body: bytes, symbol: str) -> SourceError | None:
    if status == HTTPStatus.OK:
        return None
    wait = _retry_after(headers.get("Retry-After", ""))
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Throttled("requests are too frequent (HTTP 429)", symbol=symbol, body=body, retry_after=wait)
    if status == HTTPStatus.REQUEST_TIMEOUT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return SourceUnreachable(f"HTTP {status}", symbol=symbol, body=body, retry_after=wait)
    if status in _DENIED:
        return _denied(status, symbol, body)
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return Redirected(
            f"HTTP {status}: the vendor redirects to {_target(headers)}, and redirects are not followed. If the vendor "
            "has a new address, set STOCK_ASSETS_ALPHA_VANTAGE_BASE_URL to it; otherwise check your proxy",
            symbol=symbol,
            body=body,
        )
    return UnrecognisedResponse(f"HTTP {status}", symbol=symbol, body=body)


def _denied(status: int, symbol: str, body: bytes = b"") -> BadKey:
    return BadKey(f"HTTP {status}: {_DENIED[status]}", symbol=symbol, body=body)


def _proxy_denial(error: BaseException, symbol: str) -> BadKey | None:
    """Return the denial of a proxy on the way to an HTTPS address; None if the connection failed otherwise.

    Only the number is used: the proxy's own words may repeat its login.
    """
    cause: BaseException | None = error
    while cause is not None:
        # Errors of the libraries wrap this one, and their texts begin otherwise.
        if found := _PROXY_STATUS.match(str(cause)):
            status = int(found[1])
            return _denied(status, symbol) if status in _DENIED else None
        cause = cause.__cause__ or cause.__context__
    return None


def _target(headers: Mapping[str, str]) -> str:
    """Return the host of a redirect's address; its path and query may contain the key."""
    try:
        host = urlsplit(headers.get("Location", "")).hostname
    except ValueError:
        return "an address that cannot be read"
    return host or "another page of the same host"


def _retry_after(text: str) -> float | None:
    """Read the header `Retry-After`, which holds seconds or a date."""
    if text.strip().isdecimal():
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds())


def _names(error: BaseException) -> str:
    """Return the class names of an error and its causes, without their texts, because a text may contain the URL."""
    names = [type(error).__name__]
    inner = error.args[0] if error.args else None
    while isinstance(inner, BaseException):
        names.append(type(inner).__name__)
        inner = inner.args[0] if inner.args else None
    return ": ".join(dict.fromkeys(names))
