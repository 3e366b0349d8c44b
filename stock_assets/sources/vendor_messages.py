"""Classify a message of the vendor by what it is about: the key, the plan, the rate, the day or the symbol.

Belongs here: the words that decide, and the text that messages show. Does not belong here: finding the message in a
response (`alpha_vantage`), the reaction to it (`ingest.requester`).

The vendor changes its sentences often, so no sentence is compared: the rules look for a unit of time, for the words
around the word "key", and for the claim that something *is premium*. Almost every message advertises premium plans and
mentions the free plan's calls per day, so neither decides alone. The tests have a table of published texts
(`stock_assets_tests/sources/vendor_messages.py`).
"""

import re
from collections.abc import Iterator

from stock_assets.core.errors import (
    BadKey,
    DailyQuotaExhausted,
    NotEntitled,
    SourceError,
    Throttled,
    UnknownSymbol,
)
from stock_assets.core.vendor_facts import API_KEY_VARIABLE

MESSAGE_FIELDS = frozenset({"information", "note", "error message", "error", "errors", "message", "detail", "title"})
"""Fields of a JSON object that hold a message, in lower case; the first three are the vendor's, the others those of
gateways and proxies."""

_BAD_KEY = f"the vendor rejects the key; set {API_KEY_VARIABLE} to a valid one"
_QUOTA = "the plan's calls for today are used up"
_RATE = "requests are too frequent"

_KEY = r"(?:api[ -]?key|\bkey\b)"
_WRONG = r"\b(?:invalid|missing|required|unknown|incorrect|expired|not (?:valid|found|recogni[sz]ed|provided|set))\b"
_BLOCKED = (
    r"\b(?:blocked|banned|suspended|disabled|deactivated|revoked|inactive|unauthori[sz]ed|not (?:active|allowed))\b"
)
_NEAR = r"[^.!?]{0,40}"
_DAY = r"(?:per[ -]?day|/ ?day|\ba day\b|each day|\bdaily\b|\btoday\b|for the day|24 hours)"
_SHORT = (
    r"(?:per[ -]?(?:second|minute)|/ ?(?:s|sec|second|min|minute)\b|\ba (?:second|minute)\b|(?:second|minute)[ -]level)"
)

_UNKNOWN_SYMBOL = (
    rf"invalid api call|\bsymbol\b{_NEAR}\b(?:invalid|unknown|not (?:found|supported|available))"
    r"|\b(?:invalid|unknown) (?:\w+ )?symbol"
)

# The first match decides.
_RULES: tuple[tuple[str, type[SourceError], str], ...] = (
    # "The demo API key is for demo purposes only. Please claim your free API key": the key itself is redacted.
    (r"claim your (?:free )?api key|purposes only", BadKey, _BAD_KEY),
    (rf"{_KEY}{_NEAR}{_WRONG}|{_WRONG} {_KEY}|{_WRONG} or {_WRONG} {_KEY}", BadKey, _BAD_KEY),
    (
        r"outputsize=full",
        NotEntitled,
        "the plan includes the latest 100 bars only; set STOCK_ASSETS_ALPHA_VANTAGE_PLAN to the plan of your key",
    ),
    (r"\b(?:is|are) (?:now |only )?(?:an? )?premium\b", NotEntitled, "the plan does not include this request"),
    (rf"\b(?:reached|exceeded|exhausted|used up|hit)\b{_NEAR}{_DAY}", DailyQuotaExhausted, _QUOTA),
    (rf"{_DAY}{_NEAR}\b(?:reached|exceeded|exhausted|used up)\b", DailyQuotaExhausted, _QUOTA),
    (rf"{_SHORT}|\bburst\b|\bspread(?:ing)?\b", Throttled, _RATE),
    (rf"\b(?:limit|limits|limited|quota|requests?|calls?|queries)\b{_NEAR}{_DAY}", DailyQuotaExhausted, _QUOTA),
    (rf"{_DAY}{_NEAR}\b(?:limit|limits|quota)\b", DailyQuotaExhausted, _QUOTA),
    (r"(?:call|request) (?:volume|frequency)|rate[ -]limit|too many requests|limit exceeded", Throttled, _RATE),
    (rf"{_KEY}{_NEAR}{_BLOCKED}|{_BLOCKED} {_KEY}", BadKey, _BAD_KEY),
    (_UNKNOWN_SYMBOL, UnknownSymbol, "the vendor does not know this symbol"),
)
_ADDRESS = re.compile(r"https?://\S+|\S+@\S+")
_SHOWN = 400
"""Characters of a vendor's text in a message."""


def classify(text: str, symbol: str) -> SourceError | None:
    """Return the failure that a text of the vendor means, or None for an unknown text.

    Args:
        text: the message without the key.
        symbol: ticker of the request.
    """
    # Addresses contain words that decide: `/premium/`, `#api-key`, `premium@`. Asterisks emphasise a word.
    plain = " ".join(_ADDRESS.sub(" ", text).replace("*", "").lower().split())
    for pattern, failure, meaning in _RULES:
        if re.search(pattern, plain):
            return failure(f"{meaning} (vendor: {quote(text)})", symbol=symbol)
    return None


def message_text(message: dict[str, object]) -> str:
    """Return the texts of the message fields of a JSON object, joined; empty if it has none."""
    return " ".join(_texts(message))


def quote(text: str) -> str:
    """Return a vendor's text as a message shows it: one line, shortened, in quotes."""
    return repr(" ".join(text.split())[:_SHOWN])


def _texts(message: dict[str, object]) -> Iterator[str]:
    for name, value in message.items():
        if str(name).strip().lower() not in MESSAGE_FIELDS:
            continue
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, dict):
                yield from _texts(part)
            elif part is not None:
                yield str(part)
