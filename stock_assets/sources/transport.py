"""Send one HTTP request; return the whole response or raise a typed failure.

Belongs here: timeouts, the size limit, and the meaning of each HTTP status. Does not belong here: the meaning of a body
(`alpha_vantage`), retries (`ingest.requester`).

This module never repeats a request and never follows a redirect, because each request costs a call of the quota:
`ingest.requester` decides about every request and counts it. Therefore urllib3's own retries stay off.

Responses are requested without compression. A full history is half a megabyte, and urllib3 accepts a gzip stream that
ends in the middle as complete; an uncompressed response that was cut off is recognised by its length. A server or proxy
that compresses all the same is accepted: the body is decompressed.
"""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import urlsplit

import requests
import urllib3

from stock_assets.core.errors import SourceError, SourceUnreachable, Throttled, UnrecognisedResponse

CONNECT_SECONDS = 5.0
READ_SECONDS = 60.0
"""Longest pause of the vendor within a response."""
WHOLE_RESPONSE_SECONDS = 120.0
"""Longest time for a whole response, so that a response that comes byte by byte does not block the run."""
MAX_BODY_BYTES = 64 * 1024 * 1024
"""Size limit of a body; 20 years of bars are about half a megabyte."""

_CHUNK_BYTES = 64 * 1024


class Timeouts:
    """The three times above, in seconds; tests shorten them."""

    def __init__(
        self, connect: float = CONNECT_SECONDS, read: float = READ_SECONDS, whole: float = WHOLE_RESPONSE_SECONDS
    ) -> None:
        self.connect = connect
        self.read = read
        self.whole = whole


def get(
    session: requests.Session, url: str, parameters: Mapping[str, str], *, symbol: str, timeouts: Timeouts
) -> bytes:
    """Send one GET request.

    Returns:
        the whole body of a response with status 200.

    Raises:
        Throttled: status 429.
        SourceUnreachable: there is no response, an incomplete one, or one with status 408 or 5xx; a later request may
            succeed.
        UnrecognisedResponse: any other status.
    """
    failure: str
    try:
        with session.get(
            url,
            params=dict(parameters),
            headers={"Accept-Encoding": "identity"},
            timeout=(timeouts.connect, timeouts.read),
            allow_redirects=False,
            stream=True,
        ) as response:
            status, headers = response.status_code, response.headers
            body = _body(response, time.monotonic() + timeouts.whole)
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        failure = _names(error)
    except _UnusableBody as error:
        failure = str(error)
    else:
        problem = _status_error(status, headers, body, symbol)
        if problem is not None:
            raise problem
        return body
    # Raised outside the handlers: the original error, which holds the URL, must not become the context of this one.
    raise SourceUnreachable(f"no complete response ({failure})", symbol=symbol)


class _UnusableBody(Exception):
    """The body is too large or takes too long."""


def _body(response: requests.Response, deadline: float) -> bytes:
    """Read the body as it arrives; a body shorter than its Content-Length, or without its last chunk, raises."""
    body = bytearray()
    while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise _UnusableBody(f"it has more than {MAX_BODY_BYTES} bytes")
        if time.monotonic() > deadline:
            raise _UnusableBody("it takes too long")
    return bytes(body)


def _status_error(status: int, headers: Mapping[str, str], body: bytes, symbol: str) -> SourceError | None:
    if status == HTTPStatus.OK:
        return None
    wait = _retry_after(headers.get("Retry-After", ""))
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Throttled("requests are too frequent (HTTP 429)", symbol=symbol, body=body, retry_after=wait)
    if status == HTTPStatus.REQUEST_TIMEOUT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return SourceUnreachable(f"HTTP {status}", symbol=symbol, body=body, retry_after=wait)
    return UnrecognisedResponse(f"HTTP {status}{_explanation(status, headers)}", symbol=symbol, body=body)


def _explanation(status: int, headers: Mapping[str, str]) -> str:
    # Only the host of the new address: its path and query may hold the key.
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST and "Location" in headers:
        host = urlsplit(headers["Location"]).hostname or "another page of the same host"
        return (
            f": the vendor redirects to {host}, and redirects are not followed. If the vendor has a new address, set "
            "STOCK_ASSETS_ALPHA_VANTAGE_BASE_URL to it; otherwise check your proxy"
        )
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return (
            ": the vendor, or a proxy on the way, denies access. Check your API key and your proxy, and whether the "
            "vendor blocks your network"
        )
    return ""


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
