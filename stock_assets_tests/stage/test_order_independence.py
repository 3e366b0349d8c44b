"""In any order of loads, the published table equals that of a single full rebuild to the last bit."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stock_assets.backends.interface import Backend
from stock_assets.core.calendar import sessions_between
from stock_assets.core.universe import Listing, Universe
from stock_assets.loads.inputs import LOOKBACK_DAYS
from stock_assets_tests.fakes.source import ScriptedSource, scripted_from_recording
from stock_assets_tests.support.bars import deliver, exact, walk
from stock_assets_tests.support.steps import load_range, local_backend, published_rows

BOUNDED = settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.too_slow])
MANY = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])

EIGHT = Universe(
    tuple(Listing(symbol, symbol) for symbol in ("ADI", "AMD", "CSCO", "INTC", "MCHP", "MU", "ORCL", "TXN"))
)

Span = tuple[int, int]
"""First and last session of a load, as positions within a stretch."""


@dataclass(frozen=True)
class Stretch:
    """A range of sessions that contains delicate cases, and a source with the final bars and splits."""

    universe: Universe
    sessions: tuple[date, ...]
    source: Callable[[], ScriptedSource]

    def load(self, backend: Backend, source: ScriptedSource, span: Span) -> None:
        load_range(backend, source, self.universe, self.sessions[span[0]], self.sessions[span[1]])

    def rebuilt(self) -> list[dict[str, object]]:
        """Return the table after one load of all sessions, floats as bits."""
        return _rebuilt(self)


@cache
def _rebuilt(stretch: Stretch) -> list[dict[str, object]]:
    with TemporaryDirectory() as folder:
        backend = local_backend(Path(folder))
        stretch.load(backend, stretch.source(), (0, len(stretch.sessions) - 1))
        return exact(published_rows(backend))


SEPTEMBER_2001 = tuple(sessions_between(date(2001, 8, 27), date(2001, 10, 12)))


_CLOSED = {
    "AMD": set(SEPTEMBER_2001[4:22]),
    "CSCO": {SEPTEMBER_2001[number] for number in (9, 11, 12)},
    "INTC": {SEPTEMBER_2001[number] for number in (7, 24)},
    "ORCL": set(SEPTEMBER_2001[:5]),
}
BARS = {
    symbol: walk(symbol, (day for day in SEPTEMBER_2001 if day not in _CLOSED.get(symbol, ())))
    for symbol in EIGHT.symbols
}
SPLITS = {
    "CSCO": {SEPTEMBER_2001[11]: "1.2530", SEPTEMBER_2001[20]: "0.3000"},
    "TXN": {SEPTEMBER_2001[10]: "2.0000"},
}


def september_2001() -> ScriptedSource:
    """Return a source with four closed days, missing bars, a long halt, an odd split, and a halt on its ex-date."""
    source = ScriptedSource()
    for symbol, bars in BARS.items():
        source.set_bars(symbol, bars)
        source.set_splits(symbol, SPLITS.get(symbol, {}))
    return source


def recorded(first: date, last: date) -> Stretch:
    symbols, sessions = ("AAPL", "IBM", "MSFT"), tuple(sessions_between(first, last))
    universe = Universe(tuple(Listing(symbol, symbol) for symbol in symbols))
    return Stretch(universe, sessions, lambda: scripted_from_recording(symbols, sessions))


MADE = Stretch(EIGHT, SEPTEMBER_2001, september_2001)
STRETCHES = {
    "2000-06": recorded(date(2000, 6, 5), date(2000, 7, 14)),
    "2001-09": MADE,
    "2005-02": recorded(date(2005, 2, 7), date(2005, 3, 24)),
}


@st.composite
def loads(draw: st.DrawFn, length: int) -> list[Span]:
    """Cut a stretch into loads, add overlapping or repeated ones, and shuffle."""
    cuts = sorted(draw(st.sets(st.integers(1, length - 1), min_size=1, max_size=3)))
    parts = [(first, last - 1) for first, last in zip([0, *cuts], [*cuts, length], strict=True)]
    anywhere = st.tuples(st.integers(0, length - 1), st.integers(0, length - 1)).map(
        lambda span: (min(span), max(span))
    )
    extra = draw(st.lists(st.one_of(anywhere, st.sampled_from(parts)), max_size=2))
    return draw(st.permutations(parts + extra))


@st.composite
def stretches_with_loads(draw: st.DrawFn) -> tuple[str, list[Span]]:
    name = draw(st.sampled_from(sorted(STRETCHES)))
    return name, draw(loads(len(STRETCHES[name].sessions)))


def check_partition(drawn: tuple[str, list[Span]]) -> None:
    stretch = STRETCHES[drawn[0]]
    with TemporaryDirectory() as folder:
        backend, source = local_backend(Path(folder)), stretch.source()
        for span in drawn[1]:
            stretch.load(backend, source, span)
        assert exact(published_rows(backend)) == stretch.rebuilt()


@pytest.mark.slow
@given(stretches_with_loads())
# Half of MANY, because the histories below draw their loads in the same way.
@settings(MANY, max_examples=50)
def test_any_order_of_loads_equals_one_rebuild(drawn: tuple[str, list[Span]]) -> None:
    check_partition(drawn)


def test_loads_from_the_newest_session_backwards_equal_one_rebuild(backend: Backend) -> None:
    """In this order every load must publish later rows again: it is before all published rows."""
    source = MADE.source()
    for first in range(len(MADE.sessions) - 6, -6, -6):
        MADE.load(backend, source, (max(first, 0), first + 5))
    assert exact(published_rows(backend)) == MADE.rebuilt()


@dataclass(frozen=True)
class Correction:
    """A late correction by the vendor: of a missing, wrong or broken bar, or of the splits of a symbol."""

    kind: str
    symbol: str
    number: int = 0

    def spoil(self, source: ScriptedSource) -> None:
        """Put the source into its state before the correction."""
        day = MADE.sessions[self.number]
        match self.kind:
            case "late":
                source.drop_bar(self.symbol, day)
            case "revised":
                source.set_bar(self.symbol, day, "55.5,60.25,44.125,50.0625,123456")
            case "broken":
                source.set_bar(self.symbol, day, "55.5,54,44.125,n/a,123456")
            case "no splits":
                source.set_splits(self.symbol, {})
            case "wrong splits":
                source.set_splits(self.symbol, {MADE.sessions[13]: "3.0000"})

    def apply(self, backend: Backend, source: ScriptedSource) -> None:
        """Correct the source and store a new response, as after a request for a missing session."""
        if self.kind.endswith("splits"):
            source.set_splits(self.symbol, SPLITS[self.symbol])
            return
        day = MADE.sessions[self.number]
        source.set_bar(self.symbol, day, BARS[self.symbol][day])
        deliver(backend, self.symbol, source.fetch_prices(self.symbol, [day]))


BAR_CORRECTIONS = st.builds(
    Correction,
    st.sampled_from(["late", "revised", "broken"]),
    st.sampled_from(["MU", "TXN"]),
    st.integers(0, len(SEPTEMBER_2001) - 1),
)
SPLIT_CORRECTIONS = st.builds(
    Correction, st.sampled_from(["no splits", "wrong splits"]), st.sampled_from(["CSCO", "TXN"])
)
# At most one bar per session, of symbols that trade every day: otherwise limits of coverage and quarantine apply.
CORRECTIONS = st.lists(BAR_CORRECTIONS, max_size=3, unique_by=lambda one: one.number).flatmap(
    lambda bars: st.lists(
        SPLIT_CORRECTIONS, min_size=0 if bars else 1, max_size=2, unique_by=lambda one: one.symbol
    ).map(lambda splits: bars + splits)
)


@st.composite
def histories(draw: st.DrawFn) -> list[Span | Correction]:
    """Mix loads and corrections; at the end the corrected sessions are loaded again, in any order."""
    corrections = draw(CORRECTIONS)
    steps: list[Span | Correction] = draw(st.permutations([*draw(loads(len(MADE.sessions))), *corrections]))
    numbers = draw(st.permutations([one.number for one in corrections]))
    last_loads = [(number, min(number + draw(st.integers(0, 2)), len(MADE.sessions) - 1)) for number in numbers]
    return [*steps, *last_loads]


def check_history(steps: list[Span | Correction]) -> None:
    source = september_2001()
    for step in steps:
        if isinstance(step, Correction):
            step.spoil(source)
    with TemporaryDirectory() as folder:
        backend = local_backend(Path(folder))
        for step in steps:
            if isinstance(step, Correction):
                step.apply(backend, source)
            else:
                MADE.load(backend, source, step)
        assert exact(published_rows(backend)) == MADE.rebuilt()


@pytest.mark.slow
@given(histories())
@BOUNDED
def test_late_bars_corrections_and_late_splits_equal_one_rebuild(steps: list[Span | Correction]) -> None:
    check_history(steps)


@pytest.mark.slow
@given(histories())
@MANY
def test_late_bars_corrections_and_late_splits_equal_one_rebuild_in_many_histories(
    steps: list[Span | Correction],
) -> None:
    check_history(steps)


def test_a_load_publishes_only_the_requested_sessions(backend: Backend) -> None:
    number = 12
    requested = MADE.sessions[number]
    result = load_range(backend, MADE.source(), EIGHT, requested, requested)
    assert {row["trade_date"] for row in published_rows(backend)} == {requested}
    assert (result.load.first_date, result.load.last_date) == (requested, requested + timedelta(days=LOOKBACK_DAYS))


def test_a_load_between_two_others_publishes_no_session_that_was_not_requested(backend: Backend) -> None:
    source = MADE.source()
    for span in ((0, 5), (20, 25), (12, 12)):
        MADE.load(backend, source, span)
    numbers = {MADE.sessions.index(row["trade_date"]) for row in published_rows(backend)}
    assert numbers == {*range(6), 12, *range(20, 26)}


def test_a_changed_bar_changes_only_the_sessions_that_look_back_at_it(backend: Backend) -> None:
    source = MADE.source()
    MADE.load(backend, source, (0, len(MADE.sessions) - 1))
    before = exact(published_rows(backend))
    Correction("revised", "TXN", 14).spoil(source)
    deliver(backend, "TXN", source.fetch_prices("TXN", [MADE.sessions[14]]))
    result = load_range(backend, source, EIGHT, MADE.sessions[14], MADE.sessions[14])
    changed = [
        (old["symbol"], MADE.sessions.index(old["trade_date"]))
        for old, new in zip(before, exact(published_rows(backend)), strict=True)
        if old != new
    ]
    assert changed == [("TXN", number) for number in range(14, 22)]
    assert (result.prices.added, result.prices.removed) == (8, 8)
    assert result.load.last_date == MADE.sessions[14] + timedelta(days=LOOKBACK_DAYS)


def test_a_repeated_load_commits_nothing(backend: Backend) -> None:
    source = MADE.source()
    MADE.load(backend, source, (0, 10))
    result = load_range(backend, source, EIGHT, MADE.sessions[3], MADE.sessions[7])
    assert not result.prices.changed
    assert not result.quarantine.changed
