"""The queries of the ledger seek in its indexes: none reads the table, also in a file of an earlier release."""

import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stock_assets.backends import ledger_table as module
from stock_assets.backends.interface import Fetch, FetchKind
from stock_assets.backends.ledger_schema import create_table, table_in_memory
from stock_assets.backends.ledger_table import LedgerTable
from stock_assets.backends.local.data_folder import DataFolder
from stock_assets.backends.local.ledger import SqliteLedger
from stock_assets.core.errors import Outcome

AT = datetime(2012, 3, 5, 22, tzinfo=UTC)
FETCH = Fetch("IBM", FetchKind.PRICES, AT, Outcome.OK, "key", date(2012, 3, 1), date(2012, 3, 5), calls=1)
QUERIES: Mapping[str, Callable[[LedgerTable], object]] = {
    "requests of a symbol": lambda table: table.fetches(FetchKind.PRICES, symbol="IBM", since=AT),
    "requests of symbols since their times": lambda table: table.since(FetchKind.PRICES, {"IBM": AT}),
    "good responses of a symbol": lambda table: table.fetches(
        FetchKind.PRICES, symbol="IBM", outcome=Outcome.OK, limit=5
    ),
    "landing files with problems": lambda table: table.fetches(
        FetchKind.LANDING_FILES, outcome=Outcome.MALFORMED, since=AT
    ),
    "latest": lambda table: table.latest(FetchKind.PRICES, ["IBM"]),
    "latest after files": lambda table: table.latest(FetchKind.PRICES, ["FILES"]),
    "latest of all": lambda table: table.latest(FetchKind.PRICES),
    "responses": lambda table: list(table.responses("IBM", [date(2012, 3, 5)])),
    "keys": lambda table: table.with_keys(["key"]),
    "keys of a kind": lambda table: table.with_keys(["key"], FetchKind.PRICES),
    "content": lambda table: table.with_content(FetchKind.PRICES, "ab" * 32),
    "symbols": lambda table: table.symbols(FetchKind.PRICES),
    "newest that are not purged": lambda table: table.newest(FetchKind.SPLITS),
}
SYMBOLS = [f"S{number}" for number in range(7)]
NEWEST_FIRST = [
    "requests of a symbol",
    "good responses of a symbol",
    "latest",
    "latest after files",
    "latest of all",
    "responses",
]


def plan(query: Callable[[LedgerTable], object]) -> list[str]:
    """Return the plans of the statements that a query sends."""
    sent: list[tuple[str, Any]] = []

    class Recorded(sqlite3.Cursor):
        def execute(self, statement: str, values: Any = ()) -> "Recorded":  # noqa: ANN401 (as in the base class)
            sent.append((statement, values))
            super().execute(statement, values)
            return self

    class Connection(sqlite3.Connection):
        def cursor(self, factory: Any = Recorded) -> Any:  # noqa: ANN401 (as in the base class)
            return super().cursor(factory)

        def execute(self, statement: str, values: Any = ()) -> sqlite3.Cursor:  # noqa: ANN401 (as in the base class)
            return Recorded(self).execute(statement, values)

    with closing(sqlite3.connect(":memory:", factory=Connection)) as connection:
        create_table(connection)
        table = LedgerTable(connection)
        # The newest request failed, and two responses have other sessions, so that queries go on after the newest.
        older = [FETCH._replace(fetched_at=AT - timedelta(days=number)) for number in (1, 2)]
        failed = FETCH._replace(fetched_at=AT + timedelta(days=1), outcome=Outcome.LATE)
        files = [fetch._replace(symbol="FILES", calls=0) for fetch in (FETCH, *older) * 2]
        table.insert((None, fetch) for fetch in (FETCH, *older, failed, *files))
        sent.clear()
        query(table)
        return [
            detail
            for statement, values in list(sent)
            for *_, detail in sqlite3.Connection.execute(connection, f"EXPLAIN QUERY PLAN {statement}", values)
        ]


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_seeks_in_an_index(name: str) -> None:
    steps = [step for step in plan(QUERIES[name]) if " fetches" in step]
    assert steps
    assert all(re.match("SEARCH (fetches|newest|found|purge) USING .*(INDEX|PRIMARY KEY)", step) for step in steps), (
        steps
    )


@pytest.mark.parametrize("name", NEWEST_FIRST)
def test_the_requests_of_a_symbol_are_not_sorted(name: str) -> None:
    """So that reading stops at the first request that is enough."""
    assert not any("TEMP B-TREE" in step for step in plan(QUERIES[name]))


def test_requests_before_files_are_found_without_reading_the_files() -> None:
    """A symbol may have thousands of files."""
    assert any("INDEX fetches_without_files" in step for step in plan(QUERIES["latest after files"]))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Fetch]:
    """Return the requests that are read from the table."""
    found: list[Fetch] = []

    def counted(*fields: Any) -> Fetch:  # noqa: ANN401 (the fields of a Fetch)
        found.append(Fetch(*fields))
        return found[-1]

    monkeypatch.setattr(module, "Fetch", counted)
    return found


def test_only_the_needed_requests_are_read(read: list[Fetch]) -> None:
    days = [AT + timedelta(days=number) for number in range(50)]
    with closing(table_in_memory()) as connection:
        table = LedgerTable(connection)
        table.insert(
            (
                f"{symbol}{day:%j}",
                Fetch(
                    symbol,
                    FetchKind.PRICES,
                    day,
                    Outcome.OK,
                    first_session=day.date(),
                    last_session=day.date(),
                    calls=1,
                ),
            )
            for symbol in ("AAPL", "IBM")
            for day in days
        )
        assert len(table.latest(FetchKind.PRICES)) == len(read) == 2
        read.clear()
        assert len(list(table.responses("IBM", [days[3].date(), days[4].date()]))) == len(read) == 2
        read.clear()
        wanted = {"AAPL": [days[7].date()], "IBM": [days[-1].date()], "MSFT": [AT.date()], "NONE": []}
        found = {symbol: fetch.last_session for symbol, (fetch, _) in table.newest_responses(wanted).items()}
        assert found == {"AAPL": days[7].date(), "IBM": days[-1].date()}
        assert len(read) == 3, "the newest of each, and the one of AAPL that has the session"


GOOD, FAILED, FILE = (
    FETCH,
    FETCH._replace(outcome=Outcome.UNKNOWN_SYMBOL, first_session=None, last_session=None),
    FETCH._replace(calls=0),
)


def test_files_do_not_hide_the_requests_before_them(read: list[Fetch]) -> None:
    """Until the newest good response; the files among them are left out, and what was purged."""
    newest_first = [FILE] * 500 + [FAILED, FILE, FAILED, FILE, GOOD, GOOD]
    requests = [fetch._replace(fetched_at=AT - timedelta(days=age)) for age, fetch in enumerate(newest_first)]
    first, second, good = requests[500], requests[502], requests[504]
    at_once = first._replace(detail="recorded before, at the same time")
    with closing(table_in_memory()) as connection:
        table = LedgerTable(connection)
        table.insert((f"{number:04d}", fetch) for number, fetch in enumerate([at_once, *requests]))
        table.insert([("splits", first._replace(kind=FetchKind.SPLITS)), ("other", first._replace(symbol="MSFT"))])

        assert table.latest(FetchKind.PRICES, ["IBM"]) == {"IBM": [*requests[:5], first, at_once, second, good]}
        assert len(read) == 10, "one more for the newest request"

        table.insert([("purge", Fetch("IBM", FetchKind.PURGES, second.fetched_at, Outcome.OK))])
        assert table.latest(FetchKind.PRICES, ["IBM"]) == {"IBM": [*requests[:5], first, at_once]}


def test_a_request_at_the_time_of_the_last_file_is_found() -> None:
    """The order of recording decides then."""
    with closing(table_in_memory()) as connection:
        table = LedgerTable(connection)
        table.insert((f"{number:04d}", fetch) for number, fetch in enumerate([FAILED, *[FILE] * 5]))
        assert table.latest(FetchKind.PRICES) == {"IBM": [FILE] * 5 + [FAILED]}


@pytest.mark.parametrize(
    ("newest_first", "expected"),
    [
        ([GOOD, GOOD], 1),
        ([FILE] * 500, 5),
        ([FILE, FILE, GOOD, FILE], 3),
        ([FILE, FILE, FILE, FILE, GOOD, GOOD], 5),
        ([FILE] * 5 + [GOOD], 6),
        ([FAILED] * 9 + [GOOD, FAILED], 10),
        ([FAILED] * 9, 9),
        ([FILE, FAILED] * 4 + [GOOD, FILE], 9),
        ([FAILED, FAILED] + [FILE] * 500, 7),
        ([FILE] * 4 + [FAILED] + [FILE] * 500, 10),
    ],
)
def test_the_latest_requests_end_with_a_good_response_or_several_files(
    newest_first: list[Fetch], expected: int, read: list[Fetch]
) -> None:
    """A symbol whose bars files deliver has a file for each session of all years, and perhaps no response at all."""
    requests = [fetch._replace(fetched_at=AT - timedelta(days=age)) for age, fetch in enumerate(newest_first)]
    with closing(table_in_memory()) as connection:
        table = LedgerTable(connection)
        table.insert((f"{number:04d}", fetch) for number, fetch in enumerate(requests))

        assert table.latest(FetchKind.PRICES) == {"IBM": requests[:expected]}

    assert len(read) <= expected + 1, "one more for the newest request"


@pytest.fixture
def sent() -> list[str]:
    """Return the statements that `many` sends."""
    return []


@pytest.fixture
def many(sent: list[str]) -> Iterator[LedgerTable]:
    """Return a table with a response of 7 symbols for 5 March, the newest request of each."""
    with closing(table_in_memory()) as connection:
        table = LedgerTable(connection)
        table.insert((symbol, FETCH._replace(symbol=symbol)) for symbol in SYMBOLS)
        connection.set_trace_callback(sent.append)
        yield table


def test_the_newest_requests_of_many_symbols_are_read_with_one_statement(many: LedgerTable, sent: list[str]) -> None:
    """And one for the purges; the responses with wanted sessions and the latest requests are among them."""
    for symbols in (SYMBOLS, None):
        sent.clear()
        newest = many.newest(FetchKind.PRICES, symbols)
        assert list(newest) == SYMBOLS
        assert len(sent) == 2
        wanted = {symbol: [date(2012, 3, 5)] for symbol in SYMBOLS}
        assert many.newest_responses(wanted, newest) == newest
        assert list(many.latest(FetchKind.PRICES, newest=newest)) == SYMBOLS
        assert len(sent) == 2


def test_the_requests_of_many_symbols_since_their_times_are_read_with_one_statement(
    many: LedgerTable, sent: list[str]
) -> None:
    """And one for the purges; a request at the time itself is among them, and none before a purge."""
    first, second, purged = SYMBOLS[:3]
    later = FETCH._replace(fetched_at=AT + timedelta(days=1), outcome=Outcome.LATE)
    many.insert((f"late {symbol}", later._replace(symbol=symbol)) for symbol in (first, second, purged))
    many.insert([("purge", Fetch(purged, FetchKind.PURGES, AT + timedelta(hours=1), Outcome.OK))])
    sent.clear()
    found = many.since(FetchKind.PRICES, {first: AT, second: AT + timedelta(seconds=1), purged: AT, "NONE": AT})
    assert len(sent) == 2
    assert found == {
        first: [later._replace(symbol=first), FETCH._replace(symbol=first)],
        second: [later._replace(symbol=second)],
        purged: [later._replace(symbol=purged)],
    }
    assert not many.since(FetchKind.PRICES, {})


def test_the_responses_with_earlier_sessions_are_read_with_one_statement(many: LedgerTable, sent: list[str]) -> None:
    """Only for symbols whose newest request has none of them, and can be newer than one that has."""
    late = FETCH._replace(fetched_at=AT + timedelta(days=1), outcome=Outcome.LATE)
    many.insert((f"late {symbol}", late._replace(symbol=symbol)) for symbol in SYMBOLS[:3])
    sent.clear()
    found = many.newest_responses({symbol: [date(2012, 3, 5)] for symbol in SYMBOLS})
    assert {symbol: row_id for symbol, (_, row_id) in found.items()} == {symbol: symbol for symbol in SYMBOLS}
    assert len(sent) == 3
    assert not many.newest_responses({symbol: [date(2012, 3, 7)] for symbol in SYMBOLS})
    assert len(sent) == 5


def test_a_file_of_an_earlier_release_gets_the_indexes_with_the_next_request(tmp_path: Path) -> None:
    ledger = SqliteLedger(DataFolder(tmp_path))
    ledger.record(FETCH)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        names = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE INDEX%'")
        ]
        for name in names:
            connection.execute(f"DROP INDEX {name}")
        connection.execute("CREATE INDEX fetches_by_symbol ON fetches (kind, symbol, fetched_at)")
    with ledger.read() as table:
        assert [found for (found,) in table.latest(FetchKind.PRICES).values()] == [FETCH]

    ledger.record(FETCH)

    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        found = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE INDEX%'")
        ]
    assert sorted(found) == sorted(names)
    assert len(names) == 5
