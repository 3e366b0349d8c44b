"""The live source: Alpha Vantage over HTTPS.

Belongs here: the vendor's requests, the texts of its error messages, and the available history of its plans. Does not
belong here: HTTP itself (`transport`), keeping the key secret (`redaction`), when to request again
(`ingest.requester`), the meaning of responses for the tables (`raw_format`, `sql/stage`).

The vendor sends every error with HTTP 200 and a JSON object, even if CSV was requested. Most texts about the quota
contain the word "premium", so that word decides nothing. A text that this module does not know is shown, not guessed.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property

import requests

from stock_assets.core.calendar import NEW_YORK, sessions_between
from stock_assets.core.call_limits import CallLimits
from stock_assets.core.clock import Clock, utc_now
from stock_assets.core.errors import (
    BadKey,
    DailyQuotaExhausted,
    EmptyResponse,
    NotEntitled,
    SourceError,
    Throttled,
    UnknownSymbol,
    UnrecognisedResponse,
)
from stock_assets.sources import transport
from stock_assets.sources.interface import AvailableHistory, PriceSource, Split, Terms
from stock_assets.sources.plans import API_KEY_VARIABLE, QUOTA_DAY_ZONE
from stock_assets.sources.redaction import PLACEHOLDER, KeyOnWireAdapter, redact, redact_text
from stock_assets.sources.splits_json import parse_splits

COMPACT_SESSIONS = 100
"""Bars in a response with `outputsize=compact`: the latest 100."""

# The first match decides. Each text was observed; the vendor's support page explains the limits.
_ERROR_TEXTS: tuple[tuple[str, type[SourceError], str], ...] = (
    (
        r"detected your API key .* requests? per day",
        DailyQuotaExhausted,
        "the plan's calls for today are used up",
    ),
    (r"spreading out your free API requests|requests? per (second|minute)", Throttled, "requests are too frequent"),
    (r"standard API call frequency", Throttled, "requests are too frequent"),
    (
        r"outputsize=full parameter value is a premium feature",
        NotEntitled,
        "the plan includes the latest 100 bars only; set STOCK_ASSETS_ALPHA_VANTAGE_PLAN to the plan of your key",
    ),
    (r"This is a premium endpoint", NotEntitled, "the plan does not include this request"),
    (r"apikey is invalid or missing", BadKey, f"the vendor rejects the key; set {API_KEY_VARIABLE} to a valid one"),
    (r"Invalid API call", UnknownSymbol, "the vendor does not know this symbol"),
)
_ERROR_FIELDS = frozenset({"Information", "Note", "Error Message"})
_TITLE = re.compile(r"<title[^>]*>\s*(.*?)\s*</title>", re.IGNORECASE | re.DOTALL)
_SHOWN = 400
"""Characters of a vendor's text in a message."""


@dataclass(frozen=True, kw_only=True)
class AlphaVantageSource(PriceSource):
    """`TIME_SERIES_DAILY` and `SPLITS`; prices as traded, not adjusted.

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
        return self._request(symbol, function="TIME_SERIES_DAILY", outputsize=size, datatype="csv")

    def fetch_splits(self, symbol: str) -> bytes:
        """Request the splits; the vendor lists spin-offs as splits too."""
        return self._request(symbol, function="SPLITS")

    def raise_error_message(self, body: bytes, symbol: str) -> None:
        """Raise the error that the text of an error message means."""
        text = body.decode(errors="replace").strip()
        if text.startswith("<"):
            title = _TITLE.search(text)
            raise UnrecognisedResponse(
                f"the vendor sent a web page: {(title.group(1) if title else text)[:_SHOWN]!r}", symbol=symbol
            )
        is_json, message = _json(text)
        if not is_json:
            return
        if not isinstance(message, dict):
            raise UnrecognisedResponse(f"the vendor sent {text[:_SHOWN]!r}", symbol=symbol)
        if not message:
            raise EmptyResponse("the vendor sent an empty object", symbol=symbol)
        if "data" not in message or _ERROR_FIELDS & message.keys():
            raise _vendor_error(message, symbol)

    def read_splits(self, body: bytes, symbol: str) -> list[Split]:
        """Read a response of the `SPLITS` function."""
        self.raise_error_message(body, symbol)
        return parse_splits(body, symbol)

    def _request(self, symbol: str, **parameters: str) -> bytes:
        key = self._key()
        if not key:
            raise BadKey(f"the API key is missing; set {API_KEY_VARIABLE}", symbol=symbol)
        failure: SourceError
        try:
            body = transport.get(
                self._session,
                f"{self.base_url.rstrip('/')}/query",
                {**parameters, "symbol": symbol, "apikey": PLACEHOLDER},
                symbol=symbol,
                timeouts=self.timeouts,
            )
        except SourceError as error:
            failure = type(error)(
                redact_text(str(error).removeprefix(f"{symbol}: "), key),
                symbol=symbol,
                body=redact(error.body, key),
                retry_after=error.retry_after,
            )
        else:
            return redact(body, key)
        # Raised outside the handler, so that the error with the key is not its context.
        raise failure

    def _key(self) -> str:
        return self.read_key().strip()

    @cached_property
    def _session(self) -> requests.Session:
        session = requests.Session()
        for scheme in ("https://", "http://"):
            session.mount(scheme, KeyOnWireAdapter(self._key))
        return session


def _latest_sessions(at: datetime) -> list[date]:
    """Return the sessions of a compact response: the latest 100, including today's, whose bar may exist already."""
    today = at.astimezone(NEW_YORK).date()
    return sessions_between(today - timedelta(days=2 * COMPACT_SESSIONS), today)[-COMPACT_SESSIONS:]


def _vendor_error(message: dict[str, object], symbol: str) -> SourceError:
    text = " ".join(str(value) for value in message.values())
    for pattern, failure, meaning in _ERROR_TEXTS:
        if re.search(pattern, text):
            return failure(f"{meaning} (vendor: {text[:_SHOWN]!r})", symbol=symbol)
    return UnrecognisedResponse(f"the vendor sent an unknown message: {text[:_SHOWN]!r}", symbol=symbol)


def _json(text: str) -> tuple[bool, object]:
    """Return whether a text is JSON, and its value; a CSV is not JSON, because it begins with a word."""
    try:
        return True, json.loads(text)
    except (ValueError, RecursionError):
        return False, None
