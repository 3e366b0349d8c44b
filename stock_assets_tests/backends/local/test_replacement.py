"""A publish adds the staged files themselves where it can, and files never pile up."""

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from stock_assets.backends.interface import Backend
from stock_assets.backends.local import iceberg
from stock_assets.backends.local.table_folder import path_of
from stock_assets.backends.local.table_reader import data_files, read
from stock_assets.core.calendar import sessions_between
from stock_assets.core.errors import QueryFailed, TableDrift
from stock_assets.core.sql import Fragment
from stock_assets.core.tables import DAILY_PRICES, STAGED_PRICES
from stock_assets_tests.support.rows import price_row, stage_rows
from stock_assets_tests.support.table_rows import FIRST, NEXT_YEAR, PROPERTIES, SECOND, THIRD, publish, published

YEAR = sessions_between(date(2012, 1, 1), date(2012, 12, 31))


def files(root: Path) -> list[Path]:
    stored = read(root, DAILY_PRICES)
    assert stored is not None
    return sorted(map(Path, data_files(stored)))


def staged_files(root: Path) -> Iterator[Path]:
    return (root / "staged" / "tables" / "load_1" / "daily_prices").iterdir()


def is_link(file: Path, others: Sequence[Path]) -> bool:
    return any(file.samefile(other) for other in others)


@pytest.fixture
def root(backend: Backend) -> Path:
    return Path(backend.warehouse.location(DAILY_PRICES)).parent.parent


def test_a_load_of_several_years_is_written_once_one_file_per_year(backend: Backend, root: Path) -> None:
    publish(backend, [price_row("B", NEXT_YEAR), price_row("B", FIRST), price_row("A", FIRST)], FIRST, NEXT_YEAR)

    stored = files(root)
    assert [file.parent.name for file in stored] == ["trade_year=2012", "trade_year=2013"]
    assert all(is_link(file, [*staged_files(root)]) for file in stored)
    assert pq.read_table(stored[0], columns=["symbol"])["symbol"].to_pylist() == ["A", "B"]


def test_a_staged_file_that_is_replaced_or_dropped_leaves_the_table_unchanged(backend: Backend, root: Path) -> None:
    publish(backend, [price_row("A", FIRST)], FIRST, FIRST)
    with backend.warehouse.connect("load_1") as sql:
        stage_rows(sql, [price_row("A", FIRST, 1.0)])
    assert published(backend) == [("A", FIRST, 101.0)]

    backend.warehouse.drop_staging("load_1")

    assert published(backend) == [("A", FIRST, 101.0)]


def test_the_file_of_a_link_is_copied_into_the_table(backend: Backend, root: Path) -> None:
    """Another program may replace equal files by links to one of them, and delete that one later."""
    row = price_row("A", FIRST)
    with backend.warehouse.connect("load_1") as sql:
        stage_rows(sql, [row])
        [staged] = staged_files(root)
        other = staged.rename(root / "elsewhere.parquet")
        staged.symlink_to(other)
        sql.replace_range(DAILY_PRICES, STAGED_PRICES, first=FIRST, last=FIRST, properties=PROPERTIES)
    other.unlink()

    assert published(backend) == [("A", FIRST, 101.0)]
    assert not any(file.is_symlink() for file in files(root))


def test_the_files_have_the_field_ids_and_statistics_that_iceberg_plans_with(backend: Backend, root: Path) -> None:
    publish(backend, [price_row("A", FIRST), price_row("B", SECOND)], FIRST, SECOND)

    table = iceberg.load(root, DAILY_PRICES)
    ids = {field.name: str(field.field_id) for field in table.schema().fields}
    schema = pq.read_schema(files(root)[0])
    assert {field.name: field.metadata[b"PARQUET:field_id"].decode() for field in schema} == ids
    assert table.scan().to_arrow().num_rows == 2
    assert [*table.scan(row_filter="trade_date > '2012-03-02'").plan_files()] == []
    assert [*table.scan(row_filter="symbol > 'B'").plan_files()] == []
    [task] = table.scan(row_filter="symbol = 'B' and trade_date = '2012-03-02'").plan_files()
    assert (task.file.record_count, task.file.file_size_in_bytes) == (
        2,
        Path(path_of(task.file.file_path)).stat().st_size,
    )


def test_the_files_have_dictionaries_of_texts_and_dates_and_none_of_numbers(backend: Backend, root: Path) -> None:
    publish(backend, [price_row("A", FIRST), price_row("A", SECOND)], FIRST, SECOND)

    group = pq.read_metadata(files(root)[0]).row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    assert {column.path_in_schema for column in columns if column.has_dictionary_page} == {
        "symbol",
        "trade_date",
        "candle_type",
    }


def test_rows_outside_the_range_in_a_touched_file_are_written_again(backend: Backend, root: Path) -> None:
    rows = [price_row(symbol, day) for symbol in "AB" for day in (FIRST, SECOND, THIRD)]
    publish(backend, [*rows, price_row("A", NEXT_YEAR)], FIRST, NEXT_YEAR)
    before = files(root)

    publish(backend, [price_row("B", SECOND, 7.0)], SECOND, SECOND)

    assert published(backend) == [
        ("A", FIRST, 101.0),
        ("A", THIRD, 101.0),
        ("A", NEXT_YEAR, 101.0),
        ("B", FIRST, 101.0),
        ("B", SECOND, 7.0),
        ("B", THIRD, 101.0),
    ]
    after = files(root)
    assert [file.parent.name for file in after] == ["trade_year=2012", "trade_year=2013"]
    assert after[1] == before[1]
    assert pq.read_table(after[0], columns=["symbol"])["symbol"].to_pylist() == ["A", "A", "B", "B", "B"]
    # The staging tables keep no file that the table may replace later.
    assert [file.name for file in (root / "staged" / "tables" / "load_1").iterdir()] == ["daily_prices"]


def test_a_range_that_loses_all_its_rows_removes_the_file(backend: Backend, root: Path) -> None:
    publish(backend, [price_row("A", FIRST), price_row("A", NEXT_YEAR)], FIRST, NEXT_YEAR)

    publish(backend, [f"SELECT * FROM ({price_row('A', FIRST)}) AS r WHERE symbol = 'none'"], NEXT_YEAR, NEXT_YEAR)

    assert published(backend) == [("A", FIRST, 101.0)]
    assert [file.parent.name for file in files(root)] == ["trade_year=2012"]


@pytest.mark.slow
def test_daily_publishes_leave_few_files_and_rewrite_few_rows(backend: Backend, root: Path) -> None:
    sessions, most, linked = YEAR[:60], 0, 0
    publish(backend, [price_row(symbol, day) for symbol in "AB" for day in sessions[:20]], sessions[0], sessions[19])
    for day in sessions[20:]:
        before = files(root)
        publish(backend, [price_row("A", day), price_row("B", day)], day, date(day.year, 12, 31))
        [added] = [file for file in files(root) if file not in before]
        linked += is_link(added, [*staged_files(root)])
        most = max(most, len(files(root)))

    assert most <= 4
    assert linked >= 5
    assert [(symbol, day) for symbol, day, _ in published(backend)] == [(s, day) for s in "AB" for day in sessions]


def test_a_large_file_is_not_rewritten_for_a_session_after_it(backend: Backend, root: Path) -> None:
    publish(backend, [price_row(symbol, FIRST) for symbol in "ABCDE"], FIRST, FIRST)
    [large] = files(root)

    publish(backend, [price_row("A", SECOND), price_row("B", SECOND)], SECOND, THIRD)

    assert large in files(root)
    assert len(files(root)) == 2


def test_the_rows_of_a_select_are_committed(backend: Backend, root: Path) -> None:
    publish(backend, [price_row("A", FIRST)], FIRST, FIRST)
    with backend.warehouse.connect("load_2") as sql:
        select = Fragment(f"({price_row('A', SECOND)} UNION ALL {price_row('B', FIRST)})")
        sql.replace_range(DAILY_PRICES, select, first=FIRST, last=SECOND, properties=PROPERTIES)

    assert published(backend) == [("A", SECOND, 101.0), ("B", FIRST, 101.0)]
    assert [*(root / "staged" / "tables" / "load_2").iterdir()] == []


def test_a_required_column_without_a_value_is_not_published(backend: Backend) -> None:
    row = price_row("A", FIRST).replace("CAST('doji' AS VARCHAR)", "CAST(NULL AS VARCHAR)")

    with pytest.raises(
        TableDrift, match=r"daily_prices: column candle_type is required, but 1 row of the load has .* nothing was"
    ):
        publish(backend, [row], FIRST, FIRST)

    assert published(backend) == []


def test_published_rows_can_be_in_a_range_only_if_a_file_has_sessions_in_it(backend: Backend) -> None:
    def may_have(first: date, last: date) -> bool:
        with backend.warehouse.connect() as sql:
            return sql.may_have_rows(DAILY_PRICES, first, last)

    assert not may_have(FIRST, NEXT_YEAR)
    publish(backend, [price_row("A", SECOND)], SECOND, SECOND)
    assert [may_have(FIRST, FIRST), may_have(FIRST, SECOND), may_have(SECOND, THIRD), may_have(THIRD, NEXT_YEAR)] == [
        False,
        True,
        True,
        False,
    ]


def test_a_select_that_fails_while_its_rows_are_written_is_a_typed_error_and_keeps_the_table(backend: Backend) -> None:
    failing = price_row("A", FIRST).replace(
        "1E0 AS split_factor", "CAST(CAST('x' || symbol AS VARCHAR) AS DOUBLE) AS f"
    )
    with backend.warehouse.connect("load_1") as sql:
        stage_rows(sql, [price_row("A", FIRST)])
        with pytest.raises(QueryFailed, match="xA"):
            sql.stage(STAGED_PRICES, f"SELECT * FROM (SELECT r.* FROM ({failing}) AS r)")
        assert sql.query(f"SELECT symbol FROM {sql.name(STAGED_PRICES).value}").num_rows == 1
