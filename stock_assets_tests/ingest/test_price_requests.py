"""What is asked for whom, what is left, and what is never asked twice."""

import threading
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from stock_assets.backends.interface import Backend, FetchKind
from stock_assets.core.calendar import closing_time, sessions_between
from stock_assets.core.call_limits import MINUTE
from stock_assets.core.errors import Outcome, SessionNotClosed
from stock_assets.core.universe import Listing, Universe
from stock_assets.ingest.ledger_queries import responses_for
from stock_assets.ingest.price_requests import RequestRules, SymbolResult, fetch_prices
from stock_assets.ingest.requester import GIVE_UP_AFTER, LONGEST_PAUSE_SECONDS
from stock_assets.sources.alpha_vantage import AlphaVantageSource
from stock_assets_tests.fakes.clock import FakeClock
from stock_assets_tests.fakes.vendor_server import Mischief, VendorServer
from stock_assets_tests.support.live_source import live_source, symbols, utc
from stock_assets_tests.support.steps import local_backend, parts

TODAY = date(2024, 3, 1)
EVENING = utc("2024-03-01 22:00")
NEXT_SESSION = date(2024, 3, 4)
TWENTY = symbols(20)


@dataclass
class Notifier:
    """A backend, a server and a clock, with fetching as one short call."""

    backend: Backend
    server: VendorServer
    clock: FakeClock

    def source(self, **options: object) -> AlphaVantageSource:
        """Make a client on the clock."""
        return live_source(self.server, now=self.clock.now, patience=10.0, **options)

    def fetch(self, universe: Universe, *sessions: date, **options: object) -> dict[str, SymbolResult]:
        """Fetch prices; give the results by symbol."""
        results = fetch_prices(
            parts(self.backend, self.source(**options), universe), sessions, now=self.clock.now, sleep=self.clock.sleep
        )
        return {result.symbol: result for result in results}

    def on(self, day: date) -> None:
        """Make it the evening of a session, with its bars published."""
        self.server.last_session = day
        self.clock.set(closing_time(day) + timedelta(hours=1))


@pytest.fixture
def notifier(backend: Backend, server: VendorServer) -> Notifier:
    server.last_session = TODAY
    return Notifier(backend, server, FakeClock(EVENING))


def outcomes(results: dict[str, SymbolResult]) -> dict[str, Outcome]:
    """Those that are not well."""
    return {symbol: result.outcome for symbol, result in results.items() if result.outcome is not Outcome.OK}


def test_a_five_year_range_takes_one_call_per_symbol_and_then_none(notifier: Notifier) -> None:
    sessions = sessions_between(date(2019, 3, 4), TODAY)

    first = notifier.fetch(TWENTY, *sessions)
    assert outcomes(first) == {}
    assert sorted(notifier.server.asked()) == list(TWENTY.symbols)

    notifier.clock.sleep(3600)
    again = notifier.fetch(TWENTY, *sessions)
    assert outcomes(again) == {}
    assert sum(result.calls for result in again.values()) == 0
    assert len(notifier.server.requests) == 20


def test_a_run_asks_only_whom_it_may_and_says_how_the_others_stand(notifier: Notifier) -> None:
    rules = RequestRules(frozenset({"S02"}))
    results = fetch_prices(
        parts(notifier.backend, notifier.source(), symbols(3)),
        [TODAY],
        rules=rules,
        now=notifier.clock.now,
        sleep=notifier.clock.sleep,
    )

    assert notifier.server.asked() == ["S02"]
    assert [(result.symbol, result.outcome, result.calls) for result in results] == [
        ("S01", Outcome.LATE, 0),
        ("S02", Outcome.OK, 1),
        ("S03", Outcome.LATE, 0),
    ]
    assert results[0].detail == "not asked in this run"


def test_a_run_leaves_calls_to_the_next_one(notifier: Notifier) -> None:
    rules = RequestRules(reserve_calls=2)
    fetch_prices(
        parts(notifier.backend, notifier.source(calls_per_day=5), symbols(5)),
        [TODAY],
        rules=rules,
        now=notifier.clock.now,
        sleep=notifier.clock.sleep,
    )
    assert len(notifier.server.requests) == 3


def test_five_calls_a_minute_take_the_ideal_time(notifier: Notifier) -> None:
    assert outcomes(notifier.fetch(TWENTY, TODAY, calls_per_minute=5)) == {}

    took = notifier.clock.now() - EVENING
    assert 3 * MINUTE <= took <= 3 * MINUTE * 1.05


def test_two_runs_at_once_together_keep_the_pace(server: VendorServer, tmp_path: Path) -> None:
    server.last_session = TODAY
    clock = FakeClock(EVENING, participants=2)
    halves = (symbols(20).listings[:10], symbols(20).listings[10:])

    def run(half: tuple[Listing, ...]) -> None:
        try:
            Notifier(local_backend(tmp_path / "backend"), server, clock).fetch(
                Universe(half), TODAY, calls_per_minute=5
            )
        finally:
            clock.leave()

    threads = [threading.Thread(target=run, args=(half,), daemon=True) for half in halves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    backend = local_backend(tmp_path / "backend")
    moments = sorted(fetch.fetched_at for fetch in backend.ledger.fetches(FetchKind.PRICES))
    assert len(moments) == 20
    for start in moments:
        assert sum(start <= moment < start + MINUTE for moment in moments) <= 5
    assert moments[-1] - moments[0] <= 3 * MINUTE * 1.05


def test_one_call_left_is_spent_and_the_rest_follow_the_next_day_without_loss(notifier: Notifier) -> None:
    limits = notifier.source(calls_per_day=25).terms.limits
    for _ in range(24):
        assert notifier.backend.rate_limiter.acquire("alpha_vantage", limits, notifier.clock.now) is None

    first = notifier.fetch(TWENTY, TODAY, calls_per_day=25)

    assert notifier.server.asked() == ["S01"]
    assert len(outcomes(first)) == 19
    assert set(outcomes(first).values()) == {Outcome.DAILY_QUOTA}
    assert "left for the next day" in first["S02"].detail
    assert first["S02"].calls == 0

    notifier.on(NEXT_SESSION)
    second = notifier.fetch(TWENTY, TODAY, NEXT_SESSION, calls_per_day=25)

    assert outcomes(second) == {}
    # Those missing longest came first: the one that was had was last.
    assert notifier.server.asked()[1:] == [*TWENTY.symbols[1:], "S01"]


def test_a_symbol_left_out_comes_first_the_next_day_though_only_that_day_is_asked_for(notifier: Notifier) -> None:
    notifier.fetch(symbols(3), TODAY, calls_per_day=2)
    assert notifier.server.asked() == ["S01", "S02"]

    notifier.on(NEXT_SESSION)
    notifier.fetch(symbols(3), NEXT_SESSION, calls_per_day=1)
    assert notifier.server.asked()[2:] == ["S03"]


def test_a_symbol_the_vendor_does_not_know_comes_last(notifier: Notifier) -> None:
    notifier.server.answer("S01", Mischief.INVALID_CALL)
    notifier.fetch(symbols(3), TODAY)
    notifier.on(NEXT_SESSION)
    notifier.fetch(symbols(3), NEXT_SESSION)
    assert notifier.server.asked()[3:] == ["S02", "S03", "S01"]


def test_the_vendors_own_word_on_the_quota_stops_the_run_for_an_hour(notifier: Notifier) -> None:
    notifier.server.answer("S03", Mischief.DAILY_QUOTA, None)

    results = notifier.fetch(symbols(5), TODAY, calls_per_day=25)
    assert notifier.server.asked() == ["S01", "S02", "S03"]
    assert outcomes(results) == dict.fromkeys(("S03", "S04", "S05"), Outcome.DAILY_QUOTA)

    notifier.clock.sleep(1800)
    assert len(outcomes(notifier.fetch(symbols(5), TODAY, calls_per_day=25))) == 3
    assert len(notifier.server.requests) == 3

    notifier.clock.sleep(1800)
    assert outcomes(notifier.fetch(symbols(5), TODAY, calls_per_day=25)) == {}
    assert notifier.server.asked()[3:] == ["S03", "S04", "S05"]


def test_only_passing_failures_are_repeated_after_the_others_and_each_is_charged(notifier: Notifier) -> None:
    notifier.server.answer("S01", Mischief.BURST, Mischief.HTTP_503, Mischief.RESET, None)
    notifier.server.answer("S02", Mischief.INVALID_CALL)

    results = notifier.fetch(symbols(3), TODAY, calls_per_day=25, first_pause_seconds=2.0)

    assert notifier.server.asked() == ["S01", "S02", "S03", "S01", "S01", "S01"]
    assert outcomes(results) == {"S02": Outcome.UNKNOWN_SYMBOL}
    assert results["S01"].calls == 4
    assert notifier.backend.rate_limiter.used_calls("alpha_vantage", EVENING) == 6
    # Doubling with each failure in a row (a good answer between them starts anew), the upper half at random.
    assert [low <= pause <= 2 * low for low, pause in zip([1, 1, 2], notifier.clock.slept, strict=True)] == [True] * 3


def test_a_symbol_is_asked_four_times_at_most(notifier: Notifier) -> None:
    notifier.server.answer("S01", Mischief.BURST)
    results = notifier.fetch(symbols(2), TODAY)
    assert notifier.server.asked() == ["S01", "S02", "S01", "S01", "S01"]
    assert outcomes(results) == {"S01": Outcome.THROTTLED}


def test_a_repeat_never_takes_the_last_call_from_another_symbol(notifier: Notifier) -> None:
    notifier.server.answer("S01", Mischief.BURST)
    results = notifier.fetch(symbols(3), TODAY, calls_per_day=3)
    assert notifier.server.asked() == ["S01", "S02", "S03"]
    # It keeps the reason of its own failure.
    assert outcomes(results) == {"S01": Outcome.THROTTLED}


@pytest.mark.parametrize(("header", "slept"), [("17", 17.0), ("60", 60.0)])
def test_the_wait_the_vendor_asks_for_is_kept(notifier: Notifier, header: str, slept: float) -> None:
    notifier.server.retry_after = header
    notifier.server.answer("S01", Mischief.HTTP_429, None)
    assert outcomes(notifier.fetch(symbols(1), TODAY)) == {}
    assert notifier.clock.slept == [slept]


def test_a_wait_longer_than_a_run_ends_the_asking(notifier: Notifier) -> None:
    notifier.server.retry_after = str(int(LONGEST_PAUSE_SECONDS) + 1)
    notifier.server.answer("S01", Mischief.HTTP_429, None)
    results = notifier.fetch(symbols(3), TODAY)
    assert notifier.server.asked() == ["S01"]
    assert set(outcomes(results).values()) == {Outcome.THROTTLED}
    assert notifier.clock.slept == []


def test_a_vendor_that_is_down_is_left_alone_soon(notifier: Notifier) -> None:
    for symbol in TWENTY.symbols:
        notifier.server.answer(symbol, Mischief.HTTP_500)
    results = notifier.fetch(TWENTY, TODAY)
    assert len(notifier.server.requests) == GIVE_UP_AFTER
    assert set(outcomes(results).values()) == {Outcome.UNREACHABLE}
    assert len(outcomes(results)) == 20


def test_a_refused_key_is_asked_with_once(notifier: Notifier) -> None:
    for symbol in TWENTY.symbols:
        notifier.server.answer(symbol, Mischief.MISSING_KEY)
    results = notifier.fetch(TWENTY, TODAY)
    assert len(notifier.server.requests) == 1
    assert set(outcomes(results).values()) == {Outcome.BAD_KEY}
    assert len(outcomes(results)) == 20


def test_a_plan_of_a_hundred_bars_gets_those_and_names_the_rest(notifier: Notifier) -> None:
    free = {"full_history": False, "calls_per_day": 25}
    sessions = sessions_between(date(2019, 3, 4), TODAY)

    first = notifier.fetch(symbols(2), *sessions, **free)

    assert [request.outputsize for request in notifier.server.requests] == ["compact", "compact"]
    result = first["S01"]
    assert result.outcome is Outcome.UNOBTAINABLE
    assert list(result.missing) == sessions[:-100]
    assert f"2019-03-04 to {sessions[-101]} ({len(sessions) - 100} sessions) cannot be had" in result.detail
    assert "STOCK_ASSETS_ALPHA_VANTAGE_PLAN" in result.detail

    again = notifier.fetch(symbols(2), *sessions, **free)
    assert again["S01"].outcome is Outcome.UNOBTAINABLE
    assert again["S01"].detail == result.detail
    assert len(notifier.server.requests) == 2


def test_history_that_begins_later_than_expected_is_unobtainable_too(notifier: Notifier) -> None:
    result = notifier.fetch(symbols(1), date(1999, 3, 1), TODAY)["S01"]
    assert (result.outcome, result.missing) == (Outcome.UNOBTAINABLE, (date(1999, 3, 1),))
    assert "set first_session" in result.detail


def test_a_late_bar_is_asked_for_again_alone(notifier: Notifier) -> None:
    notifier.server.answer("S02", Mischief.LATE, None)
    first = notifier.fetch(symbols(3), TODAY)
    assert outcomes(first) == {"S02": Outcome.LATE}
    assert first["S02"].missing == (TODAY,)

    notifier.clock.sleep(600)
    assert outcomes(notifier.fetch(symbols(3), TODAY)) == {}
    assert notifier.server.asked() == ["S01", "S02", "S03", "S02"]


def test_a_symbol_is_not_expected_before_it_was_listed(notifier: Notifier) -> None:
    universe = Universe((Listing("S01", "One", first_session=NEXT_SESSION), Listing("S02", "Two")))
    results = notifier.fetch(universe, TODAY)
    assert notifier.server.asked() == ["S02"]
    assert results["S01"].wanted == ()
    assert outcomes(results) == {}


@pytest.mark.parametrize(
    ("session", "bell"),
    [
        (date(2024, 3, 1), utc("2024-03-01 21:00")),
        (date(2024, 7, 3), utc("2024-07-03 17:00")),
        (date(2023, 11, 24), utc("2023-11-24 18:00")),
    ],
)
def test_no_session_is_taken_before_its_bell_early_closes_included(
    notifier: Notifier, session: date, bell: datetime
) -> None:
    notifier.server.last_session = session
    notifier.clock.set(bell - timedelta(seconds=1))
    with pytest.raises(SessionNotClosed, match=str(session)):
        notifier.fetch(symbols(1), session)
    assert notifier.server.requests == []

    notifier.clock.set(bell)
    assert outcomes(notifier.fetch(symbols(1), session)) == {}


def test_a_bar_that_came_before_the_bell_does_not_count(notifier: Notifier) -> None:
    yesterday = date(2024, 2, 29)
    # In the middle of the session, the answer for yesterday holds a bar of the day so far.
    notifier.clock.set(utc("2024-03-01 18:00"))
    notifier.fetch(symbols(1), yesterday)
    [early] = responses_for(notifier.backend, [TODAY])

    notifier.clock.set(EVENING)
    assert notifier.fetch(symbols(1), TODAY)["S01"].calls == 1

    # Only the later one is offered for the session; before it came, the early one was, to be set aside by the audit.
    [late] = responses_for(notifier.backend, [TODAY])
    assert late.fetched_at > early.fetched_at
    assert [fetch.response_key for fetch in responses_for(notifier.backend, [yesterday, TODAY])] == [late.response_key]


def test_every_answer_is_kept_as_it_came_also_the_refusals(notifier: Notifier) -> None:
    notifier.server.answer("S01", Mischief.HTTP_500)
    notifier.server.answer("S02", Mischief.DAILY_QUOTA)
    notifier.fetch(symbols(2), TODAY, attempts=1)

    kept = {
        fetch.symbol: notifier.backend.objects.get(fetch.response_key)
        for fetch in notifier.backend.ledger.fetches(FetchKind.PRICES)
    }
    assert kept["S01"] == b"<h1>500</h1> key [redacted]"
    assert b"We have detected your API key as [redacted]" in kept["S02"]


def test_the_bytes_of_another_symbol_are_refused(notifier: Notifier) -> None:
    notifier.server.answer("S01", Mischief.WRONG_SYMBOL)
    notifier.server.answer("S02", Mischief.WRONG_SYMBOL, None)

    first = notifier.fetch(symbols(2), TODAY)
    assert outcomes(first) == {"S02": Outcome.MALFORMED}
    assert "the very bytes of S01's answer" in first["S02"].detail
    notifier.clock.sleep(600)
    assert outcomes(notifier.fetch(symbols(2), TODAY)) == {}


def test_a_bar_of_a_day_to_come_is_malformed(notifier: Notifier) -> None:
    notifier.server.last_session = NEXT_SESSION
    assert outcomes(notifier.fetch(symbols(1), TODAY)) == {"S01": Outcome.MALFORMED}
