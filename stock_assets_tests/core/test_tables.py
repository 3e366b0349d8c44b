"""The contracts of the tables: complete, consistent, and equal to the stored tables."""

from dataclasses import replace

import dagster as dg
import pyarrow as pa
import pytest

from stock_assets.backends.interface import Backend
from stock_assets.core.sql import Name
from stock_assets.core.tables import (
    DAILY_PRICES,
    PUBLISHED_TABLES,
    QUARANTINED_PRICES,
    STAGED_PRICES,
    STAGED_QUARANTINE,
    STAGING_TABLES,
    TYPED_PRICES,
    Column,
    ColumnType,
    Table,
    declared_columns,
)
from stock_assets.orchestration.keys import asset_key, column_schema
from stock_assets_tests.support.steps import read

TABLES = [pytest.param(table, id=table.full_name) for table in (*PUBLISHED_TABLES, *STAGING_TABLES)]


@pytest.mark.parametrize("table", TABLES)
def test_every_column_has_a_description_in_the_catalog(table: Table) -> None:
    described = column_schema(table.columns).columns
    assert [column.name for column in described] == table.column_names
    assert all(column.description for column in described)
    assert [column.type for column in described] == [column.type.value for column in table.columns]
    assert [column.constraints.nullable for column in described] == [not column.required for column in table.columns]
    assert table.description.endswith(".")


@pytest.mark.parametrize("table", TABLES)
def test_names_are_plain_and_unique(table: Table) -> None:
    for name in (table.full_name, *table.column_names):
        assert Name(name).value == name
    assert len(set(table.column_names)) == len(table.columns)
    assert asset_key(table) == dg.AssetKey(table.full_name.split("."))


@pytest.mark.parametrize("table", TABLES)
def test_the_grain_is_never_null(table: Table) -> None:
    required = {column.name for column in table.columns if column.required}
    assert set(table.grain) <= required


@pytest.mark.parametrize("table", TABLES)
def test_money_and_shares_have_units(table: Table) -> None:
    units = {column.name: column.unit for column in table.columns}
    assert {units[name] for name in units if name.endswith("_price")} == {"USD"}
    assert units["volume"] == "shares"


def test_the_meaning_is_the_description_and_the_unit() -> None:
    column = Column("a", ColumnType.DOUBLE, "Close", "USD")
    assert column.meaning == "Close (USD)"
    assert replace(column, unit="").meaning == "Close"


def test_published_columns_are_only_added() -> None:
    """Consumers rely on the columns: they are added at the end, and never renamed, moved or changed in type."""
    assert [(column.name, column.type.value) for column in DAILY_PRICES.columns] == [
        ("symbol", "varchar"),
        ("trade_date", "date"),
        ("open_price", "double"),
        ("high_price", "double"),
        ("low_price", "double"),
        ("close_price", "double"),
        ("volume", "bigint"),
        ("daily_return", "double"),
        ("avg_price", "double"),
        ("volatility", "double"),
        ("prev_close", "double"),
        ("price_change_pct", "double"),
        ("rolling_avg_5d", "double"),
        ("volume_surge_ratio", "double"),
        ("candle_type", "varchar"),
        ("is_market_up", "boolean"),
        ("split_factor", "double"),
    ]


def test_only_look_back_values_may_be_null() -> None:
    nullable = {column.name for column in DAILY_PRICES.columns if not column.required}
    assert nullable == {"prev_close", "price_change_pct", "rolling_avg_5d", "volume_surge_ratio"}


def test_staging_tables_have_the_columns_of_their_published_tables() -> None:
    assert STAGED_PRICES.columns == DAILY_PRICES.columns
    assert STAGED_QUARANTINE.columns == QUARANTINED_PRICES.columns
    assert set(TYPED_PRICES.column_names) < set(QUARANTINED_PRICES.column_names)


def test_the_arrow_schema_has_every_column_type() -> None:
    columns = [
        Column("a", ColumnType.TEXT, "A", required=True),
        Column("b", ColumnType.DATE, "B"),
        Column("c", ColumnType.DOUBLE, "C"),
        Column("d", ColumnType.INTEGER, "D"),
        Column("e", ColumnType.BOOLEAN, "E"),
        Column("f", ColumnType.TIMESTAMP, "F"),
    ]
    assert {column.type for column in columns} == set(ColumnType)
    assert Table("s", "t", ("a",), tuple(columns), "T.").arrow_schema() == pa.schema(
        [
            pa.field("a", pa.string(), nullable=False),
            pa.field("b", pa.date32()),
            pa.field("c", pa.float64()),
            pa.field("d", pa.int64()),
            pa.field("e", pa.bool_()),
            pa.field("f", pa.timestamp("us")),
        ]
    )


def test_declared_columns_have_one_row_per_column() -> None:
    table = Table("s", "t", ("a",), (Column("a", ColumnType.TEXT, "A"), Column("b", ColumnType.DATE, "B")), "T.")
    assert declared_columns(iter([("x", table), ("y", replace(table, columns=table.columns[:1]))])).to_pylist() == [
        {"table_name": "x", "column_name": "a", "data_type": "varchar"},
        {"table_name": "x", "column_name": "b", "data_type": "date"},
        {"table_name": "y", "column_name": "a", "data_type": "varchar"},
    ]


@pytest.mark.parametrize("table", PUBLISHED_TABLES, ids=lambda table: table.full_name)
def test_published_tables_are_stored_as_declared(backend: Backend, table: Table) -> None:
    stored = read(backend, f"SELECT * FROM {table.full_name}").schema
    declared = table.arrow_schema()
    assert (stored.names, stored.types) == (declared.names, declared.types)
