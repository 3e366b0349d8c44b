"""Runs that are worth starting: sessions merged into few ranges.

Belongs here: merging sessions, and what identifies a run. Does not belong here: starting runs
(`orchestration.run_requests`).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from stock_assets.core.calendar import next_session, sessions_between

BRIDGED_SESSIONS = 20
"""Sessions in a row that a run may load although nothing is missing there: they cost less than a second run."""


@dataclass(frozen=True)
class RunSpec:
    """One run worth starting.

    Attributes:
        first: first session.
        last: last session.
        config: configuration of the step that writes `raw/daily_prices`.
        state: digest of the reason for the run: the same as long as nothing has changed.
        coverage_symbols: symbols that count for the coverage of a session; None for every listed symbol.
    """

    first: date
    last: date
    config: Mapping[str, object]
    state: str
    coverage_symbols: tuple[str, ...] | None = None


def bridged_ranges(sessions: Iterable[date], *, apart: Collection[date] = ()) -> list[tuple[date, date]]:
    """Group sessions into ranges that may bridge short stretches of other sessions, but no session in `apart`."""
    ranges: list[tuple[date, date]] = []
    walls = set(apart)
    for session in sorted(sessions):
        if ranges:
            first, last = ranges[-1]
            between = sessions_between(next_session(last), session)[:-1]
            if len(between) <= BRIDGED_SESSIONS and not walls.intersection(between):
                ranges[-1] = (first, session)
                continue
        ranges.append((session, session))
    return ranges
