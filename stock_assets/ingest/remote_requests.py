"""What another process is asked to request, and what it reports: the event and the report of the Lambda function.

Belongs here: the two messages, and checking a report against what is really stored. Does not belong here: sending them
(`orchestration.lambda_requests`), the function (`aws_lambda`), the requests (`price_requests`).

A report is a claim. The result of a symbol is computed from the ledger and the stored objects, and a report that
contradicts them is an error.
"""

from collections.abc import Sequence
from datetime import date

from pydantic import BaseModel, ConfigDict

from stock_assets.core.errors import FunctionUnverified, Outcome
from stock_assets.core.text import plural, shorten_list
from stock_assets.core.universe import Listing
from stock_assets.ingest.ledger_queries import missing_sessions
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.price_requests import RequestRules, SymbolResult

_SHOWN = 5


class RequestTask(BaseModel):
    """The prices to request. Everything is optional, so that a schedule can invoke the function.

    Attributes:
        sessions: sessions to store; empty for the latest ones.
        latest_sessions: number of the latest closed sessions, if `sessions` is empty.
        listings: the universe; empty for the universe of the function's own settings.
        closures: unscheduled closures of the exchange.
        revisions_accepted: symbols for which a response that changes most of the stored bars is accepted.
        symbols: symbols that may be requested, or None for all with missing sessions.
        reserve_calls: calls of the quota day that stay reserved.
        again: symbols that are requested also if all their sessions are stored.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sessions: tuple[date, ...] = ()
    latest_sessions: int = 5
    listings: tuple[Listing, ...] = ()
    closures: tuple[date, ...] = ()
    revisions_accepted: tuple[str, ...] = ()
    symbols: tuple[str, ...] | None = None
    reserve_calls: int = 0
    again: tuple[str, ...] = ()


class SymbolReport(BaseModel):
    """How the requests for one symbol ended; see `SymbolResult`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    symbol: str
    outcome: Outcome
    calls: int
    detail: str
    postponed: bool


class RequestReport(BaseModel):
    """The end of one invocation.

    Attributes:
        symbols: one report per symbol of the universe.
        responses: keys of the responses that the invocation has stored and recorded in the ledger.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    symbols: tuple[SymbolReport, ...]
    responses: tuple[str, ...]

    @classmethod
    def of(cls, results: Sequence[SymbolResult], responses: Sequence[str]) -> "RequestReport":
        """Return the report of some results."""
        symbols = [
            SymbolReport(
                symbol=result.symbol,
                outcome=result.outcome,
                calls=result.calls,
                detail=result.detail,
                postponed=result.postponed,
            )
            for result in results
        ]
        return cls(symbols=tuple(symbols), responses=tuple(responses))


def task_of(
    parts: PipelineParts, sessions: Sequence[date], rules: RequestRules, closures: Sequence[date]
) -> RequestTask:
    """Return the task that makes another process request what `fetch_prices` would request here."""
    return RequestTask(
        sessions=tuple(sessions),
        listings=parts.universe.listings,
        closures=tuple(closures),
        revisions_accepted=tuple(sorted(parts.revisions_accepted)),
        symbols=None if rules.symbols is None else tuple(sorted(rules.symbols)),
        reserve_calls=rules.reserve_calls,
        again=tuple(sorted(rules.again)),
    )


def verified_results(
    parts: PipelineParts, sessions: Sequence[date], reports: Sequence[SymbolReport], responses: Sequence[str]
) -> list[SymbolResult]:
    """Return the results of reports, computed from the ledger and the stored objects.

    Raises:
        FunctionUnverified: a reported response is not stored or not in the ledger, a symbol has no report, or a symbol
            is reported as complete and is not.
    """
    objects, ordered = parts.backend.objects, sorted(set(sessions))
    folders = {f"{key.rsplit('/', 2)[0]}/" for key in responses}
    stored = {key for folder in folders for key in objects.keys(folder)}
    if absent := [key for key in responses if key not in stored]:
        raise _contradiction(f"{plural(len(absent), 'reported response')} not stored: {shorten_list(absent, _SHOWN)}")
    reported = {report.symbol: report for report in reports}
    if unreported := [symbol for symbol in parts.universe.symbols if symbol not in reported]:
        raise _contradiction(f"no report about {shorten_list(unreported, _SHOWN)}")
    by_symbol = {symbol: reported[symbol] for symbol in parts.universe.symbols}
    results = []
    with parts.backend.ledger.read() as ledger:
        known = ledger.known_keys(responses)
        if absent := [key for key in responses if key not in known]:
            raise _contradiction(
                f"{plural(len(absent), 'reported response')} not in the ledger: {shorten_list(absent, _SHOWN)}"
            )
        wanted = {symbol: parts.universe.listed_sessions(symbol, ordered) for symbol in parts.universe.symbols}
        missing = missing_sessions(ledger, wanted)
    for symbol, report in by_symbol.items():
        lacking = missing[symbol]
        if lacking and report.outcome is Outcome.OK:
            raise _contradiction(
                f"{symbol} is reported as complete, and {shorten_list(list(map(str, lacking)), _SHOWN)} is missing"
            )
        results.append(
            SymbolResult(symbol, report.outcome, wanted[symbol], lacking, calls=report.calls, detail=report.detail)
        )
    return results


def _contradiction(what: str) -> FunctionUnverified:
    return FunctionUnverified(
        f"raw/daily_prices: the report of the Lambda function contradicts the stored data: {what}. Check that the "
        "function uses the same bucket, prefix and source (STOCK_ASSETS_AWS_BUCKET, STOCK_ASSETS_AWS_PREFIX, "
        "STOCK_ASSETS_SOURCE) as the pipeline; what is stored is used, and the next run requests the rest"
    )
