"""Several requests in flight: order, quota, and what a failure means for the requests that follow."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stock_assets.backends.interface import FetchKind, RateLimiter
from stock_assets.backends.local.data_folder import DataFolder
from stock_assets.backends.local.rate_limiter import SqliteRateLimiter
from stock_assets.core.call_limits import LONGEST_LEAD, MINUTE, SECOND, CallDenied
from stock_assets.core.errors import Outcome, SourceUnreachable, Throttled
from stock_assets.ingest.counted_calls import Call, CountedCalls, NotSentError
from stock_assets.ingest.price_requests import SymbolResult, fetch_prices
from stock_assets.ingest.vendor_health import VendorHealth
from stock_assets.sources.alpha_vantage import AlphaVantageSource
from stock_assets.sources.send_observer import sending
from stock_assets_tests.fakes.clock import FakeClock
from stock_assets_tests.fakes.vendor_server import Mischief, VendorServer, csv_body
from stock_assets_tests.support.live_source import live_source, symbols, utc
from stock_assets_tests.support.steps import local_backend, parts

TODAY = date(2024, 3, 1)
EVENING = utc("2024-03-01 22:00")
PATIENCE = 120


def fetch(
    folder: Path, server: VendorServer, count: int, clock: FakeClock | None = None, **options: object
) -> dict[str, SymbolResult]:
    """Fetch the prices of some symbols with a plan of 20 calls a second; return the results by symbol."""
    server.last_session, clock = TODAY, clock or FakeClock(EVENING)
    source = live_source(server, now=clock.now, **{"calls_per_second": 20, **options})
    given = parts(local_backend(folder), source, symbols(count))
    results = fetch_prices(given, [TODAY], now=clock.now, sleep=clock.sleep)
    return {result.symbol: result for result in results}


def replace_fetch(monkeypatch: pytest.MonkeyPatch, change: Callable[[str, int], object]) -> list[str]:
    """Call a function with symbol and number of its request before each request; return the symbols, in order."""
    original, requested, lock = AlphaVantageSource.fetch_prices, list[str](), threading.Lock()

    def changed(source: AlphaVantageSource, symbol: str, sessions: Sequence[date]) -> bytes:
        with lock:
            requested.append(symbol)
            number = requested.count(symbol)
        change(symbol, number)
        return original(source, symbol, sessions)

    monkeypatch.setattr(AlphaVantageSource, "fetch_prices", changed)
    return requested


def test_requests_are_in_flight_together_after_a_good_response_and_each_is_recorded_once(
    server: VendorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together, first_ended = threading.Barrier(7, timeout=PATIENCE), threading.Event()

    def wait(symbol: str, _number: int) -> None:
        if symbol == "S01":
            time.sleep(0.1)
            first_ended.set()
        else:
            assert first_ended.is_set(), "the first request is sent alone"
            together.wait()

    replace_fetch(monkeypatch, wait)
    results = fetch(tmp_path, server, 8)

    assert {result.outcome for result in results.values()} == {Outcome.OK}
    backend = local_backend(tmp_path)
    entries = backend.ledger.fetches(FetchKind.PRICES)
    assert sorted(entry.symbol for entry in entries) == list(symbols(8).symbols)
    assert backend.rate_limiter.used_calls("alpha_vantage", EVENING) == len(server.requests) == 8
    for entry in entries:
        assert backend.objects.get(entry.response_key) == csv_body(entry.symbol, TODAY, "compact")


def test_requests_are_sent_in_turn_without_a_rate(
    server: VendorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[int] = set()
    replace_fetch(monkeypatch, lambda _symbol, _number: threads.add(threading.get_ident()))
    fetch(tmp_path, server, 5, calls_per_second=None, calls_per_day=25)
    assert threads == {threading.get_ident()}


def test_a_rejected_key_is_used_once(server: VendorServer, tmp_path: Path) -> None:
    for symbol in symbols(20).symbols:
        server.respond(symbol, Mischief.MISSING_KEY)
    results = fetch(tmp_path, server, 20)
    assert server.requested() == ["S01"]
    assert {result.outcome for result in results.values()} == {Outcome.BAD_KEY}


@pytest.mark.parametrize(
    ("response", "outcome"), [(Mischief.HTTP_403, Outcome.BAD_KEY), (Mischief.DAILY_QUOTA, Outcome.DAILY_QUOTA)]
)
def test_after_a_refusal_that_concerns_every_symbol_only_requests_in_flight_end(
    server: VendorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, response: Mischief, outcome: Outcome
) -> None:
    server.respond("S02", response)
    server.respond("S03", Mischief.SLOW)
    # Three calls a second: the third request is in flight while the second one is refused.
    replace_fetch(monkeypatch, lambda symbol, _number: server.received(2) if symbol == "S02" else None)
    stop = VendorHealth.stop

    def stop_then_respond(health: VendorHealth, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 (passed on)
        stop(health, *arguments, **options)
        server.resumed.set()

    monkeypatch.setattr(VendorHealth, "stop", stop_then_respond)
    results = fetch(tmp_path, server, 20, calls_per_second=3)

    assert server.requested() == ["S01", "S03", "S02"]
    assert {symbol for symbol, result in results.items() if result.outcome is Outcome.OK} == {"S01", "S03"}
    others = [results[symbol] for symbol in symbols(20).symbols[3:]]
    assert {result.outcome for result in others} == {outcome}
    assert all("not requested" in result.detail for result in others)


def test_the_last_calls_of_a_day_are_made_although_no_more_are_available(
    server: VendorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The threads are slow: the run is denied another call before they send.
    replace_fetch(monkeypatch, lambda symbol, _number: time.sleep(0.0 if symbol == "S01" else 0.3))
    results = fetch(tmp_path, server, 8, calls_per_day=5)

    assert sorted(server.requested()) == ["S01", "S02", "S03", "S04", "S05"]
    assert [result.outcome for result in results.values()] == [Outcome.OK] * 5 + [Outcome.DAILY_QUOTA] * 3
    assert sum(result.calls for result in results.values()) == 5


def test_requests_that_fail_together_count_as_one_failure_and_are_repeated_one_by_one(
    server: VendorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together, counting = threading.Barrier(9, timeout=PATIENCE), threading.Lock()
    repeated: list[str] = []

    def fail_once(symbol: str, number: int) -> None:
        if symbol == "S01":
            return
        if number == 1:
            together.wait()
            raise SourceUnreachable("the network is down", symbol=symbol)
        with counting:
            repeated.append(symbol)
        if repeated[0] == symbol:
            time.sleep(0.2)
            assert repeated == [symbol], "the first request after a failure is sent alone"

    requested = replace_fetch(monkeypatch, fail_once)
    clock = FakeClock(EVENING)
    results = fetch(tmp_path, server, 10, clock, first_pause_seconds=5.0)

    assert {result.outcome for result in results.values()} == {Outcome.OK}
    assert {result.calls for symbol, result in results.items() if symbol != "S01"} == {2}
    assert len(requested) == 19
    # All nine failed, and requests paused once.
    assert len([pause for pause in clock.slept if pause > 2]) == 1


def test_the_longest_pause_that_the_vendor_requires_of_any_request_is_respected(
    server: VendorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = threading.Barrier(3, timeout=PATIENCE)

    def fail_once(symbol: str, number: int) -> None:
        if symbol != "S01" and number == 1:
            together.wait()
            raise Throttled("too many", symbol=symbol, retry_after={"S02": 7.0, "S03": 40.0, "S04": None}[symbol])

    replace_fetch(monkeypatch, fail_once)
    clock = FakeClock(EVENING)
    assert {result.outcome for result in fetch(tmp_path, server, 4, clock).values()} == {Outcome.OK}
    assert timedelta(seconds=40) <= clock.now() - EVENING < timedelta(seconds=42)


def test_the_time_of_slow_failures_at_the_same_time_counts_once(
    server: VendorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together, clock = threading.Barrier(9, timeout=PATIENCE), FakeClock(EVENING)

    def slow(symbol: str, number: int) -> None:
        if symbol != "S01" and number == 1:
            if together.wait() == 0:
                clock.set(clock.now() + timedelta(seconds=30))
            together.wait()
            raise SourceUnreachable("it took longer than 30 s", symbol=symbol)

    replace_fetch(monkeypatch, slow)
    # Nine times 30 s would be more than the two minutes after which a run stops.
    assert {result.outcome for result in fetch(tmp_path, server, 10, clock).values()} == {Outcome.OK}


def test_a_vendor_that_is_down_gets_six_requests(server: VendorServer, tmp_path: Path) -> None:
    for symbol in symbols(30).symbols:
        server.respond(symbol, Mischief.HTTP_500)
    results = fetch(tmp_path, server, 30)
    assert len(server.requests) == 6
    assert {result.outcome for result in results.values()} == {Outcome.UNREACHABLE}


def test_after_an_interruption_every_response_in_flight_is_recorded(
    server: VendorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together, read_prices = threading.Barrier(4, timeout=PATIENCE), AlphaVantageSource.read_prices
    replace_fetch(monkeypatch, lambda symbol, _number: None if symbol == "S01" else together.wait())
    interrupted: list[str] = []

    def interrupt_once(source: AlphaVantageSource, body: bytes, symbol: str) -> object:
        if symbol != "S01" and not interrupted:
            interrupted.append(symbol)
            raise KeyboardInterrupt
        return read_prices(source, body, symbol)

    monkeypatch.setattr(AlphaVantageSource, "read_prices", interrupt_once)
    with pytest.raises(KeyboardInterrupt):
        fetch(tmp_path, server, 5)

    ledger = local_backend(tmp_path).ledger
    recorded = {entry.symbol for kind in FetchKind for entry in ledger.fetches(kind)}
    # A response for a symbol without history is recorded as a file until all have arrived.
    assert {symbol.removesuffix(".csv") for symbol in recorded} == set(symbols(5).symbols) - set(interrupted)


class KnowsOthers(SqliteRateLimiter):
    """A rate limiter that knows whether its process is alone, as the one on S3 does."""

    is_alone = True

    def alone(self, vendor: str) -> bool:
        """Return what the test says."""
        del vendor
        return self.is_alone


class Counted:
    """Calls of a plan with one call a second, by a fake clock."""

    def __init__(
        self,
        folder: Path,
        server: VendorServer,
        per_second: int = 1,
        per_day: int | None = None,
        limiter: RateLimiter | None = None,
    ) -> None:
        self.clock, self.may_send = FakeClock(EVENING), True
        self.limiter = limiter or KnowsOthers(DataFolder(folder))
        self.source = live_source(server, calls_per_second=per_second, calls_per_day=per_day)
        self.calls = CountedCalls(
            self.limiter,
            self.source,
            reserve=0,
            may_send=lambda: self.may_send,
            now=self.clock.now,
            sleep=self.clock.sleep,
        )

    def acquire(self) -> Call:
        """Return a call that must be available."""
        acquired = self.calls.acquire()
        assert not isinstance(acquired, CallDenied)
        [call] = acquired
        return call

    def request(self, seconds: float = 0.1) -> Call:
        """Make a call whose request takes some time; return it."""
        call = self.acquire()
        with self.calls.sending(call):
            with sending():
                pass
            self.clock.sleep(seconds)
        return call

    def lead(self, seconds: float = 0.1) -> timedelta:
        """Return by how much the next call, whose request takes some time, counts later than it is acquired."""
        self.clock.sleep(3)
        began = self.clock.now()
        return self.request(seconds).acquired - began

    def show_slow_writes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make two calls; writes take the longest lead."""
        self.request()
        with monkeypatch.context() as patch:
            self.slow_writes(patch, LONGEST_LEAD.total_seconds)
            self.lead()
        self.clock.sleep(3)

    def slow_writes(self, monkeypatch: pytest.MonkeyPatch, seconds: Callable[[], float]) -> list[str]:
        """Let the rate limiter take some time for each write; return the methods that wrote, in order."""
        writes = list[str]()

        def slow_down(method: str) -> None:
            write = getattr(self.limiter, method)

            def slowly(*arguments: Any, **options: Any) -> object:  # noqa: ANN401 (passed on)
                result = write(*arguments, **options)
                if not isinstance(result, CallDenied):
                    writes.append(method)
                    self.clock.sleep(seconds())
                return result

            monkeypatch.setattr(self.limiter, method, slowly)

        slow_down("acquire_up_to")
        slow_down("postpone_all")
        return writes


def test_a_call_whose_request_takes_longer_than_usual_is_postponed_before_another_one_is_acquired(
    server: VendorServer, tmp_path: Path
) -> None:
    counted = Counted(tmp_path, server)
    first = counted.acquire()
    with counted.calls.sending(first):
        with sending():
            pass
        counted.clock.sleep(0.1)
    counted.clock.sleep(2)

    slow = counted.acquire()
    with counted.calls.sending(slow):
        with sending():
            pass
        counted.clock.sleep(SECOND.total_seconds())
        # Nobody knows whether the request has arrived, so its token has not returned.
        denied = counted.calls.acquire(1, [slow])
    assert isinstance(denied, CallDenied)
    assert denied.retry_at > counted.clock.now() + timedelta(seconds=0.2)
    # Without a request in flight the token would be available.
    other = Counted(tmp_path / "other", server)
    other.acquire()
    other.clock.sleep(SECOND.total_seconds())
    other.acquire()


@pytest.mark.parametrize("fails", [False, True], ids=["written", "the first write fails"])
def test_calls_that_threads_postpone_meanwhile_are_written_together(
    server: VendorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, fails: bool
) -> None:
    """Each request is sent after its call was postponed. A write that failed is repeated by the next thread."""
    counted = Counted(tmp_path, server, per_second=5)
    with counted.calls.sending(counted.acquire()), sending():
        pass  # shows how long a request takes
    counted.clock.sleep(2)
    calls = counted.calls.acquire(5)
    assert isinstance(calls, list)
    counted.clock.sleep(0.1)
    write, begun, go, written = counted.limiter.postpone_all, threading.Event(), threading.Event(), list[int]()

    def slowly(vendor: str, moves: Sequence[tuple[datetime, datetime]]) -> None:
        written.append(len(moves))
        if len(written) == 1:
            begun.set()
            assert go.wait(60)
            if fails:
                raise OSError("no disk")
        write(vendor, moves)

    def send(call: Call) -> datetime:
        with counted.calls.sending(call), sending():
            return call.counted

    monkeypatch.setattr(counted.limiter, "postpone_all", slowly)
    with ThreadPoolExecutor(5) as threads:
        first = threads.submit(send, calls[0])
        assert begun.wait(60)
        others = [threads.submit(send, call) for call in calls[1:]]
        deadline = time.monotonic() + PATIENCE
        while len(counted.calls._to_postpone) < 4 and time.monotonic() < deadline:  # noqa: SLF001 (they wait for the lock)
            time.sleep(0.01)
        go.set()
        assert [other.result() for other in others] == [counted.clock.now()] * 4
        assert isinstance(first.exception(), OSError) is fails
    assert written == ([1, 5] if fails else [1, 4])
    recorded = counted.limiter.recorded(counted.source.vendor, EVENING)
    assert list(recorded.calls[1:]) == [counted.clock.now()] * 5


def test_a_request_is_not_sent_before_its_call_was_postponed(
    server: VendorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the first write has failed."""
    counted = Counted(tmp_path, server)
    call, write = counted.acquire(), counted.limiter.postpone_all
    counted.clock.sleep(0.1)

    def fail(*_: object) -> None:
        raise OSError("no disk")

    monkeypatch.setattr(counted.limiter, "postpone_all", fail)
    for _ in range(2):
        with pytest.raises(OSError, match="no disk"), counted.calls.sending(call), sending():
            pytest.fail("sent")
    monkeypatch.setattr(counted.limiter, "postpone_all", write)
    with counted.calls.sending(call), sending():
        assert list(counted.limiter.recorded(counted.source.vendor, EVENING).calls) == [counted.clock.now()]


def test_a_response_that_shows_what_is_being_written_needs_no_further_write(
    server: VendorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call is compared with the timestamp that it will count from, also while another thread writes that."""
    counted = Counted(tmp_path, server)
    with counted.calls.sending(counted.acquire()), sending():
        counted.clock.sleep(0.1)  # shows how long a request takes
    counted.clock.sleep(2)
    slow, written = counted.acquire(), list[int]()
    sent, respond, begun, go = (threading.Event() for _ in range(4))
    write = counted.limiter.postpone_all

    def slowly(vendor: str, moves: Sequence[tuple[datetime, datetime]]) -> None:
        written.append(len(moves))
        begun.set()
        assert go.wait(PATIENCE)
        write(vendor, moves)

    def send() -> None:
        with counted.calls.sending(slow):
            with sending():
                pass
            sent.set()
            assert respond.wait(PATIENCE)

    with ThreadPoolExecutor(2) as threads:
        try:
            request = threads.submit(send)
            assert sent.wait(PATIENCE)
            counted.clock.sleep(0.2)
            monkeypatch.setattr(counted.limiter, "postpone_all", slowly)
            other = threads.submit(counted.calls.acquire, 1, [slow])
            assert begun.wait(PATIENCE)
            respond.set()
            request.result(10)
        finally:
            respond.set()
            go.set()
        other.result()
    assert written == [1]
    assert slow.counted == slow.noted > slow.acquired
    assert counted.limiter.recorded(counted.source.vendor, EVENING).calls[-1] == slow.counted


def test_a_request_is_not_sent_after_the_run_has_stopped(server: VendorServer, tmp_path: Path) -> None:
    counted = Counted(tmp_path, server)
    call, sent = counted.acquire(), False
    counted.may_send = False
    with pytest.raises(NotSentError), counted.calls.sending(call), sending():
        sent = True
    assert not sent


def test_a_call_is_recorded_as_long_before_its_time_as_a_write_takes_and_its_request_waits(
    server: VendorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the call needs no second write, and the requests of a slow store are as far apart as the plan demands."""
    counted, lead, fast = Counted(tmp_path, server), timedelta(seconds=0.04), list[float]()
    counted.request()
    writes = counted.slow_writes(monkeypatch, lambda: fast.pop() if fast else 0.04)
    counted.clock.sleep(2)
    counted.request()  # shows how long a write takes
    counted.clock.sleep(2)
    writes.clear()

    began = counted.clock.now()
    first = counted.request()
    denied = counted.calls.acquire()
    assert isinstance(denied, CallDenied)
    counted.clock.set(denied.retry_at)
    fast.append(0.01)
    second = counted.acquire()
    assert (first.counted, second.counted) == (began + lead, began + lead + SECOND)
    with counted.calls.sending(second), sending():
        assert counted.clock.now() == second.counted
    assert writes == ["acquire_up_to"] * 2


def test_a_call_that_is_late_is_postponed_once_if_a_write_takes_long(
    server: VendorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted, slow = Counted(tmp_path, server), list[float]()
    counted.request()
    writes = counted.slow_writes(monkeypatch, lambda: slow.pop() if slow else 0.04)
    for _ in range(2):
        counted.clock.sleep(2)
        counted.request()
    writes.clear()

    counted.clock.sleep(2)
    began = counted.clock.now()
    slow.append(0.2)
    call = counted.acquire()
    # It took 0.2 s instead of 0.04 s; no request is sent more than the longest lead after its call was recorded.
    sent = began + timedelta(seconds=0.2) + LONGEST_LEAD
    with counted.calls.sending(call):
        with sending():
            assert counted.clock.now() == call.counted == sent
        counted.clock.sleep(0.1)
    assert writes == ["acquire_up_to", "postpone_all"]
    assert counted.limiter.recorded(counted.source.vendor, EVENING).calls[-1] == call.counted


def test_calls_are_not_recorded_before_their_time_while_requests_arrive_later_than_their_calls_count(
    server: VendorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted, usual = Counted(tmp_path, server), timedelta(seconds=0.02)
    counted.request()
    counted.slow_writes(monkeypatch, usual.total_seconds)

    assert [counted.lead(0.1), counted.lead(0.1), counted.lead(0.4)] == [timedelta(), usual, usual]
    assert counted.lead(0.1) == timedelta()
    # Requests that arrive on time earn the delay.
    assert [counted.lead(0.1) for _ in range(9)][-1] == usual


def test_calls_are_not_recorded_before_their_time_while_other_processes_count_calls(
    server: VendorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that takes a token before it returns may not know yet that another one's request was late."""
    limiter, usual = KnowsOthers(DataFolder(tmp_path)), timedelta(seconds=0.02)
    counted = Counted(tmp_path, server, limiter=limiter)
    counted.request()
    counted.slow_writes(monkeypatch, usual.total_seconds)
    assert [counted.lead(), counted.lead()] == [timedelta(), usual]

    # The write that meets the other process's call is made before that is known.
    limiter.is_alone = False
    assert [counted.lead(), counted.lead()] == [usual, timedelta()]
    # Two processes do not always take turns.
    limiter.is_alone = True
    assert counted.lead() == timedelta()
    counted.clock.sleep(MINUTE.total_seconds())
    assert counted.lead() == usual


@pytest.mark.parametrize("use", ["denied", "postponed"])
def test_another_process_is_noted_also_if_a_later_write_does_not_meet_it(
    use: str, server: VendorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rate limiter knows about its last use only."""
    limiter, usual = KnowsOthers(DataFolder(tmp_path)), timedelta(seconds=0.02)
    counted = Counted(tmp_path, server, per_second=2, limiter=limiter)
    counted.request()
    counted.slow_writes(monkeypatch, usual.total_seconds)
    assert [counted.lead(), counted.lead()] == [timedelta(), usual]

    def send_late(call: Call) -> None:
        with counted.calls.sending(call):
            with sending():
                pass
            counted.clock.sleep(0.1)

    counted.clock.sleep(3)
    first, second = counted.acquire(), counted.acquire()
    counted.clock.sleep(0.2)
    limiter.is_alone = False
    if use == "denied":
        assert isinstance(counted.calls.acquire(), CallDenied)
    else:
        send_late(first)
    limiter.is_alone = True
    send_late(second)
    assert counted.lead() == timedelta()
    counted.clock.sleep(MINUTE.total_seconds())
    assert counted.lead() == usual


def test_calls_in_a_local_database_are_recorded_at_their_time(
    server: VendorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other processes of the machine may count calls too, and nothing shows it."""
    counted = Counted(tmp_path, server, limiter=local_backend(tmp_path).rate_limiter)
    counted.request()
    counted.slow_writes(monkeypatch, LONGEST_LEAD.total_seconds)
    assert [counted.lead() for _ in range(3)] == [timedelta()] * 3


def test_calls_of_a_source_that_does_not_report_its_requests_are_recorded_at_their_time(
    server: VendorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its requests do not wait, so they would be sent before their calls count."""
    counted = Counted(tmp_path, server)
    counted.slow_writes(monkeypatch, LONGEST_LEAD.total_seconds)
    for _ in range(3):
        counted.clock.sleep(3)
        began = counted.clock.now()
        call = counted.acquire()
        assert call.counted == began
        with counted.calls.sending(call):
            counted.clock.sleep(0.1)


def test_a_call_is_acquired_again_if_another_process_may_have_taken_its_token(
    server: VendorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other process records its call before the token returns."""
    counted, other = Counted(tmp_path, server), Counted(tmp_path, server)
    other.show_slow_writes(monkeypatch)
    counted.clock.set(other.clock.now())
    counted.show_slow_writes(monkeypatch)
    call = counted.acquire()
    token = call.counted + SECOND

    other.clock.set(token - LONGEST_LEAD)
    assert other.acquire().counted == token
    counted.clock.set(token - LONGEST_LEAD / 2)
    with counted.calls.sending(call), sending():
        # Not before the token of the other process's call returns.
        assert counted.clock.now() == token + SECOND


def test_a_request_waits_for_its_time_no_longer_than_the_lead_if_the_clock_was_set_back(
    server: VendorServer, tmp_path: Path
) -> None:
    counted, before = Counted(tmp_path, server), EVENING - timedelta(hours=1)
    call = counted.acquire()
    counted.clock.set(before)
    with counted.calls.sending(call), sending():
        assert counted.clock.now() == before + LONGEST_LEAD


def test_a_response_before_the_time_of_its_call_took_no_time(
    server: VendorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source without a connection does not report when a request is sent."""
    counted = Counted(tmp_path, server)
    counted.show_slow_writes(monkeypatch)
    with counted.calls.sending(counted.acquire()):
        pass
    counted.clock.sleep(3)
    call = counted.request(0)
    assert call.counted == call.acquired


def test_a_used_up_quota_is_denied_until_the_next_day_and_no_earlier(
    server: VendorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted(tmp_path, server, per_day=2)
    counted.show_slow_writes(monkeypatch)
    reset = counted.source.terms.limits.next_reset(EVENING)
    assert counted.calls.acquire() == CallDenied(reset, quota_used_up=True)


def test_a_call_that_counts_after_the_reset_belongs_to_the_next_day_and_waits_for_it(
    server: VendorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted(tmp_path, server, per_second=2, per_day=3)
    counted.show_slow_writes(monkeypatch)
    counted.request()
    limits, vendor = counted.source.terms.limits, counted.source.vendor
    reset = limits.next_reset(EVENING)

    counted.clock.set(reset - LONGEST_LEAD / 2)
    call = counted.acquire()
    assert call.counted == reset + LONGEST_LEAD / 2
    with counted.calls.sending(call), sending():
        assert counted.clock.now() == call.counted
    recorded = counted.limiter.recorded(vendor, limits.day_start(EVENING))
    assert [recorded.used_today(limits, at) for at in (EVENING, reset)] == [3, 1]
