"""The public functions for notebooks, and what their import costs."""

import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import stock_assets
from stock_assets import Pipeline, Settings
from stock_assets.core.errors import InvalidQuery, MissingLibrary, NoData, UnknownSnapshot
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.serve.as_of import parse_as_of

SESSIONS = [date(2012, 5, 17), date(2012, 5, 18)]
"""Facebook is listed since the second one."""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a local backend with two published sessions."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"))
    pipeline = Pipeline.from_settings(settings)
    pipeline.fetch(SESSIONS)
    pipeline.stage(SESSIONS)
    pipeline.publish(SESSIONS)
    return settings


def test_read_returns_a_table_sorted_by_its_key(settings: Settings) -> None:
    frame = stock_assets.read("daily_prices", settings=settings)
    keys = list(zip(frame["symbol"], frame["trade_date"], strict=True))
    assert len(keys) == 9
    assert keys == sorted(keys)
    assert frame["trade_date"].max() == pd.Timestamp("2012-05-18")
    pd.testing.assert_frame_equal(frame, stock_assets.read("published.daily_prices", settings=settings))


@pytest.mark.parametrize("start", ["2012-05-18", date(2012, 5, 18), pd.Timestamp("2012-05-18")], ids=str)
def test_read_selects_columns_symbols_and_sessions(settings: Settings, start: date | str) -> None:
    frame = stock_assets.read(
        "daily_prices", columns=["symbol", "close_price"], symbols=["IBM", "FB"], start=start, settings=settings
    )
    assert list(frame.columns) == ["symbol", "close_price"]
    assert list(frame["symbol"]) == ["FB", "IBM"]


def test_read_takes_one_symbol_or_none(settings: Settings) -> None:
    for name in ("IBM", "ibm "):
        assert set(stock_assets.read("daily_prices", symbols=name, settings=settings)["symbol"]) == {"IBM"}
    assert stock_assets.read("daily_prices", symbols=[], settings=settings).empty
    assert stock_assets.read("daily_prices", symbols="' OR 1=1 --", settings=settings).empty
    assert len(stock_assets.read("daily_prices", end="2012-05-17", settings=settings)) == 4


def test_every_table_and_view_can_be_read(settings: Settings) -> None:
    for relation in stock_assets.tables(settings=settings):
        frame = stock_assets.read(relation.name, settings=settings)
        assert list(frame.columns) == [column.name for column in relation.columns]
        assert len(frame) == relation.rows


def test_the_error_of_an_unknown_name_lists_the_available_ones(settings: Settings) -> None:
    with pytest.raises(InvalidQuery, match=r"^Unknown table 'nope'\. Available: published\.daily_prices, published\."):
        stock_assets.read("nope", settings=settings)
    with pytest.raises(InvalidQuery, match=r"^published\.daily_prices has no column 'nope'\. Available: symbol, tr"):
        stock_assets.read("daily_prices", columns=["nope"], settings=settings)


def test_read_takes_the_name_of_one_column(settings: Settings) -> None:
    assert list(stock_assets.read("daily_prices", columns="close_price", settings=settings).columns) == ["close_price"]
    with pytest.raises(InvalidQuery, match=r"no column 'close'\. Available: symbol, "):
        stock_assets.read("daily_prices", columns="close", settings=settings)


def test_a_day_in_another_form_is_rejected_with_an_example(settings: Settings) -> None:
    with pytest.raises(InvalidQuery, match=r"end is '3/1/2013', which is no day\. Write it in the form 2013-03-01\."):
        stock_assets.read("daily_prices", end="3/1/2013", settings=settings)


def test_reading_without_a_data_folder_is_an_error_and_no_empty_frame(tmp_path: Path) -> None:
    elsewhere = Settings(data_dir=tmp_path / "new")
    for read in (
        lambda: stock_assets.read("daily_prices", settings=elsewhere),
        lambda: stock_assets.query("SELECT * FROM published.daily_prices", settings=elsewhere),
        lambda: stock_assets.tables(settings=elsewhere),
    ):
        with pytest.raises(NoData, match="Change to the folder that contains your data, or set STOCK_ASSETS_DATA_DIR"):
            read()


def test_query_returns_a_frame(settings: Settings) -> None:
    frame = stock_assets.query("SELECT symbol FROM published.daily_prices WHERE symbol = 'FB'", settings=settings)
    assert frame.to_dict("records") == [{"symbol": "FB"}]


def test_results_for_other_libraries_have_their_types_of_dates(settings: Settings) -> None:
    columns = ["symbol", "trade_date", "close_price", "volume"]
    arrow = stock_assets.read("daily_prices", columns=columns, result="arrow", settings=settings)
    assert arrow.schema.types == [pa.string(), pa.date32(), pa.float64(), pa.int64()]
    frame = stock_assets.read("daily_prices", columns=columns, result="polars", settings=settings)
    assert frame.schema["trade_date"] == pl.Date
    relation = stock_assets.read("daily_prices", columns=columns, result="duckdb", settings=settings)
    assert relation.types[1] == duckdb.sqltypes.DATE
    expected = arrow.to_pylist()
    assert len(expected) == 9
    assert frame.to_dicts() == expected
    assert relation.to_arrow_table().to_pylist() == expected
    pandas = stock_assets.read("daily_prices", columns=columns, settings=settings)
    assert pandas["trade_date"].dtype.kind == "M"
    assert pa.Table.from_pandas(pandas, schema=arrow.schema).to_pylist() == expected


def test_a_missing_library_is_named_with_the_command_that_installs_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(MissingLibrary, match="pip install polars"):
        stock_assets.read("daily_prices", result="polars", settings=settings)


def test_as_of_pins_tables_and_the_tables_behind_views(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    pipeline = Pipeline.from_settings(settings)
    for session in SESSIONS:
        pipeline.fetch([session])
        pipeline.stage([session])
        pipeline.publish([session])
    newest, oldest = pipeline.backend.warehouse.history(DAILY_PRICES)
    for name in ("daily_prices", "price_trends", "adjusted_prices", "latest_board"):
        for as_of in (oldest.committed_at, f"{oldest.committed_at:%Y-%m-%d %H:%M:%S.%f}", oldest.snapshot_id):
            frame = stock_assets.read(name, as_of=as_of, settings=settings)
            assert (len(frame), frame["trade_date"].max()) == (4, pd.Timestamp(SESSIONS[0])), (name, as_of)
        assert len(stock_assets.read(name, as_of=newest.committed_at, settings=settings)) in (5, 9)
    count = "SELECT COUNT(*) AS n FROM published.daily_prices"
    assert stock_assets.query(count, as_of=str(oldest.snapshot_id), settings=settings)["n"].item() == 4
    with pytest.raises(UnknownSnapshot, match="Nothing was published at 2012-05-18 00:00:00 UTC: the first snapshot"):
        stock_assets.read("daily_prices", as_of=date(2012, 5, 18), settings=settings)
    with pytest.raises(InvalidQuery, match=r"reads published\.daily_prices and published\.quarantined"):
        stock_assets.read("coverage", as_of=oldest.snapshot_id, settings=settings)


@pytest.mark.parametrize(
    ("as_of", "message"),
    [
        ("yesterday", "as_of is 'yesterday', which is no timestamp and no snapshot id"),
        (datetime(2999, 1, 1, tzinfo=UTC), "2999-01-01 00:00:00 UTC, which is in the future"),
    ],
)
def test_an_invalid_as_of_is_rejected_with_an_example(settings: Settings, as_of: datetime | str, message: str) -> None:
    with pytest.raises(InvalidQuery, match=message):
        stock_assets.read("daily_prices", as_of=as_of, settings=settings)


def test_a_timestamp_may_have_another_zone() -> None:
    assert parse_as_of("2013-03-01T18:00:00-05:00") == parse_as_of("2013-03-01 23:00:00 UTC")
    assert parse_as_of("2013-03-01") == datetime(2013, 3, 1, tzinfo=UTC)
    assert parse_as_of("4611686018427387904") == 4611686018427387904


def test_settings_come_from_the_environment(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = "SELECT COUNT(*) AS bars FROM published.daily_prices"
    monkeypatch.setenv("STOCK_ASSETS_DATA_DIR", str(settings.data_dir))
    assert stock_assets.query(count)["bars"].item() == 9
    (tmp_path / "empty" / "recorded").mkdir(parents=True)
    monkeypatch.setenv("STOCK_ASSETS_DATA_DIR", str(tmp_path / "empty"))
    assert stock_assets.query(count)["bars"].item() == 0
    assert {table.rows for table in stock_assets.tables() if table.kind == "table"} == {0}


def imported_by(statement: str) -> set[str]:
    """Return the top-level modules that a statement imports in a new process."""
    code = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_package_imports_no_library() -> None:
    assert imported_by("import stock_assets") - imported_by("import importlib, typing") == {"stock_assets"}


def test_settings_and_pipeline_import_no_library_that_they_may_not_need() -> None:
    large = {"dagster", "pandas", "exchange_calendars", "boto3", "botocore", "requests", "pyiceberg", "sqlalchemy"}
    assert imported_by("import stock_assets.settings") & {*large, "pyarrow", "sqlglot", "duckdb"} == set()
    assert imported_by("import stock_assets.pipeline") & large == set()


def test_public_names_are_listed_and_others_do_not_exist() -> None:
    assert set(stock_assets.__all__) <= set(dir(stock_assets))
    for name in stock_assets.__all__:
        assert getattr(stock_assets, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'write'"):
        _ = stock_assets.write  # type: ignore[attr-defined]  # what is tested
