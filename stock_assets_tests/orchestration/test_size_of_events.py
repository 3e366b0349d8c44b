"""The events of a run, its configuration and its alerts have the same size in a large universe as in a larger one.

Dagster keeps materializations and check results for ever. A text with a part for each symbol would make its folder grow
with the symbols of all sessions.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from stock_assets.core.audit_limits import Limits
from stock_assets.core.errors import UnknownSymbol
from stock_assets.core.text import SYMBOLS_SHOWN
from stock_assets.core.universe import Listing, Universe
from stock_assets.coverage.catch_up import plan_catch_up
from stock_assets.coverage.gaps import Coverage, Gap
from stock_assets.loads.load_report import load_report
from stock_assets.orchestration.sensors.alerts import AlertContext, alert_sensor
from stock_assets_tests.fakes.channel import RecordingChannel
from stock_assets_tests.support.dagster_runs import WHOLE_PATH, pipeline
from stock_assets_tests.support.scenes import BAD_BAR, TWO_WEEKS, Scene, calm_source
from stock_assets_tests.support.steps import as_pipeline, local_backend

SIZES = (4 * SYMBOLS_SHOWN, 8 * SYMBOLS_SHOWN)
"""A third of the symbols, those with one kind of problem, is more than is shown."""
SESSIONS = TWO_WEEKS[4:6]
NOTHING_EXCLUDED = Limits(min_coverage=0.0, max_quarantined_share=1.0)
DIGITS = 200
"""Characters by which equal texts may differ, because their numbers have more digits; a symbol needs five or more."""


def universe(count: int) -> Universe:
    """Return symbols whose names have equal lengths."""
    return Universe(tuple(Listing(f"S{number:03d}", "") for number in range(count)))


def scene(folder: Path, count: int, limits: Limits = NOTHING_EXCLUDED) -> Scene:
    """Return symbols with a split each. Two of three have a bar, and one of them a bad one."""
    symbols = universe(count).symbols
    source = calm_source(symbols)
    for symbol in symbols:
        source.set_splits(symbol, {SESSIONS[0]: "2.0000"})
    for symbol in symbols[::3]:
        source.set_failure(symbol, UnknownSymbol("the vendor does not know it", symbol=symbol))
    for symbol in symbols[1::3]:
        source.set_bar(symbol, SESSIONS[-1], BAD_BAR)
    return Scene(local_backend(folder / "data"), source, universe(count), limits)


def events_of_run(folder: Path, count: int, limits: Limits = NOTHING_EXCLUDED) -> list[tuple[str, int]]:
    """Run the daily steps; return what each entry of the log is about, and its size."""
    folder.mkdir()
    wired = pipeline(scene(folder, count, limits), folder)
    result = wired.run(WHOLE_PATH, SESSIONS)
    return [
        (f"{entry.step_key} {entry.dagster_event_type or entry.level}", len(dg.serialize_value(entry)))
        for entry in wired.instance.all_logs(result.run_id)
    ]


@pytest.mark.parametrize("limits", [NOTHING_EXCLUDED, Limits(min_coverage=1.0, max_quarantined_share=0.0)])
def test_the_events_of_a_run_do_not_grow_with_the_symbols(tmp_path: Path, limits: Limits) -> None:
    few, many = (events_of_run(tmp_path / str(count), count, limits) for count in SIZES)

    assert [about for about, _ in many] == [about for about, _ in few]
    grown = {
        about: (before, after) for (about, before), (_, after) in zip(few, many, strict=True) if after > before + DIGITS
    }
    assert grown == {}
    assert len(few) > 100


def test_the_stored_report_of_a_load_has_the_first_rows_and_their_number(tmp_path: Path) -> None:
    of_many = scene(tmp_path, SIZES[0])
    of_many.fetch(SESSIONS)
    report = load_report(of_many.backend, of_many.stage(SESSIONS))

    # Of 200 symbols, a third has no bar, and another third has a bad one.
    assert report.rows_of_last_session == SIZES[0] // 3
    assert [row["symbol"] for row in report.prices] == [f"S{number:03d}" for number in range(2, 150, 3)][:SYMBOLS_SHOWN]
    assert {row["trade_date"] for row in report.prices} == {SESSIONS[-1].isoformat()}


def test_the_report_counts_the_published_rows_of_an_excluded_session(tmp_path: Path) -> None:
    of_many = scene(tmp_path, SIZES[0])
    of_many.fetch(SESSIONS)
    of_many.stage(SESSIONS)
    of_many.publish(SESSIONS)
    of_many.change(limits=Limits(min_coverage=1.0, max_quarantined_share=0.0))

    report = load_report(of_many.backend, of_many.stage(SESSIONS))

    assert report.excluded_sessions == tuple(SESSIONS)
    assert len(report.prices) == SYMBOLS_SHOWN
    assert report.rows_of_last_session == SIZES[0] // 3


def test_the_alert_about_a_run_does_not_grow_with_the_symbols(tmp_path: Path) -> None:
    def alert(count: int) -> str:
        folder, channel = tmp_path / str(count), RecordingChannel()
        folder.mkdir()
        failing = scene(folder, count, Limits(min_coverage=1.0, max_quarantined_share=0.0))
        wired = pipeline(failing, folder)
        wired.run(WHOLE_PATH, SESSIONS)
        sensor = alert_sensor(AlertContext([channel], "http://dagster.example/"))
        with dg.build_sensor_context(instance=wired.instance, resources={"pipeline": as_pipeline(failing)}) as context:
            sensor(context)
        [message] = channel.sent
        return message.text

    few, many = map(alert, SIZES)
    assert len(many.splitlines()) == len(few.splitlines())
    assert len(many) <= len(few) + DIGITS
    assert "67 unknown_symbol" in few
    assert "134 unknown_symbol" in many


def gaps(count: int, *, given_up: Sequence[str] = (), quarantined: Sequence[str] = ()) -> Coverage:
    """Return a session that is missing for all symbols, and is no longer requested for some, or in quarantine."""
    due = datetime(2012, 3, 10, tzinfo=UTC)
    return Coverage(
        tuple(
            Gap(
                symbol,
                (SESSIONS[0],),
                stored=False,
                retry_at=None if symbol in (*given_up, *quarantined) else due,
                reason="a test",
                audits=("high_is_highest",) if symbol in quarantined else (),
            )
            for symbol in universe(count).symbols
        ),
        {},
    )


def test_a_run_for_all_missing_bars_of_many_symbols_does_not_list_them() -> None:
    at = datetime(2012, 3, 12, tzinfo=UTC)

    def requested(found: Coverage) -> object:
        [spec] = plan_catch_up(found, calls_available=None, reserve_calls=0, at=at).runs
        return spec.config.get("request_symbols", "all")

    assert requested(gaps(SYMBOLS_SHOWN + 1)) == "all"
    assert requested(gaps(SYMBOLS_SHOWN + 2, quarantined=["S001"])) == "all"
    # No call is used for a bar that is not due.
    assert requested(gaps(SYMBOLS_SHOWN + 2, given_up=["S001"])) == [
        symbol for symbol in universe(SYMBOLS_SHOWN + 2).symbols if symbol != "S001"
    ]
    assert requested(gaps(2)) == ["S000", "S001"]
