"""The live source: Alpha Vantage over HTTPS.

Belongs here: the vendor's requests, the texts by which it refuses, and keeping the key out of everything.
Does not belong here: what the answers mean for the tables (`source`, `sql/stage`).

The vendor answers every refusal with HTTP 200 and a JSON object, also where CSV was asked for. Most quota texts
contain the word "premium", so nothing is decided by it. A text this module does not know is shown, not guessed.
"""

import json
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import cached_property

import requests
from pydantic import Field

from stock_assets.errors import (
    BadKey,
    DailyQuotaSpent,
    EmptyAnswer,
    NotEntitled,
    SourceError,
    SourceUnreachable,
    Throttled,
    UnknownSymbol,
    UnrecognisedAnswer,
)
from stock_assets.ingest.source import PriceSource
from stock_assets.sessions import sessions_between

COMPACT_SESSIONS = 100
"""`outputsize=compact` answers with the latest 100 bars."""

_TIMEOUT_SECONDS = (5.0, 60.0)
_REDACTED = "[redacted]"

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
        "this plan has the latest 100 bars only",
    ),
    (r"This is a premium endpoint", NotEntitled, "this plan does not include the request"),
    (r"apikey is invalid or missing", BadKey, "the key was refused; set ALPHAVANTAGE_API_KEY"),
    (r"Invalid API call", UnknownSymbol, "the vendor does not know it"),
)


class AlphaVantageSource(PriceSource):
    """`TIME_SERIES_DAILY` and `SPLITS`; prices as traded, not adjusted.

    Attributes:
        api_key: the key; resolved when a run starts.
        base_url: scheme and host to ask.
    """

    api_key: str = Field(repr=False)
    base_url: str

    @property
    def label(self) -> str:
        """Name the vendor."""
        return "Alpha Vantage, prices as traded"

    def fetch_prices(self, symbol: str, sessions: Sequence[date]) -> bytes:
        """Ask for the latest 100 bars where they reach back far enough, else for all."""
        reach = len(sessions_between(sessions[0], datetime.now(UTC).date()))
        size = "compact" if reach <= COMPACT_SESSIONS else "full"
        return self._ask(symbol, function="TIME_SERIES_DAILY", outputsize=size, datatype="csv")

    def fetch_splits(self, symbol: str) -> bytes:
        """Ask for the splits; spin-offs appear among them."""
        return self._ask(symbol, function="SPLITS")

    def refuse_error_body(self, body: bytes, symbol: str) -> None:
        """Tell the vendor's refusals apart by their text."""
        answer = _json_object(body)
        if answer is None or "data" in answer:
            return
        if not answer:
            raise EmptyAnswer("the vendor answered with an empty object", symbol=symbol)
        text = " ".join(str(value) for value in answer.values())
        for pattern, failure, meaning in _REFUSALS:
            if re.search(pattern, text):
                raise failure(f"{meaning} (vendor: {text!r})", symbol=symbol)
        raise UnrecognisedAnswer(f"the vendor said {text!r}", symbol=symbol)

    @cached_property
    def _session(self) -> requests.Session:
        return requests.Session()

    def _ask(self, symbol: str, **parameters: str) -> bytes:
        if not self.api_key:
            raise BadKey("no key; set ALPHAVANTAGE_API_KEY", symbol=symbol)
        try:
            answer = self._session.get(
                f"{self.base_url.rstrip('/')}/query",
                params={**parameters, "symbol": symbol, "apikey": self.api_key},
                timeout=_TIMEOUT_SECONDS,
            )
        except requests.RequestException as error:
            # The exception's text holds the URL and so the key: only its kind is passed on.
            raise SourceUnreachable(f"no answer ({type(error).__name__})", symbol=symbol) from None
        if answer.status_code == requests.codes.too_many_requests:
            raise Throttled("asked too fast (HTTP 429)", symbol=symbol)
        if answer.status_code != requests.codes.ok:
            raise SourceUnreachable(f"HTTP {answer.status_code}", symbol=symbol)
        return answer.content.replace(self.api_key.encode(), _REDACTED.encode())


def _json_object(body: bytes) -> dict[str, object] | None:
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None
