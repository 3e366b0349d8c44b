"""The public functions for notebooks, and what their import costs."""

import subprocess
import sys
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

import stock_assets
from stock_assets import Pipeline, Settings
from stock_assets.core.errors import InvalidQuery

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


@pytest.mark.parametrize("first", ["2012-05-18", date(2012, 5, 18), pd.Timestamp("2012-05-18")], ids=str)
def test_read_selects_columns_symbols_and_sessions(settings: Settings, first: date | str) -> None:
    frame = stock_assets.read(
        "daily_prices", columns=["symbol", "close_price"], symbols=["IBM", "FB"], first=first, settings=settings
    )
    assert list(frame.columns) == ["symbol", "close_price"]
    assert list(frame["symbol"]) == ["FB", "IBM"]


def test_read_takes_one_symbol_or_none(settings: Settings) -> None:
    assert set(stock_assets.read("daily_prices", symbols="IBM", settings=settings)["symbol"]) == {"IBM"}
    assert stock_assets.read("daily_prices", symbols=[], settings=settings).empty
    assert stock_assets.read("daily_prices", symbols="' OR 1=1 --", settings=settings).empty
    assert len(stock_assets.read("daily_prices", last="2012-05-17", settings=settings)) == 4


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


def test_query_returns_a_frame(settings: Settings) -> None:
    frame = stock_assets.query("SELECT symbol FROM published.daily_prices WHERE symbol = 'FB'", settings=settings)
    assert frame.to_dict("records") == [{"symbol": "FB"}]


def test_settings_come_from_the_environment(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = "SELECT COUNT(*) AS bars FROM published.daily_prices"
    monkeypatch.setenv("STOCK_ASSETS_DATA_DIR", str(settings.data_dir))
    assert stock_assets.query(count)["bars"].item() == 9
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
