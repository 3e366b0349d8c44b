"""Find sessions that are missing from the published table, and the runs that would load them.

Belongs here: what `--missing` on the command line loads and skips. Does not belong here: finding single bars
(`missing_bars`), starting runs (`orchestration.runs`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from stock_assets.coverage.missing_bars import Gap, coverage
from stock_assets.coverage.run_specs import bridged_ranges
from stock_assets.ingest.parts import PipelineParts


@dataclass(frozen=True)
class Missing:
    """Sessions with missing bars.

    Attributes:
        sessions: sessions worth loading, in order.
        ranges: the same sessions as few ranges, which may contain short stretches of other sessions.
        rejected: sessions whose bars an audit rejected and which have not changed since, with the audits; another run
            would reject them again.
        unavailable: bars outside the source's available history.
    """

    sessions: tuple[date, ...]
    ranges: tuple[tuple[date, date], ...]
    rejected: Mapping[date, tuple[str, ...]]
    unavailable: tuple[Gap, ...]


def find_missing(parts: PipelineParts, sessions: Sequence[date], *, at: datetime) -> Missing:
    """Compare the published bars of some sessions with the expected ones.

    Args:
        parts: the pipeline.
        sessions: the sessions of interest, in order.
        at: now, aware, UTC.
    """
    found = coverage(parts, sessions, at=at)
    unavailable = tuple(gap for gap in found.gaps if gap.given_up and not gap.requests)
    missing = {gap.session for gap in found.gaps if gap not in unavailable} - found.rejected.keys()
    return Missing(
        sessions=tuple(sorted(missing)),
        ranges=tuple(bridged_ranges(missing, apart=found.rejected.keys())),
        rejected={session: found.rejected[session].audits for session in sorted(found.rejected)},
        unavailable=unavailable,
    )
