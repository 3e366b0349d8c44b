"""Sessions that are missing from the published table, and the runs that would load them.

Belongs here: what `--missing` on the command line loads and skips. Does not belong here: finding single bars (`gaps`),
starting runs (`orchestration.runs`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from stock_assets.coverage.gaps import Gap, coverage
from stock_assets.coverage.run_specs import bridged_ranges
from stock_assets.ingest.parts import PipelineParts


@dataclass(frozen=True)
class Missing:
    """What readers should have and do not.

    Attributes:
        sessions: those worth a run, in order.
        ranges: the same as few ranges, over small stretches of others.
        rejected: those whose bars an audit has rejected and are the same still, with the audits; another run would
            refuse them again.
        unreachable: bars that no answer of the source reaches.
    """

    sessions: tuple[date, ...]
    ranges: tuple[tuple[date, date], ...]
    rejected: Mapping[date, tuple[str, ...]]
    unreachable: tuple[Gap, ...]


def find_missing(parts: PipelineParts, sessions: Sequence[date], *, at: datetime) -> Missing:
    """Compare what is published of some sessions with what should be.

    Args:
        parts: the pipeline.
        sessions: those of interest, in order.
        at: now, aware, UTC.
    """
    found = coverage(parts, sessions, at=at)
    unreachable = tuple(gap for gap in found.gaps if gap.given_up and not gap.asked)
    lacking = {gap.session for gap in found.gaps if gap not in unreachable} - found.rejected.keys()
    return Missing(
        sessions=tuple(sorted(lacking)),
        ranges=tuple(bridged_ranges(lacking, apart=found.rejected.keys())),
        rejected={session: found.rejected[session].audits for session in sorted(found.rejected)},
        unreachable=unreachable,
    )
