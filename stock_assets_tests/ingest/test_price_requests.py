"""Which prices are requested, which are left for later, and which are never requested twice."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from stock_assets.backends.interface import Backend, Fetch, FetchKind
from stock_assets.core.calendar import closing_time, sessions_between
from stock_assets.core.call_limits import MINUTE
from stock_assets.core.errors import NothingFetched, Outcome, SessionNotClosed, SourceUnreachable
from stock_assets.core.universe import Listing, Universe
from stock_assets.ingest.ledger_queries import responses_for
from stock_assets.ingest.outcomes import REMEDY, group_reasons
from stock_assets.ingest.price_requests import (
    ALL_MISSING,
    RequestRules,
    SymbolResult,
    closed_sessions,
    fail_if_nothing_fetched,
    fetch_prices,
)
from stock_assets.ingest.vendor_health import MAX_CONSECUTIVE_FAILURES, MAX_PAUSE_SECONDS
from stock_assets.sources.alpha_vantage import AlphaVantageSource
from stock_assets_tests.fakes.clock import FakeClock, SharedClock
from stock_assets_tests.fakes.vendor_server import HEADER, Mischief, VendorServer, csv_body
from stock_assets_tests.support.live_source import ManualDeadlines, live_source, symbols, utc
from stock_assets_tests.support.steps import local_backend, parts

TODAY = date(2024, 3, 1)
EVENING = utc("2024-03-01 22:00")
NEXT_SESSION = date(2024, 3, 4)
TWENTY = symbols(20)


@dataclass
class Setup:
    """A backend, a vendor server and a clock, with a short method that fetches."""

    backend: Backend
    server: VendorServer
    clock: FakeClock

    def source(self, **options: object) -> AlphaVantageSource:
        """Return a client that uses the clock."""
        return live_source(self.server, now=self.clock.now, **options)

    def fetch(self, universe: Universe, *sessions: date, **options: object) -> dict[str, SymbolResult]:
        """Fetch prices; return the results by symbol. The options are rules, and fields of the source."""
        rules = options.pop("rules", ALL_MISSING)
        assert isinstance(rules, RequestRules)
        results = fetch_prices(
            parts(self.backend, self.source(**options), universe),
            sessions,
            rules=rules,
            now=self.clock.now,
            sleep=self.clock.sleep,
        )
        return {result.symbol: result for result in results}

    def move_to(self, day: date) -> None:
        """Set the clock to the evening of a session whose bars the vendor has."""
        self.server.last_session = day
        self.clock.set(closing_time(day) + timedelta(hours=1))


@pytest.fixture
def setup(backend: Backend, server: VendorServer) -> Setup:
    server.last_session = TODAY
    return Setup(backend, server, FakeClock(EVENING))


def outcomes(results: dict[str, SymbolResult]) -> dict[str, Outcome]:
    """Return the outcomes that are not OK."""
    return {symbol: result.outcome for symbol, result in results.items() if result.outcome is not Outcome.OK}


def test_a_range_of_five_years_uses_one_call_per_symbol_and_later_none(setup: Setup) -> None:
    sessions = sessions_between(date(2019, 3, 4), TODAY)

    first = setup.fetch(TWENTY, *sessions)
    assert outcomes(first) == {}
    assert sorted(setup.server.requested()) == list(TWENTY.symbols)

    setup.clock.sleep(3600)
    again = setup.fetch(TWENTY, *sessions)
    assert outcomes(again) == {}
    assert sum(result.calls for result in again.values()) == 0
    assert len(setup.server.requests) == 20


def test_a_run_requests_only_allowed_symbols_and_reports_the_others(setup: Setup) -> None:
    rules = RequestRules(frozenset({"S02"}))
    results = fetch_prices(
        parts(setup.backend, setup.source(), symbols(3)),
        [TODAY],
        rules=rules,
        now=setup.clock.now,
        sleep=setup.clock.sleep,
    )

    assert setup.server.requested() == ["S02"]
    assert [(result.symbol, result.outcome, result.calls) for result in results] == [
        ("S01", Outcome.LATE, 0),
        ("S02", Outcome.OK, 1),
        ("S03", Outcome.LATE, 0),
    ]
    assert results[0].detail == "not requested in this run"


def test_a_run_leaves_reserved_calls_to_the_next_run(setup: Setup) -> None:
    rules = RequestRules(reserve_calls=2)
    fetch_prices(
        parts(setup.backend, setup.source(calls_per_day=5), symbols(5)),
        [TODAY],
        rules=rules,
        now=setup.clock.now,
        sleep=setup.clock.sleep,
    )
    assert len(setup.server.requests) == 3


@pytest.mark.parametrize(("microseconds", "sent"), [(0, 5), (1, 10)], ids=["at its end", "just before it"])
def test_no_request_begins_at_the_end_of_the_time_of_a_run(setup: Setup, microseconds: int, sent: int) -> None:
    """The second minute of requests begins exactly at the end of the time, or just before it."""
    until = EVENING + MINUTE + timedelta(microseconds=microseconds)
    results = setup.fetch(TWENTY, TODAY, calls_per_minute=5, rules=RequestRules(until=until))
    assert setup.server.requested() == list(TWENTY.symbols[:sent])
    postponed = [symbol for symbol, result in results.items() if result.postponed]
    assert postponed == list(TWENTY.symbols[sent:])
    assert not any(results[symbol].calls for symbol in postponed)

    rest = setup.fetch(TWENTY, TODAY, calls_per_minute=5, rules=RequestRules(frozenset(postponed)))
    assert outcomes(rest) == {}
    assert setup.server.requested() == list(TWENTY.symbols)


def test_five_calls_a_minute_take_the_ideal_time(setup: Setup) -> None:
    assert outcomes(setup.fetch(TWENTY, TODAY, calls_per_minute=5)) == {}

    took = setup.clock.now() - EVENING
    assert 3 * MINUTE <= took <= 3 * MINUTE * 1.05


def test_two_concurrent_runs_together_respect_the_rate_limit(server: VendorServer, tmp_path: Path) -> None:
    server.last_session = TODAY
    clock = SharedClock(EVENING)

    def run(half: tuple[Listing, ...]) -> None:
        Setup(local_backend(tmp_path / "backend"), server, clock).fetch(Universe(half), TODAY, calls_per_minute=5)

    clock.run(partial(run, symbols(20).listings[:10]), partial(run, symbols(20).listings[10:]))

    backend = local_backend(tmp_path / "backend")
    timestamps = sorted(fetch.fetched_at for fetch in backend.ledger.fetches(FetchKind.PRICES))
    assert len(timestamps) == 20
    for start in timestamps:
        assert sum(start <= timestamp < start + MINUTE for timestamp in timestamps) <= 5
    assert timestamps[-1] - timestamps[0] <= 3 * MINUTE * 1.05


def test_the_last_call_is_used_and_the_other_symbols_follow_the_next_day_without_loss(setup: Setup) -> None:
    limits = setup.source(calls_per_day=25).terms.limits
    for _ in range(24):
        assert setup.backend.rate_limiter.acquire("alpha_vantage", limits, setup.clock.now) is None

    first = setup.fetch(TWENTY, TODAY, calls_per_day=25)

    assert setup.server.requested() == ["S01"]
    assert len(outcomes(first)) == 19
    assert set(outcomes(first).values()) == {Outcome.DAILY_QUOTA}
    assert "not requested: today's 25 calls are used; calls are available again at" in first["S02"].detail
    assert first["S02"].calls == 0

    setup.move_to(NEXT_SESSION)
    second = setup.fetch(TWENTY, TODAY, NEXT_SESSION, calls_per_day=25)

    assert outcomes(second) == {}
    # The symbols missing longest came first: the symbol that was stored came last.
    assert setup.server.requested()[1:] == [*TWENTY.symbols[1:], "S01"]


def test_a_symbol_without_a_call_comes_first_the_next_day_although_only_that_day_is_requested(setup: Setup) -> None:
    setup.fetch(symbols(3), TODAY, calls_per_day=2)
    assert setup.server.requested() == ["S01", "S02"]

    setup.move_to(NEXT_SESSION)
    setup.fetch(symbols(3), NEXT_SESSION, calls_per_day=1)
    assert setup.server.requested()[2:] == ["S03"]


def test_a_symbol_the_vendor_does_not_know_comes_last(setup: Setup) -> None:
    setup.server.respond("S01", Mischief.INVALID_CALL)
    setup.fetch(symbols(3), TODAY)
    setup.move_to(NEXT_SESSION)
    setup.fetch(symbols(3), NEXT_SESSION)
    assert setup.server.requested()[3:] == ["S02", "S03", "S01"]


def test_a_symbol_the_vendor_does_not_know_comes_last_also_after_landing_files(setup: Setup) -> None:
    setup.server.respond("S01", Mischief.INVALID_CALL)
    setup.fetch(symbols(3), TODAY)
    setup.move_to(NEXT_SESSION)
    for day in range(1, 6):
        old = date(2024, 1, day)
        setup.backend.ledger.record(
            Fetch("S01", FetchKind.PRICES, setup.clock.now() - timedelta(minutes=9 - day), Outcome.OK, "file", old, old)
        )
    setup.fetch(symbols(3), NEXT_SESSION)
    assert setup.server.requested()[3:] == ["S02", "S03", "S01"]


def test_a_quota_message_of_the_vendor_stops_requests_for_an_hour(setup: Setup) -> None:
    setup.server.respond("S03", Mischief.DAILY_QUOTA, None)

    results = setup.fetch(symbols(5), TODAY, calls_per_day=25)
    assert setup.server.requested() == ["S01", "S02", "S03"]
    assert outcomes(results) == dict.fromkeys(("S03", "S04", "S05"), Outcome.DAILY_QUOTA)

    setup.clock.sleep(1800)
    blocked = setup.fetch(symbols(5), TODAY, calls_per_day=25)
    assert len(outcomes(blocked)) == 3
    assert "the vendor reported that no calls are left; calls are available again at" in blocked["S04"].detail
    assert len(setup.server.requests) == 3

    setup.clock.sleep(1800)
    assert outcomes(setup.fetch(symbols(5), TODAY, calls_per_day=25)) == {}
    assert setup.server.requested()[3:] == ["S03", "S04", "S05"]


def test_only_transient_failures_are_retried_after_the_other_symbols_and_each_uses_a_call(setup: Setup) -> None:
    setup.server.respond("S01", Mischief.BURST, Mischief.HTTP_503, Mischief.RESET, None)
    setup.server.respond("S02", Mischief.INVALID_CALL)

    results = setup.fetch(symbols(3), TODAY, calls_per_day=25, first_pause_seconds=2.0)

    assert setup.server.requested() == ["S01", "S02", "S03", "S01", "S01", "S01"]
    assert outcomes(results) == {"S02": Outcome.UNKNOWN_SYMBOL}
    assert results["S01"].calls == 4
    assert setup.backend.rate_limiter.used_calls("alpha_vantage", EVENING) == 6
    # Pauses double with each consecutive failure (a good response resets them); their upper half is random.
    assert [low <= pause <= 2 * low for low, pause in zip([1, 1, 2], setup.clock.slept, strict=True)] == [True] * 3


def test_a_symbol_is_requested_at_most_four_times(setup: Setup) -> None:
    setup.server.respond("S01", Mischief.BURST)
    results = setup.fetch(symbols(2), TODAY)
    assert setup.server.requested() == ["S01", "S02", "S01", "S01", "S01"]
    assert outcomes(results) == {"S01": Outcome.THROTTLED}


def test_a_retry_never_uses_the_last_call_of_another_symbol(setup: Setup) -> None:
    setup.server.respond("S01", Mischief.BURST)
    results = setup.fetch(symbols(3), TODAY, calls_per_day=3)
    assert setup.server.requested() == ["S01", "S02", "S03"]
    # The symbol keeps the reason of its own failure.
    assert outcomes(results) == {"S01": Outcome.THROTTLED}


@pytest.mark.parametrize(("header", "slept"), [("17", 17.0), ("60", 60.0)])
def test_the_pause_that_the_vendor_requires_is_respected(setup: Setup, header: str, slept: float) -> None:
    setup.server.retry_after = header
    setup.server.respond("S01", Mischief.HTTP_429, None)
    assert outcomes(setup.fetch(symbols(1), TODAY)) == {}
    assert setup.clock.slept == [slept]


def test_a_required_pause_longer_than_a_run_stops_the_requests(setup: Setup) -> None:
    setup.server.retry_after = str(int(MAX_PAUSE_SECONDS) + 1)
    setup.server.respond("S01", Mischief.HTTP_429, None)
    results = setup.fetch(symbols(3), TODAY)
    assert setup.server.requested() == ["S01"]
    assert set(outcomes(results).values()) == {Outcome.THROTTLED}
    assert setup.clock.slept == []


def test_requests_stop_after_a_few_when_the_vendor_is_down(setup: Setup) -> None:
    for symbol in TWENTY.symbols:
        setup.server.respond(symbol, Mischief.HTTP_500)
    results = setup.fetch(TWENTY, TODAY)
    assert len(setup.server.requests) == MAX_CONSECUTIVE_FAILURES
    assert set(outcomes(results).values()) == {Outcome.UNREACHABLE}
    assert len(outcomes(results)) == 20


def test_a_rejected_api_key_is_used_once(setup: Setup) -> None:
    for symbol in TWENTY.symbols:
        setup.server.respond(symbol, Mischief.MISSING_KEY)
    results = setup.fetch(TWENTY, TODAY)
    assert len(setup.server.requests) == 1
    assert set(outcomes(results).values()) == {Outcome.BAD_KEY}
    assert len(outcomes(results)) == 20


def test_a_plan_with_a_hundred_bars_stores_them_and_names_the_missing_sessions(setup: Setup) -> None:
    free = {"full_history": False, "calls_per_day": 25}
    sessions = sessions_between(date(2019, 3, 4), TODAY)

    first = setup.fetch(symbols(2), *sessions, **free)

    assert [request.outputsize for request in setup.server.requests] == ["compact", "compact"]
    result = first["S01"]
    assert result.outcome is Outcome.UNOBTAINABLE
    assert list(result.missing) == sessions[:-100]
    assert f"2019-03-04 to {sessions[-101]} ({len(sessions) - 100:,} sessions) cannot be fetched" in result.detail
    assert "STOCK_ASSETS_ALPHA_VANTAGE_PLAN" in result.detail

    again = setup.fetch(symbols(2), *sessions, **free)
    assert again["S01"].outcome is Outcome.UNOBTAINABLE
    assert again["S01"].detail == result.detail
    assert len(setup.server.requests) == 2


def test_sessions_before_the_first_bar_of_the_response_are_unobtainable(setup: Setup) -> None:
    result = setup.fetch(symbols(1), date(1999, 3, 1), TODAY)["S01"]
    assert (result.outcome, result.missing) == (Outcome.UNOBTAINABLE, (date(1999, 3, 1),))
    assert "set first_session" in result.detail


def test_only_a_late_bar_is_requested_again(setup: Setup) -> None:
    setup.server.respond("S02", Mischief.LATE, None)
    first = setup.fetch(symbols(3), TODAY)
    assert outcomes(first) == {"S02": Outcome.LATE}
    assert first["S02"].missing == (TODAY,)

    setup.clock.sleep(600)
    assert outcomes(setup.fetch(symbols(3), TODAY)) == {}
    assert setup.server.requested() == ["S01", "S02", "S03", "S02"]


def test_a_symbol_is_not_expected_before_it_was_listed(setup: Setup) -> None:
    universe = Universe((Listing("S01", "One", first_session=NEXT_SESSION), Listing("S02", "Two")))
    results = setup.fetch(universe, TODAY)
    assert setup.server.requested() == ["S02"]
    assert results["S01"].wanted == ()
    assert outcomes(results) == {}


@pytest.mark.parametrize(
    ("session", "close"),
    [
        (date(2024, 3, 1), utc("2024-03-01 21:00")),
        (date(2024, 7, 3), utc("2024-07-03 17:00")),
        (date(2023, 11, 24), utc("2023-11-24 18:00")),
    ],
)
def test_no_session_is_fetched_before_its_market_close_including_early_closes(
    setup: Setup, session: date, close: datetime
) -> None:
    setup.server.last_session = session
    setup.clock.set(close - timedelta(seconds=1))
    with pytest.raises(SessionNotClosed, match=str(session)):
        setup.fetch(symbols(1), session)
    assert setup.server.requests == []

    setup.clock.set(close)
    assert outcomes(setup.fetch(symbols(1), session)) == {}


def test_sessions_that_have_not_closed_are_left_out_with_a_message() -> None:
    closed, not_closed, later = date(2023, 11, 22), date(2023, 11, 24), date(2023, 11, 27)
    thanksgiving = utc("2023-11-23 22:00")
    assert closed_sessions([closed], thanksgiving) == ([closed], "")
    assert closed_sessions([closed, not_closed], thanksgiving) == (
        [closed],
        "raw/daily_prices: 2023-11-24 has not closed yet. Load it after 18:00 UTC.",
    )
    assert closed_sessions([closed, not_closed, later], thanksgiving) == (
        [closed],
        "raw/daily_prices: 2023-11-24 to 2023-11-27 have not closed yet. Load them after 21:00 UTC on 2023-11-27.",
    )
    with pytest.raises(SessionNotClosed, match=r"2023-11-24 has not closed yet\. Load it after 18:00 UTC"):
        closed_sessions([not_closed], thanksgiving)


def test_a_range_with_a_session_that_has_not_closed_fetches_the_others(setup: Setup) -> None:
    setup.server.last_session = date(2023, 11, 22)
    setup.clock.set(utc("2023-11-23 22:00"))
    assert outcomes(setup.fetch(symbols(1), date(2023, 11, 21), date(2023, 11, 22), date(2023, 11, 24))) == {}
    assert setup.server.requested() == ["S01"]


def test_a_bar_received_before_the_market_close_does_not_count(setup: Setup) -> None:
    yesterday = date(2024, 2, 29)
    # In the middle of the session, the response for yesterday contains an incomplete bar of today.
    setup.clock.set(utc("2024-03-01 18:00"))
    setup.fetch(symbols(1), yesterday)
    [early] = responses_for(setup.backend, [TODAY])

    setup.clock.set(EVENING)
    assert setup.fetch(symbols(1), TODAY)["S01"].calls == 1

    # Only the later response counts for the session. Until it was received, the early one counted, and the audit
    # quarantined its bar.
    [late] = responses_for(setup.backend, [TODAY])
    assert late.fetched_at > early.fetched_at
    assert [fetch.response_key for fetch in responses_for(setup.backend, [yesterday, TODAY])] == [late.response_key]


def test_every_response_is_stored_byte_for_byte_including_error_messages(setup: Setup) -> None:
    setup.server.respond("S01", Mischief.HTTP_500)
    setup.server.respond("S02", Mischief.DAILY_QUOTA)
    setup.fetch(symbols(2), TODAY, attempts=1)

    stored = {
        fetch.symbol: setup.backend.objects.get(fetch.response_key)
        for fetch in setup.backend.ledger.fetches(FetchKind.PRICES)
    }
    assert stored["S01"] == b"<h1>500</h1> key [redacted]"
    assert b"We have detected your API key as [redacted]" in stored["S02"]


def test_two_first_responses_with_the_same_bars_are_rejected_and_requested_again(setup: Setup) -> None:
    setup.server.respond("S01", Mischief.WRONG_SYMBOL)
    setup.server.respond("S02", Mischief.WRONG_SYMBOL)

    first = setup.fetch(symbols(3), TODAY)
    assert outcomes(first) == {"S01": Outcome.MALFORMED, "S02": Outcome.MALFORMED}
    assert "has the same bars as the response of S01, and neither symbol" in first["S02"].detail
    assert [first[symbol].calls for symbol in ("S01", "S02", "S03")] == [2, 2, 1]
    assert {fetch.symbol for fetch in responses_for(setup.backend, [TODAY])} == {"S03"}
    # No response is left that looks like a landing file.
    ledger = setup.backend.ledger
    recorded = {fetch.response_key for kind in FetchKind for fetch in ledger.fetches(kind)}
    assert set(setup.backend.objects.keys("raw/daily_prices/")) == recorded

    setup.server.respond("S01", None)
    setup.server.respond("S02", Mischief.WRONG_SYMBOL, None)
    setup.clock.sleep(600)
    assert outcomes(setup.fetch(symbols(3), TODAY)) == {}


def test_the_second_response_of_a_run_is_used_if_the_first_ones_had_the_same_bars(setup: Setup) -> None:
    setup.server.respond("S02", csv_body("S01", TODAY, "compact"), None)
    results = setup.fetch(symbols(2), TODAY)
    assert outcomes(results) == {}
    assert [result.calls for result in results.values()] == [2, 2]
    for fetch in responses_for(setup.backend, [TODAY]):
        assert setup.backend.objects.get(fetch.response_key) == csv_body(fetch.symbol, TODAY, "compact")


@pytest.mark.parametrize(("wrong", "right"), [("S01", "S02"), ("S02", "S01")])
def test_the_data_of_another_symbol_are_rejected_and_that_symbol_is_not_affected(
    setup: Setup, wrong: str, right: str
) -> None:
    setup.fetch(symbols(2), TODAY)
    setup.move_to(NEXT_SESSION)
    setup.server.respond(wrong, csv_body(right, NEXT_SESSION, "compact"))
    results = setup.fetch(symbols(2), NEXT_SESSION, attempts=2)
    assert outcomes(results) == {wrong: Outcome.MALFORMED}
    # The repeated request arrives after the response of the other symbol.
    assert f"{wrong}: the response is byte for byte the response of {right}" in results[wrong].detail
    assert (results[wrong].calls, results[right].calls) == (2, 1)

    setup.server.respond(wrong, csv_body(right, NEXT_SESSION, "compact"), None)
    setup.clock.sleep(600)
    assert outcomes(setup.fetch(symbols(2), NEXT_SESSION, attempts=2)) == {}


def test_a_response_that_revises_the_history_is_stored_and_not_used(setup: Setup) -> None:
    setup.fetch(symbols(1), TODAY)
    setup.move_to(NEXT_SESSION)
    setup.server.respond("S01", csv_body("WRONG", NEXT_SESSION, "compact"))
    results = setup.fetch(symbols(1), NEXT_SESSION)
    assert outcomes(results) == {"S01": Outcome.REVISED}
    assert results["S01"].calls == 1
    assert "changes 99 of 99 stored bars, so it replaces nothing" in results["S01"].detail
    newest = setup.backend.ledger.fetches(FetchKind.PRICES)[0]
    assert setup.backend.objects.get(newest.response_key) == csv_body("WRONG", NEXT_SESSION, "compact")
    assert responses_for(setup.backend, [NEXT_SESSION]) == []


def test_rows_of_no_session_and_of_the_future_are_named_and_change_nothing_else(setup: Setup) -> None:
    body = csv_body("S01", NEXT_SESSION, "compact").replace(b"\r\n", b"\r\n2024-02-25,1,1,1,1,1\r\n", 3)
    setup.server.respond("S01", body)
    assert outcomes(setup.fetch(symbols(1), TODAY)) == {}
    [fetch] = setup.backend.ledger.fetches(FetchKind.PRICES)
    assert (fetch.last_session, fetch.missing_sessions) == (TODAY, ())
    assert fetch.detail.startswith(f"99 sessions, {fetch.first_session} to {TODAY}; 4 rows belong to no session, the ")
    assert "line 2 '2024-02-25,1,1,1,1,1': 2024-02-25 is no trading session" in fetch.detail


def test_a_response_with_only_future_bars_is_malformed(setup: Setup) -> None:
    setup.server.respond("S01", f"{HEADER}\r\n{NEXT_SESSION},1,1,1,1,1\r\n".encode())
    result = setup.fetch(symbols(1), TODAY)["S01"]
    assert result.outcome is Outcome.MALFORMED
    assert "its date is in the future" in result.detail


def test_slow_failures_wait_for_the_other_symbols_and_are_retried_less_often(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = AlphaVantageSource.fetch_prices
    requested: list[str] = []

    def slow_for_one_symbol(source: AlphaVantageSource, symbol: str, sessions: Sequence[date]) -> bytes:
        requested.append(symbol)
        if symbol != "S01":
            return fetch(source, symbol, sessions)
        setup.clock.set(setup.clock.now() + timedelta(seconds=30))
        raise SourceUnreachable("no complete response after 30 s", symbol=symbol)

    monkeypatch.setattr(AlphaVantageSource, "fetch_prices", slow_for_one_symbol)

    assert outcomes(setup.fetch(symbols(3), TODAY)) == {"S01": Outcome.UNREACHABLE}
    assert requested == ["S01", "S02", "S03", "S01"]


@pytest.mark.parametrize("trickle", [Mischief.DRIP, Mischief.DRIP_HEADER], ids=str)
def test_a_trickling_symbol_delays_the_others_by_two_deadlines(
    setup: Setup, monkeypatch: pytest.MonkeyPatch, trickle: Mischief
) -> None:
    deadlines = ManualDeadlines(monkeypatch)

    def expire() -> None:
        setup.clock.sleep(30)
        deadlines.expire()

    setup.server.dripping = expire
    setup.server.respond("S02", trickle)
    results = setup.fetch(symbols(3), TODAY)

    assert setup.server.requested() == ["S01", "S02", "S03", "S02"]
    assert outcomes(results) == {"S02": Outcome.UNREACHABLE}
    assert "it took longer than 60 s" in results["S02"].detail
    assert timedelta(seconds=60) <= setup.clock.now() - EVENING < timedelta(seconds=70)


def test_many_slow_symbols_delay_a_run_by_two_minutes_and_come_last_in_the_next_one(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = AlphaVantageSource.fetch_prices
    slow = {"S02", "S04", "S06", "S08", "S10"}
    requested: list[str] = []

    def slow_for_some_symbols(source: AlphaVantageSource, symbol: str, sessions: Sequence[date]) -> bytes:
        requested.append(symbol)
        if symbol not in slow:
            return fetch(source, symbol, sessions)
        setup.clock.set(setup.clock.now() + timedelta(seconds=30))
        raise SourceUnreachable("it took longer than 30 s", symbol=symbol)

    monkeypatch.setattr(AlphaVantageSource, "fetch_prices", slow_for_some_symbols)
    results = setup.fetch(symbols(12), TODAY)
    assert requested == [f"S{number:02d}" for number in range(1, 9)]
    assert "the vendor is too slow now: failed requests took 120 s in this run" in results["S11"].detail
    assert setup.clock.now() - EVENING < timedelta(seconds=150)

    requested.clear()
    setup.fetch(symbols(12), TODAY)
    assert requested[:4] == ["S09", "S10", "S11", "S12"]


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        (Mischief.REDIRECT, Outcome.UNRECOGNISED),
        (Mischief.HTTP_403, Outcome.BAD_KEY),
        (b'{"Information": "The **demo** API key is for demo purposes only."}', Outcome.BAD_KEY),
        (b'{"Information": "Our standard API rate limit is 500 requests per day."}', Outcome.DAILY_QUOTA),
    ],
    ids=["redirect", "403", "demo", "day"],
)
def test_after_a_refusal_that_concerns_every_symbol_no_other_symbol_is_requested(
    setup: Setup, response: Mischief | bytes, outcome: Outcome
) -> None:
    for symbol in TWENTY.symbols:
        setup.server.respond(symbol, response)
    results = setup.fetch(TWENTY, TODAY, calls_per_day=25)
    assert setup.server.requested() == ["S01"]
    assert outcomes(results) == dict.fromkeys(TWENTY.symbols, outcome)
    assert all("not requested" in results[symbol].detail for symbol in TWENTY.symbols[1:])


def test_the_same_unknown_message_for_three_symbols_ends_the_run_and_blocks_no_other_symbol_forever(
    setup: Setup,
) -> None:
    for symbol in ("S01", "S02", "S03"):
        setup.server.respond(symbol, json.dumps({"Information": f"The moon over {symbol} is full."}).encode())
    first = setup.fetch(symbols(5), TODAY)
    assert setup.server.requested() == ["S01", "S02", "S03"]
    assert set(outcomes(first).values()) == {Outcome.UNRECOGNISED}
    assert "3 symbols in a row had this response" in first["S04"].detail

    setup.clock.sleep(600)
    second = setup.fetch(symbols(5), TODAY)
    assert setup.server.requested()[3:] == ["S04", "S05", "S01", "S02", "S03"]
    assert outcomes(second) == dict.fromkeys(("S01", "S02", "S03"), Outcome.UNRECOGNISED)


def test_different_unknown_messages_stop_nothing(setup: Setup) -> None:
    for number, symbol in enumerate(symbols(5).symbols):
        setup.server.respond(symbol, json.dumps({"Note": f"riddle {number % 2}"}).encode())
    setup.fetch(symbols(5), TODAY)
    assert len(setup.server.requests) == 5


def test_nothing_fetched_states_each_reason_once_with_its_symbols() -> None:
    def result(symbol: str, outcome: Outcome, detail: str) -> SymbolResult:
        return SymbolResult(symbol, outcome, (TODAY,), (TODAY,), detail=detail)

    failed = [result(f"S{number:02d}", Outcome.BAD_KEY, f"S{number:02d}: the key is wrong") for number in range(1, 13)]
    with pytest.raises(NothingFetched) as caught:
        fail_if_nothing_fetched([*failed, result("S13", Outcome.LATE, "no bar yet")])

    assert str(caught.value) == (
        "raw/daily_prices: no bar of 2024-03-01 could be fetched for any of 13 symbols. "
        "S01, S02, S03, S04, S05, S06, S07, S08, S09, S10 and 2 more: bad_key, the key is wrong. "
        "What to do: set ALPHAVANTAGE_API_KEY to a valid key; if access is denied, check the proxy, and whether "
        "the vendor blocks your network; "
        "S13: late, no bar yet. What to do: materialize the session again later; only missing bars are requested"
    )
    fail_if_nothing_fetched([*failed, SymbolResult("S13", Outcome.OK, (TODAY,))])


def test_nothing_fetched_begins_with_the_root_cause_and_states_it_once(setup: Setup) -> None:
    setup.server.respond("S01", b'{"Information": "The **demo** API key is for demo purposes only."}')
    with pytest.raises(NothingFetched) as caught:
        fail_if_nothing_fetched(list(setup.fetch(TWENTY, TODAY).values()))

    first, other = str(caught.value).split("; S02, ")
    assert first.startswith(
        "raw/daily_prices: no bar of 2024-03-01 could be fetched for any of 20 symbols. S01: bad_key, "
    )
    assert "demo" in first
    assert first.endswith(f"What to do: {REMEDY[Outcome.BAD_KEY]}")
    assert other == (
        "S03, S04, S05, S06, S07, S08, S09, S10, S11 and 9 more: not requested, since every request would fail in the "
        "same way: see S01"
    )


def test_each_reason_has_its_symbols_and_refers_to_the_error_that_it_quotes() -> None:
    moon = "the vendor sent: the moon is full"
    reasons = group_reasons(
        [
            *((symbol, Outcome.LATE, "no bar yet") for symbol in ("L1", "L2", "L3")),
            ("A", Outcome.UNRECOGNISED, f"A: {moon}"),
            ("AA", Outcome.UNRECOGNISED, f"AA: {moon}"),
            # Prices and splits of one symbol.
            *2 * [("B", Outcome.UNRECOGNISED, f"B: not requested: AA: {moon}")],
            ("C", Outcome.UNRECOGNISED, f"C: not requested: AA: {moon}"),
            ("D", Outcome.UNRECOGNISED, f"not requested in this run: D: {moon}"),
        ]
    )
    assert [(" ".join(reason.symbols), reason.detail) for reason in reasons] == [
        ("A AA", moon),
        ("L1 L2 L3", "no bar yet"),
        ("B C", "not requested: see A"),
        ("D", f"not requested in this run: {moon}"),
    ]


def test_a_session_without_a_bar_of_any_symbol_may_be_a_closure() -> None:
    late = [SymbolResult(symbol, Outcome.LATE, (TODAY,), (TODAY,), detail="no bar yet") for symbol in ("S01", "S02")]
    with pytest.raises(NothingFetched, match=r"If the exchange was closed .*, add the day to STOCK_ASSETS_CLOSURES$"):
        fail_if_nothing_fetched(late)


def test_stored_sessions_are_requested_again_and_the_older_response_is_kept(setup: Setup) -> None:
    setup.fetch(symbols(2), TODAY)
    setup.clock.sleep(600)
    revised = csv_body("S01", TODAY).replace(b"\r\n2024-03-01,", b"\r\n2024-03-01,1", 1)
    setup.server.respond("S01", revised)

    results = setup.fetch(symbols(2), TODAY, rules=RequestRules(again=frozenset({"S01"})))

    assert outcomes(results) == {}
    assert {symbol: result.calls for symbol, result in results.items()} == {"S01": 1, "S02": 0}
    bodies = [
        setup.backend.objects.get(fetch.response_key)
        for fetch in setup.backend.ledger.fetches(FetchKind.PRICES, symbol="S01")
    ]
    assert bodies == [revised, csv_body("S01", TODAY, "compact")]
    [used] = [fetch for fetch in responses_for(setup.backend, [TODAY]) if fetch.symbol == "S01"]
    assert setup.backend.objects.get(used.response_key) == revised


def test_a_failed_request_for_stored_sessions_is_reported_and_the_stored_response_stays(setup: Setup) -> None:
    setup.fetch(symbols(1), TODAY)
    setup.clock.sleep(600)
    setup.server.respond("S01", Mischief.INVALID_CALL)

    [result] = setup.fetch(symbols(1), TODAY, rules=RequestRules(again=frozenset({"S01"}))).values()

    assert (result.outcome, result.missing, result.calls) == (Outcome.UNKNOWN_SYMBOL, (), 1)
    assert [fetch.symbol for fetch in responses_for(setup.backend, [TODAY])] == ["S01"]


def test_missing_bars_are_requested_before_stored_ones(setup: Setup) -> None:
    setup.fetch(symbols(2), TODAY)
    setup.clock.sleep(600)

    rules = RequestRules(again=frozenset({"S01", "S02"}))
    results = setup.fetch(symbols(3), TODAY, rules=rules, calls_per_day=1)

    assert setup.server.requested()[2:] == ["S03"]
    assert outcomes(results) == {"S01": Outcome.DAILY_QUOTA, "S02": Outcome.DAILY_QUOTA}


def test_a_session_before_the_available_history_is_not_requested_again(setup: Setup) -> None:
    long_ago = date(2020, 3, 2)
    setup.fetch(symbols(1), long_ago)

    rules = RequestRules(again=frozenset({"S01"}))
    [result] = setup.fetch(symbols(1), long_ago, rules=rules, full_history=False).values()

    assert len(setup.server.requests) == 1
    assert (result.outcome, result.detail) == (Outcome.OK, "already stored")
