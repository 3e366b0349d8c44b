"""One HTTP request whose answer is whole, or a typed failure.

Belongs here: timeouts, sizes, decoding, and which status means what. Does not belong here: what a body says
(`alpha_vantage`), asking again (`calls`).

Nothing is repeated here, and redirects are not followed: each request costs a call, so it is `calls` that decides,
and charges, every one. That is why urllib3's own retries stay off.
"""

import gzip
import io
import time
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import requests
import urllib3

from stock_assets.core.errors import SourceError, SourceUnreachable, Throttled, UnrecognisedResponse

CONNECT_SECONDS = 5.0
READ_SECONDS = 60.0
"""Longest silence of the vendor within an answer."""
WHOLE_ANSWER_SECONDS = 120.0
"""Longest time for a whole answer, so that one that comes in drops does not hold the run."""
MAX_BODY_BYTES = 64 * 1024 * 1024
"""Twenty years of bars are about half a megabyte."""

_CHUNK_BYTES = 64 * 1024


class Timeouts:
    """The three times above, in seconds; tests shorten them."""

    def __init__(
        self, connect: float = CONNECT_SECONDS, read: float = READ_SECONDS, whole: float = WHOLE_ANSWER_SECONDS
    ) -> None:
        self.connect = connect
        self.read = read
        self.whole = whole


def get(
    session: requests.Session, url: str, parameters: Mapping[str, str], *, symbol: str, timeouts: Timeouts
) -> bytes:
    """Ask once.

    Returns:
        the body of an answer with status 200, decoded; all of it.

    Raises:
        Throttled: status 429.
        SourceUnreachable: no answer, a broken one, or status 408 or 5xx: it may come later.
        UnrecognisedResponse: any other status.
    """
    failure: str
    try:
        with session.get(
            url,
            params=dict(parameters),
            headers={"Accept-Encoding": "gzip"},
            timeout=(timeouts.connect, timeouts.read),
            allow_redirects=False,
            stream=True,
        ) as answer:
            body = _decoded(_read(answer, time.monotonic() + timeouts.whole), answer.headers)
            status, headers = answer.status_code, answer.headers
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, EOFError, zlib.error) as error:
        failure = _kind(error)
    except _TooMuch as error:
        failure = str(error)
    else:
        refusal = _refusal(status, headers, body, symbol)
        if refusal is not None:
            raise refusal
        return body
    # Raised outside the handlers: the original, with the URL in it, must not become this one's context.
    raise SourceUnreachable(f"no whole answer ({failure})", symbol=symbol)


class _TooMuch(Exception):
    """The answer is too long, in time or in bytes."""


def _read(answer: requests.Response, deadline: float) -> bytes:
    """Read the bytes as they arrive; a body shorter than its Content-Length or without its last chunk raises."""
    body = bytearray()
    while chunk := answer.raw.read1(_CHUNK_BYTES, decode_content=False):
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise _TooMuch(f"more than {MAX_BODY_BYTES} bytes")
        if time.monotonic() > deadline:
            raise _TooMuch("it takes too long")
    return bytes(body)


def _decoded(body: bytes, headers: Mapping[str, str]) -> bytes:
    """Undo gzip, with its checksum; requests would take a gzip stream that stops in the middle for a whole one."""
    encoding = headers.get("Content-Encoding", "identity").strip().lower()
    if encoding == "identity" or not body:
        return body
    if encoding not in {"gzip", "x-gzip"}:
        raise _TooMuch(f"it is encoded as {encoding!r}, which was not asked for")
    with gzip.GzipFile(fileobj=io.BytesIO(body)) as unzipped:
        plain = unzipped.read(MAX_BODY_BYTES + 1)
    if len(plain) > MAX_BODY_BYTES:
        raise _TooMuch(f"more than {MAX_BODY_BYTES} bytes")
    return plain


def _refusal(status: int, headers: Mapping[str, str], body: bytes, symbol: str) -> SourceError | None:
    if status == HTTPStatus.OK:
        return None
    wait = _retry_after(headers.get("Retry-After", ""))
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Throttled("asked too fast (HTTP 429)", symbol=symbol, body=body, retry_after=wait)
    if status == HTTPStatus.REQUEST_TIMEOUT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return SourceUnreachable(f"HTTP {status}", symbol=symbol, body=body, retry_after=wait)
    return UnrecognisedResponse(f"HTTP {status}", symbol=symbol, body=body)


def _retry_after(text: str) -> float | None:
    """Read the header: seconds, or a date."""
    if text.strip().isdecimal():
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds())


def _kind(error: BaseException) -> str:
    """Name the failure and what lies under it, without any text, since texts may quote the URL."""
    names = [type(error).__name__]
    inner = error.args[0] if error.args else None
    while isinstance(inner, BaseException):
        names.append(type(inner).__name__)
        inner = inner.args[0] if inner.args else None
    return ": ".join(dict.fromkeys(names))
