"""Find sessions that are missing from the published table, and the runs that would load them.

Belongs here: what `--missing` on the command line loads, requests again and skips. Does not belong here: finding single
bars (`missing_bars`), the text about them (`explain`), starting runs (`orchestration.runs`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from stock_assets.coverage.catch_up import available_calls, first_ranges
from stock_assets.coverage.gaps import Coverage, Gap, sessions_of
from stock_assets.coverage.missing_bars import coverage
from stock_assets.coverage.run_specs import bridged_ranges
from stock_assets.ingest.parts import PipelineParts
from stock_assets.loads.audit_files import AuditKind, audit_names
from stock_assets.loads.rejections import Rejection, current_rejections


@dataclass(frozen=True)
class Missing:
    """Bars that are not published, and the sessions worth loading.

    Attributes:
        sessions: sessions worth loading, in order.
        ranges: the same sessions as few ranges, which may contain short stretches of other sessions.
        rejected: sessions whose bars an audit rejected and which have not changed since.
        unavailable: bars that the vendor's history does not contain, and that no response has.
        waiting: all other bars that no response has.
        quarantined: bars in quarantine.
        request_again: symbols with quarantined bars that the calls of today suffice for.
    """

    sessions: tuple[date, ...]
    ranges: tuple[tuple[date, date], ...]
    rejected: Mapping[date, Rejection]
    unavailable: tuple[Gap, ...] = ()
    waiting: tuple[Gap, ...] = ()
    quarantined: tuple[Gap, ...] = ()
    request_again: frozenset[str] = frozenset()

    @property
    def is_complete(self) -> bool:
        """Return whether every expected bar is published or in quarantine."""
        return not (self.sessions or self.rejected or self.unavailable or self.waiting)

    def runs(self) -> Iterator[tuple[date, date, list[str]]]:
        """Yield the runs: first and last session, and the symbols to request again, each symbol in one run only."""
        gaps = [gap for gap in self.quarantined if gap.symbol in self.request_again and gap.requestable]
        for (first, last), again in first_ranges(self.ranges, gaps).items():
            yield first, last, again


def find_missing(parts: PipelineParts, sessions: Sequence[date], *, at: datetime) -> Missing:
    """Compare the published bars of some sessions with the expected ones.

    Args:
        parts: the pipeline.
        sessions: the sessions of interest, in order.
        at: now, aware, UTC.
    """
    found = coverage(parts, sessions, at=at)
    quarantined = tuple(gap for gap in found.gaps if gap.quarantined)
    absent = [gap for gap in found.gaps if gap.missing]
    again = _affordable(parts, found, at)
    requested = sessions_of(
        gap for gap in found.gaps if gap.requestable and (not gap.quarantined or gap.symbol in again)
    )
    stored = sessions_of(gap for gap in found.gaps if gap.stored)
    # An audit that excludes single sessions blocks no other session.
    walls = {session for session, rejection in found.rejected.items() if _rejects_whole_loads(rejection)}
    missing = requested | (stored - found.rejected.keys())
    return Missing(
        sessions=tuple(sorted(missing)),
        ranges=tuple(
            sorted(
                [
                    *bridged_ranges(missing - walls, apart=walls),
                    *((session, session) for session in missing & walls),
                ]
            )
        ),
        rejected={session: found.rejected[session] for session in sorted(found.rejected)},
        unavailable=tuple(gap for gap in absent if gap.unobtainable),
        waiting=tuple(gap for gap in absent if not gap.unobtainable),
        quarantined=quarantined,
        request_again=again,
    )


def rejected_sessions(parts: PipelineParts, sessions: Sequence[date]) -> dict[date, Rejection]:
    """Return the sessions, in order, whose bars an audit rejected and which have not changed since."""
    with parts.backend.ledger.read() as ledger:
        return dict(sorted(current_rejections(parts, ledger, sessions).items()))


def _affordable(parts: PipelineParts, found: Coverage, at: datetime) -> frozenset[str]:
    """Return the symbols whose quarantined bars can be requested after the missing ones, without tonight's calls."""
    missing = {gap.symbol for gap in found.gaps if gap.requestable and not gap.quarantined}
    wanted = dict.fromkeys(gap.symbol for gap in found.gaps if gap.requestable and gap.quarantined)
    calls = available_calls(parts, at).available
    further = [symbol for symbol in wanted if symbol not in missing]
    left = None if calls is None else max(0, calls - len(missing))
    return frozenset([*(symbol for symbol in wanted if symbol in missing), *further[:left]])


def _rejects_whole_loads(rejection: Rejection) -> bool:
    return not set(rejection.audits) <= set(audit_names(AuditKind.SESSION))
