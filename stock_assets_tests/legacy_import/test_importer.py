"""Legacy data becomes stored responses, and an import publishes the same rows as an ordinary ingest."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from stock_assets.backends.interface import Backend, FetchKind
from stock_assets.core.calendar import closing_time
from stock_assets.core.errors import LegacyDataUnusable
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.ingest.landing_conversion import LandingScope
from stock_assets.ingest.landing_files import scan
from stock_assets.ingest.price_files.csv_rows import FileFormat
from stock_assets.legacy_import.importer import ImportResult, import_bars
from stock_assets.legacy_import.locations import LegacyFolder, LegacyLocation
from stock_assets.legacy_import.report import format_unreadable
from stock_assets.legacy_import.row_selection import ImportScope, SelectedRows
from stock_assets.orchestration.jobs.daily_prices import JOB_NAME
from stock_assets.orchestration.partitions import range_tags
from stock_assets.pipeline import Pipeline
from stock_assets.settings import Settings
from stock_assets.sources.interface import Terms
from stock_assets_tests.fakes.source import ScriptedSource
from stock_assets_tests.support.bars import deliver
from stock_assets_tests.support.dagster_runs import pipeline
from stock_assets_tests.support.legacy_files import (
    HEADER,
    LONG_AGO,
    SCOPE,
    firehose,
    hive_table,
    legacy_bars,
    write_legacy_file,
)
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


@pytest.fixture
def scene(backend: Backend) -> Scene:
    return Scene(backend, wavy_source())


def run_import(scene: Scene, folder: Path, *, store: bool = True) -> ImportResult:
    return import_bars(scene, LegacyFolder(folder, FileFormat()), SCOPE, store=store)


def load(scene: Scene, sessions: Sequence[date] = TWO_WEEKS) -> None:
    """Load the stored responses, like a run that requests only splits from the vendor."""
    scene.stage(sessions)
    scene.publish(sessions)


def test_an_import_has_the_memory_limit_of_the_settings(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[str] = []
    original = SelectedRows.read_files

    def read_files(self: SelectedRows, location: LegacyLocation, scope: ImportScope) -> None:
        [(limit,)] = self._connection.execute("SELECT current_setting('memory_limit')").fetchall()
        limits.append(limit)
        original(self, location, scope)

    monkeypatch.setattr(SelectedRows, "read_files", read_files)
    files = firehose_files(tmp_path / "files", scene)
    place = LegacyFolder(files, FileFormat())
    given = Pipeline.from_settings(Settings(data_dir=tmp_path / "data", memory_limit_mb=300))

    import_bars(given, place, SCOPE, store=False)

    assert limits == ["286.1 MiB"]


def firehose_files(folder: Path, scene: Scene) -> Path:
    return firehose(folder, scene.source, FIVE.symbols, TWO_WEEKS)


def headerless_files(folder: Path, scene: Scene) -> Path:
    return firehose(folder, scene.source, FIVE.symbols, TWO_WEEKS, header=False)


def hive_files(folder: Path, scene: Scene) -> Path:
    return hive_table(folder, scene.source, FIVE.symbols, TWO_WEEKS, LONG_AGO)


LEGACY_DATA = pytest.mark.parametrize("legacy_data", [firehose_files, headerless_files, hive_files])
LegacyData = Callable[[Path, Scene], Path]


@LEGACY_DATA
def test_an_import_publishes_the_rows_of_an_ordinary_ingest(
    scene: Scene, tmp_path: Path, legacy_data: LegacyData
) -> None:
    found = run_import(scene, legacy_data(tmp_path / "old", scene))
    load(scene)

    assert content(scene.backend) == rebuilt(local_backend(tmp_path / "ideal"), scene, TWO_WEEKS)
    assert (found.tally.rows, found.tally.repeated, found.tally.contradicted) == (100, 50, 0)
    assert [(row.symbol, row.bars, row.already_stored) for row in found.symbols] == [
        (name, 10, 0) for name in FIVE.symbols
    ]
    assert (found.sessions, found.gaps, found.problems, found.unreadable) == (tuple(TWO_WEEKS), (), (), ())


@LEGACY_DATA
def test_a_second_import_stores_nothing(scene: Scene, tmp_path: Path, legacy_data: LegacyData) -> None:
    folder = legacy_data(tmp_path / "old", scene)
    run_import(scene, folder)
    before = scene.backend.ledger.fetches(FetchKind.PRICES), scene.backend.objects.keys("raw/")

    again = run_import(scene, folder)

    assert again.sessions == ()
    assert [(row.bars, row.already_stored) for row in again.symbols] == [(0, 10)] * 5
    assert (scene.backend.ledger.fetches(FetchKind.PRICES), scene.backend.objects.keys("raw/")) == before


def test_a_later_import_stores_only_new_bars(scene: Scene, tmp_path: Path) -> None:
    scope = replace(SCOPE, written_at=LONG_AGO)
    for sessions in (FIRST_WEEK, SECOND_WEEK):
        location = LegacyFolder(firehose(tmp_path / "old", scene.source, FIVE.symbols, sessions), FileFormat())
        assert import_bars(scene, location, scope).sessions == tuple(sessions)
    load(scene)
    assert content(scene.backend) == rebuilt(local_backend(tmp_path / "ideal"), scene, TWO_WEEKS)


def test_a_dry_run_stores_nothing(scene: Scene, tmp_path: Path) -> None:
    folder = firehose_files(tmp_path / "old", scene)
    dry_run = run_import(scene, folder, store=False)
    assert scene.backend.objects.keys("raw/") == []
    assert scene.backend.ledger.fetches(FetchKind.PRICES) == scene.backend.ledger.fetches(FetchKind.LANDING_FILES) == []
    assert run_import(scene, folder) == dry_run


def test_imported_files_are_not_landing_files(scene: Scene, tmp_path: Path) -> None:
    run_import(scene, firehose_files(tmp_path / "old", scene))
    wanted = LandingScope(SCOPE.first, SCOPE.last)
    found = scan(scene, wanted, at=datetime.now(UTC) + timedelta(hours=1))
    assert (found.landing_files, found.unreadable, found.waiting) == ((), (), ())


def table_with_other_prices(scene: Scene, tmp_path: Path, written_at: datetime) -> Path:
    """Return a table in which every price of the first week differs from the vendor's price."""
    other = wavy_source()
    for symbol in FIVE.symbols:
        other.set_bars(symbol, dict.fromkeys(TWO_WEEKS, "10,12,9,11,777"))
    return hive_table(tmp_path / "old", other, FIVE.symbols, FIRST_WEEK, written_at)


def test_earlier_responses_of_the_vendor_take_precedence_over_newer_files(scene: Scene, tmp_path: Path) -> None:
    for symbol in FIVE.symbols:
        deliver(scene.backend, symbol, scene.source.fetch_prices(symbol, []), closing_time(TWO_WEEKS[-1]))
    found = run_import(scene, table_with_other_prices(scene, tmp_path, datetime(2025, 1, 1, tzinfo=UTC)))
    load(scene)
    assert found.sessions == ()
    assert content(scene.backend) == rebuilt(local_backend(tmp_path / "ideal"), scene, TWO_WEEKS)


def test_later_responses_of_the_vendor_take_precedence(scene: Scene, tmp_path: Path) -> None:
    run_import(scene, table_with_other_prices(scene, tmp_path, LONG_AGO))
    load(scene, FIRST_WEEK)
    assert {row["volume"] for row in content(scene.backend)[0]} == {777}
    scene.deliver_again()
    load(scene)
    assert content(scene.backend) == rebuilt(local_backend(tmp_path / "ideal"), scene, TWO_WEEKS)


def test_only_bars_missing_from_the_vendors_responses_are_imported(scene: Scene, tmp_path: Path) -> None:
    day = FIRST_WEEK[2]
    body = scene.source.fetch_prices("IBM", []).decode().splitlines(keepends=True)
    deliver(scene.backend, "IBM", "".join(line for line in body if not line.startswith(str(day))).encode())
    found = run_import(scene, table_with_other_prices(scene, tmp_path, LONG_AGO))
    [ibm] = [row for row in found.symbols if row.symbol == "IBM"]
    assert (ibm.bars, ibm.first, ibm.last, ibm.already_stored) == (1, day, day, len(FIRST_WEEK) - 1)


def test_the_later_of_two_contradicting_rows_is_imported_and_both_are_reported(scene: Scene, tmp_path: Path) -> None:
    folder = firehose_files(tmp_path / "old", scene)
    day = TWO_WEEKS[3]
    late = closing_time(day) + timedelta(days=1, hours=3)
    path = write_legacy_file(
        folder / f"{late:%Y/%m/%d/%H}" / "correction", f"{HEADER}\n{day},IBM,100,110,90,105,1234\n"
    )
    found = run_import(scene, folder)
    load(scene)

    assert found.tally.contradicted == 1
    [one] = found.contradictions
    assert (one.symbol, one.session, one.newer.place) == ("IBM", day, f"{path}, line 2")
    assert f"{day:%Y/%m/%d}" in one.older.place
    scene.source.set_bar("IBM", day, "100,110,90,105,1234")
    assert content(scene.backend) == rebuilt(local_backend(tmp_path / "ideal"), scene, TWO_WEEKS)


def test_a_row_written_before_the_market_close_is_replaced_by_a_later_row(scene: Scene, tmp_path: Path) -> None:
    folder = firehose_files(tmp_path / "old", scene)
    early = closing_time(TWO_WEEKS[0]) - timedelta(hours=3)
    write_legacy_file(
        folder / f"{early:%Y/%m/%d/%H}" / "too_early", f"{HEADER}\n{TWO_WEEKS[0]},IBM,100,110,90,105,1234\n"
    )
    found = run_import(scene, folder)
    load(scene)
    assert (found.tally.before_close, found.tally.contradicted, found.contradictions) == (1, 0, ())
    assert content(scene.backend) == rebuilt(local_backend(tmp_path / "ideal"), scene, TWO_WEEKS)


def test_a_bar_written_before_the_market_close_is_quarantined_until_the_vendor_has_the_day(
    scene: Scene, tmp_path: Path
) -> None:
    day = TWO_WEEKS[-1]
    folder = firehose(tmp_path / "old", scene.source, FIVE.symbols, TWO_WEEKS[:-1])
    firehose(tmp_path / "old", scene.source, [name for name in FIVE.symbols if name != "IBM"], [day])
    # The exchange closed at 20:00 UTC: it was open from 19:00 to 20:00.
    write_legacy_file(folder / f"{day:%Y/%m/%d}/19/early", f"{HEADER}\n{day},IBM,100,110,90,105,1234\n")
    assert closing_time(day).hour == 20
    for _ in range(2):
        found = run_import(scene, folder)
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
    run_import(scene, firehose_files(tmp_path / "old", scene))
    load(scene)
    assert {row["trade_date"] for row in content(scene.backend)[0]} == set(TWO_WEEKS) - {TWO_WEEKS[2]}
    scene.change(limits=type(scene.limits)(min_coverage=0.5, max_quarantined_share=0.5))
    load(scene)
    assert {(row["symbol"], row["audit"]) for row in content(scene.backend)[1]} == {
        ("IBM", "text_is_numeric"),
        ("ORCL", "low_not_above_body"),
        ("CSCO", "ohlcv_complete"),
    }


def test_a_session_with_few_symbols_is_excluded(scene: Scene, tmp_path: Path) -> None:
    folder = firehose(tmp_path / "old", scene.source, FIVE.symbols, FIRST_WEEK)
    firehose(folder, scene.source, ["IBM", "ORCL"], [TWO_WEEKS[-1]])
    run_import(scene, folder)
    load(scene)
    assert {row["trade_date"] for row in content(scene.backend)[0]} == set(FIRST_WEEK)


def test_a_missing_or_empty_location_is_an_error(scene: Scene, tmp_path: Path) -> None:
    with pytest.raises(LegacyDataUnusable, match="does not exist"):
        run_import(scene, tmp_path / "nothing")
    write_legacy_file(tmp_path / "old" / "_SUCCESS", "x")
    write_legacy_file(tmp_path / "old" / "empty.csv", "")
    with pytest.raises(LegacyDataUnusable, match="contains no file with data"):
        run_import(scene, tmp_path / "old")
    assert scene.backend.warehouse.history(DAILY_PRICES) == []


class Distinct(ScriptedSource):
    """A vendor whose responses for two symbols are never equal."""

    @property
    def terms(self) -> Terms:
        return Terms(distinct_responses=True)


def test_bars_that_are_not_a_valid_response_are_reported_and_the_others_imported(scene: Scene, tmp_path: Path) -> None:
    scene.source.set_bars("IBM", dict.fromkeys(TWO_WEEKS, "10,12,9,11,777"))
    scene.source.set_bars("ORCL", dict.fromkeys(TWO_WEEKS, "10,12,9,11,777"))
    location = LegacyFolder(firehose_files(tmp_path / "old", scene), FileFormat())
    found = import_bars(parts(scene.backend, Distinct()), location, SCOPE)
    [one] = found.rejected
    assert one.text.startswith("ORCL: the response has the same bars as the response of IBM")
    assert format_unreadable(found) == [f"{one.text}; no bar of it is imported"]
    assert [row.symbol for row in found.symbols] == ["AAPL", "CSCO", "IBM", "MSFT"]
    assert scene.backend.ledger.fetches(FetchKind.PRICES, symbol="ORCL") == []


class Killed(BaseException):
    """No code catches this exception, as no code catches SIGKILL."""


@pytest.mark.parametrize("step", range(6))
def test_an_import_killed_between_any_two_steps_neither_loses_nor_repeats_bars(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    folder = firehose(tmp_path / "old", scene.source, ["AAPL", "IBM"], TWO_WEEKS)
    remaining = [step]

    def killed_after_some_calls(call: Callable[..., None]) -> Callable[..., None]:
        def wrapped(*args: object) -> None:
            if remaining[0] == 0:
                raise Killed
            remaining[0] -= 1
            call(*args)

        return wrapped

    with monkeypatch.context() as patch:
        patch.setattr(type(scene.backend.objects), "put", killed_after_some_calls(type(scene.backend.objects).put))
        patch.setattr(type(scene.backend.ledger), "record", killed_after_some_calls(type(scene.backend.ledger).record))
        with pytest.raises(Killed):
            run_import(scene, folder)
    wanted = LandingScope(SCOPE.first, SCOPE.last)
    assert scan(scene, wanted, at=datetime.now(UTC) + timedelta(hours=1)).landing_files == ()

    run_import(scene, folder)
    keys_of_responses = [fetch.response_key for fetch in scene.backend.ledger.fetches(FetchKind.PRICES)]
    assert len(keys_of_responses) == len(set(keys_of_responses)) == 2
    assert sorted(keys_of_responses) == scene.backend.objects.keys("raw/")
    notes = [fetch.response_key for fetch in scene.backend.ledger.fetches(FetchKind.LANDING_FILES)]
    assert sorted(notes) == sorted(keys_of_responses)


def test_a_run_imports_the_data_that_its_config_names(scene: Scene, tmp_path: Path) -> None:
    folder = firehose_files(tmp_path / "old", scene)
    write_legacy_file(folder / "damaged", b"\xff", LONG_AGO)
    requests_before = len(scene.source.requests)
    dagster_pipeline = pipeline(scene, tmp_path)
    result = dagster_pipeline.definitions.resolve_job_def(JOB_NAME).execute_in_process(
        instance=dagster_pipeline.instance,
        run_config={
            "ops": {"raw__daily_prices": {"config": {"import_from": str(folder), "request_symbols": []}}},
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        },
        tags=range_tags(FIRST_WEEK[0], FIRST_WEEK[-1]),
        raise_on_error=False,
    )
    assert result.success
    assert {kind for kind, _ in scene.source.requests[requests_before:]} == {"splits"}
    assert content(scene.backend) == rebuilt(local_backend(tmp_path / "ideal"), scene, FIRST_WEEK)
    metadata = result.asset_materializations_for_node("raw__daily_prices")[0].metadata
    assert "20 files, 100 rows: 25 repeated" in str(metadata["import"].value)
    assert "| IBM | 5 | 2012-03-01 | 2012-03-07 | 0 | 0 |" in str(metadata["imported bars"].value)
    assert all(fetch.is_landing_file for fetch in scene.backend.ledger.fetches(FetchKind.PRICES))
    assert "cannot be read" in "".join(
        entry.user_message for entry in dagster_pipeline.instance.all_logs(result.run_id)
    )


def test_legacy_bars_are_ordered_by_session(scene: Scene) -> None:
    assert [row[0] for row in legacy_bars(scene.source, ["IBM"], FIRST_WEEK)] == [str(day) for day in FIRST_WEEK]
