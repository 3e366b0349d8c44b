"""The objects that every step of the pipeline uses.

Belongs here: the values alone, so that steps can take them as one argument. Does not belong here: constructing them, or
the steps (`pipeline.Pipeline` adds both).
"""

from dataclasses import dataclass

from stock_assets.backends.interface import Backend
from stock_assets.core.audit_limits import Limits
from stock_assets.core.text import SYMBOLS_SHOWN
from stock_assets.core.universe import Universe
from stock_assets.sources.interface import PriceSource


@dataclass(frozen=True)
class PipelineParts:
    """The parts of a pipeline.

    Attributes:
        backend: where data live and SQL runs.
        source: where prices come from.
        universe: the symbols and when each was listed.
        limits: limits of the audits.
        revisions_accepted: symbols for which a response that changes most of the stored bars is accepted.
        others: the parts of the other universes of the deployment, whose requests use the same quota.
        report_symbols: maximum number of symbols that the report draws.
        memory_limit_mb: memory in MB that DuckDB may use outside the backend: for an import.
    """

    backend: Backend
    source: PriceSource
    universe: Universe
    limits: Limits
    revisions_accepted: frozenset[str] = frozenset()
    others: "tuple[PipelineParts, ...]" = ()
    report_symbols: int = SYMBOLS_SHOWN
    memory_limit_mb: int = 1000
