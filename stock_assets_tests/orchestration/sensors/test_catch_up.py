"""Which gaps are found, what is requested and when, and in which runs."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import repeat
from pathlib import Path

import dagster as dg
import pytest

from stock_assets.alerts.deduplication import Notifier
from stock_assets.backends.interface import Backend, Fetch, FetchKind
from stock_assets.core.audit_limits import Limits
from stock_assets.core.calendar import next_session, sessions_between
from stock_assets.core.call_limits import CallLimits
from stock_assets.core.errors import LoadRejected, Outcome
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.core.universe import Listing, Universe
from stock_assets.coverage.catch_up import (
    AvailableCalls,
    CatchUpPlan,
    CatchUpWindow,
    available_calls,
    explain_waiting,
    plan_catch_up,
    warn_about_calls,
)
from stock_assets.coverage.gaps import RETRY_DELAYS, SESSION, Coverage, Gap, MissingBar, count_bars, sessions_of
from stock_assets.coverage.missing_bars import coverage
from stock_assets.coverage.run_specs import BRIDGED_SESSIONS
from stock_assets.ingest.price_requests import ALL_MISSING, RequestRules, fetch_prices
from stock_assets.orchestration.jobs.daily_prices import daily_job
from stock_assets.orchestration.keys import PLAIN, Names
from stock_assets.orchestration.run_requests import RUN_DELAYS, TAG
from stock_assets.orchestration.sensors.catch_up import SENSOR_NAME, catch_up_sensor, notify_missing
from stock_assets_tests.fakes.channel import RecordingChannel
from stock_assets_tests.fakes.vendor_server import VendorServer
from stock_assets_tests.support.bars import deliver
from stock_assets_tests.support.dagster_runs import leave_run
from stock_assets_tests.support.live_source import live_source, symbols, utc
from stock_assets_tests.support.scenes import BAD_BAR, CALM_BAR, FIRST_WEEK, SECOND_WEEK, TWO_WEEKS, Scene, calm_source
from stock_assets_tests.support.steps import FIVE, as_pipeline, parts

SNAPSHOT = Path(__file__).parents[2] / "snapshots" / "catch_up.json"
NOW = datetime.now(UTC) + timedelta(minutes=1)
MONDAY = date(2012, 3, 5)


@pytest.fixture
def scene(backend: Backend) -> Scene:
    return Scene(backend, calm_source())


def find_gaps(scene: Scene, sessions: Sequence[date] = TWO_WEEKS, *, at: datetime = NOW) -> Coverage:
    """Find the gaps of a scene."""
    return coverage(scene, sessions, at=at)


def find_bars(scene: Scene, sessions: Sequence[date] = TWO_WEEKS, *, at: datetime = NOW) -> list[MissingBar]:
    """Return each missing bar of a scene."""
    return list(find_gaps(scene, sessions, at=at).bars())


def planned(found: Coverage, *, calls_available: int | None = None, at: datetime = NOW) -> CatchUpPlan:
    """Return the plan for any number of calls, or a limited one."""
    return plan_catch_up(found, calls_available=calls_available, reserve_calls=0, at=at)


def ranges(plan: CatchUpPlan) -> list[tuple[date, date, tuple[str, ...]]]:
    """Return first and last session of each run, and the symbols it requests."""
    return [(run.first, run.last, tuple(run.config["request_symbols"])) for run in plan.runs]  # type: ignore[arg-type]  # a list of symbols


def gap(session: date, symbol: str = "IBM", *, stored: bool = True) -> Gap:
    """Return a gap of one bar that is due."""
    return Gap(symbol, (session,), stored=stored, retry_at=None if stored else NOW, reason="a test")


def failed_request(symbol: str, fetched_at: datetime, outcome: Outcome = Outcome.UNREACHABLE) -> Fetch:
    """Return a request without a response."""
    return Fetch(symbol, FetchKind.PRICES, fetched_at, outcome, calls=1, detail="no response")


def again(*symbols: str) -> RequestRules:
    """Return rules that request symbols again, and no others."""
    return RequestRules(frozenset(symbols), again=frozenset(symbols))


def reject(scene: Scene, sessions: Sequence[date]) -> None:
    """Load sessions that an audit rejects."""
    with pytest.raises(LoadRejected):
        scene.run(sessions)


def test_a_published_bar_is_no_gap(scene: Scene) -> None:
    scene.run(TWO_WEEKS)
    assert find_gaps(scene).gaps == ()
    assert ranges(planned(find_gaps(scene))) == []


def test_days_without_runs_become_one_run_without_a_call_if_the_responses_are_stored(scene: Scene) -> None:
    scene.run(FIRST_WEEK)  # the responses contain the second week too
    assert ranges(planned(find_gaps(scene))) == [(SECOND_WEEK[0], SECOND_WEEK[-1], ())]


def test_symbols_with_missing_bars_are_requested_in_the_same_run(scene: Scene) -> None:
    scene.run(FIRST_WEEK)
    scene.change(universe=replace(FIVE, listings=(*FIVE.listings, *symbols(1).listings)))
    assert ranges(planned(find_gaps(scene))) == [(TWO_WEEKS[0], TWO_WEEKS[-1], ("S01",))]


def test_a_symbol_has_gaps_only_while_it_is_listed(scene: Scene) -> None:
    scene.run(TWO_WEEKS)
    joined = replace(symbols(1).listings[0], first_session=TWO_WEEKS[7])
    scene.change(universe=replace(FIVE, listings=(*FIVE.listings, joined)))
    assert [found.session for found in find_bars(scene)] == TWO_WEEKS[7:]


def test_delays_grow_and_end(scene: Scene) -> None:
    scene.source.drop_bar("IBM", MONDAY)
    scene.run(FIRST_WEEK)
    [requested_once] = find_bars(scene, FIRST_WEEK)
    assert (requested_once.symbol, requested_once.session, requested_once.stored) == ("IBM", MONDAY, False)
    last = scene.backend.ledger.fetches(FetchKind.PRICES, symbol="IBM")[0].fetched_at

    for number, pause in enumerate(RETRY_DELAYS, start=1):
        [found] = find_bars(scene, FIRST_WEEK, at=last)
        assert found.due == last + pause, number
        assert ranges(planned(find_gaps(scene, FIRST_WEEK), at=last + pause - timedelta(seconds=1))) == []
        assert ranges(planned(find_gaps(scene, FIRST_WEEK), at=last + pause)) == [(MONDAY, MONDAY, ("IBM",))]
        last += pause
        scene.backend.ledger.record(failed_request("IBM", last))
        # Retries in the same run count once.
        scene.backend.ledger.record(failed_request("IBM", last + timedelta(minutes=1)))
        last += timedelta(minutes=1)

    plan = planned(find_gaps(scene, FIRST_WEEK), at=last + timedelta(days=365))
    assert ranges(plan) == []
    assert plan.unresolved == f"IBM {MONDAY}: the vendor has no bar yet of {MONDAY} (requested 8 times)"


def test_a_bar_that_is_stored_after_the_last_delay_is_loaded_without_a_call(scene: Scene) -> None:
    scene.source.drop_bar("IBM", MONDAY)
    scene.run(FIRST_WEEK)
    scene.source.set_bar("IBM", MONDAY, CALM_BAR)
    deliver(scene.backend, "IBM", scene.source.fetch_prices("IBM", []))
    assert ranges(planned(find_gaps(scene, FIRST_WEEK))) == [(MONDAY, MONDAY, ())]


def test_a_bar_before_the_available_history_is_given_up_at_once(server: VendorServer, backend: Backend) -> None:
    source = live_source(server, full_history=False)
    sessions = [date(2012, 3, 1)]
    found = coverage(parts(backend, source, symbols(1)), sessions, at=utc("2024-03-01 23:30"))
    assert [gap.given_up for gap in found.gaps] == [True]
    assert "premium plan" in found.gaps[0].reason
    assert ranges(planned(found)) == []


def test_requests_without_quota_do_not_count(scene: Scene) -> None:
    note = failed_request("IBM", NOW, Outcome.DAILY_QUOTA)
    for _ in range(20):
        scene.backend.ledger.record(note._replace(calls=0))
    assert all(found.due is not None and found.due <= NOW for found in find_bars(scene))


def test_calls_are_reserved_for_the_schedule(server: VendorServer, backend: Backend) -> None:
    twenty = symbols(20)
    source = live_source(server, calls_per_day=25)
    friday, saturday = utc("2024-03-01 15:00"), utc("2024-03-02 15:00")
    assert available_calls(parts(backend, source, twenty), friday)[:2] == (5, 20)
    assert available_calls(parts(backend, source, twenty), saturday)[:2] == (25, 0)
    for _ in range(7):
        backend.rate_limiter.acquire(source.vendor, source.terms.limits, lambda: friday)
    assert available_calls(parts(backend, source, twenty), friday)[:2] == (0, 20)
    # Calls of a later day are from before the clock was set back.
    assert available_calls(parts(backend, source, twenty), utc("2024-02-24 15:00"))[:2] == (25, 0)
    backend.rate_limiter.block_until(source.vendor, saturday + timedelta(hours=1))
    assert available_calls(parts(backend, source, twenty), saturday) == AvailableCalls(
        0, 0, saturday + timedelta(hours=1)
    )


def test_no_more_symbols_are_requested_than_calls_are_available_the_oldest_gap_first() -> None:
    found = Coverage(
        tuple(gap(day, symbol, stored=False) for day, symbol in zip(FIRST_WEEK, FIVE.symbols, strict=True)), {}
    )
    assert ranges(planned(found, calls_available=2)) == [(FIRST_WEEK[0], FIRST_WEEK[1], ("AAPL", "CSCO"))]
    assert ranges(planned(found, calls_available=0)) == []


def missing_everywhere(days: Sequence[date], may_miss: int) -> Coverage:
    """Return gaps of all five symbols, of which some may be missing in a session."""
    gaps = tuple(gap(day, symbol, stored=False) for day in days for symbol in FIVE.symbols)
    return Coverage(gaps, {}, dict.fromkeys(days, may_miss))


def test_no_call_is_used_for_sessions_that_would_have_too_few_symbols() -> None:
    found = missing_everywhere(FIRST_WEEK, may_miss=2)
    short = planned(found, calls_available=2)
    assert (ranges(short), count_bars(short.waiting)) == ([], 25)
    assert ranges(planned(found, calls_available=3)) == [(FIRST_WEEK[0], FIRST_WEEK[-1], ("AAPL", "CSCO", "IBM"))]
    assert count_bars(planned(found, calls_available=3).waiting) == 10
    assert planned(found, calls_available=5).waiting == ()
    # The calls go to another session that they complete.
    later = SECOND_WEEK[0]
    with_later = Coverage((*found.gaps, gap(later, "ORCL", stored=False)), {}, {**found.may_miss, later: 2})
    assert ranges(planned(with_later, calls_available=2)) == [(later, later, ("ORCL",))]


def test_stored_bars_wait_for_more_symbols_of_their_session() -> None:
    first, second = FIRST_WEEK[:2]
    stored = [gap(day, symbol) for day in (first, second) for symbol in ("AAPL", "CSCO")]
    missing = [gap(first, symbol, stored=False)._replace(retry_at=None) for symbol in ("IBM", "MSFT", "ORCL")]
    plan = planned(Coverage((*stored, *missing), {}, {first: 2, second: 2}))
    assert ranges(plan) == [(second, second, ())]
    assert plan.incomplete == (first,)
    assert explain_waiting(plan, AvailableCalls(None, 0), CallLimits(), NOW) == (
        f"{first}: stored bars wait for bars of more symbols, since the session does not reach "
        "STOCK_ASSETS_MIN_COVERAGE yet"
    )
    enough = Coverage((*stored, *missing), {}, {first: 3, second: 2})
    assert ranges(planned(enough)) == [(first, second, ())]


def test_the_limit_of_a_session_follows_its_listings_and_the_setting(scene: Scene) -> None:
    joined = replace(symbols(1).listings[0], first_session=FIRST_WEEK[1])
    scene.change(universe=replace(FIVE, listings=(*FIVE.listings, joined)))
    found = find_gaps(scene, FIRST_WEEK[:2])
    # At least half of five, and of six, symbols.
    assert found.may_miss == {FIRST_WEEK[0]: 2, FIRST_WEEK[1]: 3}


def test_a_block_of_the_vendor_is_named_as_the_reason_to_wait(server: VendorServer, backend: Backend) -> None:
    source, at = live_source(server, calls_per_day=25), utc("2024-03-02 15:00")
    backend.rate_limiter.block_until(source.vendor, at + timedelta(minutes=40))
    given = parts(backend, source, symbols(2))
    found, calls = coverage(given, [date(2024, 3, 1)], at=at), available_calls(given, at)
    plan = planned(found, calls_available=calls.available, at=at)
    assert explain_waiting(plan, calls, source.terms.limits, at) == (
        "S01, S02 of 2024-03-01 wait for 2 calls: the vendor reported that none is left, the next one is tried at "
        "2024-03-02 15:40 UTC; the quota resets at 2024-03-03 05:00 UTC"
    )


def test_a_run_by_hand_that_would_use_calls_of_the_schedule_gets_a_warning(
    server: VendorServer, backend: Backend
) -> None:
    source = live_source(server, calls_per_day=25)
    given, afternoon, sessions = parts(backend, source, symbols(20)), utc("2024-03-01 15:00"), [date(2024, 2, 29)]

    def warning(at: datetime, rules: RequestRules = ALL_MISSING) -> str | None:
        return warn_about_calls(given, sessions, rules, at)

    assert warning(afternoon) == (
        "This run requests 20 symbols, and 25 of today's 25 calls are left. The scheduled run at 22:00 UTC needs 20 of "
        "them: after this run, 15 symbols of tonight's session cannot be requested before the quota resets at "
        "2024-03-02 05:00 UTC. To keep the calls, start this run after 22:00 UTC."
    )
    assert warning(afternoon, RequestRules(symbols=frozenset(symbols(5).symbols))) is None
    assert warning(utc("2024-03-02 15:00")) is None
    for _ in range(7):
        backend.rate_limiter.acquire(source.vendor, source.terms.limits, lambda: afternoon)
    assert warning(afternoon) == (
        "This run requests 20 symbols, and 18 of today's 25 calls are left: 2 symbols cannot be requested before the "
        "quota resets at 2024-03-02 05:00 UTC."
    )
    assert warn_about_calls(parts(backend, live_source(server), symbols(20)), sessions, ALL_MISSING, afternoon) is None


def test_gaps_that_are_close_are_merged_into_one_range() -> None:
    year = sessions_between(date(2012, 1, 3), date(2012, 12, 31))
    near = Coverage((gap(year[0]), gap(year[BRIDGED_SESSIONS + 1])), {})
    assert ranges(planned(near)) == [(year[0], year[BRIDGED_SESSIONS + 1], ())]
    far = Coverage((gap(year[0]), gap(year[BRIDGED_SESSIONS + 2])), {})
    assert len(planned(far).runs) == 2


def test_an_excluded_session_waits_until_its_bars_change(scene: Scene) -> None:
    for symbol in ("AAPL", "CSCO"):
        scene.source.set_bar(symbol, MONDAY, BAD_BAR)
    scene.run(FIRST_WEEK)

    found = find_gaps(scene, FIRST_WEEK)
    assert found.rejected.keys() == {MONDAY}
    assert [(bar.symbol, bar.session, bar.stored) for bar in found.bars()] == [
        ("AAPL", MONDAY, False),
        ("CSCO", MONDAY, False),
        ("IBM", MONDAY, True),
        ("MSFT", MONDAY, True),
        ("ORCL", MONDAY, True),
    ]
    assert "quarantined_share_within_limit" in planned(found).unresolved

    # Its quarantined bars are requested again, after the delay.
    assert ranges(planned(found)) == []
    later = max(bar.due for bar in found.bars() if bar.due is not None)
    [run] = planned(find_gaps(scene, FIRST_WEEK), at=later).runs
    assert (run.first, run.last, run.config["request_again"]) == (MONDAY, MONDAY, ["AAPL", "CSCO"])

    # A newer response with the same bars changes nothing, one with a fixed bar does.
    scene.deliver_again()
    assert ranges(planned(find_gaps(scene, FIRST_WEEK))) == []
    scene.source.set_bar("AAPL", MONDAY, CALM_BAR)
    scene.deliver_again()
    assert ranges(planned(find_gaps(scene, FIRST_WEEK))) == [(MONDAY, MONDAY, ())]
    scene.run([MONDAY])
    # One bad bar of five stays quarantined.
    assert [(gap.symbol, gap.quarantined) for gap in find_gaps(scene, FIRST_WEEK).gaps] == [("CSCO", True)]


def test_a_rejected_session_is_loaded_again_with_other_limits(scene: Scene) -> None:
    for symbol in ("AAPL", "CSCO"):
        scene.source.set_bar(symbol, MONDAY, BAD_BAR)
    reject(scene, [MONDAY])
    assert ranges(planned(find_gaps(scene, [MONDAY]))) == []
    scene.change(limits=Limits(min_coverage=0.5, max_quarantined_share=0.5))
    assert ranges(planned(find_gaps(scene, [MONDAY]))) == [(MONDAY, MONDAY, ())]


def test_a_quarantined_bar_is_loaded_again_without_a_call_after_it_was_fixed(scene: Scene) -> None:
    scene.source.set_bar("IBM", MONDAY, BAD_BAR)
    scene.run(FIRST_WEEK)
    scene.deliver_again()
    [unchanged] = find_gaps(scene, FIRST_WEEK).gaps
    assert (unchanged.symbol, unchanged.stored, unchanged.quarantined) == ("IBM", False, True)
    scene.source.set_bar("IBM", MONDAY, CALM_BAR)
    scene.deliver_again()
    [fixed] = find_gaps(scene, FIRST_WEEK).gaps
    assert (fixed.symbol, fixed.stored, fixed.quarantined) == ("IBM", True, False)
    assert ranges(planned(find_gaps(scene, FIRST_WEEK))) == [(MONDAY, MONDAY, ())]
    scene.run([MONDAY])
    assert find_gaps(scene, FIRST_WEEK).gaps == ()


def test_a_quarantined_bar_is_requested_again_with_growing_delays_and_then_given_up(scene: Scene) -> None:
    scene.source.set_bar("IBM", MONDAY, BAD_BAR)
    scene.run(FIRST_WEEK)
    assert ranges(planned(find_gaps(scene, FIRST_WEEK))) == []
    at = scene.backend.ledger.fetches(FetchKind.PRICES, symbol="IBM")[0].fetched_at
    for pause in RETRY_DELAYS:
        assert ranges(planned(find_gaps(scene, FIRST_WEEK), at=at + pause - timedelta(seconds=1))) == []
        at += pause
        [run] = planned(find_gaps(scene, FIRST_WEEK), at=at).runs
        assert run.config == {"request_symbols": ["IBM"], "request_again": ["IBM"], "reserve_calls": 0}
        fetch_prices(scene, sessions_between(run.first, run.last), rules=again("IBM"), now=repeat(at).__next__)
        scene.stage([MONDAY])
        scene.publish([MONDAY])

    requests = len(scene.source.requests)
    plan = planned(find_gaps(scene, FIRST_WEEK), at=at + timedelta(days=365))
    assert ranges(plan) == []
    assert plan.unresolved == f"IBM {MONDAY}: quarantined by volume_not_negative (volume -5) (requested 8 times)"
    assert len(scene.source.requests) == requests

    scene.source.set_bar("IBM", MONDAY, CALM_BAR)
    deliver(scene.backend, "IBM", scene.source.fetch_prices("IBM", []), at + timedelta(hours=1))
    assert ranges(planned(find_gaps(scene, FIRST_WEEK))) == [(MONDAY, MONDAY, ())]


def test_a_symbol_is_requested_again_in_one_of_several_runs_and_after_missing_bars() -> None:
    far = sessions_between(date(2012, 1, 3), date(2012, 12, 31))[:: BRIDGED_SESSIONS + 2]
    bad = [gap(session, stored=False)._replace(audits=("prices_positive",)) for session in far[:3]]
    found = Coverage((*bad, gap(far[3], "AAPL", stored=False)), {})
    configs = [run.config for run in planned(found).runs]
    assert [config.get("request_again") for config in configs] == [["IBM"], None, None, None]
    assert ranges(planned(found, calls_available=1)) == [(far[3], far[3], ("AAPL",))]


def test_an_equal_bar_that_arrives_after_the_market_close_is_loaded(scene: Scene) -> None:
    for symbol in FIVE.symbols:
        at = utc("2012-03-05 15:00") if symbol == "IBM" else None
        deliver(scene.backend, symbol, scene.source.fetch_prices(symbol, []), at)
    scene.stage([MONDAY])
    scene.publish([MONDAY])
    deliver(scene.backend, "IBM", scene.source.fetch_prices("IBM", []))
    assert ranges(planned(find_gaps(scene, [MONDAY]))) == [(MONDAY, MONDAY, ())]


def test_a_bar_quarantined_by_an_earlier_universe_is_loaded_without_a_call(scene: Scene) -> None:
    others = tuple(listing for listing in FIVE.listings if listing.symbol != "IBM")
    scene.change(universe=Universe((*others, Listing("IBM", "IBM", None, MONDAY))))
    scene.run(TWO_WEEKS)
    assert find_gaps(scene).gaps == ()
    scene.change(universe=FIVE)
    found = find_gaps(scene)
    assert [(bar.symbol, bar.session, bar.stored) for bar in found.bars()] == [
        ("IBM", session, True) for session in TWO_WEEKS[3:]
    ]
    scene.run(TWO_WEEKS[3:])
    assert find_gaps(scene).gaps == ()


def test_a_published_bar_outside_the_listings_is_loaded_again(scene: Scene) -> None:
    scene.run(TWO_WEEKS)
    [ibm] = [listing for listing in FIVE.listings if listing.symbol == "IBM"]
    others = tuple(listing for listing in FIVE.listings if listing.symbol != "IBM")
    scene.change(universe=Universe((*others, replace(ibm, last_session=MONDAY))))
    found = find_gaps(scene)
    assert [(bar.symbol, bar.session, bar.stored) for bar in found.bars()] == [
        ("IBM", session, True) for session in TWO_WEEKS[3:]
    ]
    assert {gap.reason for gap in found.gaps} == {"published, but outside every listing of IBM in the universe"}
    assert ranges(planned(found)) == [(TWO_WEEKS[3], TWO_WEEKS[-1], ())]
    scene.run(TWO_WEEKS[3:])
    assert find_gaps(scene).gaps == ()
    # A symbol that has left the universe keeps its history.
    scene.change(universe=Universe(others))
    assert find_gaps(scene).gaps == ()


def test_a_bar_quarantined_because_it_was_fetched_before_the_close_is_requested(scene: Scene) -> None:
    for symbol in FIVE.symbols:
        early = symbol == "IBM"
        body = scene.source.fetch_prices(symbol, [])
        deliver(scene.backend, symbol, body, utc("2012-03-05 15:00") if early else None)
    scene.stage([MONDAY])
    scene.publish([MONDAY])
    [found] = find_bars(scene, [MONDAY])
    assert (found.symbol, found.stored, found.reason) == ("IBM", False, "not requested since the market close")


class Sensor:
    """The sensor on a scene, with its own instance."""

    def __init__(self, scene: Scene, names: Names = PLAIN) -> None:
        self.scene = scene
        self.names = names
        self.instance = dg.DagsterInstance.ephemeral()
        self.at = NOW
        self.channel = RecordingChannel()

    def tick(self) -> dg.SensorResult:
        """Evaluate the sensor."""
        sensor = catch_up_sensor(
            daily_job(),
            CatchUpWindow(TWO_WEEKS[0], TWO_WEEKS[-1], 100),
            self.names,
            channels=[self.channel],
            now=lambda: self.at,
        )
        resources = {self.names.resource: as_pipeline(self.scene)}
        with dg.build_sensor_context(instance=self.instance, resources=resources) as context:
            result = sensor(context)
        assert isinstance(result, dg.SensorResult)
        return result

    def requests(self) -> list[dg.RunRequest]:
        """Return the run requests of a tick."""
        return list(self.tick().run_requests or [])

    def reason(self) -> str:
        """Return the reason why a tick requests no run."""
        reason = self.tick().skip_reason
        assert isinstance(reason, dg.SkipReason)
        return str(reason.skip_message)

    def run(self, request: dg.RunRequest, status: dg.DagsterRunStatus) -> None:
        """Leave a run of a request on the instance, without running it."""
        leave_run(self.instance, status, request.tags)


def test_a_request_has_its_range_its_symbols_and_a_unique_key(scene: Scene) -> None:
    [request] = Sensor(scene).requests()
    assert request.tags["dagster/asset_partition_range_start"] == TWO_WEEKS[0].isoformat()
    assert request.tags["dagster/asset_partition_range_end"] == TWO_WEEKS[-1].isoformat()
    assert request.run_config == {
        "ops": {"raw__daily_prices": {"config": {"request_symbols": list(FIVE.symbols), "reserve_calls": 0}}}
    }
    assert request.run_key == f"catch_up 2012-03-01..2012-03-14 {request.tags[TAG + SENSOR_NAME]} 1"


def test_no_run_is_requested_while_a_run_is_in_progress(scene: Scene) -> None:
    sensor = Sensor(scene)
    [request] = sensor.requests()
    sensor.run(request, dg.DagsterRunStatus.STARTED)
    assert "is in progress" in sensor.reason()


def test_runs_that_change_nothing_are_delayed_and_stop(scene: Scene) -> None:
    sensor, keys = Sensor(scene), set()
    for pause in (*RUN_DELAYS, None):
        [request] = sensor.requests()
        keys.add(request.run_key)
        sensor.run(request, dg.DagsterRunStatus.FAILURE)
        sensor.at = datetime.now(UTC)
        assert "changed nothing" in sensor.reason()
        sensor.at += (pause or timedelta(days=365)) + timedelta(seconds=1)
    assert "4 runs changed nothing, no more are started; check the last one" in sensor.reason()
    assert len(keys) == 4


def test_no_run_is_requested_after_a_rollback(scene: Scene) -> None:
    scene.run(FIRST_WEEK[:2])
    earlier = scene.backend.warehouse.history(DAILY_PRICES)[0].snapshot_id
    scene.run(TWO_WEEKS)
    scene.backend.warehouse.rollback(DAILY_PRICES, earlier)
    assert "was rolled back" in Sensor(scene).reason()


def test_a_tick_reports_a_complete_table(scene: Scene) -> None:
    scene.run(TWO_WEEKS)
    assert Sensor(scene).reason() == "the latest 10 sessions are complete"


def shown(requests: Sequence[dg.RunRequest]) -> list[dict[str, object]]:
    """Return the requests without the digest of the state, which depends on the clock."""
    return [
        {
            "key": " ".join(word for word in str(request.run_key).split() if word != request.tags[TAG + SENSOR_NAME]),
            "config": request.run_config,
            "tags": sorted(request.tags),
        }
        for request in requests
    ]


def test_evaluations_equal_the_snapshot(scene: Scene) -> None:
    """Delete the snapshot and run this test twice to accept an intended change."""
    sensor = Sensor(scene)
    seen: list[object] = [{"empty": shown(sensor.requests())}]
    scene.source.drop_bar("IBM", MONDAY)
    scene.run(FIRST_WEEK)
    seen.append({"one week is loaded, one bar is late": shown(sensor.requests())})
    scene.run(SECOND_WEEK)
    sensor.at = datetime.now(UTC) + RETRY_DELAYS[0] * 2
    seen.append({"the bar is due": shown(sensor.requests())})
    for _ in RETRY_DELAYS:
        sensor.at += timedelta(days=2)
        scene.backend.ledger.record(failed_request("IBM", sensor.at))
    seen.append({"the last delay is over": sensor.reason()})
    scene.source.set_bar("IBM", MONDAY, CALM_BAR)
    scene.deliver_again()
    seen.append({"the bar is stored": shown(sensor.requests())})
    scene.run([MONDAY])
    seen.append({"the bar is loaded": sensor.reason()})
    if not SNAPSHOT.exists():
        SNAPSHOT.write_text(json.dumps(seen, indent=1) + "\n", encoding="utf-8")
        pytest.fail("written anew")
    assert seen == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def test_a_window_holds_the_latest_sessions_an_hour_after_the_schedule(tmp_path: Path) -> None:
    assert list(tmp_path.iterdir()) == []
    window = CatchUpWindow(date(2024, 2, 1), None, 3)
    assert window.sessions(utc("2024-03-01 22:59"))[-1] == date(2024, 2, 29)
    assert window.sessions(utc("2024-03-01 23:00")) == [date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1)]
    assert CatchUpWindow(date(2012, 3, 1), date(2012, 3, 5), 9).sessions(utc("2024-03-01 22:59"))[-1] == date(
        2012, 3, 5
    )


def test_every_excluded_session_of_a_long_load_is_recorded(scene: Scene) -> None:
    bad = [session for session in sessions_between(date(2012, 3, 1), date(2012, 4, 30)) if session.isoweekday() < 5]
    whole = sessions_between(date(2012, 3, 1), date(2012, 4, 30))
    for symbol in FIVE.symbols:
        bars = dict.fromkeys(whole, CALM_BAR)
        scene.source.set_bars(symbol, bars | (dict.fromkeys(bad, BAD_BAR) if symbol in {"AAPL", "CSCO"} else {}))
    scene.run(whole)
    found = find_gaps(scene, whole)
    assert found.rejected.keys() == set(bad)
    assert sessions_of(found.gaps) == set(bad)
    assert ranges(planned(found)) == []


@pytest.mark.parametrize(("universe", "program"), [("", "stock-assets"), ("banks", "stock-assets --universe banks")])
def test_bars_that_stay_missing_are_reported_with_the_command_of_their_universe(
    scene: Scene, universe: str, program: str
) -> None:
    sensor = Sensor(scene, Names(universe))
    scene.source.drop_bar("IBM", MONDAY)
    scene.run(TWO_WEEKS)
    sensor.at = scene.backend.ledger.fetches(FetchKind.PRICES, symbol="IBM")[0].fetched_at
    for pause in RETRY_DELAYS:
        sensor.at += pause
        scene.backend.ledger.record(failed_request("IBM", sensor.at))
    sensor.at += timedelta(days=30)
    sensor.tick()
    [incident] = Notifier(scene.backend, ()).open_incidents()
    assert f"again with {program} backfill {MONDAY} {MONDAY} --missing, or" in str(incident.facts["remedy"])


def test_bars_that_stay_missing_open_one_incident_which_is_resolved_once(scene: Scene) -> None:
    sensor = Sensor(scene)
    scene.source.drop_bar("IBM", MONDAY)
    scene.run(TWO_WEEKS)
    sensor.tick()
    assert sensor.channel.sent == []

    last = scene.backend.ledger.fetches(FetchKind.PRICES, symbol="IBM")[0].fetched_at
    for pause in RETRY_DELAYS:
        last += pause
        scene.backend.ledger.record(failed_request("IBM", last))
    sensor.at = last + timedelta(days=30)
    for _ in range(3):
        sensor.tick()
    [message] = sensor.channel.sent
    assert message.title == "stock_assets: 1 bar stays missing and no longer requested"
    assert f"  IBM {MONDAY}: the vendor has no bar yet of {MONDAY} (requested 8 times)" in message.text.splitlines()
    assert "remedy: " in message.text

    scene.source.set_bar("IBM", MONDAY, CALM_BAR)
    scene.deliver_again()
    scene.run([MONDAY])
    for _ in range(3):
        sensor.tick()
    assert [sent.title for sent in sensor.channel.sent[1:]] == [f"Resolved: {message.title}"]


def test_an_incident_of_ten_thousand_missing_bars_names_the_first_ones_and_counts_all(backend: Backend) -> None:
    channel = RecordingChannel()
    notifier = Notifier(backend, [channel])
    lost = [
        gap(MONDAY, f"S{number:05d}", stored=False)._replace(retry_at=None, requests=8, reason="no bar yet")
        for number in range(9_999)
    ]
    added = lost[0]._replace(sessions=(next_session(MONDAY),), symbol="Z")
    for missing in (lost, lost[1:], [*lost, added]):
        notify_missing(notifier, missing, NOW, opened=notifier.open_incidents())
    assert [message.title for message in channel.sent] == [
        f"stock_assets: {count} bars stay missing and no longer requested" for count in ("9,999", "10,000")
    ]
    assert all(len(message.text) < 2_000 for message in channel.sent)
    [incident] = notifier.open_incidents()
    assert incident.facts["missing"][0] == f"Z {added.sessions[0]}: no bar yet", "the newest session comes first"
    assert incident.facts["missing"][-1] == "and 9,981 more"
    [stored] = [backend.objects.get(key) for key in backend.objects.keys("alerts/open/") if "incident.json" in key]
    assert len(stored) < 2_000
    few = lost[:2]
    notify_missing(notifier, few, NOW, opened=notifier.open_incidents())
    assert len(channel.sent) == 2, "fewer bars of the same sessions"
    notify_missing(notifier, [*few, *lost[2:600], added, added._replace(symbol="Y")], NOW, opened=[incident])
    assert len(channel.sent) == 3, "one more bar of a session"


def test_an_incident_of_bars_of_many_sessions_formats_only_the_lines_that_it_shows(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    formatted: list[MissingBar] = []
    original = Gap.bar

    def counted(gap: Gap, session: date) -> MissingBar:
        formatted.append(original(gap, session))
        return formatted[-1]

    monkeypatch.setattr(Gap, "bar", counted)
    channel = RecordingChannel()
    notifier = Notifier(backend, [channel])
    one = gap(MONDAY, "S000", stored=False)._replace(retry_at=None, requests=8, reason=f"no bar of {SESSION}")
    lost = [one._replace(symbol=f"S{number:03d}", sessions=tuple(TWO_WEEKS)) for number in range(15)]
    lost += [one._replace(symbol=f"T{number:03d}", sessions=tuple(FIRST_WEEK)) for number in range(100)]
    notify_missing(notifier, lost, NOW, opened=[])

    [incident] = notifier.open_incidents()
    last, before = TWO_WEEKS[-1], TWO_WEEKS[-2]
    assert incident.facts["missing"] == [
        *(f"S{number:03d} {last}: no bar of {last}" for number in range(15)),
        *(f"S{number:03d} {before}: no bar of {before}" for number in range(4)),
        f"and {15 * len(TWO_WEEKS) + 100 * len(FIRST_WEEK) - 19:,} more",
    ]
    assert incident.sessions == tuple(TWO_WEEKS)
    assert len(formatted) == 20

    notify_missing(notifier, lost, NOW, opened=notifier.open_incidents())
    assert (len(channel.sent), len(formatted)) == (1, 20), "reported already"


def test_fewer_missing_bars_send_no_message_and_more_do(scene: Scene) -> None:
    channel = RecordingChannel()
    notifier = Notifier(scene.backend, [channel])
    lost = [gap(session, stored=False)._replace(retry_at=None, requests=8) for session in FIRST_WEEK]
    not_available = lost[0]._replace(sessions=(SECOND_WEEK[0],), requests=0)
    for missing in (lost[:2], lost[:1], [*lost[:2], not_available]):
        notify_missing(notifier, missing, NOW, opened=notifier.open_incidents())
    assert len(channel.sent) == 1
    notify_missing(notifier, lost[:3], NOW, opened=notifier.open_incidents())
    assert len(channel.sent) == 2
    assert len(notifier.open_incidents()) == 1
    notify_missing(notifier, [not_available], NOW, opened=notifier.open_incidents())
    assert [message.title.partition(":")[0] for message in channel.sent] == [
        "stock_assets",
        "stock_assets",
        "Resolved",
    ]
