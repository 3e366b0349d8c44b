"""Runs of the whole job on a real instance, started like those of the command line."""

import sqlite3
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from stock_assets.core.errors import SessionOutOfRange
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.loads.audit_files import audits
from stock_assets.orchestration.keys import asset_key
from stock_assets.orchestration.runs import RunResult, local_instance, run_sessions
from stock_assets.pipeline import Pipeline
from stock_assets.serve.query import summary
from stock_assets.settings import Settings, SourceName

FIRST, LAST = date(2012, 5, 14), date(2012, 5, 25)
SESSIONS = 10


def ignore(_: dg.DagsterEvent) -> None:
    """Ignore an event."""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(data_dir=tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def first_run(settings: Settings) -> tuple[RunResult, list[dg.DagsterEvent]]:
    events: list[dg.DagsterEvent] = []
    return run_sessions(settings, Pipeline.from_settings(settings), FIRST, LAST, on_event=events.append), events


def test_a_run_publishes_every_symbol_and_session(
    settings: Settings, first_run: tuple[RunResult, list[dg.DagsterEvent]]
) -> None:
    result, _ = first_run
    assert result.success
    assert result.failures == ()
    assert result.changed_tables == (DAILY_PRICES.full_name,)
    rows = {row.symbol: row.row_count for row in summary(Pipeline.from_settings(settings).backend)}
    # Facebook's first session was 2012-05-18.
    assert rows == {"AAPL": SESSIONS, "FB": 6, "GOOG": SESSIONS, "IBM": SESSIONS, "MSFT": SESSIONS}


def test_checks_on_the_published_table_pass_and_state_what_they_cover(
    settings: Settings, first_run: tuple[RunResult, list[dg.DagsterEvent]]
) -> None:
    _, events = first_run
    found = {
        event.asset_check_evaluation_data.check_name: event.asset_check_evaluation_data
        for event in events
        if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION
    }
    for name in (
        "one_row_per_symbol_and_session",
        "every_committed_row_is_published",
        "every_listed_symbol_is_published",
    ):
        assert found[name].passed
        assert found[name].asset_key == asset_key(DAILY_PRICES)
        assert found[name].metadata["rows"].value == 46
    audited = [check for name, check in found.items() if name in {audit.name for audit in audits()}]
    for check in [*audited, found["every_committed_row_is_published"], found["every_requested_symbol_is_stored"]]:
        assert check.metadata["covers"].value == "2012-05-14 to 2012-05-25"


def test_the_listener_receives_every_materialization_of_every_session(
    first_run: tuple[RunResult, list[dg.DagsterEvent]],
) -> None:
    _, events = first_run
    seen = [
        (event.asset_key.to_user_string(), event.partition)
        for event in events
        if event.is_step_materialization and event.asset_key and event.partition
    ]
    assert len(seen) == len(set(seen)) == 4 * SESSIONS


@pytest.mark.parametrize(
    ("asset", "column", "sources"),
    [
        ("staged/daily_prices", "trade_date", {"raw/daily_prices timestamp"}),
        ("staged/daily_prices", "avg_price", {f"raw/daily_prices {name}" for name in ("open", "high", "low", "close")}),
        ("staged/daily_prices", "split_factor", {"raw/splits ratio"}),
        ("published/daily_prices", "candle_type", {"staged/daily_prices candle_type"}),
        ("published/quarantined_prices", "volume", {"raw/daily_prices volume"}),
        (
            "published/adjusted_prices",
            "close_price",
            {f"published/daily_prices {name}" for name in ("close_price", "split_factor", "trade_date")},
        ),
        ("published/candles", "candle_type", {"published/price_trends candle_type"}),
        ("published/freshness", "days_old", {"published/daily_prices trade_date"}),
    ],
)
def test_the_latest_materialization_shows_the_lineage_of_the_columns(
    settings: Settings,
    first_run: tuple[RunResult, list[dg.DagsterEvent]],
    asset: str,
    column: str,
    sources: set[str],
) -> None:
    assert first_run
    with local_instance(settings) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey.from_user_string(asset))
    assert event is not None
    assert event.asset_materialization is not None
    lineage = event.asset_materialization.metadata["dagster/column_lineage"].value
    assert isinstance(lineage, dg.TableColumnLineage)
    found = {f"{dep.asset_key.to_user_string()} {dep.column_name}" for dep in lineage.deps_by_column[column]}
    assert found == sources


def test_materializations_have_the_metadata_that_operators_need(
    settings: Settings, first_run: tuple[RunResult, list[dg.DagsterEvent]]
) -> None:
    with local_instance(settings) as instance:
        shown = {}
        for path in ("raw/daily_prices", "raw/splits", "staged/daily_prices", "published/daily_prices"):
            event = instance.get_latest_materialization_event(dg.AssetKey.from_user_string(path))
            assert event is not None
            assert event.asset_materialization is not None
            shown[path] = {key: value.value for key, value in event.asset_materialization.metadata.items()}
    assert shown["raw/daily_prices"]["symbols"] == 5
    assert shown["raw/daily_prices"]["sessions"] == SESSIONS
    assert "| AAPL | ok |" in str(shown["raw/daily_prices"]["outcomes"])
    assert shown["raw/splits"]["dagster/row_count"] == 3
    assert shown["staged/daily_prices"]["load rows"] == 46
    assert shown["staged/daily_prices"]["load quarantined"] == 0
    assert shown["staged/daily_prices"]["dagster/partition_row_count"] == 5
    assert "| MSFT | 2012-05-25 |" in str(shown["staged/daily_prices"]["preview"])
    published = shown["published/daily_prices"]
    assert published["rows added"] == 46
    assert published["symbols"] == 5
    assert "10 sessions" in str(published["load sessions"])
    assert "| MSFT | 2012-05-25 |" in str(published["preview"])
    current = Pipeline.from_settings(settings).backend.warehouse.history(DAILY_PRICES)[0]
    assert published["snapshot"] == str(current.snapshot_id)
    assert published["load replaces"] == "2012-05-14 to 2012-06-15"
    assert published["load"] == current.properties["load_id"]
    assert published["source"] == "recorded sample, ends 2013-03-01"


@pytest.mark.parametrize("asset", ["staged/daily_prices", "published/daily_prices"])
def test_each_session_has_its_counts_and_only_the_last_one_the_preview(
    first_run: tuple[RunResult, list[dg.DagsterEvent]], asset: str
) -> None:
    _, events = first_run
    found = [
        event.step_materialization_data.materialization
        for event in events
        if event.is_step_materialization and event.asset_key == dg.AssetKey.from_user_string(asset)
    ]

    assert len(found) == SESSIONS
    counts = [one.metadata["dagster/partition_row_count"].value for one in found]
    assert sum(map(int, map(str, counts))) == 46
    last = max(str(one.partition) for one in found)
    assert [one.partition for one in found if "preview" in one.metadata] == [last]


def test_every_check_is_planned_once_not_once_per_session(
    settings: Settings, first_run: tuple[RunResult, list[dg.DagsterEvent]]
) -> None:
    """Dagster 1.13 would write one planned row per check and session; see `orchestration.assets.views`."""
    result, _ = first_run
    index = settings.instance_dir / "history" / "runs" / "index.db"
    with sqlite3.connect(index) as connection:
        count = connection.execute(
            "SELECT COUNT(*) FROM asset_check_executions WHERE run_id = ? AND asset_key = ?",
            (result.run_id, '["staged", "daily_prices"]'),
        ).fetchone()[0]
    assert count == len(audits())


def test_a_second_run_changes_nothing(settings: Settings, first_run: tuple[RunResult, list[dg.DagsterEvent]]) -> None:
    warehouse = Pipeline.from_settings(settings).backend.warehouse
    before = warehouse.history(DAILY_PRICES)
    again = run_sessions(settings, Pipeline.from_settings(settings), FIRST, LAST, on_event=ignore)
    assert again.success
    assert again.changed_tables == ()
    assert warehouse.history(DAILY_PRICES) == before


def test_the_instance_uses_this_version_s_configuration_or_the_edited_one(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    with local_instance(settings) as instance:
        assert not instance.telemetry_enabled
        assert instance.run_retries_max_retries == 2
    file = settings.instance_dir / "dagster.yaml"
    file.write_text("telemetry:\n  enabled: true\n", encoding="utf-8")
    with local_instance(settings) as instance:
        assert instance.telemetry_enabled


@pytest.mark.parametrize(
    ("options", "session", "message"),
    [
        (
            {},
            date(2000, 2, 29),
            "2000-02-29 is before the first session, 2000-03-01. To load earlier sessions, set STOCK_ASSETS_FIRST",
        ),
        ({}, date(2013, 3, 4), "2013-03-04 is after 2013-03-01, the last session of the source"),
        (
            {"source": SourceName.ALPHA_VANTAGE},
            date(2040, 1, 4),
            "has not closed yet. Load it after 21:00 UTC",
        ),
    ],
)
def test_a_session_without_a_partition_is_rejected_with_the_remedy(
    tmp_path: Path, options: dict[str, SourceName], session: date, message: str
) -> None:
    settings = Settings(data_dir=tmp_path, source=options.get("source", SourceName.RECORDED))
    with pytest.raises(SessionOutOfRange) as raised:
        run_sessions(settings, Pipeline.from_settings(settings), session, session, on_event=ignore)
    assert message in str(raised.value)


def test_a_failed_run_returns_the_reason(tmp_path: Path) -> None:
    """The universe contains only a symbol that the recording does not have."""
    universe = tmp_path / "universe.csv"
    universe.write_text("symbol,name,first_session,last_session\nNVDA,NVIDIA,,\n", encoding="utf-8")
    settings = Settings(data_dir=tmp_path / "data", universe=universe)
    result = run_sessions(
        settings, Pipeline.from_settings(settings), date(2012, 5, 14), date(2012, 5, 15), on_event=ignore
    )
    assert not result.success
    assert any("NVDA: unknown_symbol" in failure for failure in result.failures)
    assert Pipeline.from_settings(settings).backend.warehouse.history(DAILY_PRICES) == []
