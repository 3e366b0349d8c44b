"""A load reads the files of recent sessions only, however long the history is, and any statement reads all rows."""

from datetime import date
from pathlib import Path

import pytest

from stock_assets.backends.interface import Warehouse
from stock_assets.backends.local import table_reader
from stock_assets.backends.local.parquet_scans import scan, scan_by_age
from stock_assets.backends.local.table_reader import TableFile, table_files
from stock_assets.core.errors import DamagedFiles
from stock_assets.core.tables import DAILY_PRICES, STAGED_PRICES
from stock_assets_tests.support.rows import price_row, stage_rows
from stock_assets_tests.support.steps import local_backend

YEARS = range(2003, 2010)
ALL = "SELECT trade_date FROM published.daily_prices ORDER BY trade_date"
RECENT = "SELECT trade_date FROM published.daily_prices WHERE trade_date >= DATE '2009-01-01' ORDER BY trade_date"


def publish_years(root: Path) -> Warehouse:
    """Publish the first and the last session of each year."""
    warehouse = local_backend(root).warehouse
    with warehouse.connect("load_1") as sql:
        stage_rows(sql, [price_row("IBM", day) for day in sessions()])
        sql.replace_range(DAILY_PRICES, STAGED_PRICES, first=sessions()[0], last=sessions()[-1], properties={})
    return warehouse


def sessions() -> list[date]:
    return [day for year in YEARS for day in (date(year, 1, 5), date(year, 12, 30))]


def days(warehouse: Warehouse, select: str, *, load_id: str) -> list[date]:
    with warehouse.connect(load_id) as sql:
        found: list[date] = sql.query(select)["trade_date"].to_pylist()
    return found


def files(root: Path) -> list[TableFile]:
    stored = table_reader.read(root, DAILY_PRICES)
    assert stored is not None
    return table_files(stored)


def test_a_load_does_not_open_the_files_of_earlier_years(tmp_path: Path) -> None:
    warehouse = publish_years(tmp_path)
    before = days(warehouse, RECENT, load_id="load_2")

    for file in files(tmp_path):
        if file.last_session != sessions()[-1]:
            Path(file.path).write_bytes(b"damaged")

    assert days(warehouse, RECENT, load_id="load_2") == before == [date(2009, 1, 5), date(2009, 12, 30)]
    with pytest.raises(DamagedFiles, match="trade_year=2003"):
        days(warehouse, ALL, load_id="load_2")


@pytest.mark.parametrize("load_id", ["", "load_2"])
def test_a_statement_without_a_condition_reads_all_rows(tmp_path: Path, load_id: str) -> None:
    assert days(publish_years(tmp_path), ALL, load_id=load_id) == sessions()


def test_statistics_have_the_newest_session_of_each_file(tmp_path: Path) -> None:
    publish_years(tmp_path)

    assert sorted(file.last_session or date.min for file in files(tmp_path)) == sessions()[1::2]


def test_a_file_without_statistics_is_always_read(tmp_path: Path) -> None:
    publish_years(tmp_path)
    stored = table_reader.read(tmp_path, DAILY_PRICES)
    unknown, *known = files(tmp_path)

    select = scan_by_age(DAILY_PRICES, stored, [TableFile(unknown.path, None), *known])

    older, recent = select.split(" UNION ALL ")
    assert unknown.path in recent
    assert unknown.path not in older
    assert all(file.path in select for file in known)


def test_few_files_are_one_list(tmp_path: Path) -> None:
    publish_years(tmp_path)
    stored = table_reader.read(tmp_path, DAILY_PRICES)
    newest = sorted(files(tmp_path), key=lambda file: file.last_session or date.min)[-4:]

    assert scan_by_age(DAILY_PRICES, stored, newest) == scan(DAILY_PRICES, stored, [file.path for file in newest])


def test_a_chunk_has_the_rows_of_its_symbols_of_all_years(tmp_path: Path) -> None:
    warehouse = local_backend(tmp_path).warehouse
    with warehouse.connect("load_1") as sql:
        stage_rows(sql, [price_row(symbol, day) for symbol in ("AAPL", "IBM") for day in sessions()])
        sql.replace_range(DAILY_PRICES, STAGED_PRICES, first=sessions()[0], last=sessions()[-1], properties={})

    with warehouse.connect("load_2") as sql:
        sql.divide({"AAPL", "IBM"}, 1_000_000)
        select = "SELECT symbol, trade_date FROM published.daily_prices ORDER BY symbol, trade_date"
        found = list(sql.each_chunk(lambda: [tuple(row.values()) for row in sql.query(select).to_pylist()]))

    assert found == [[(symbol, day) for day in sessions()] for symbol in ("AAPL", "IBM")]
