"""Any mixture of good bars and bad rows publishes exactly the good bars of the sessions that are not excluded.

The expected result is computed here from the definitions: the newest response of a bar counts, a bad row quarantines
its bar, and a session with too few bars or too many quarantined ones is excluded. The order of rows, responses and
loads must not matter.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stock_assets.audit.gate import audit_load
from stock_assets.core.audit_limits import Limits
from stock_assets.core.calendar import sessions_between
from stock_assets.core.errors import LoadRejected
from stock_assets.core.tables import QUARANTINED_PRICES, RAW_COLUMNS
from stock_assets.core.universe import Listing, Universe
from stock_assets.loads.rejections import current_rejections
from stock_assets_tests.fakes.source import ScriptedSource
from stock_assets_tests.support.bars import deliver
from stock_assets_tests.support.scenes import Scene
from stock_assets_tests.support.steps import local_backend, published_rows

BOUNDED = settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow])
MANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

SESSIONS = sessions_between(date(2012, 3, 7), date(2012, 3, 14))
SATURDAY = date(2012, 3, 10)
FRIDAY, MONDAY = date(2012, 3, 9), date(2012, 3, 12)
UNIVERSE = Universe(
    (
        Listing("AAA", ""),
        Listing("BBB", ""),
        Listing("CCC", ""),
        # Another company traded as DDD until the second session.
        Listing("DDD", "", date(2012, 3, 1), SESSIONS[1]),
        Listing("DDD", "", SESSIONS[4], None),
    )
)
LEFT = "OLD"
"""A symbol that has left the universe: its bars count for no coverage and are published all the same."""
SYMBOLS = (*UNIVERSE.symbols, LEFT)
LIMITS = Limits(min_coverage=0.6, max_quarantined_share=0.4)
EARLY_REQUEST = datetime(2012, 3, 12, 22, tzinfo=UTC)
"""After the market close of Monday: later sessions cannot be in the response."""
FIRST_REQUEST = datetime(2012, 3, 15, 12, tzinfo=UTC)

AUDIT_OF = {
    "unreadable": "text_is_numeric",
    "too few fields": "ohlcv_complete",
    "too many fields": "text_is_numeric",
    "contradiction": "rows_of_one_bar_agree",
    "wrong": "volume_not_negative",
}
KINDS = ("good", "good", "good", "good", "repeated", "absent", *AUDIT_OF)
UNDATED = ("2012-02-30", "12/03/2012", "", "2012-06-01", "1912-03-12")
"""Dates that no bar of the responses can have: unreadable, after every request, before every calendar."""


@dataclass(frozen=True, eq=False)
class Response:
    """One response: what it has for each session, the lines of days without a session, and the order of its lines.

    Number -1 is an early request; others follow after the last session.
    """

    symbol: str
    number: int
    kinds: Mapping[date, str]
    saturday: bool
    undated: tuple[str, ...]
    order: int

    @property
    def fetched_at(self) -> datetime:
        first = EARLY_REQUEST if self.number < 0 else FIRST_REQUEST + timedelta(days=self.number)
        return first + timedelta(minutes=SYMBOLS.index(self.symbol))

    @property
    def sessions(self) -> set[date]:
        return {session for session, kind in self.kinds.items() if kind != "absent"}

    def bar(self, session: date) -> str:
        close = 100 + SESSIONS.index(session) + self.number / 10 + SYMBOLS.index(self.symbol) / 100
        return f"100,120,90,{close},{1000 + self.number}"

    def body(self) -> bytes:
        lines = [line for session, kind in self.kinds.items() for line in self._lines(session, kind)]
        lines += [f"{SATURDAY},1,2,1,2,5"] if self.saturday else []
        lines += self.undated_lines
        turned = lines[self.order % len(lines) :] + lines[: self.order % len(lines)]
        ordered = turned[::-1] if self.order % 2 else turned
        return "".join(f"{line}\r\n" for line in [",".join(RAW_COLUMNS), *ordered]).encode()

    @property
    def undated_lines(self) -> list[str]:
        return [f"{text},100,120,90,100,{number}" for number, text in enumerate(self.undated)]

    def _lines(self, session: date, kind: str) -> list[str]:
        good = f"{session},{self.bar(session)}"
        return {
            "good": [good],
            "repeated": [good, good, good.replace(",100,", ", 100.00 ,", 1)],
            "absent": [],
            "unreadable": [good.replace(",120,", ",12O,")],
            "too few fields": [good.rpartition(",")[0]],
            "too many fields": [f"{good},7"],
            "contradiction": [good, good.replace(",90,", ",89,")],
            "wrong": [f"{session},100,120,90,100,-5"],
        }[kind]


@dataclass(frozen=True)
class Expected:
    """The published closes, the quarantined bars with their audits, and the excluded sessions."""

    closes: Mapping[tuple[str, date], float]
    quarantined: Mapping[tuple[str, date], set[str]]
    excluded: set[date]
    saturdays: set[str]


def newest(responses: list[Response], symbol: str, session: date) -> Response | None:
    found = [one for one in responses if one.symbol == symbol and session in one.sessions]
    return max(found, key=lambda one: one.number, default=None)


def expected(responses: list[Response]) -> Expected:
    closes: dict[tuple[str, date], float] = {}
    quarantined: dict[tuple[str, date], set[str]] = {}
    excluded = set()
    for session in SESSIONS:
        bars = {symbol: found for symbol in SYMBOLS if (found := newest(responses, symbol, session))}
        unlisted = {s for s in bars if s in UNIVERSE.symbols and not UNIVERSE.covers(s, session)}
        bad = {s: {AUDIT_OF[kind]} for s, one in bars.items() if (kind := one.kinds[session]) in AUDIT_OF}
        for symbol in unlisted:
            bad.setdefault(symbol, set()).add("symbol_was_listed")
        listed = [symbol for symbol in UNIVERSE.symbols if UNIVERSE.covers(symbol, session)]
        counted = [symbol for symbol in bars if symbol not in unlisted]
        present = len([symbol for symbol in listed if symbol in bars])
        bad_bars = len([symbol for symbol in counted if symbol in bad])
        # One bad bar never excludes a session, however few symbols it has.
        if present < LIMITS.min_coverage * len(listed) or bad_bars > max(
            1, LIMITS.max_quarantined_share * len(counted)
        ):
            excluded.add(session)
        quarantined |= {(symbol, session): audits for symbol, audits in bad.items()}
        if session not in excluded:
            good = {symbol: one for symbol, one in bars.items() if symbol not in bad}
            closes |= {(symbol, session): float(one.bar(session).split(",")[3]) for symbol, one in good.items()}
    around = {(symbol, newest(responses, symbol, day)) for symbol in SYMBOLS for day in (FRIDAY, MONDAY)}
    return Expected(closes, quarantined, excluded, {symbol for symbol, one in around if one and one.saturday})


@st.composite
def responses_in_any_order(draw: st.DrawFn) -> list[Response]:
    found = []
    for symbol in SYMBOLS:
        for number in draw(st.sampled_from([(0,), (-1, 0), (0, 1)])):
            closed = [session for session in SESSIONS if number >= 0 or session <= MONDAY]
            kinds = {session: draw(st.sampled_from(KINDS)) for session in closed}
            # A response without any complete row is rejected before it is staged.
            kinds[draw(st.sampled_from(closed))] = "good"
            dates = UNDATED if number >= 0 else (str(SESSIONS[-1]),)
            undated = tuple(draw(st.lists(st.sampled_from(dates), max_size=1)))
            found.append(Response(symbol, number, kinds, draw(st.booleans()), undated, draw(st.integers(0, 9))))
    return draw(st.permutations(found))


@st.composite
def loads_in_any_order(draw: st.DrawFn) -> list[tuple[date, date]]:
    """Cut the sessions into loads, and add an overlapping one."""
    cuts = sorted(draw(st.sets(st.integers(1, len(SESSIONS) - 1), max_size=3)))
    parts = [
        (SESSIONS[first], SESSIONS[last - 1]) for first, last in zip([0, *cuts], [*cuts, len(SESSIONS)], strict=True)
    ]
    first, last = sorted(draw(st.tuples(*[st.sampled_from(SESSIONS)] * 2)))
    return draw(st.permutations([*parts, (first, last)]))


def check(responses: list[Response], loads: list[tuple[date, date]]) -> None:
    result = expected(responses)
    with TemporaryDirectory() as folder:
        scene = Scene(local_backend(Path(folder)), ScriptedSource(), UNIVERSE, LIMITS)
        keys = {one: deliver(scene.backend, one.symbol, one.body(), one.fetched_at) for one in responses}
        saturday_committed = False
        for first, last in loads:
            sessions = sessions_between(first, last)
            load = scene.stage(sessions)
            assert set(load.excluded) == result.excluded & set(sessions)
            if set(load.excluded) == set(sessions):
                with pytest.raises(LoadRejected, match="Every requested session is excluded"):
                    scene.publish(sessions)
                continue
            saturday_committed |= load.first_day <= SATURDAY <= load.last_day
            scene.publish(sessions)
        check_published(scene, result)
        check_quarantined(scene, result, keys, saturday_committed=saturday_committed)
        check_reported(scene, responses, result, keys)


def check_published(scene: Scene, result: Expected) -> None:
    rows = published_rows(scene.backend)
    assert {(row["symbol"], row["trade_date"]): row["close_price"] for row in rows} == result.closes
    for row in rows:
        symbol, day = str(row["symbol"]), row["trade_date"]
        assert isinstance(day, date)
        before = [other for name, other in result.closes if name == symbol and other < day]
        # A look-back stays within the listing period of its row.
        periods = [listing for listing in UNIVERSE.listings_of(symbol) if listing.covers(day)]
        before = [other for other in before if all(listing.covers(other) for listing in periods)]
        assert row["prev_close"] == (result.closes[symbol, max(before)] if before else None), (symbol, day)


def check_quarantined(
    scene: Scene, result: Expected, keys: Mapping[Response, str], *, saturday_committed: bool
) -> None:
    """Every bad row of a session that is not excluded is in quarantine with its reason and its response."""
    found: dict[tuple[object, object], set[object]] = {}
    for row in published_rows(scene.backend, QUARANTINED_PRICES):
        found.setdefault((row["symbol"], row["trade_date"]), set()).add(row["audit"])
        assert row["detail"]
        assert row["payload"] in keys.values()
    bars = {bar: audits for bar, audits in result.quarantined.items() if bar[1] not in result.excluded}
    saturdays = {(symbol, SATURDAY): {"only_trading_sessions"} for symbol in result.saturdays}
    unlisted = {("DDD", SATURDAY): {"only_trading_sessions", "symbol_was_listed"}}
    assert found == bars | (
        {bar: unlisted.get(bar, audits) for bar, audits in saturdays.items()} if saturday_committed else {}
    )


def check_reported(scene: Scene, responses: list[Response], result: Expected, keys: Mapping[Response, str]) -> None:
    """Every excluded session is recorded with its reason and bad bars, and every row without a day is a warning."""
    with scene.backend.ledger.read() as ledger:
        rejections = current_rejections(scene, ledger, SESSIONS)
    assert set(rejections) == result.excluded
    for session, rejection in rejections.items():
        lines = "\n".join(rejection.findings[session.isoformat()])
        assert "minimum_coverage: " in lines or "quarantined_share_within_limit: " in lines
        for (symbol, day), audits in result.quarantined.items():
            if day == session:
                response = newest(responses, symbol, day)
                assert response is not None
                for audit in audits:
                    [line] = [one for one in lines.splitlines() if one.startswith(f"{audit}: {symbol} {day}: ")]
                    assert f", response {keys[response]}. Remedy: " in line
    used = {newest(responses, symbol, session) for symbol in SYMBOLS for session in SESSIONS} - {None}
    undated = [line for one in used if one for line in one.undated_lines]
    [verdict] = [one for one in audit_load(scene, scene.stage(SESSIONS)) if one.audit.name == "every_raw_row_has_a_day"]
    assert verdict.bad_rows == len(undated)
    assert not verdict.blocks
    assert {row.detail.partition(".csv: ")[2] for row in verdict.sample} <= set(undated)


@given(responses_in_any_order(), loads_in_any_order())
@BOUNDED
def test_exactly_the_good_bars_are_published_and_every_bad_row_is_reported(
    responses: list[Response], loads: list[tuple[date, date]]
) -> None:
    check(responses, loads)


@pytest.mark.slow
@given(responses_in_any_order(), loads_in_any_order())
@MANY
def test_exactly_the_good_bars_are_published_in_many_mixtures(
    responses: list[Response], loads: list[tuple[date, date]]
) -> None:
    check(responses, loads)
