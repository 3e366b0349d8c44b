"""The meaning of each outcome of a request, and what to do about it, as checks and alerts show them.

Belongs here: one line of meaning and one of remedy per outcome, counts, and symbols with the same reason. Does not
belong here: deciding which outcome a request has (`sources.alpha_vantage`, `requester`, `price_requests`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from stock_assets.core.errors import Outcome

MEANING: dict[Outcome, str] = {
    Outcome.OK: "every requested session is stored",
    Outcome.LATE: "the vendor responded, but its newest bar is older than the session",
    Outcome.UNOBTAINABLE: "the session is older than the vendor's available history",
    Outcome.THROTTLED: "the vendor wants fewer requests per second or minute, also after pauses",
    Outcome.DAILY_QUOTA: "today's calls are used",
    Outcome.NOT_ENTITLED: "the plan does not include the request",
    Outcome.BAD_KEY: "the API key is missing or not accepted, or access is denied",
    Outcome.UNKNOWN_SYMBOL: "the vendor does not know the symbol",
    Outcome.EMPTY: "the vendor's response contains no bar",
    Outcome.MALFORMED: "the response is not in the documented format, or belongs to another symbol; it is stored, and "
    "none of its rows is used",
    Outcome.REVISED: "the response changes most stored bars of the symbol; it is stored, and none of its rows is used",
    Outcome.UNREACHABLE: "no complete response arrived, also after pauses",
    Outcome.UNRECOGNISED: "the vendor sent a text that this client does not recognise",
    Outcome.NOT_LISTED: "the session is before the symbol's first session",
    Outcome.NOT_RECORDED: "the session is outside the recorded sample",
    Outcome.CLOSED_DAY: "the exchange was closed on that day",
}

REMEDY: dict[Outcome, str] = {
    Outcome.OK: "nothing to do",
    Outcome.LATE: "materialize the session again later; only missing bars are requested",
    Outcome.UNOBTAINABLE: "the plan cannot return the session: use a key whose STOCK_ASSETS_ALPHA_VANTAGE_PLAN has "
    "full history, add the bars as a landing file, or set the symbol's first_session in the universe file",
    Outcome.THROTTLED: "materialize again later; if it persists, lower STOCK_ASSETS_CALLS_PER_SECOND or _PER_MINUTE",
    Outcome.DAILY_QUOTA: "materialize again on the next quota day (`stock-assets quota` shows when it starts)",
    Outcome.NOT_ENTITLED: "set STOCK_ASSETS_ALPHA_VANTAGE_PLAN to the plan of the key",
    Outcome.BAD_KEY: "set ALPHAVANTAGE_API_KEY to a valid key; if access is denied, check the proxy, and whether the "
    "vendor blocks your network",
    Outcome.UNKNOWN_SYMBOL: "correct or remove the symbol in the universe file, or give it a last_session",
    Outcome.EMPTY: "check the symbol on the vendor's site; materialize again later",
    Outcome.MALFORMED: "read the stored response; materialize again later; report it to the vendor if it persists",
    Outcome.REVISED: "compare the two responses; to accept the new one, set STOCK_ASSETS_ACCEPT_REVISED_HISTORY to the "
    "symbol and materialize again",
    Outcome.UNREACHABLE: "check the network, the proxy and the vendor's status; materialize again later",
    Outcome.UNRECOGNISED: "read the text; if it is a new kind of error message, add it to the client",
    Outcome.NOT_LISTED: "give the symbol its first_session in the universe file",
    Outcome.NOT_RECORDED: "load sessions of the sample, or set STOCK_ASSETS_SOURCE=alpha_vantage",
    Outcome.CLOSED_DAY: "load trading sessions only",
}


def count_outcomes(outcomes: Iterable[Outcome]) -> str:
    """Return how often each outcome occurs, the most frequent first: "9,998 ok, 2 late"."""
    return ", ".join(f"{count:,} {outcome}" for outcome, count in Counter(outcomes).most_common())


@dataclass
class Reason:
    """Why requests of some symbols failed.

    Attributes:
        outcome: outcome of the requests.
        detail: one line for people, without the symbol. If the error of another symbol is the cause, it names that
            symbol and does not repeat the error.
        symbols: the symbols, each once.
        is_consequence: whether the detail refers to another reason.
        is_root_cause: whether another reason refers to this one.
    """

    outcome: Outcome
    detail: str
    symbols: list[str] = field(default_factory=list)
    is_consequence: bool = False
    is_root_cause: bool = False


def group_reasons(failed: Iterable[tuple[str, Outcome, str]]) -> list[Reason]:
    """Group failed requests by reason: root causes come first, then the reasons of the most symbols.

    Args:
        failed: symbol, outcome and detail of each request; requests of the same symbol follow each other.
    """
    reasons: dict[tuple[Outcome, str], Reason] = {}
    reason_of: dict[str, Reason] = {}
    for symbol, outcome, detail in failed:
        # The text of an error begins with its symbol.
        own = f"{symbol}: "
        text = detail.removeprefix(own).replace(f": {own}", ": ")
        reason = reasons.setdefault((outcome, text), Reason(outcome, text))
        if symbol not in reason.symbols[-1:]:
            reason.symbols.append(symbol)
        if detail.startswith(own):
            reason_of[detail] = reason
    for reason in reasons.values():
        _refer(reason, reason_of)
    return sorted(
        reasons.values(),
        key=lambda reason: (reason.is_consequence or not reason.is_root_cause, -len(reason.symbols)),
    )


def _refer(reason: Reason, reason_of: Mapping[str, Reason]) -> None:
    """If a reason ends with the error of another symbol, name the first symbol of that error's reason instead."""
    start = reason.detail.find(": ")
    while start >= 0:
        if root_cause := reason_of.get(reason.detail[start + 2 :]):
            reason.detail = f"{reason.detail[:start]}: see {root_cause.symbols[0]}"
            reason.is_consequence = root_cause.is_root_cause = True
            return
        start = reason.detail.find(": ", start + 1)
