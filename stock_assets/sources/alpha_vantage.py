"""The live source: Alpha Vantage over HTTPS.

Belongs here: the vendor's requests, recognising an error message, and the available history of its plans. Does not
belong here: HTTP itself (`transport`), the meaning of an error message (`vendor_messages`), keeping the key secret
(`redaction`), when to request again (`ingest.requester`), the meaning of responses for the tables (`raw_format`,
`sql/stage`).

The vendor sends almost every error with HTTP 200 and a JSON object, even if CSV was requested. A text whose meaning is
not known is shown, not guessed.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property

from stock_assets.core.calendar import NEW_YORK, sessions_between
from stock_assets.core.call_limits import CallLimits
from stock_assets.core.clock import Clock, utc_now
from stock_assets.core.errors import (
    BadKey,
    EmptyResponse,
    SourceError,
    UnrecognisedResponse,
)
from stock_assets.core.vendor_facts import API_KEY_VARIABLE, AvailableHistory, SymbolMatch
from stock_assets.sources import transport
from stock_assets.sources.interface import PriceSource, Terms
from stock_assets.sources.plans import QUOTA_DAY_ZONE
from stock_assets.sources.redaction import PLACEHOLDER, redact, redact_text
from stock_assets.sources.vendor_messages import classify, message_text, quote

COMPACT_SESSIONS = 100
"""Bars in a response with `outputsize=compact`: the latest 100."""

_MATCHES = "bestMatches"
"""Field of a response that has the matches of a search."""
_TITLE = re.compile(r"<title[^>]*>\s*(.*?)\s*</title>", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class AlphaVantageSource(PriceSource):
    """`TIME_SERIES_DAILY`, `SPLITS` and `SYMBOL_SEARCH`; prices as traded, not adjusted.

    Attributes:
        base_url: scheme and host of the API.
        read_key: returns the API key; called when a request is sent, so that no definition or record of a run holds it.
        calls_per_second: limit of the plan; None means no limit.
        calls_per_minute: as above.
        calls_per_day: as above.
        full_history: whether the plan has `outputsize=full`.
        splits_refresh_days: days after which the splits of a symbol are requested again.
        attempts: most requests for one symbol in one run, if all failures are transient.
        first_pause_seconds: pause after a transient failure; it doubles with each further failure in a row.
        now: the clock.
        timeouts: timeouts of one request.
    """

    base_url: str
    read_key: Callable[[], str] = field(repr=False)
    calls_per_second: int | None = None
    calls_per_minute: int | None = None
    calls_per_day: int | None = None
    full_history: bool = True
    splits_refresh_days: int = 7
    attempts: int = 4
    first_pause_seconds: float = 2.0
    now: Clock = field(default=utc_now, repr=False)
    timeouts: transport.Timeouts = field(default_factory=transport.Timeouts, repr=False)

    @property
    def label(self) -> str:
        """Vendor and kind of prices."""
        return "Alpha Vantage, prices as traded"

    @property
    def vendor(self) -> str:
        """Name of the account; there is one key at a time."""
        return "alpha_vantage"

    @property
    def terms(self) -> Terms:
        """Limits of the plan, and how failed requests are retried."""
        return Terms(
            limits=CallLimits(
                per_second=self.calls_per_second,
                per_minute=self.calls_per_minute,
                per_day=self.calls_per_day,
                day_zone=QUOTA_DAY_ZONE,
            ),
            attempts=self.attempts,
            first_pause_seconds=self.first_pause_seconds,
            splits_refresh=timedelta(days=self.splits_refresh_days),
            distinct_responses=True,
        )

    def available_history(self, at: datetime) -> AvailableHistory | None:
        """Return the latest 100 sessions, or None if the plan includes the full history."""
        if self.full_history:
            return None
        return AvailableHistory(
            _latest_sessions(at)[0],
            f"the plan includes the latest {COMPACT_SESSIONS} bars only; earlier bars need a premium plan "
            "(STOCK_ASSETS_ALPHA_VANTAGE_PLAN) or a landing file",
        )

    def fetch_prices(self, symbol: str, sessions: Sequence[date]) -> bytes:
        """Request the latest 100 bars if they suffice or the plan includes no more, otherwise the full history."""
        enough = sessions[0] >= _latest_sessions(self.now())[0]
        size = "compact" if enough or not self.full_history else "full"
        return self._request(symbol, function="TIME_SERIES_DAILY", symbol=symbol, outputsize=size, datatype="csv")

    def fetch_splits(self, symbol: str) -> bytes:
        """Request the splits; the vendor lists spin-offs as splits too."""
        return self._request(symbol, function="SPLITS", symbol=symbol)

    def search_symbols(self, text: str) -> list[SymbolMatch]:
        """Search with the `SYMBOL_SEARCH` function, whose fields have numbers before their names."""
        body = self._request(text, function="SYMBOL_SEARCH", keywords=text)
        self.raise_error_message(body, text)
        found = json.loads(body).get(_MATCHES)
        if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
            raise UnrecognisedResponse(f"the vendor sent {quote(body.decode(errors='replace'))}", symbol=text)
        rows = [{str(name).partition(". ")[2]: str(value) for name, value in row.items()} for row in found]
        names = ("symbol", "name", "type", "region", "currency")
        return [SymbolMatch(*(row.get(name, "") for name in names)) for row in rows]

    def raise_error_message(self, body: bytes, symbol: str) -> None:
        """Raise the error that the text of an error message means."""
        text = body.decode("utf-8-sig", errors="replace").strip()
        if text.startswith("<"):
            raise UnrecognisedResponse(f"the vendor sent a web page: {_shown(body)}", symbol=symbol)
        is_json, message = _json(text)
        if not is_json:
            meant = None if _is_csv(text) else classify(text, symbol)
            if meant is not None:
                raise meant
            return
        if isinstance(message, str):
            message = {"message": message}
        if not isinstance(message, dict):
            raise UnrecognisedResponse(f"the vendor sent {quote(text)}", symbol=symbol)
        if not message:
            raise EmptyResponse("the vendor sent an empty object", symbol=symbol)
        if not message.keys() & {"data", _MATCHES} or message_text(message):
            raise _vendor_error(message, symbol)

    def _request(self, about: str, /, **parameters: str) -> bytes:
        """Send a request; errors name what it is about."""
        key = self._key()
        if not key:
            raise BadKey(f"the API key is missing; set {API_KEY_VARIABLE}", symbol=about)
        failure: SourceError
        try:
            with self._sessions.one() as session:
                body = transport.get(
                    session,
                    f"{self.base_url.rstrip('/')}/query",
                    {**parameters, "apikey": PLACEHOLDER},
                    symbol=about,
                    timeouts=self.timeouts,
                )
        except SourceError as error:
            sent = redact(error.body, key)
            # A gateway sends the same messages with a status such as 403 or 429; the message says more than the status.
            meant = self._message_in(sent, about)
            denied = isinstance(error, BadKey) and meant is None and sent
            text = str(meant or error).removeprefix(f"{about}: ") + (f" (response: {_shown(sent)})" if denied else "")
            text = redact_text(text, key)
            failure = type(meant or error)(text, symbol=about, body=sent, retry_after=error.retry_after)
        else:
            return redact(body, key)
        # Raised outside the handler, so that the error with the key is not its context.
        raise failure

    def _message_in(self, body: bytes, symbol: str) -> SourceError | None:
        """Return the error that an error response describes, or None if it is not a known message."""
        try:
            self.raise_error_message(body, symbol)
        except (UnrecognisedResponse, EmptyResponse):
            return None
        except SourceError as error:
            return error
        return None

    def _key(self) -> str:
        return self.read_key().strip()

    @cached_property
    def _sessions(self) -> transport.Sessions:
        return transport.Sessions(self._key)


def _shown(body: bytes) -> str:
    """Return a body as a message shows it: the title of a web page, or the text."""
    text = body.decode("utf-8-sig", errors="replace").strip()
    title = _TITLE.search(text) if text.startswith("<") else None
    return quote(title.group(1) if title else text)


def _latest_sessions(at: datetime) -> list[date]:
    """Return the sessions of a compact response: the latest 100, including today's, whose bar may exist already."""
    today = at.astimezone(NEW_YORK).date()
    return sessions_between(today - timedelta(days=2 * COMPACT_SESSIONS), today)[-COMPACT_SESSIONS:]


def _vendor_error(message: dict[str, object], symbol: str) -> SourceError:
    text = message_text(message)
    unknown = f"the vendor sent an unknown message: {quote(text or json.dumps(message))}"
    return classify(text, symbol) or UnrecognisedResponse(unknown, symbol=symbol)


def _is_csv(text: str) -> bool:
    """Return whether a text begins with a header line, and not with a sentence."""
    return "," in text.partition("\n")[0] and " " not in text.partition(",")[0]


def _json(text: str) -> tuple[bool, object]:
    """Return whether a text is JSON, and its value; a CSV is not JSON, because it begins with a word."""
    try:
        return True, json.loads(text)
    except (ValueError, RecursionError):
        return False, None
