"""The behaviour of every backend. To test another backend, add it to the fixture `case` only."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from importlib import import_module
from pathlib import Path

import pyarrow as pa
import pytest

from stock_assets.audit.gate import audit_load
from stock_assets.backends.interface import MAINTENANCE, Backend, MaintenanceResult, SqlConnection
from stock_assets.backends.lakehouse import maintenance as lakehouse_maintenance
from stock_assets.backends.lakehouse.backend import LakehouseBackend
from stock_assets.backends.lakehouse.warehouse import GlueWarehouse
from stock_assets.core.errors import ConcurrentPublish, QueryFailed, SettingsError, TableDrift, UnknownSnapshot
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
)
from stock_assets.coverage.published_sessions import published_sessions
from stock_assets.loads.acknowledgements import acknowledge, acknowledgements, remove
from stock_assets.maintenance.purge import purge
from stock_assets.maintenance.recompute import Sample
from stock_assets.maintenance.verify import QUICK, Depth, verify
from stock_assets_tests.contracts.fetch_ledger_contract import FetchLedgerContract
from stock_assets_tests.contracts.objects_contract import ObjectsContract
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.support.backend_cases import BackendCase, in_processes
from stock_assets_tests.support.backend_writers import WRITERS, open_the_warehouse, publish_or_maintain
from stock_assets_tests.support.bars import EVERY_DAY, row_of, rows_of, stored_response
from stock_assets_tests.support.rows import price_row, stage_rows
from stock_assets_tests.support.scenes import BAD_BAR, SECOND_WEEK, TWO_WEEKS, Scene, calm_source, content
from stock_assets_tests.support.small_files import late_for, scatter_locally, scatter_on_aws
from stock_assets_tests.support.steps import local_backend, published_rows
from stock_assets_tests.support.table_rows import (
    FIRST,
    NEXT_YEAR,
    PROPERTIES,
    SECOND,
    THIRD,
    all_rows,
    publish,
    published,
)
from stock_assets_tests.support.trino_backends import TrinoOnEmulator, trino_backend

PARTITION = "raw/daily_prices/ingest_date=2012-03-06/"
RESPONSE = f"{PARTITION}20120306T220000000000Z/IBM.csv"


@pytest.fixture(
    params=[
        "local",
        pytest.param("aws", marks=[pytest.mark.slow, pytest.mark.aws]),
        pytest.param("trino", marks=pytest.mark.trino),
    ]
)
def case(request: pytest.FixtureRequest) -> BackendCase:
    if request.param == "local":
        contracts_in = "stock_assets.backends.local.connection"
        return BackendCase("local", local_backend, contracts_in, scatter_locally, lambda _: None)
    set_clock = None
    if request.param == "trino":
        trino: TrinoOnEmulator = request.getfixturevalue("trino")
        make: Callable[[Path], LakehouseBackend] = partial(trino_backend, trino.url, trino.emulator.endpoint)
    else:
        make = request.getfixturevalue("make_aws_backend")
        if request.getfixturevalue("aws_account") is None:
            emulator: AwsEmulator = request.getfixturevalue("aws")
            set_clock = emulator.set_clock
    return BackendCase(
        request.param, make, "stock_assets.backends.lakehouse.warehouse", partial(scatter_on_aws, make), set_clock
    )


@pytest.fixture
def backend(case: BackendCase, tmp_path: Path) -> Backend:
    return case.make(tmp_path / "backend")


def test_an_acknowledged_warning_is_counted_and_not_shown_until_it_is_removed(backend: Backend) -> None:
    scene = Scene(backend, calm_source())
    first, second = SECOND_WEEK[1], SECOND_WEEK[3]
    for session in (first, second):
        scene.source.set_bar("IBM", session, "100,102,99,101,0")
    scene.fetch(TWO_WEEKS)
    load = scene.stage(TWO_WEEKS)

    def volume_verdict() -> tuple[int, int, list[date | None]]:
        [verdict] = [found for found in audit_load(scene, load) if found.audit.name == "volume_above_zero"]
        return verdict.bad_rows, verdict.acknowledged, [row.trade_date for row in verdict.sample]

    assert volume_verdict() == (2, 0, [first, second])
    acknowledge(backend.objects, "volume_above_zero", "IBM", first, "trading was halted")
    # Another symbol and another warning.
    acknowledge(backend.objects, "volume_above_zero", "CSCO", second, "trading was halted")
    acknowledge(backend.objects, "no_volume_step", "IBM", second, "it's real")
    assert volume_verdict() == (1, 1, [second])
    assert [found.reason for found in acknowledgements(backend.objects)] == ["it's real", *["trading was halted"] * 2]
    acknowledge(backend.objects, "volume_above_zero", "IBM", second, "trading was halted")
    assert volume_verdict() == (0, 2, [])
    remove(backend.objects, "volume_above_zero", "IBM", first)
    assert volume_verdict() == (1, 1, [first])


def test_a_purge_removes_a_symbol_from_every_table(backend: Backend) -> None:
    scene = Scene(backend, calm_source(sessions=SECOND_WEEK))
    scene.source.set_bar("IBM", SECOND_WEEK[1], BAD_BAR)
    scene.source.set_bar("CSCO", SECOND_WEEK[2], BAD_BAR)
    scene.run(SECOND_WEEK)
    kept = tuple([row for row in rows if row["symbol"] != "IBM"] for rows in content(backend))

    assert purge(backend, "IBM", datetime.now(UTC)) == {DAILY_PRICES: 4, QUARANTINED_PRICES: 1}

    assert content(backend) == kept
    assert [backend.warehouse.history(table)[0].properties["purged"] for table in PUBLISHED_TABLES] == ["IBM"] * 2


class TestObjects(ObjectsContract):
    """`Objects`."""


class TestFetchLedger(FetchLedgerContract):
    """`FetchLedger`."""


class TestSqlSession:
    """`SqlConnection`: reading and staging."""

    def test_a_new_backend_has_empty_tables_of_the_declared_types(self, backend: Backend) -> None:
        with backend.warehouse.connect() as sql:
            for table in PUBLISHED_TABLES:
                rows = sql.query(f"SELECT * FROM {sql.name(table).value}")
                assert rows.num_rows == 0
                assert rows.schema.types == table.arrow_schema().types
                assert rows.schema.names == table.column_names
                assert sql.base(table) is None

    def test_results_are_typed(self, backend: Backend) -> None:
        with backend.warehouse.connect() as sql:
            rows = sql.query(
                "SELECT DATE '2012-03-01' AS d, 1.5E0 AS x, CAST(3000000000 AS BIGINT) AS n, TRUE AS b, "
                "CAST('it''s' AS VARCHAR) AS t, CAST(NULL AS DOUBLE) AS nothing, "
                "TIMESTAMP '2012-03-01 22:00:00.123456' AS at"
            )

        assert rows.schema.types[:6] == [
            pa.date32(),
            pa.float64(),
            pa.int64(),
            pa.bool_(),
            pa.string(),
            pa.float64(),
        ]
        assert pa.types.is_timestamp(rows.schema.types[6])
        [row] = rows.to_pylist()
        assert row == {
            "d": FIRST,
            "x": 1.5,
            "n": 3_000_000_000,
            "b": True,
            "t": "it's",
            "nothing": None,
            "at": datetime(2012, 3, 1, 22, 0, 0, 123456),  # noqa: DTZ001 (a SQL timestamp without a zone)
        }

    def test_the_sql_dialect_is_athenas(self, backend: Backend) -> None:
        with backend.warehouse.connect() as sql:
            [row] = sql.query(
                "SELECT DATE_DIFF('day', DATE '2012-03-01', DATE '2012-03-05') AS days, "
                "DAY_OF_WEEK(DATE '2012-03-04') AS sunday, TRY_CAST('x' AS DOUBLE) AS nothing, "
                "REGEXP_LIKE('IBM', '^[A-Z]+$') AS matches"
            ).to_pylist()

        assert row == {"days": 4, "sunday": 7, "nothing": None, "matches": True}

    @pytest.mark.parametrize("select", ["SELECT no_such_column", "SELECT * FROM nowhere", "SELECT (", "SELEC 1 x y"])
    def test_an_invalid_statement_is_a_typed_error_that_contains_the_statement(
        self, backend: Backend, select: str
    ) -> None:
        with backend.warehouse.connect() as sql, pytest.raises(QueryFailed, match=r"(?s)SELEC"):
            sql.query(select)

    def test_a_failed_staging_is_a_typed_error_and_keeps_the_table(self, backend: Backend) -> None:
        with backend.warehouse.connect("load_1") as sql:
            stage_rows(sql, [price_row("IBM", FIRST)])
            with pytest.raises(QueryFailed):
                sql.stage(STAGED_PRICES, f"SELECT no_such_column FROM {sql.name(STAGED_PRICES).value}")
            assert count(sql, STAGED_PRICES) == 1

    def test_staging_replaces_a_table_that_its_select_may_read_and_returns_the_row_count(
        self, backend: Backend
    ) -> None:
        with backend.warehouse.connect("load_1") as sql:
            assert stage_rows(sql, [price_row("IBM", FIRST), price_row("IBM", SECOND)]) == 2
            name = sql.name(STAGED_PRICES).value
            assert sql.stage(STAGED_PRICES, f"SELECT * FROM {name} WHERE trade_date > DATE '{FIRST}'") == 1
            assert count(sql, STAGED_PRICES) == 1

    def test_a_staging_table_outlives_the_connection_and_belongs_to_one_load(
        self, backend: Backend, reopened: Callable[[], Backend]
    ) -> None:
        with backend.warehouse.connect("load_1") as sql:
            stage_rows(sql, [price_row("IBM", FIRST)])
        with backend.warehouse.connect("load_2") as sql:
            stage_rows(sql, [price_row("IBM", FIRST), price_row("IBM", SECOND)])

        for load_id, rows in (("load_1", 1), ("load_2", 2)):
            with reopened().warehouse.connect(load_id) as sql:
                assert count(sql, STAGED_PRICES) == rows

    def test_dropping_the_staging_of_a_load_keeps_other_loads(self, backend: Backend) -> None:
        for load_id in ("load_1", "load_2"):
            with backend.warehouse.connect(load_id) as sql:
                stage_rows(sql, [price_row("IBM", FIRST)])

        backend.warehouse.drop_staging("load_1")
        backend.warehouse.drop_staging("load_1")

        with backend.warehouse.connect("load_1") as sql, pytest.raises(QueryFailed):
            count(sql, STAGED_PRICES)
        with backend.warehouse.connect("load_2") as sql:
            assert count(sql, STAGED_PRICES) == 1

    def test_a_registered_table_can_be_joined_and_replaced(self, backend: Backend) -> None:
        with backend.warehouse.connect() as sql:
            for days in ([FIRST], [FIRST, None, THIRD]):
                name = sql.register("days", pa.table({"day": pa.array(days, pa.date32())}))
                found = sql.query(f"SELECT day FROM {name.value} ORDER BY day").to_pylist()
                assert {row["day"] for row in found} == set(days)
                assert len(found) == len(days)

    def test_a_large_registered_table_can_be_read_and_replaced(self, backend: Backend) -> None:
        """Backends that send statements upload such a table."""
        with backend.warehouse.connect() as sql:
            for symbols in (3000, 3000, 2000):
                rows = pa.table({"symbol": [f"S{number:04d}" for number in range(symbols)]})
                name = sql.register("many", rows)
                assert sql.query(f"SELECT count(*) AS n FROM {name.value}").to_pylist() == [{"n": symbols}]

    def test_responses_are_numbers_and_the_text_of_whatever_is_none(self, backend: Backend) -> None:
        odd, plain = "2012-03-01,1e2, 3,007,NaN,", "2012-03-02,1,2,3,4,5"
        backend.objects.put(RESPONSE, f"timestamp,open,high,low,close,volume\r\n{odd}\r\n".encode())
        other = f"{PARTITION}it's 100%/MSFT.csv"
        backend.objects.put(other, f"timestamp,open,high,low,close,volume\n{plain}\n".encode())
        responses = [stored_response(backend, key) for key in backend.objects.keys("raw/")]
        with backend.warehouse.connect("load_1") as sql:
            name = sql.register_responses(responses, **EVERY_DAY).value
            rows = sql.query(f"SELECT * FROM {name} ORDER BY trade_date").to_pylist()

        assert [row.pop("$path") for row in rows] == [backend.objects.uri(one.response_key) for one in responses]
        assert rows == [row_of(odd), *rows_of([plain], rows[1:])]
        assert rows[0]["unparsed_text"] == "open=1e2, close=NaN"
        assert rows[0]["bar_text"] == "1e2,3,007,NaN,"

    def test_a_line_of_a_response_is_one_row_whatever_it_contains(self, backend: Backend) -> None:
        lines = [
            '2012-03-01,"1,2',
            "2012-03-02",
            "2012-03-05,1,2,3,4,5,6,7",
            "",
            "  ",
            "2012-03-06,\u2028,\\,'\u00e9,\t,6",
        ]
        body = "\r\n".join(["timestamp,open,high,low,close,volume", *lines, ""]).encode()
        backend.objects.put(RESPONSE, body)
        with backend.warehouse.connect("load_1") as sql:
            name = sql.register_responses([stored_response(backend, RESPONSE)], **EVERY_DAY).value
            rows = sql.query(f"SELECT * FROM {name} ORDER BY trade_date").to_pylist()

        assert {row.pop("$path") for row in rows} == {backend.objects.uri(RESPONSE)}
        assert rows == [row_of(line) for line in lines if line.strip(" ")]
        assert [row["bar_text"] for row in rows] == ['"1,2,,,', ",,,,", "1,2,3,4,5,6,7", "\u2028,\\,'\u00e9,\t,6"]

    def test_no_responses_are_an_empty_relation(self, backend: Backend) -> None:
        with backend.warehouse.connect("load_1") as sql:
            rows = sql.query(f'SELECT trade_date, volume, "$path" FROM {sql.register_responses([], **EVERY_DAY).value}')

        assert rows.num_rows == 0

    def test_a_view_reads_published_tables(self, backend: Backend) -> None:
        publish(backend, [price_row("IBM", FIRST)], FIRST, FIRST)
        with backend.warehouse.connect() as sql:
            name = sql.create_view("closes", f"SELECT symbol, close_price FROM {sql.name(DAILY_PRICES).value}")
            assert name.value == "published.closes"
            assert sql.query("SELECT * FROM published.closes").to_pylist() == [{"symbol": "IBM", "close_price": 101.0}]

    def test_actual_columns_are_the_columns_of_the_loads_staging_tables(self, backend: Backend) -> None:
        with backend.warehouse.connect("load_1") as sql:
            stage_rows(sql, [price_row("IBM", FIRST)])
            sql.stage(TYPED_PRICES, "SELECT CAST('IBM' AS VARCHAR) AS symbol")
            sql.stage(STAGED_QUARANTINE, "SELECT CAST(1 AS BIGINT) AS volume")
            found = sql.query(f"SELECT table_name, column_name, LOWER(data_type) AS data_type FROM {actual(sql)}")

        declared = {("daily_prices", column.name, column.type.value) for column in STAGED_PRICES.columns}
        assert {tuple(row.values()) for row in found.to_pylist()} == {
            *declared,
            ("typed_prices", "symbol", "varchar"),
            ("quarantined_prices", "volume", "bigint"),
        }


def actual(sql: SqlConnection) -> str:
    return sql.actual_columns().value


def count(sql: SqlConnection, table: Table) -> int:
    return int(sql.query(f"SELECT COUNT(*) AS n FROM {sql.name(table).value}").to_pylist()[0]["n"])


class TestPublishing:
    """`SqlConnection.replace_range` and the `Warehouse`."""

    def test_a_publish_replaces_the_range_by_the_staged_rows_and_keeps_all_others(self, backend: Backend) -> None:
        everything = [price_row(symbol, day) for symbol in ("IBM", "MSFT") for day in (FIRST, SECOND, THIRD, NEXT_YEAR)]
        publish(backend, everything, FIRST, NEXT_YEAR)

        publish(backend, [price_row("IBM", SECOND, 55.25)], SECOND, THIRD)

        assert published(backend) == [
            ("IBM", FIRST, 101.0),
            ("IBM", SECOND, 55.25),
            ("IBM", NEXT_YEAR, 101.0),
            ("MSFT", FIRST, 101.0),
            ("MSFT", NEXT_YEAR, 101.0),
        ]

    def test_publishing_several_years_commits_one_snapshot(self, backend: Backend) -> None:
        days = [date(year, 6, 1) for year in range(2000, 2013)]
        publish(backend, [price_row("IBM", day) for day in days], days[0], days[-1])

        publish(backend, [price_row("IBM", days[6], 7.5)], days[3], days[9])

        assert [day for _, day, _ in published(backend)] == [*days[:3], days[6], *days[10:]]
        assert [snapshot.rows for snapshot in backend.warehouse.history(DAILY_PRICES)] == [7, 13]

    def test_published_values_are_read_back_exactly(self, backend: Backend) -> None:
        publish(backend, [price_row("IBM", FIRST, 0.1 + 0.2)], FIRST, FIRST)

        with backend.warehouse.connect() as sql:
            rows = sql.query(f"SELECT * FROM {sql.name(DAILY_PRICES).value}")

        assert rows.schema.types == DAILY_PRICES.arrow_schema().types
        [row] = rows.to_pylist()
        assert row["close_price"] == 0.1 + 0.2
        assert (row["prev_close"], row["is_market_up"], row["candle_type"]) == (None, True, "doji")

    def test_history_has_rows_and_properties_of_each_snapshot_newest_first(self, backend: Backend) -> None:
        before = datetime.now(UTC) - timedelta(seconds=1)
        first = publish(backend, [price_row("IBM", FIRST)], FIRST, FIRST)
        second = publish(backend, [price_row("IBM", SECOND)], SECOND, SECOND)

        snapshots = backend.warehouse.history(DAILY_PRICES)

        assert [snapshot.snapshot_id for snapshot in snapshots] == [second, first]
        assert [snapshot.rows for snapshot in snapshots] == [2, 1]
        assert [snapshot.is_current for snapshot in snapshots] == [True, False]
        assert not backend.warehouse.is_rolled_back(DAILY_PRICES)
        assert {tuple(snapshot.properties.items()) for snapshot in snapshots} == {tuple(PROPERTIES.items())}
        assert before < snapshots[1].committed_at <= snapshots[0].committed_at <= datetime.now(UTC)
        assert backend.warehouse.history(QUARANTINED_PRICES) == []

    def test_rollback_works_in_both_directions_and_keeps_every_snapshot(
        self, backend: Backend, reopened: Callable[[], Backend]
    ) -> None:
        first = publish(backend, [price_row("IBM", FIRST)], FIRST, FIRST)
        second = publish(backend, [price_row("IBM", FIRST, 77.0)], FIRST, FIRST)

        backend.warehouse.rollback(DAILY_PRICES, first)
        assert published(reopened()) == [("IBM", FIRST, 101.0)]
        assert [snapshot.is_current for snapshot in backend.warehouse.history(DAILY_PRICES)] == [False, True]
        assert backend.warehouse.is_rolled_back(DAILY_PRICES)
        backend.warehouse.rollback(DAILY_PRICES, second)
        assert published(reopened()) == [("IBM", FIRST, 77.0)]

    def test_a_publish_after_a_rollback_is_based_on_the_current_snapshot(self, backend: Backend) -> None:
        first = publish(backend, [price_row("IBM", FIRST)], FIRST, FIRST)
        publish(backend, [price_row("MSFT", FIRST)], FIRST, FIRST)
        backend.warehouse.rollback(DAILY_PRICES, first)

        publish(backend, [price_row("IBM", SECOND)], SECOND, SECOND)

        assert published(backend) == [("IBM", FIRST, 101.0), ("IBM", SECOND, 101.0)]

    def test_rollback_to_an_unknown_snapshot_names_the_known_ones(self, backend: Backend) -> None:
        with pytest.raises(UnknownSnapshot, match="no snapshot 42; it has: none"):
            backend.warehouse.rollback(DAILY_PRICES, 42)
        known = publish(backend, [price_row("IBM", FIRST)], FIRST, FIRST)

        with pytest.raises(UnknownSnapshot, match=f"published.daily_prices has no snapshot 42; it has: {known}"):
            backend.warehouse.rollback(DAILY_PRICES, 42)

        assert published(backend) == [("IBM", FIRST, 101.0)]

    @pytest.mark.parametrize("other_day", [FIRST, NEXT_YEAR])
    def test_of_two_concurrent_loads_the_second_to_commit_fails(self, backend: Backend, other_day: date) -> None:
        """Also if their files do not overlap: the metrics of a load depend on rows outside its range."""
        publish(backend, [price_row("IBM", SECOND)], SECOND, SECOND)
        with backend.warehouse.connect("load_1") as slow:
            stage_rows(slow, [price_row("IBM", FIRST, 1.5)])
            base = slow.base(DAILY_PRICES)
            publish_as(backend, "load_2", [price_row("IBM", other_day, 2.5)], other_day)

            with pytest.raises(ConcurrentPublish, match=r"published\.daily_prices"):
                slow.replace_range(DAILY_PRICES, STAGED_PRICES, first=FIRST, last=FIRST, properties=PROPERTIES)

            assert slow.base(DAILY_PRICES) == base
        assert sorted(published(backend), key=lambda row: row[1]) == sorted(
            [("IBM", other_day, 2.5), ("IBM", SECOND, 101.0)], key=lambda row: row[1]
        )
        assert len(backend.warehouse.history(DAILY_PRICES)) == 2

    def test_a_connection_reads_the_snapshot_that_was_current_when_it_was_opened(self, backend: Backend) -> None:
        base = publish(backend, [price_row("IBM", FIRST)], FIRST, FIRST)
        with backend.warehouse.connect() as early:
            publish(backend, [price_row("IBM", SECOND)], SECOND, SECOND)

            assert early.base(DAILY_PRICES) == base
            assert count(early, DAILY_PRICES) == 1
        assert len(published(backend)) == 2

    def test_a_reading_connection_creates_nothing(self, backend: Backend, tmp_path: Path) -> None:
        with backend.warehouse.connect_to_read() as sql:
            for table in PUBLISHED_TABLES:
                rows = sql.query(f"SELECT * FROM {sql.name(table).value}")
                assert rows.num_rows == 0
                assert rows.schema.types == table.arrow_schema().types
                assert sql.base(table) is None
            name = sql.create_view("closes", f"SELECT symbol FROM {sql.name(DAILY_PRICES).value}")
            assert sql.query(f"SELECT * FROM {name.value}").num_rows == 0
        assert backend.warehouse.history(DAILY_PRICES) == []
        if isinstance(backend.warehouse, GlueWarehouse):
            assert [backend.warehouse._catalog.stored(table) for table in PUBLISHED_TABLES] == [None, None]  # noqa: SLF001 (reads only)
        else:
            assert list(tmp_path.iterdir()) == []

    def test_verify_and_the_counts_of_published_sessions_create_nothing(
        self, backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        everything = Depth(deep=True, recompute=Sample())
        assert list(verify(Scene(backend, calm_source()), everything)) == []
        if isinstance(backend.warehouse, GlueWarehouse):
            assert [backend.warehouse._catalog.stored(table) for table in PUBLISHED_TABLES] == [None, None]  # noqa: SLF001 (reads only)
        else:
            assert list(tmp_path.iterdir()) == []

        scene = Scene(backend, calm_source())
        load = scene.run(TWO_WEEKS[:2]).load
        monkeypatch.setattr(type(backend.warehouse), "connect", None)
        counted = published_sessions(scene, load)
        assert [one.row_count for one in counted] == [5, 5]
        assert all(one.committed_digest == one.digest for one in counted)
        assert [one.digest for one in counted] == [4671508122, 4787241114], "the same on every engine"

    def test_verify_finds_a_missing_and_a_changed_file_of_a_table(self, backend: Backend) -> None:
        scene = Scene(backend, calm_source())
        folder = "published/daily_prices/data/"
        scene.run(TWO_WEEKS[:1])
        earlier = backend.objects.keys(folder)
        scene.run(TWO_WEEKS[:2])
        everything = Depth(deep=True, recompute=Sample())
        assert list(verify(scene, everything)) == []
        [file] = set(backend.objects.keys(folder)) - set(earlier)
        body = backend.objects.get(file)
        backend.objects.delete(file)

        def found() -> list[tuple[str, str, str]]:
            return [(one.file, one.problem, one.consequence) for one in verify(scene, everything)]

        address, consequence = backend.objects.uri(file), "consumers cannot read all rows of published.daily_prices"
        [(missing, why, effect)] = found()
        assert (missing, effect.startswith(consequence)) == (address, True)
        assert "missing" in why
        backend.objects.put(file, body[:-1])
        assert [one[:2] for one in found()] == [(address, f"it has {len(body) - 1:,} bytes instead of {len(body):,}")]

        # On S3 nothing is repaired: the command is that of the newest snapshot that can be read.
        on_s3, intact = address.startswith("s3://"), backend.warehouse.history(DAILY_PRICES)[-1].snapshot_id
        [finding] = verify(scene, QUICK)
        rollback = f"stock-assets rollback {intact} published.daily_prices"
        assert finding.command == (rollback if on_s3 else "stock-assets repair --apply")
        backend.warehouse.rollback(DAILY_PRICES, intact)
        [finding] = verify(scene, QUICK)
        assert finding.command == ("stock-assets maintain" if on_s3 else "stock-assets repair --apply")
        assert len(published_rows(backend)) == 5

    def test_a_reading_connection_reads_tables_and_views_as_of_a_timestamp_or_snapshot(self, backend: Backend) -> None:
        first = publish(backend, [price_row("IBM", FIRST)], FIRST, FIRST)
        publish(backend, [price_row("IBM", FIRST, 77.0), price_row("IBM", SECOND)], FIRST, SECOND)
        newest, oldest = backend.warehouse.history(DAILY_PRICES)
        assert newest.committed_at > oldest.committed_at

        for as_of, closes in (
            (oldest.committed_at, [101.0]),
            ({DAILY_PRICES.full_name: first}, [101.0]),
            (newest.committed_at, [77.0, 101.0]),
            (None, [77.0, 101.0]),
        ):
            with backend.warehouse.connect_to_read(as_of) as sql:
                prices = sql.name(DAILY_PRICES).value
                closes_view = sql.create_view("closes", f"SELECT trade_date, close_price FROM {prices} AS p")
                last = sql.create_view("last", f"SELECT MAX(trade_date) AS day FROM {closes_view.value}")
                rows = sql.query(f"SELECT c.* FROM {closes_view.value} AS c ORDER BY c.trade_date").to_pylist()
                assert [row["close_price"] for row in rows] == closes
                assert sql.query(f"SELECT day FROM {last.value}")["day"].to_pylist() == [rows[-1]["trade_date"]]
        with pytest.raises(UnknownSnapshot), backend.warehouse.connect_to_read({DAILY_PRICES.full_name: 42}):
            pass

    def test_the_location_ends_with_schema_and_table(self, backend: Backend) -> None:
        assert backend.warehouse.location(DAILY_PRICES).endswith("published/daily_prices")

    def test_processes_that_open_a_new_backend_together_all_succeed(self, case: BackendCase, tmp_path: Path) -> None:
        for number in range(3):
            assert in_processes(case, tmp_path / str(number), open_the_warehouse) == ["0 rows"] * 4

    @pytest.mark.parametrize("case", ["local"], indirect=True)
    @pytest.mark.parametrize(
        "folder", ["with a space", "100% real", "50%20off", "it's", 'say "prices"', "naïve [x]@1:2"]
    )
    def test_a_folder_name_may_contain_special_characters(self, case: BackendCase, tmp_path: Path, folder: str) -> None:
        backend = case.make(tmp_path / folder / "backend")
        backend.objects.put(RESPONSE, b"timestamp,open,high,low,close,volume\r\n2012-03-01,1,2,3,4,5\r\n")
        publish(backend, [price_row("IBM", FIRST)], FIRST, FIRST)
        publish(backend, [price_row("IBM", SECOND)], SECOND, SECOND)

        assert published(case.make(tmp_path / folder / "backend")) == [("IBM", FIRST, 101.0), ("IBM", SECOND, 101.0)]
        with backend.warehouse.connect("load_1") as sql:
            responses = sql.register_responses([stored_response(backend, RESPONSE)], **EVERY_DAY)
            rows = sql.query(f'SELECT "$path" AS p FROM {responses.value}').to_pylist()
            assert rows == [{"p": backend.objects.uri(RESPONSE)}]
            assert count(sql, STAGED_PRICES) == 1
        # No other folder exists; a wrongly parsed address would have created one.
        assert [entry.name for entry in tmp_path.iterdir()] == [folder]
        assert [entry.name for entry in (tmp_path / folder).iterdir()] == ["backend"]

    @pytest.mark.parametrize("case", ["local"], indirect=True)
    @pytest.mark.parametrize("folder", ["what?", "C#"])
    def test_a_folder_name_that_no_address_can_contain_is_rejected(
        self, case: BackendCase, tmp_path: Path, folder: str
    ) -> None:
        with pytest.raises(SettingsError, match="Set STOCK_ASSETS_DATA_DIR to another folder"):
            published(case.make(tmp_path / folder / "backend"))

        assert list(tmp_path.iterdir()) == []


MOOD = Column("mood", ColumnType.TEXT, "A new text column")
SPREAD = Column("spread", ColumnType.DOUBLE, "high - low", "USD")


def with_columns(table: Table, *added: Column) -> Table:
    return replace(table, columns=(*table.columns, *added))


class TestGrowingContracts:
    """A table contract that gains columns."""

    @pytest.fixture
    def grow(self, case: BackendCase, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Table, Table]]:
        """Add columns to published.daily_prices and staged.daily_prices."""
        module = import_module(case.contracts_in)

        def grow(*added: Column) -> tuple[Table, Table]:
            target, source = (
                with_columns(table, *(added or (MOOD, SPREAD))) for table in (DAILY_PRICES, STAGED_PRICES)
            )
            monkeypatch.setattr(module, "PUBLISHED_TABLES", (target, QUARANTINED_PRICES))
            staging = [source if table is STAGED_PRICES else table for table in STAGING_TABLES]
            # On Athena and Trino nothing reads the declared columns of staging tables.
            monkeypatch.setattr(module, "STAGING_TABLES", tuple(staging), raising=False)
            return target, source

        return grow

    def test_old_rows_have_null_in_new_columns_and_later_loads_fill_them(
        self, backend: Backend, grow: Callable[..., tuple[Table, Table]]
    ) -> None:
        publish(backend, [price_row("IBM", FIRST), price_row("IBM", NEXT_YEAR)], FIRST, NEXT_YEAR)
        target, source = grow()
        assert self.grown(backend, target) == [(FIRST, None, None), (NEXT_YEAR, None, None)]

        with backend.warehouse.connect("load_2") as sql:
            row = f"{price_row('IBM', SECOND)}, CAST('calm' AS VARCHAR) AS mood, 3E0 AS spread"
            sql.stage(source, row)
            sql.replace_range(target, source, first=SECOND, last=SECOND, properties=PROPERTIES)

        assert self.grown(backend, target) == [(FIRST, None, None), (SECOND, "calm", 3.0), (NEXT_YEAR, None, None)]

    def test_adding_columns_commits_no_snapshot(
        self, backend: Backend, grow: Callable[..., tuple[Table, Table]]
    ) -> None:
        publish(backend, [price_row("IBM", FIRST)], FIRST, FIRST)
        before = backend.warehouse.history(DAILY_PRICES)
        target, _ = grow()

        assert self.grown(backend, target) == [(FIRST, None, None)]
        assert backend.warehouse.history(target) == before

    def test_a_snapshot_from_before_the_new_columns_can_be_read(
        self, backend: Backend, grow: Callable[..., tuple[Table, Table]]
    ) -> None:
        old = publish(backend, [price_row("IBM", FIRST)], FIRST, FIRST)
        target, source = grow()
        with backend.warehouse.connect("load_2") as sql:
            sql.stage(source, f"{price_row('IBM', FIRST)}, CAST('calm' AS VARCHAR) AS mood, 3E0 AS spread")
            sql.replace_range(target, source, first=FIRST, last=FIRST, properties=PROPERTIES)
        assert self.grown(backend, target) == [(FIRST, "calm", 3.0)]

        backend.warehouse.rollback(target, old)

        assert self.grown(backend, target) == [(FIRST, None, None)]

    def test_a_required_column_is_rejected_with_its_name_and_no_row_changes(
        self, backend: Backend, grow: Callable[..., tuple[Table, Table]]
    ) -> None:
        publish(backend, [price_row("IBM", FIRST)], FIRST, FIRST)
        before = backend.warehouse.history(DAILY_PRICES)
        target, source = grow(replace(MOOD, required=True))

        def publish_mood() -> None:
            with backend.warehouse.connect("load_2") as sql:
                sql.stage(source, f"{price_row('IBM', SECOND)}, CAST('calm' AS VARCHAR) AS mood")
                sql.replace_range(target, source, first=SECOND, last=SECOND, properties=PROPERTIES)

        with pytest.raises(TableDrift, match=r"published\.daily_prices has no column mood yet.*without `required`"):
            publish_mood()

        assert backend.warehouse.history(DAILY_PRICES) == before

    @staticmethod
    def grown(backend: Backend, table: Table) -> list[tuple[date, str | None, float | None]]:
        with backend.warehouse.connect() as sql:
            rows = sql.query(
                f"SELECT trade_date, mood, spread FROM {sql.name(table).value} ORDER BY trade_date"
            ).to_pylist()
        return [(row["trade_date"], row["mood"], row["spread"]) for row in rows]


def publish_as(backend: Backend, load_id: str, rows: Sequence[str], day: date) -> None:
    with backend.warehouse.connect(load_id) as sql:
        stage_rows(sql, rows)
        sql.replace_range(DAILY_PRICES, STAGED_PRICES, first=day, last=day, properties=PROPERTIES)


LONG_AGO = datetime(2012, 1, 1, tzinfo=UTC)
OLD_ENOUGH = timedelta(days=30)
"""Age at which every backend removes a file that no snapshot needs."""


def maintain(backend: Backend, *, keep_since: datetime) -> MaintenanceResult:
    """Maintain the prices, at a time so late that every file is old enough to be removed."""
    return backend.warehouse.maintain(DAILY_PRICES, keep_since=keep_since, at=late_for(keep_since, OLD_ENOUGH))


class TestMaintenance:
    """`Warehouse.maintain`."""

    @pytest.fixture(autouse=True)
    def _late(self, case: BackendCase, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make new files old enough to be removed, for the backend and for the engine."""
        if case.set_clock is None:
            pytest.skip(f"nothing is old enough to be removed by the clock of {case.name}")
        case.set_clock(OLD_ENOUGH)
        monkeypatch.setattr(lakehouse_maintenance, "SAFE_AGE", timedelta())

    @pytest.fixture
    def scatter(self, case: BackendCase, backend: Backend, tmp_path: Path) -> Callable[[Sequence[str]], None]:
        """Add rows, each in its own file."""

        def scatter(rows: Sequence[str]) -> None:
            with backend.warehouse.connect() as sql:
                found = sql.query(" UNION ALL ".join(rows))
            case.scatter(tmp_path / "backend", found.cast(DAILY_PRICES.arrow_schema()))

        return scatter

    @pytest.mark.parametrize("table", PUBLISHED_TABLES, ids=lambda table: table.name)
    def test_maintenance_of_an_empty_table_does_nothing(self, backend: Backend, table: Table) -> None:
        done = backend.warehouse.maintain(table, keep_since=datetime.now(UTC), at=datetime.now(UTC) + OLD_ENOUGH)

        assert done == MaintenanceResult()
        assert backend.warehouse.history(table) == []

    def test_maintenance_without_old_snapshots_or_small_files_does_nothing(self, backend: Backend) -> None:
        for close in (1.5, 2.5):
            publish(backend, [price_row("IBM", FIRST, close), price_row("IBM", NEXT_YEAR, close)], FIRST, NEXT_YEAR)
        before = backend.warehouse.history(DAILY_PRICES)

        done = maintain(backend, keep_since=LONG_AGO)

        assert not done.changed
        assert (done.files_before, done.files_after) == (2, 2)
        assert backend.warehouse.history(DAILY_PRICES) == before

    def test_snapshots_not_current_since_expire_and_their_files_are_removed(self, backend: Backend) -> None:
        old = [publish(backend, [price_row("IBM", FIRST, close)], FIRST, FIRST) for close in (1.5, 2.5)]
        current = publish(backend, [price_row("IBM", FIRST, 3.5)], FIRST, FIRST)

        done = maintain(backend, keep_since=datetime.now(UTC))

        assert done.snapshots_expired == 2
        assert done.files_removed >= 2
        assert done.bytes_freed > 0
        assert [snapshot.snapshot_id for snapshot in backend.warehouse.history(DAILY_PRICES)] == [current]
        assert published(backend) == [("IBM", FIRST, 3.5)]
        with pytest.raises(UnknownSnapshot, match=f"no snapshot {old[1]} .*expired.*it has: {current}"):
            backend.warehouse.rollback(DAILY_PRICES, old[1])

    def test_snapshots_committed_since_can_be_rolled_back_to_and_read(self, backend: Backend) -> None:
        publish(backend, [price_row("IBM", FIRST, 1.5)], FIRST, FIRST)
        keep_since = datetime.now(UTC)
        kept = {close: publish(backend, [price_row("IBM", FIRST, close)], FIRST, FIRST) for close in (2.5, 3.5, 4.5)}

        maintain(backend, keep_since=keep_since)

        for close, snapshot in kept.items():
            backend.warehouse.rollback(DAILY_PRICES, snapshot)
            assert published(backend) == [("IBM", FIRST, close)]

    def test_small_files_become_one_per_partition_and_rows_stay_bit_identical(
        self, backend: Backend, scatter: Callable[[Sequence[str]], None]
    ) -> None:
        publish(backend, [price_row("IBM", FIRST, 0.1 + 0.2)], FIRST, FIRST)
        scatter([price_row(symbol, day, 1 / 3) for symbol in ("MSFT", "AAPL") for day in (SECOND, THIRD)])
        scatter([price_row("IBM", NEXT_YEAR)])
        before = all_rows(backend)

        done = maintain(backend, keep_since=LONG_AGO)

        assert (done.files_before, done.files_after) == (6, 2)
        assert all_rows(backend) == before

    def test_a_compaction_is_a_snapshot_marked_as_maintenance_and_can_be_rolled_back(
        self, backend: Backend, scatter: Callable[[Sequence[str]], None]
    ) -> None:
        first = publish(backend, [price_row("IBM", FIRST)], FIRST, FIRST)
        scatter([price_row("IBM", SECOND)])
        before = backend.warehouse.history(DAILY_PRICES)

        maintain(backend, keep_since=LONG_AGO)

        newest, *others = backend.warehouse.history(DAILY_PRICES)
        assert (newest.is_maintenance, newest.is_current, newest.rows) == (True, True, 2)
        assert newest.properties[MAINTENANCE] == "compaction"
        assert [snapshot.snapshot_id for snapshot in others] == [snapshot.snapshot_id for snapshot in before]
        assert not any(snapshot.is_maintenance for snapshot in others)
        backend.warehouse.rollback(DAILY_PRICES, first)
        assert published(backend) == [("IBM", FIRST, 101.0)]

    def test_a_second_maintenance_changes_nothing(
        self, backend: Backend, scatter: Callable[[Sequence[str]], None]
    ) -> None:
        publish(backend, [price_row("IBM", FIRST)], FIRST, FIRST)
        scatter([price_row("IBM", SECOND), price_row("IBM", THIRD)])
        keep_since = datetime.now(UTC)
        assert maintain(backend, keep_since=keep_since).changed
        before = backend.warehouse.history(DAILY_PRICES)

        assert not maintain(backend, keep_since=keep_since).changed
        assert backend.warehouse.history(DAILY_PRICES) == before

    def test_a_connection_opened_before_maintenance_keeps_its_snapshot(
        self, backend: Backend, scatter: Callable[[Sequence[str]], None]
    ) -> None:
        publish(backend, [price_row("IBM", FIRST)], FIRST, FIRST)
        keep_since = datetime.now(UTC)
        scatter([price_row("IBM", SECOND)])
        with backend.warehouse.connect() as early:
            maintain(backend, keep_since=keep_since)
            publish(backend, [price_row("IBM", day, 9.5) for day in (FIRST, SECOND)], FIRST, SECOND)
            maintain(backend, keep_since=keep_since)

            rows = early.query(f"SELECT close_price FROM {early.name(DAILY_PRICES).value}").to_pylist()
        assert rows == [{"close_price": 101.0}] * 2

    def test_a_load_staged_before_a_compaction_must_be_staged_again(
        self, backend: Backend, scatter: Callable[[Sequence[str]], None]
    ) -> None:
        publish(backend, [price_row("IBM", FIRST)], FIRST, FIRST)
        scatter([price_row("IBM", SECOND)])
        with backend.warehouse.connect("load_1") as slow:
            stage_rows(slow, [price_row("IBM", THIRD)])
            maintain(backend, keep_since=LONG_AGO)

            with pytest.raises(ConcurrentPublish, match=r"published\.daily_prices"):
                slow.replace_range(DAILY_PRICES, STAGED_PRICES, first=THIRD, last=THIRD, properties=PROPERTIES)

        assert [day for _, day, _ in published(backend)] == [FIRST, SECOND]

    def test_a_table_that_was_rolled_back_is_skipped(
        self, backend: Backend, scatter: Callable[[Sequence[str]], None]
    ) -> None:
        publish(backend, [price_row("IBM", FIRST)], FIRST, FIRST)
        scatter([price_row("IBM", SECOND), price_row("IBM", THIRD)])
        _, wanted, _ = backend.warehouse.history(DAILY_PRICES)
        backend.warehouse.rollback(DAILY_PRICES, wanted.snapshot_id)
        before = backend.warehouse.history(DAILY_PRICES)

        done = maintain(backend, keep_since=datetime.now(UTC))

        assert not done.changed
        assert "rollback" in done.skipped_because
        assert backend.warehouse.history(DAILY_PRICES) == before
        backend.warehouse.rollback(DAILY_PRICES, before[0].snapshot_id)
        assert len(published(backend)) == 3

    def test_concurrent_publishes_and_maintenance_lose_nothing(
        self, case: BackendCase, tmp_path: Path, backend: Backend, scatter: Callable[[Sequence[str]], None]
    ) -> None:
        scatter([price_row("OLD", day) for day in (FIRST, SECOND, THIRD)])
        assert case.set_clock is not None
        case.set_clock(timedelta())

        in_processes(case, tmp_path / "backend", publish_or_maintain)

        expected = [("OLD", day, 101.0) for day in (FIRST, SECOND, THIRD)]
        expected += [(symbol, day, 101.0) for symbol, days in WRITERS.items() for day in days]
        assert published(backend) == sorted(expected)
