"""The table of the ledger's requests, in a file of SQLite or in memory, and its indexes.

Belongs here: creating the table and its indexes. Does not belong here: its statements (`ledger_table`), where it is
kept (`local.ledger`, `lakehouse.ledger`).
"""

import sqlite3

TABLE = "fetches"
_REQUEST = "(outcome <> 'ok' OR calls <> 0)"
IS_REQUEST = f"{_REQUEST} = 1"
"""SQL for a row that is no landing file; SQLite uses the index of these rows only for a condition with this text."""
_CREATE = """
CREATE TABLE IF NOT EXISTS fetches (
    id {id_type} PRIMARY KEY,
    symbol TEXT NOT NULL,
    kind TEXT NOT NULL,
    fetched_at TEXT NOT NULL,
    outcome TEXT NOT NULL,
    response_key TEXT NOT NULL,
    first_session TEXT,
    last_session TEXT,
    missing_sessions TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    calls INTEGER NOT NULL,
    detail TEXT NOT NULL
)
"""
_INDEXES = (
    # A symbol may have thousands of landing files between two requests. SQLite chooses it because of the third column.
    f"""
    CREATE INDEX IF NOT EXISTS fetches_without_files ON fetches (kind, symbol, {_REQUEST}, fetched_at, id)
    WHERE {IS_REQUEST}
    """,
    # The order of a symbol's requests, with the columns that choose among them.
    """
    CREATE INDEX IF NOT EXISTS fetches_newest_first
    ON fetches (kind, symbol, fetched_at, id, first_session, last_session, outcome)
    """,
    "CREATE INDEX IF NOT EXISTS fetches_by_response ON fetches (response_key)",
    # Sixteen digits are enough to find a body, and half as large as all.
    "CREATE INDEX IF NOT EXISTS fetches_by_content ON fetches (substr(content_hash, 1, 16))",
    "CREATE INDEX IF NOT EXISTS fetches_with_problems ON fetches (kind, fetched_at) WHERE outcome = 'malformed'",
    # Of earlier releases.
    "DROP INDEX IF EXISTS fetches_by_symbol",
)


def create_table(connection: sqlite3.Connection, *, id_type: str = "INTEGER") -> None:
    """Create the table and its indexes where they are missing; ids that are not integers sort by time of recording."""
    create_table_without_indexes(connection, id_type=id_type)
    create_indexes(connection)


def create_table_without_indexes(connection: sqlite3.Connection, *, id_type: str) -> None:
    """Create the table where it is missing; an empty table without indexes is filled in a third of the time."""
    connection.execute(_CREATE.format(id_type=id_type))


def create_indexes(connection: sqlite3.Connection) -> None:
    """Create the indexes where they are missing."""
    for index in _INDEXES:
        connection.execute(index)


def table_in_memory() -> sqlite3.Connection:
    """Open an empty table in memory, whose ids are texts."""
    connection = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
    create_table(connection, id_type="TEXT")
    return connection
