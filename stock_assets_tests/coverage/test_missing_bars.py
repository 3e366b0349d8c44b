"""The missing bars of many symbols: the same as computed for each bar alone, with few statements and few objects."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stock_assets.backends.interface import Fetch, FetchKind
from stock_assets.backends.ledger_table import LedgerTable
from stock_assets.core.calendar import closing_time, sessions_between
from stock_assets.core.errors import Outcome
from stock_assets.core.universe import Universe
from stock_assets.core.vendor_facts import AvailableHistory
from stock_assets.coverage import missing_bars
from stock_assets.coverage.available_bars import AvailableBars
from stock_assets.coverage.gaps import RETRY_DELAYS, SESSION, MissingBar, catch_up_start, count_bars
from stock_assets.coverage.missing_bars import SAME_ATTEMPT, coverage
from stock_assets.ingest.ledger_queries import staged_responses
from stock_assets.ingest.parts import PipelineParts
from stock_assets_tests.fakes.source import ScriptedSource
from stock_assets_tests.support.ledger_statements import recorded_statements
from stock_assets_tests.support.live_source import symbols
from stock_assets_tests.support.steps import local_backend, parts

DAYS = sessions_between(date(2024, 1, 2), date(2024, 1, 12))
AT = datetime(2024, 2, 1, tzinfo=UTC)
FOLDERS = count()
THREE = symbols(3)


@st.composite
def requests(draw: st.DrawFn) -> Fetch:
    """Draw a request for one of three symbols, with or without a response."""
    symbol, number = draw(st.sampled_from(THREE.symbols)), draw(st.integers(0, len(DAYS) - 1))
    outcome = draw(st.sampled_from([Outcome.OK, Outcome.OK, Outcome.UNREACHABLE, Outcome.DAILY_QUOTA]))
    at = closing_time(DAYS[number]) + timedelta(minutes=draw(st.sampled_from([-60, 0, 1, 20, 300, 900])))
    request = Fetch(symbol, FetchKind.PRICES, at, outcome, detail=f"{symbol}: {outcome}", calls=1)
    if outcome is not Outcome.OK:
        return request
    first = draw(st.integers(0, number))
    last = draw(st.integers(first, number))
    absent = tuple(DAYS[first + 1 : last][:1])
    return request._replace(
        detail="",
        response_key=f"{symbol} {at} {first} {last}",
        first_session=DAYS[first],
        last_session=DAYS[last],
        missing_sessions=absent,
        calls=draw(st.integers(0, 1)),
    )


def expected(given: PipelineParts, symbol: str, session: date) -> tuple[bool, datetime | None, int]:
    """Compute for one bar alone: whether a response has it, when it is due, the failed attempts."""
    since = given.backend.ledger.fetches(FetchKind.PRICES, symbol=symbol, since=closing_time(session))
    if any(fetch.outcome is Outcome.OK and fetch.holds(session) for fetch in since):
        return True, None, 0
    failed = [fetch for fetch in since if fetch.outcome is not Outcome.DAILY_QUOTA and not fetch.is_landing_file]
    attempts: list[datetime] = []
    for fetch in reversed(failed):
        if not attempts or fetch.fetched_at - attempts[-1] >= SAME_ATTEMPT:
            attempts.append(fetch.fetched_at)
    response = next((fetch for fetch in failed if fetch.outcome is Outcome.OK), None)
    too_old = response is not None and response.first_session is not None and session < response.first_session
    if too_old or len(attempts) > len(RETRY_DELAYS):
        return False, None, len(attempts)
    retried = failed[0].fetched_at + RETRY_DELAYS[len(attempts) - 1] if failed else datetime.min.replace(tzinfo=UTC)
    return False, max(retried, catch_up_start(session)), len(attempts)


@settings(max_examples=60, deadline=None)
@given(
    fetches=st.lists(requests(), max_size=14),
    published=st.sets(st.tuples(st.sampled_from(DAYS), st.sampled_from(THREE.symbols))),
    listed_until=st.tuples(*[st.none() | st.sampled_from(DAYS)] * 3),
)
def test_the_gaps_are_those_of_each_bar_alone(
    tmp_path_factory: pytest.TempPathFactory,
    fetches: list[Fetch],
    published: set[tuple[date, str]],
    listed_until: tuple[date | None, ...],
) -> None:
    universe = Universe(
        tuple(replace(one, last_session=last) for one, last in zip(THREE.listings, listed_until, strict=True))
    )
    pipeline = parts(local_backend(tmp_path_factory.mktemp(f"gaps{next(FOLDERS)}")), universe=universe)
    pipeline.backend.ledger.record(*fetches)
    with pytest.MonkeyPatch.context() as patch:
        available = AvailableBars(np.array([[(day, one) in published for day in DAYS] for one in THREE.symbols]), {})
        patch.setattr(missing_bars, "read_available_bars", lambda *_: available)
        found = checked(coverage(pipeline, DAYS, at=AT).bars())
        for size in (1, 2):
            assert found == checked(in_batches(pipeline, size))
    assert [(bar.session, bar.symbol) for bar in found] == [
        (day, one) for day in DAYS for one in THREE.symbols if universe.covers(one, day) != ((day, one) in published)
    ]
    for bar in found:
        outside = not universe.covers(bar.symbol, bar.session)
        of_one = (True, None, 0) if outside else expected(pipeline, bar.symbol, bar.session)
        assert (bar.stored, bar.due, bar.requests) == of_one, bar


def in_batches(pipeline: PipelineParts, size: int) -> Iterator[MissingBar]:
    """Return the missing bars, read for some symbols at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(missing_bars, "SYMBOLS_AT_ONCE", size)
        return coverage(pipeline, DAYS, at=AT).bars()


def checked(bars: Iterable[MissingBar]) -> list[MissingBar]:
    """Return the bars; none has the requests of another symbol, or another session, as its reason."""
    found = list(bars)
    for bar in found:
        assert not any(f"{symbol}:" in bar.reason for symbol in THREE.symbols if symbol != bar.symbol)
        assert SESSION not in bar.reason
    return found


def test_the_statements_do_not_grow_with_the_symbols_and_sessions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither for symbols that were never requested, nor failed, nor with stored bars."""
    sent = recorded_statements(monkeypatch)
    counts = set()
    for size, days in ((3, DAYS[-2:]), (30, DAYS)):
        pipeline = parts(local_backend(tmp_path / str(size)), universe=symbols(size))
        failed = Fetch("", FetchKind.PRICES, closing_time(DAYS[-1]), Outcome.UNREACHABLE, calls=1)
        good = failed._replace(
            fetched_at=closing_time(DAYS[-2]), outcome=Outcome.OK, first_session=DAYS[0], last_session=DAYS[-2]
        )
        third = size // 3
        for one in pipeline.universe.symbols[:third]:
            pipeline.backend.ledger.record(failed._replace(symbol=one))
        for one in pipeline.universe.symbols[third : 2 * third]:
            pipeline.backend.ledger.record(good._replace(symbol=one, response_key=one))
        sent.clear()
        found = coverage(pipeline, days, at=AT)
        assert count_bars(found.gaps) == size * len(days)
        assert count_bars(gap for gap in found.gaps if gap.stored) == third * (len(days) - 1)
        # An object for each bar of a large universe would need a gigabyte.
        assert len(found.gaps) <= 2 * size
        with pipeline.backend.ledger.read() as ledger:
            assert len(staged_responses(ledger, days)) == third
        counts.add(len(sent))
    assert len(counts) == 1
    assert counts.pop() < 12


class CompactSource(ScriptedSource):
    """A source that returns the latest bars only."""

    def available_history(self, at: datetime) -> AvailableHistory:
        del at
        return AvailableHistory(DAYS[3], "the plan has no earlier bars")


def test_no_requests_are_read_for_bars_before_the_available_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = parts(local_backend(tmp_path), CompactSource(), universe=symbols(2))
    for day in DAYS:
        failed = Fetch("S01", FetchKind.PRICES, closing_time(day), Outcome.UNREACHABLE, calls=1)
        pipeline.backend.ledger.record(failed)
    read: list[dict[str, datetime]] = []
    since = LedgerTable.since

    def recording(table: LedgerTable, kind: FetchKind, wanted: dict[str, datetime]) -> dict[str, list[Fetch]]:
        read.append(dict(wanted))
        return since(table, kind, wanted)

    monkeypatch.setattr(LedgerTable, "since", recording)
    gaps = {(bar.symbol, bar.session): bar for bar in coverage(pipeline, DAYS, at=AT).bars()}

    assert read == [dict.fromkeys(("S01", "S02"), closing_time(DAYS[3]))]
    for symbol in ("S01", "S02"):
        too_old = [gaps[symbol, day] for day in DAYS[:3]]
        assert [(bar.unobtainable, bar.due, bar.requests) for bar in too_old] == [(True, None, 0)] * 3
    assert [gaps["S01", day].requests for day in DAYS[3:]] == list(range(len(DAYS) - 3, 0, -1))
    assert [gaps["S02", day].requests for day in DAYS[3:]] == [0] * (len(DAYS) - 3)
    assert coverage(pipeline, DAYS[:3], at=AT).gaps
    assert read[1:] == [{}], "no symbol has a bar that can be requested"
