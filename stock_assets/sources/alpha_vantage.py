"""The live source: Alpha Vantage over HTTPS.

Belongs here: the vendor's requests, the texts by which it refuses, and how far back its plans reach. Does not
belong here: HTTP itself (`http`), keeping the key secret (`secret`), when to ask again (`calls`), what the answers
mean for the tables (`source`, `sql/stage`).

The vendor answers every refusal with HTTP 200 and a JSON object, also where CSV was asked for. Most quota texts
contain the word "premium", so nothing is decided by it. A text this module does not know is shown, not guessed.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import cached_property

import requests

from stock_assets.core.calendar import NEW_YORK, sessions_between
from stock_assets.core.call_limits import CallLimits
from stock_assets.core.clock import Clock, utc_now
from stock_assets.core.errors import (
    BadKey,
    DailyQuotaSpent,
    EmptyResponse,
    MalformedResponse,
    NotEntitled,
    SourceError,
    Throttled,
    UnknownSymbol,
    UnrecognisedResponse,
)
from stock_assets.core.text import first_line
from stock_assets.sources import transport
from stock_assets.sources.interface import AvailableHistory, PriceSource, Split, Terms
from stock_assets.sources.plans import API_KEY_VARIABLE, QUOTA_DAY_ZONE
from stock_assets.sources.raw_format import iso_date
from stock_assets.sources.redaction import PLACEHOLDER, KeyOnWireAdapter, redact, redact_text

COMPACT_SESSIONS = 100
"""`outputsize=compact` answers with the latest 100 bars."""

# First match wins. Each text was observed; see the vendor's support page for the limits they speak of.
_REFUSALS: tuple[tuple[str, type[SourceError], str], ...] = (
    (
        r"detected your API key .* requests? per day",
        DailyQuotaSpent,
        "the plan's calls for today are used up",
    ),
    (r"spreading out your free API requests|requests? per (second|minute)", Throttled, "asked too fast"),
    (r"standard API call frequency", Throttled, "asked too fast"),
    (
        r"outputsize=full parameter value is a premium feature",
        NotEntitled,
        "this plan has the latest 100 bars only; set STOCK_ASSETS_ALPHA_VANTAGE_PLAN to the key's plan",
    ),
    (r"This is a premium endpoint", NotEntitled, "this plan does not include the request"),
    (r"apikey is invalid or missing", BadKey, f"the key was refused; set {API_KEY_VARIABLE}"),
    (r"Invalid API call", UnknownSymbol, "the vendor does not know it"),
)
_REFUSAL_FIELDS = frozenset({"Information", "Note", "Error Message"})
_TITLE = re.compile(r"<title[^>]*>\s*(.*?)\s*</title>", re.IGNORECASE | re.DOTALL)
_SHOWN = 400


@dataclass(frozen=True, kw_only=True)
class AlphaVantageSource(PriceSource):
    """`TIME_SERIES_DAILY` and `SPLITS`; prices as traded, not adjusted.

    Attributes:
        base_url: scheme and host to ask.
        read_key: returns the API key; called when a request is sent, so that no definition or record of a run holds it.
        calls_per_second: limit of the plan, None for none.
        calls_per_minute: the same.
        calls_per_day: the same.
        full_history: whether the plan has `outputsize=full`.
        splits_refresh_days: age at which splits are asked for again.
        attempts: requests for one symbol in one run at most, as long as the failures are transient.
        first_pause_seconds: pause after a transient failure; it doubles with each further one in a row.
        now: the clock.
        timeouts: of one request.
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
        """Name the vendor."""
        return "Alpha Vantage, prices as traded"

    @property
    def vendor(self) -> str:
        """Name the account; there is one key at a time."""
        return "alpha_vantage"

    @property
    def terms(self) -> Terms:
        """Give the plan's limits and the pace of retries."""
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
        """Without full history, the latest 100 sessions."""
        if self.full_history:
            return None
        return AvailableHistory(
            _latest_sessions(at)[0],
            f"the plan gives the latest {COMPACT_SESSIONS} bars only; "
            "a premium plan (STOCK_ASSETS_ALPHA_VANTAGE_PLAN) gives the full history",
        )

    def fetch_prices(self, symbol: str, sessions: Sequence[date]) -> bytes:
        """Ask for the latest 100 bars where they reach back far enough, or are all that can be had; else for all."""
        enough = sessions[0] >= _latest_sessions(self.now())[0]
        size = "compact" if enough or not self.full_history else "full"
        return self._ask(symbol, function="TIME_SERIES_DAILY", outputsize=size, datatype="csv")

    def fetch_splits(self, symbol: str) -> bytes:
        """Ask for the splits; spin-offs appear among them."""
        return self._ask(symbol, function="SPLITS")

    def refuse_error_body(self, body: bytes, symbol: str) -> None:
        """Tell the vendor's refusals apart by their text."""
        text = body.decode(errors="replace").strip()
        if text.startswith("<"):
            title = _TITLE.search(text)
            raise UnrecognisedResponse(
                f"the vendor sent a web page: {(title.group(1) if title else text)[:_SHOWN]!r}", symbol=symbol
            )
        is_json, answer = _json(text)
        if not is_json:
            return
        if not isinstance(answer, dict):
            raise UnrecognisedResponse(f"the vendor sent {text[:_SHOWN]!r}", symbol=symbol)
        if not answer:
            raise EmptyResponse("the vendor answered with an empty object", symbol=symbol)
        if "data" not in answer or _REFUSAL_FIELDS & answer.keys():
            raise _refusal(answer, symbol)

    def read_splits(self, body: bytes, symbol: str) -> list[Split]:
        """Read a response of the `SPLITS` function."""
        self.refuse_error_body(body, symbol)
        return parse_splits(body, symbol)

    def _ask(self, symbol: str, **parameters: str) -> bytes:
        key = self._key()
        if not key:
            raise BadKey(f"there is no key; set {API_KEY_VARIABLE}", symbol=symbol)
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
        # Outside the handler, so that the unredacted one is not its context.
        raise failure

    def _key(self) -> str:
        return self.read_key().strip()

    @cached_property
    def _session(self) -> requests.Session:
        session = requests.Session()
        for scheme in ("https://", "http://"):
            session.mount(scheme, KeyOnWireAdapter(self._key))
        return session


def parse_splits(body: bytes, symbol: str) -> list[Split]:
    """Read the body of the `SPLITS` function: `{"symbol": ..., "data": [{"effective_date", "split_factor"}]}`.

    Raises:
        MalformedResponse: the body is anything else, or of another symbol.
    """
    try:
        answer = json.loads(body)
        about = answer["symbol"]
        splits = [Split(iso_date(entry["effective_date"]), Decimal(entry["split_factor"])) for entry in answer["data"]]
    except (ValueError, KeyError, TypeError, InvalidOperation) as error:
        raise MalformedResponse(
            f"not a list of splits: {first_line(body.decode(errors='replace'))!r}", symbol=symbol
        ) from error
    if about != symbol:
        raise MalformedResponse(f"the answer is about {first_line(str(about))!r}", symbol=symbol)
    if any(not split.ratio.is_finite() or split.ratio <= 0 for split in splits):
        raise MalformedResponse("a split ratio is not above zero", symbol=symbol)
    if len({split.ex_date for split in splits}) != len(splits):
        raise MalformedResponse("two splits on one day", symbol=symbol)
    return sorted(splits, key=lambda split: split.ex_date)


def _latest_sessions(at: datetime) -> list[date]:
    """List the sessions of a compact answer: the latest 100, today's among them, since its bar may be there."""
    today = at.astimezone(NEW_YORK).date()
    return sessions_between(today - timedelta(days=2 * COMPACT_SESSIONS), today)[-COMPACT_SESSIONS:]


def _refusal(answer: dict[str, object], symbol: str) -> SourceError:
    text = " ".join(str(value) for value in answer.values())
    for pattern, failure, meaning in _REFUSALS:
        if re.search(pattern, text):
            return failure(f"{meaning} (vendor: {text[:_SHOWN]!r})", symbol=symbol)
    return UnrecognisedResponse(f"the vendor said {text[:_SHOWN]!r}", symbol=symbol)


def _json(text: str) -> tuple[bool, object]:
    """Read JSON; a CSV is none, since it begins with a word."""
    try:
        return True, json.loads(text)
    except (ValueError, RecursionError):
        return False, None
