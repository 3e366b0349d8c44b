"""The pipeline as one object: backend, source, universe and limits, with the steps of the data path as methods.

Belongs here: the steps in the order of the data path, and what is checked when the parts come together. Does not belong
here: which part the settings describe (`backend`, `source`, `universe`), how a step works (its package).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Self

from stock_assets.audit.gate import audit_load
from stock_assets.core.audit_limits import Limits
from stock_assets.core.calendar import declare_closures
from stock_assets.core.errors import SettingsError
from stock_assets.core.text import shorten_list
from stock_assets.core.universe import Universe, require_enough_calls
from stock_assets.coverage.gaps import Coverage
from stock_assets.coverage.missing_bars import coverage
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.price_requests import ALL_MISSING, RequestRules, SymbolResult, fetch_prices
from stock_assets.ingest.split_requests import fetch_splits
from stock_assets.loads.load import Load
from stock_assets.loads.verdict import Verdict
from stock_assets.pipeline.backend import construct_backend
from stock_assets.pipeline.source import price_source
from stock_assets.pipeline.universe import configured_universe
from stock_assets.publish.publishing import Published, publish
from stock_assets.serve.as_of import AsOfInput
from stock_assets.serve.query import Relation, SymbolSummary, relations, run_query, summary
from stock_assets.settings import Settings
from stock_assets.stage.staging import stage

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Pipeline(PipelineParts):
    """Backend, source, universe and limits, with the steps of the data path as methods."""

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Construct the pipeline from settings.

        Raises:
            SettingsError: the settings contradict each other, or the universe file is invalid.
        """
        declare_closures(settings.closures)
        source = price_source(settings)
        if source.last_session and settings.first_session > source.last_session:
            raise SettingsError(
                f"STOCK_ASSETS_FIRST_SESSION is {settings.first_session}, but the source {settings.source} ends on "
                f"{source.last_session}. Set an earlier session or another STOCK_ASSETS_SOURCE."
            )
        universe = configured_universe(settings)
        limits = Limits(min_coverage=settings.min_coverage, max_quarantined_share=settings.max_quarantined_share)
        others = tuple(
            PipelineParts(construct_backend(each), source, configured_universe(each), limits)
            for each in settings.of_each_universe()
            if each.universe_name != settings.universe_name
        )
        require_enough_calls([universe, *(each.universe for each in others)], source.terms.limits.per_day)
        revisions = _revisions_accepted(settings, universe)
        backend, shown, memory = construct_backend(settings), settings.report_symbols, settings.memory_limit_mb
        return cls(backend, source, universe, limits, revisions, others, shown, memory)

    def fetch(self, sessions: Sequence[date], *, rules: RequestRules = ALL_MISSING) -> list[SymbolResult]:
        """Request the splits that are due and the missing bars of some sessions, and store the responses."""
        fetch_splits(self)
        return fetch_prices(self, sessions, rules=rules)

    def stage(self, sessions: Sequence[date], *, coverage_symbols: Collection[str] | None = None) -> Load:
        """Stage the sessions as one load; `coverage_symbols` limits the symbols that count for coverage."""
        return stage(self, sessions, coverage_symbols=coverage_symbols)

    def audit(self, load: Load) -> list[Verdict]:
        """Audit a staged load and record a rejection."""
        return audit_load(self, load)

    def publish(self, sessions: Sequence[date]) -> Published:
        """Audit the newest load of exactly these sessions, and publish it."""
        return publish(self, sessions)

    def coverage(self, sessions: Sequence[date], *, at: datetime) -> Coverage:
        """Find bars that are missing from the published table."""
        return coverage(self, sessions, at=at)

    def query(self, select: str, *, as_of: AsOfInput | None = None) -> "pa.Table":
        """Run one SELECT over the published tables and views, now or as of an earlier timestamp or snapshot."""
        return run_query(self.backend, select, as_of=as_of)

    def relations(self) -> list[Relation]:
        """Return the published tables and views with their columns and row counts."""
        return relations(self.backend)

    def summary(self) -> list[SymbolSummary]:
        """Return one summary of the published rows per symbol."""
        return summary(self.backend)


def _revisions_accepted(settings: Settings, universe: Universe) -> frozenset[str]:
    symbols = frozenset(filter(None, map(str.strip, settings.accept_revised_history.split(","))))
    if unknown := symbols - set(universe.symbols):
        raise SettingsError(
            f"STOCK_ASSETS_ACCEPT_REVISED_HISTORY contains {shorten_list(sorted(unknown), 10)}, which the universe "
            "does not contain. Set it to symbols of the universe, separated by commas."
        )
    return symbols
