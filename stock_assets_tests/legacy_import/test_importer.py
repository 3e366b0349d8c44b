"""Old data becomes stored answers, and what is published of it is what a normal ingest would have published."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from stock_assets.backends.interface import Backend, FetchKind
from stock_assets.core.calendar import closing_time
from stock_assets.core.errors import LegacyDataUnusable, LoadRejected
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.ingest.landing_files import LandingScope, scan
from stock_assets.legacy_import.importer import ImportResult, import_bars
from stock_assets.legacy_import.locations import Form, LegacyFolder
from stock_assets.legacy_import.report import unreadable
from stock_assets.legacy_import.row_selection import Bounds
from stock_assets.orchestration.jobs.daily_prices import JOB_NAME
from stock_assets.orchestration.partitions import range_tags
from stock_assets.sources.interface import Terms
from stock_assets_tests.fakes.source import ScriptedSource
from stock_assets_tests.support.bars import deliver
from stock_assets_tests.support.dagster_runs import pipeline
from stock_assets_tests.support.legacy_files import HEADER, LONG_AGO, firehose, hive_table, old_bars, write_old
from stock_assets_tests.support.scenes import (
    FIRST_WEEK,
    SECOND_WEEK,
    TWO_WEEKS,
    Scene,
    content,
    keys,
    rebuilt,
    wavy_source,
)
from stock_assets_tests.support.steps import FIVE, local_backend, parts

BOUNDS = Bounds(FIVE, date(2000, 3, 1), date(2013, 3, 1), datetime(2026, 1, 5, tzinfo=UTC))


@pytest.fixture
def scene(backend: Backend) -> Scene:
    return Scene(backend, wavy_source())


def take(scene: Scene, folder: Path, *, store: bool = True) -> ImportResult:
    return import_bars(scene, LegacyFolder(folder, Form()), BOUNDS, store=store)


def load(scene: Scene, sessions: Sequence[date] = TWO_WEEKS) -> None:
    """Load what is stored, as a run does that asks the vendor for splits only."""
    scene.stage(sessions)
    scene.publish(sessions)


def firehose_left(folder: Path, scene: Scene) -> Path:
    return firehose(folder, scene.source, FIVE.symbols, TWO_WEEKS)


def headerless_left(folder: Path, scene: Scene) -> Path:
    return firehose(folder, scene.source, FIVE.symbols, TWO_WEEKS, header=False)


def hive_left(folder: Path, scene: Scene) -> Path:
    return hive_table(folder, scene.source, FIVE.symbols, TWO_WEEKS, LONG_AGO)


LEFT = pytest.mark.parametrize("left", [firehose_left, headerless_left, hive_left])
Left = Callable[[Path, Scene], Path]


@LEFT
def test_old_data_is_published_as_a_normal_ingest_would(scene: Scene, tmp_path: Path, left: Left) -> None:
    found = take(scene, left(tmp_path / "old", scene))
    load(scene)

    assert content(scene.backend) == rebuilt(local_backend(tmp_path / "ideal"), scene, TWO_WEEKS)
    assert (found.tally.rows, found.tally.repeated, found.tally.contradicted) == (100, 50, 0)
    assert [(row.symbol, row.bars, row.known) for row in found.symbols] == [(name, 10, 0) for name in FIVE.symbols]
    assert (found.sessions, found.gaps, found.problems, found.unreadable) == (tuple(TWO_WEEKS), (), (), ())


@LEFT
def test_a_second_time_adds_nothing(scene: Scene, tmp_path: Path, left: Left) -> None:
    folder = left(tmp_path / "old", scene)
    take(scene, folder)
    before = scene.backend.ledger.fetches(FetchKind.PRICES), scene.backend.objects.list("raw/")

    again = take(scene, folder)

    assert again.sessions == ()
    assert [(row.bars, row.known) for row in again.symbols] == [(0, 10)] * 5
    assert (scene.backend.ledger.fetches(FetchKind.PRICES), scene.backend.objects.list("raw/")) == before


def test_of_data_that_has_grown_only_the_new_is_added(scene: Scene, tmp_path: Path) -> None:
    said = replace(BOUNDS, written_at=LONG_AGO)
    for sessions in (FIRST_WEEK, SECOND_WEEK):
        place = LegacyFolder(firehose(tmp_path / "old", scene.source, FIVE.symbols, sessions), Form())
        assert import_bars(scene, place, said).sessions == tuple(sessions)
    load(scene)
    assert content(scene.backend) == rebuilt(local_backend(tmp_path / "ideal"), scene, TWO_WEEKS)


def test_a_look_stores_nothing(scene: Scene, tmp_path: Path) -> None:
    folder = firehose_left(tmp_path / "old", scene)
    looked = take(scene, folder, store=False)
    assert scene.backend.objects.list("raw/") == []
    assert scene.backend.ledger.fetches(FetchKind.PRICES) == scene.backend.ledger.fetches(FetchKind.LANDING_FILES) == []
    assert take(scene, folder) == looked


def test_the_arrivals_sensor_does_not_take_them_for_files_of_others(scene: Scene, tmp_path: Path) -> None:
    take(scene, firehose_left(tmp_path / "old", scene))
    wanted = LandingScope(BOUNDS.first, BOUNDS.last)
    found = scan(scene, wanted, at=datetime.now(UTC) + timedelta(hours=1))
    assert (found.landing_files, found.broken, found.waiting) == ((), (), ())


def old_and_other(scene: Scene, tmp_path: Path, written_at: datetime) -> Path:
    """A table in which every price of the first week is another one than the vendor's."""
    other = wavy_source()
    for symbol in FIVE.symbols:
        other.set_bars(symbol, dict.fromkeys(TWO_WEEKS, "10,12,9,11,777"))
    return hive_table(tmp_path / "old", other, FIVE.symbols, FIRST_WEEK, written_at)


def test_what_the_vendor_has_answered_wins_over_younger_files(scene: Scene, tmp_path: Path) -> None:
    for symbol in FIVE.symbols:
        deliver(scene.backend, symbol, scene.source.fetch_prices(symbol, []), closing_time(TWO_WEEKS[-1]))
    found = take(scene, old_and_other(scene, tmp_path, datetime(2025, 1, 1, tzinfo=UTC)))
    load(scene)
    assert found.sessions == ()
    assert content(scene.backend) == rebuilt(local_backend(tmp_path / "ideal"), scene, TWO_WEEKS)


def test_what_the_vendor_answers_later_wins(scene: Scene, tmp_path: Path) -> None:
    take(scene, old_and_other(scene, tmp_path, LONG_AGO))
    load(scene, FIRST_WEEK)
    assert {row["volume"] for row in content(scene.backend)[0]} == {777}
    scene.deliver_again()
    load(scene)
    assert content(scene.backend) == rebuilt(local_backend(tmp_path / "ideal"), scene, TWO_WEEKS)


def test_only_what_the_vendor_lacks_is_taken(scene: Scene, tmp_path: Path) -> None:
    day = FIRST_WEEK[2]
    body = scene.source.fetch_prices("IBM", []).decode().splitlines(keepends=True)
    deliver(scene.backend, "IBM", "".join(line for line in body if not line.startswith(str(day))).encode())
    found = take(scene, old_and_other(scene, tmp_path, LONG_AGO))
    [ibm] = [row for row in found.symbols if row.symbol == "IBM"]
    assert (ibm.bars, ibm.first, ibm.last, ibm.known) == (1, day, day, len(FIRST_WEEK) - 1)


def test_of_contradicting_rows_the_later_written_counts_and_both_are_told(scene: Scene, tmp_path: Path) -> None:
    folder = firehose_left(tmp_path / "old", scene)
    day = TWO_WEEKS[3]
    late = closing_time(day) + timedelta(days=1, hours=3)
    path = write_old(folder / f"{late:%Y/%m/%d/%H}" / "correction", f"{HEADER}\n{day},IBM,100,110,90,105,1234\n")
    found = take(scene, folder)
    load(scene)

    assert found.tally.contradicted == 1
    [one] = found.contradictions
    assert (one.symbol, one.session, one.newer.place) == ("IBM", day, f"{path}, line 2")
    assert f"{day:%Y/%m/%d}" in one.older.place
    scene.source.set_bar("IBM", day, "100,110,90,105,1234")
    assert content(scene.backend) == rebuilt(local_backend(tmp_path / "ideal"), scene, TWO_WEEKS)


def test_a_row_of_the_day_so_far_is_replaced_by_a_later_one(scene: Scene, tmp_path: Path) -> None:
    folder = firehose_left(tmp_path / "old", scene)
    early = closing_time(TWO_WEEKS[0]) - timedelta(hours=3)
    write_old(folder / f"{early:%Y/%m/%d/%H}" / "too_early", f"{HEADER}\n{TWO_WEEKS[0]},IBM,100,110,90,105,1234\n")
    found = take(scene, folder)
    load(scene)
    assert (found.tally.premature, found.tally.contradicted, found.contradictions) == (1, 0, ())
    assert content(scene.backend) == rebuilt(local_backend(tmp_path / "ideal"), scene, TWO_WEEKS)


def test_a_bar_written_before_its_bell_is_set_aside_until_the_vendor_has_the_day(scene: Scene, tmp_path: Path) -> None:
    day = TWO_WEEKS[-1]
    folder = firehose(tmp_path / "old", scene.source, FIVE.symbols, TWO_WEEKS[:-1])
    firehose(tmp_path / "old", scene.source, [name for name in FIVE.symbols if name != "IBM"], [day])
    # The exchange closed at 20:00 UTC: in the hour of 19 it was open.
    write_old(folder / f"{day:%Y/%m/%d}/19/early", f"{HEADER}\n{day},IBM,100,110,90,105,1234\n")
    assert closing_time(day).hour == 20
    for _ in range(2):
        found = take(scene, folder)
        load(scene)
        assert keys(content(scene.backend)[1]) == {("IBM", day)}
        assert [row["audit"] for row in content(scene.backend)[1]] == ["session_closed_at_fetch"]
    assert found.sessions == ()

    scene.run(TWO_WEEKS)
    assert content(scene.backend) == rebuilt(local_backend(tmp_path / "ideal"), scene, TWO_WEEKS)


def test_a_bad_bar_is_quarantined(scene: Scene, tmp_path: Path) -> None:
    scene.source.set_bar("IBM", TWO_WEEKS[1], "100,102,99,n/a,1000")
    scene.source.set_bar("ORCL", TWO_WEEKS[2], "100,102,101.5,101,1000")
    scene.source.set_bar("CSCO", TWO_WEEKS[2], "100,102,99,101,")
    take(scene, firehose_left(tmp_path / "old", scene))
    with pytest.raises(LoadRejected, match="2 of 5 symbols quarantined"):
        load(scene)
    scene.change(limits=type(scene.limits)(min_coverage=0.5, max_quarantined_share=0.5))
    load(scene)
    assert {(row["symbol"], row["audit"]) for row in content(scene.backend)[1]} == {
        ("IBM", "text_is_numeric"),
        ("ORCL", "low_not_above_body"),
        ("CSCO", "ohlcv_complete"),
    }


def test_a_session_of_few_symbols_holds_the_load_back(scene: Scene, tmp_path: Path) -> None:
    folder = firehose(tmp_path / "old", scene.source, FIVE.symbols, FIRST_WEEK)
    firehose(folder, scene.source, ["IBM", "ORCL"], [TWO_WEEKS[-1]])
    take(scene, folder)
    with pytest.raises(LoadRejected, match=r"minimum_coverage"):
        load(scene)
    assert content(scene.backend) == ([], [])
    load(scene, FIRST_WEEK)
    assert {row["trade_date"] for row in content(scene.backend)[0]} == set(FIRST_WEEK)


def test_no_place_and_an_empty_one_are_refused(scene: Scene, tmp_path: Path) -> None:
    with pytest.raises(LegacyDataUnusable, match="no such file or folder"):
        take(scene, tmp_path / "nothing")
    write_old(tmp_path / "old" / "_SUCCESS", "x")
    write_old(tmp_path / "old" / "empty.csv", "")
    with pytest.raises(LegacyDataUnusable, match="no file with anything in it"):
        take(scene, tmp_path / "old")
    assert scene.backend.warehouse.history(DAILY_PRICES) == []


class Distinct(ScriptedSource):
    """A vendor of which two symbols never have the same bytes."""

    @property
    def terms(self) -> Terms:
        return Terms(distinct_responses=True)


def test_bars_that_make_no_answer_are_told_and_the_others_taken(scene: Scene, tmp_path: Path) -> None:
    scene.source.set_bars("IBM", dict.fromkeys(TWO_WEEKS, "10,12,9,11,777"))
    scene.source.set_bars("ORCL", dict.fromkeys(TWO_WEEKS, "10,12,9,11,777"))
    place = LegacyFolder(firehose_left(tmp_path / "old", scene), Form())
    found = import_bars(parts(scene.backend, Distinct()), place, BOUNDS)
    [one] = found.refused
    assert one.text == "ORCL: these are the very bytes of IBM's answer"
    assert unreadable(found) == [f"{one.text}; no bar of it is taken over"]
    assert [row.symbol for row in found.symbols] == ["AAPL", "CSCO", "IBM", "MSFT"]
    assert scene.backend.ledger.fetches(FetchKind.PRICES, symbol="ORCL") == []


class Killed(BaseException):
    """Nobody catches it, as nobody catches SIGKILL."""


@pytest.mark.parametrize("step", range(6))
def test_a_kill_between_any_two_steps_loses_and_repeats_nothing(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    folder = firehose(tmp_path / "old", scene.source, ["AAPL", "IBM"], TWO_WEEKS)
    left = [step]

    def dying(call: Callable[..., None]) -> Callable[..., None]:
        def wrapped(*args: object) -> None:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            call(*args)

        return wrapped

    with monkeypatch.context() as patch:
        patch.setattr(type(scene.backend.objects), "put", dying(type(scene.backend.objects).put))
        patch.setattr(type(scene.backend.ledger), "record", dying(type(scene.backend.ledger).record))
        with pytest.raises(Killed):
            take(scene, folder)
    wanted = LandingScope(BOUNDS.first, BOUNDS.last)
    assert scan(scene, wanted, at=datetime.now(UTC) + timedelta(hours=1)).landing_files == ()

    take(scene, folder)
    payloads = [fetch.response_key for fetch in scene.backend.ledger.fetches(FetchKind.PRICES)]
    assert len(payloads) == len(set(payloads)) == 2
    assert sorted(payloads) == scene.backend.objects.list("raw/")
    notes = [fetch.response_key for fetch in scene.backend.ledger.fetches(FetchKind.LANDING_FILES)]
    assert sorted(notes) == sorted(payloads)


def test_a_run_takes_over_what_it_is_told_to(scene: Scene, tmp_path: Path) -> None:
    folder = firehose_left(tmp_path / "old", scene)
    write_old(folder / "damaged", b"\xff", LONG_AGO)
    asked = len(scene.source.asked)
    wired = pipeline(scene, tmp_path)
    result = wired.definitions.resolve_job_def(JOB_NAME).execute_in_process(
        instance=wired.instance,
        run_config={
            "ops": {"raw__daily_prices": {"config": {"import_from": str(folder), "ask": []}}},
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        },
        tags=range_tags(FIRST_WEEK[0], FIRST_WEEK[-1]),
        raise_on_error=False,
    )
    assert result.success
    assert {kind for kind, _ in scene.source.asked[asked:]} == {"splits"}
    assert content(scene.backend) == rebuilt(local_backend(tmp_path / "ideal"), scene, FIRST_WEEK)
    shown = result.asset_materializations_for_node("raw__daily_prices")[0].metadata
    assert "20 files, 100 rows; 25 repeat another" in str(shown["taken over"].value)
    assert "| IBM | 5 | 2012-03-01 | 2012-03-07 | 0 | 0 |" in str(shown["bars taken over"].value)
    assert all(fetch.is_landing_file for fetch in scene.backend.ledger.fetches(FetchKind.PRICES))
    assert "not readable" in "".join(entry.user_message for entry in wired.instance.all_logs(result.run_id))


def test_old_bars_are_in_the_order_of_sessions(scene: Scene) -> None:
    assert [row[0] for row in old_bars(scene.source, ["IBM"], FIRST_WEEK)] == [str(day) for day in FIRST_WEEK]
