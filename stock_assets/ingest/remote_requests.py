"""What another process is asked to request, and what it reports: the event and the report of the Lambda function.

Belongs here: the two messages, and checking a report against what is really stored. Does not belong here: sending them
(`orchestration.lambda_requests`), the function (`aws_lambda`), the requests (`price_requests`).

A report is a claim. The result of a symbol is computed from the ledger and the stored objects, and a report that
contradicts them is an error.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from stock_assets.backends.interface import Fetch, FetchKind
from stock_assets.backends.ledger_table import LedgerTable
from stock_assets.core.errors import FunctionUnverified, Outcome
from stock_assets.core.text import plural, shorten_list
from stock_assets.core.universe import UNIVERSE_NAME, Listing
from stock_assets.ingest.ledger_queries import missing_sessions
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.price_requests import RequestRules, SymbolResult
from stock_assets.ingest.requester import RequestResult
from stock_assets.ingest.split_requests import SplitPlan

_SHOWN = 5


class RequestTask(BaseModel):
    """The prices or splits to request. Everything is optional, so that a schedule can invoke the function.

    Attributes:
        kind: prices or splits.
        sessions: sessions to store; empty for the latest ones.
        latest_sessions: number of the latest closed sessions, if `sessions` is empty.
        listings: the universe; empty for the universe of the function's own settings.
        universe: name of the universe, in a deployment with several; it names the folder of the responses, and needs
            `listings`, because the function's own settings have the symbols of one universe only.
        closures: unscheduled closures of the exchange.
        revisions_accepted: symbols for which a response that changes most of the stored bars is accepted.
        symbols: symbols that may be requested, or None for all with missing sessions; of splits, the symbols that are
            requested, in this order.
        reserve_calls: calls of the quota day that stay reserved.
        again: symbols that are requested also if all their sessions are stored.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: FetchKind = FetchKind.PRICES
    sessions: tuple[date, ...] = ()
    latest_sessions: int = 5
    listings: tuple[Listing, ...] = ()
    universe: str = Field(default="", pattern=rf"^({UNIVERSE_NAME})?$")
    closures: tuple[date, ...] = ()
    revisions_accepted: tuple[str, ...] = ()
    symbols: tuple[str, ...] | None = None
    reserve_calls: int = 0
    again: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _names_its_symbols(self) -> Self:
        if self.universe and self.kind is FetchKind.PRICES and not self.listings:
            raise ValueError(
                f"the task names the universe {self.universe} without its symbols. The function would store the "
                "symbols of its own settings in the folder of that universe. Add `listings` to the task"
            )
        return self

    def allows(self, symbol: str) -> bool:
        """Return whether a symbol may be requested."""
        return self.symbols is None or symbol in self.symbols or symbol in self.again

    def limited_to(self, symbols: Collection[str]) -> "RequestTask":
        """Return the task for those of its symbols that another invocation has not requested."""
        ordered = sorted(symbols) if self.symbols is None else [one for one in self.symbols if one in symbols]
        # A symbol that is requested again only is in no list of symbols.
        again = tuple(one for one in self.again if one in symbols)
        return self.model_copy(update={"symbols": tuple(ordered), "again": again})


class SymbolReport(BaseModel):
    """How the requests for one symbol ended; see `SymbolResult`, of which it is a part."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    symbol: str
    outcome: Outcome
    calls: int
    detail: str
    postponed: bool


class RequestReport(BaseModel):
    """The end of one invocation.

    Attributes:
        symbols: one report per symbol of the universe, or per symbol of which splits were to be requested.
        responses: keys of the responses that the invocation has stored and recorded in the ledger.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    symbols: tuple[SymbolReport, ...]
    responses: tuple[str, ...]

    @classmethod
    def of_splits(
        cls, symbols: Sequence[str], results: Mapping[str, RequestResult], responses: Sequence[str]
    ) -> "RequestReport":
        """Return the report of requests for splits; a symbol without a result was not requested."""
        reports = []
        for symbol in symbols:
            result = results.get(symbol)
            reports.append(
                SymbolReport(
                    symbol=symbol,
                    outcome=result.fetch.outcome if result else Outcome.LATE,
                    calls=result.calls if result else 0,
                    detail=result.fetch.detail if result else "",
                    postponed=result is None,
                )
            )
        return cls(symbols=tuple(reports), responses=tuple(responses))

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


def splits_task(parts: PipelineParts, plan: SplitPlan, closures: Sequence[date]) -> RequestTask:
    """Return the task that makes another process request the splits of a plan."""
    return RequestTask(
        kind=FetchKind.SPLITS,
        listings=parts.universe.listings,
        closures=tuple(closures),
        symbols=plan.symbols,
        reserve_calls=plan.reserve_calls,
    )


def verified_results(
    parts: PipelineParts, sessions: Sequence[date], reports: Sequence[SymbolReport], responses: Sequence[str]
) -> list[SymbolResult]:
    """Return the results of reports, computed from the ledger and the stored objects.

    Raises:
        FunctionUnverified: a reported response is not stored or not in the ledger, a symbol has no report, or a symbol
            is reported as complete and is not.
    """
    ordered = sorted(set(sessions))
    by_symbol = _by_symbol(reports, parts.universe.symbols, FetchKind.PRICES)
    results = []
    with parts.backend.ledger.read() as ledger:
        _check_responses(parts, ledger, responses, FetchKind.PRICES)
        wanted = {symbol: parts.universe.listed_sessions(symbol, ordered) for symbol in parts.universe.symbols}
        missing = missing_sessions(ledger, wanted)
    for symbol, report in by_symbol.items():
        lacking = missing[symbol]
        if lacking and report.outcome is Outcome.OK:
            raise _contradiction(
                FetchKind.PRICES,
                f"{symbol} is reported as complete, and {shorten_list(list(map(str, lacking)), _SHOWN)} is missing",
            )
        results.append(
            SymbolResult(symbol, report.outcome, wanted[symbol], lacking, calls=report.calls, detail=report.detail)
        )
    return results


def verified_splits(
    parts: PipelineParts, plan: SplitPlan, reports: Sequence[SymbolReport], responses: Sequence[str]
) -> dict[str, Fetch]:
    """Return the entry of the newest request for the splits of each symbol of a plan, from the ledger.

    Raises:
        FunctionUnverified: a reported response is not stored or not in the ledger, a symbol has no report, or its
            newest response is not the reported one.
    """
    by_symbol = _by_symbol(reports, plan.symbols, FetchKind.SPLITS)
    with parts.backend.ledger.read() as ledger:
        _check_responses(parts, ledger, responses, FetchKind.SPLITS)
        latest = ledger.latest(FetchKind.SPLITS, plan.symbols)
    for symbol, report in by_symbol.items():
        newest = next(iter(latest.get(symbol, ())), None)
        if newest is None or (report.outcome is Outcome.OK and newest.response_key not in responses):
            why = "it was never requested" if newest is None else f"its newest response is {newest.response_key}"
            raise _contradiction(FetchKind.SPLITS, f"{symbol} is reported as {report.outcome}, and {why}")
    return {symbol: latest[symbol][0] for symbol in by_symbol}


def _by_symbol(reports: Sequence[SymbolReport], symbols: Sequence[str], kind: FetchKind) -> dict[str, SymbolReport]:
    reported = {report.symbol: report for report in reports}
    if unreported := [symbol for symbol in symbols if symbol not in reported]:
        raise _contradiction(kind, f"no report about {shorten_list(unreported, _SHOWN)}")
    return {symbol: reported[symbol] for symbol in symbols}


def _check_responses(parts: PipelineParts, ledger: LedgerTable, responses: Sequence[str], kind: FetchKind) -> None:
    folders = {f"{key.rsplit('/', 2)[0]}/" for key in responses}
    stored = {key for folder in folders for key in parts.backend.objects.keys(folder)}
    known = ledger.known_keys(responses)
    for where, found in (("stored", stored), ("in the ledger", known)):
        if absent := [key for key in responses if key not in found]:
            raise _contradiction(
                kind, f"{plural(len(absent), 'reported response')} not {where}: {shorten_list(absent, _SHOWN)}"
            )


def _contradiction(kind: FetchKind, what: str) -> FunctionUnverified:
    return FunctionUnverified(
        f"raw/{kind}: the report of the Lambda function contradicts the stored data: {what}. Check that the "
        "function uses the same bucket, prefix and source (STOCK_ASSETS_AWS_BUCKET, STOCK_ASSETS_AWS_PREFIX, "
        "STOCK_ASSETS_SOURCE) as the pipeline; what is stored is used, and the next run requests the rest"
    )
