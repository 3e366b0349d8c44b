"""Statements on a real Trino server: typed rows, typed errors, no query left running, recorded time and bytes."""

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import requests

from stock_assets.backends.trino.engine import LARGEST_STATEMENT, TrinoEngine, TrinoServer
from stock_assets.core.errors import (
    EngineBusy,
    QueryCancelled,
    QueryFailed,
    QueryTimedOut,
    ScanLimitExceeded,
    SettingsError,
)
from stock_assets.settings import read_trino_password
from stock_assets_tests.support.dagster_internals import DagsterExecutionInterruptedError, raise_interrupts_as
from stock_assets_tests.support.rows import price_row
from stock_assets_tests.support.table_rows import FIRST, publish
from stock_assets_tests.support.trino_backends import USER, TrinoOnEmulator
from stock_assets_tests.support.trino_server import CATALOG

pytestmark = pytest.mark.trino

LONG = "UNNEST(SEQUENCE(1, 10000)) AS a (x) CROSS JOIN UNNEST(SEQUENCE(1, 10000)) AS b (y) CROSS JOIN "
HOURS = f"SELECT SUM(x * y * z) AS total FROM {LONG}UNNEST(SEQUENCE(1, 10000)) AS c (z)"
PATIENCE_SECONDS = 180


@pytest.fixture
def server(trino: TrinoOnEmulator) -> TrinoServer:
    return TrinoServer(trino.url, USER, catalog=CATALOG)


def engine(server: TrinoServer) -> TrinoEngine:
    return TrinoEngine(server, pause=lambda _: None)


def running(server: TrinoServer) -> list[str]:
    """Return the ids of the statements that have not ended."""
    queries = requests.get(f"{server.url}/v1/query", headers={"X-Trino-User": USER}, timeout=60).json()
    return [query["queryId"] for query in queries if query["state"] not in ("FINISHED", "FAILED")]


def when_running(server: TrinoServer, then: Callable[[str], object]) -> threading.Thread:
    """Call a function as soon as a statement runs."""

    def wait() -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not running(server) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        then(running(server)[0])

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def ended(server: TrinoServer) -> bool:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while running(server) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not running(server)


def test_rows_have_their_types(server: TrinoServer) -> None:
    rows = engine(server).run(
        "SELECT 'a' AS t, DATE '2012-03-01' AS d, TIMESTAMP '2012-03-01 01:02:03.000004' AS m, 0.1E0 + 0.2E0 AS f, "
        "CAST(9223372036854775807 AS BIGINT) AS i, TRUE AS b, CAST('1.50' AS DECIMAL(38, 2)) AS n, "
        "CAST(NULL AS VARCHAR) AS nothing, NAN() AS nan"
    )

    assert [str(of) for of in rows.schema.types] == [
        "string",
        "date32[day]",
        "timestamp[us]",
        "double",
        "int64",
        "bool",
        "decimal128(38, 2)",
        "string",
        "double",
    ]
    [row] = rows.to_pylist()
    assert str(row.pop("nan")) == "nan"
    assert row == {
        "t": "a",
        "d": date(2012, 3, 1),
        "m": datetime(2012, 3, 1, 1, 2, 3, 4),  # noqa: DTZ001 (a column without a zone)
        "f": 0.1 + 0.2,
        "i": 2**63 - 1,
        "b": True,
        "n": Decimal("1.50"),
        "nothing": None,
    }


def test_a_result_of_many_pages_is_complete(server: TrinoServer) -> None:
    rows = engine(server).run(
        "SELECT x * 10000 + y AS n FROM UNNEST(SEQUENCE(1, 10)) AS a (x) CROSS JOIN UNNEST(SEQUENCE(1, 5000)) AS b (y)"
    )

    assert len(set(rows["n"].to_pylist())) == rows.num_rows == 50_000


def test_statements_are_recorded_with_state_and_link(server: TrinoServer) -> None:
    trino = engine(server)
    trino.run("SELECT 1 AS one")
    with pytest.raises(QueryFailed):
        trino.run("SELECT CAST('x' AS BIGINT) AS one")

    new, total = trino.take_runs()

    assert [(run.statement, run.state) for run in new] == [("SELECT", "FINISHED"), ("SELECT", "FAILED")]
    assert [run.cost for run in new] == [None, None]
    assert new == total
    assert all(run.link == f"{server.url}/ui/query.html?{run.query_id}" for run in new)
    assert trino.take_runs() == ([], total)


def test_an_error_contains_id_reason_and_link(server: TrinoServer) -> None:
    with pytest.raises(QueryFailed, match="SCHEMA_NOT_FOUND") as raised:
        engine(server).run("SELECT * FROM nowhere.nothing")

    assert not raised.value.transient
    assert f"{server.url}/ui/query.html?20" in str(raised.value)
    assert "SELECT * FROM nowhere.nothing" in str(raised.value)


def test_a_statement_that_takes_too_long_is_stopped(server: TrinoServer) -> None:
    with pytest.raises(QueryTimedOut, match="STOCK_ASSETS_TRINO_QUERY_TIMEOUT_SECONDS"):
        engine(replace(server, timeout_seconds=2)).run(HOURS)

    assert ended(server)


def test_a_statement_that_reads_too_much_is_stopped(
    trino: TrinoOnEmulator, server: TrinoServer, tmp_path: Path
) -> None:
    backend = trino.backend(tmp_path / "backend")
    publish(backend, [price_row("IBM", FIRST)], FIRST, FIRST)

    with pytest.raises(ScanLimitExceeded, match="STOCK_ASSETS_TRINO_SCAN_LIMIT_MB"):
        engine(replace(server, scan_limit=1)).run(
            f"SELECT SUM(x * y * z + volume) AS total FROM {LONG}{backend.database}_published.daily_prices "
            "CROSS JOIN UNNEST(SEQUENCE(1, 10000)) AS c (z)"
        )

    assert ended(server)


def test_a_statement_that_somebody_else_stopped_raises_query_cancelled(server: TrinoServer) -> None:
    def kill(query_id: str) -> None:
        engine(server).run(f"CALL system.runtime.kill_query(query_id => '{query_id}', message => 'no')")

    thread = when_running(server, kill)
    with pytest.raises(QueryCancelled):
        engine(server).run(HOURS)

    thread.join()
    assert ended(server)


@pytest.mark.parametrize("as_dagster_does", [True, False])
def test_an_interruption_stops_the_statement(server: TrinoServer, *, as_dagster_does: bool) -> None:
    main = threading.main_thread().ident
    assert main is not None
    when_running(server, lambda _: signal.pthread_kill(main, signal.SIGINT))
    if as_dagster_does:
        with raise_interrupts_as(DagsterExecutionInterruptedError), pytest.raises(DagsterExecutionInterruptedError):
            engine(server).run(HOURS)
    else:
        with pytest.raises(KeyboardInterrupt):
            engine(server).run(HOURS)

    assert ended(server)


def test_an_unreachable_server_is_a_transient_error(server: TrinoServer) -> None:
    with pytest.raises(EngineBusy, match="sends no response"):
        engine(replace(server, url="http://127.0.0.1:9")).run("SELECT 1")


def test_a_password_is_never_sent_without_https(server: TrinoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOCK_ASSETS_TRINO_PASSWORD", "a-canary")
    with_password = replace(server, password=read_trino_password)

    with pytest.raises(SettingsError, match=r"was not sent.*https://") as raised:
        engine(with_password).run("SELECT 1")

    assert "canary" not in str(raised.value) + repr(with_password)


def test_a_statement_that_is_too_long_is_rejected_before_it_is_sent(server: TrinoServer) -> None:
    with pytest.raises(QueryFailed, match="Trino accepts at most 1,000,000 bytes"):
        engine(server).run("SELECT " + "1" * LARGEST_STATEMENT)
