"""Store the fetch ledger in a table of one SQLite file.

Belongs here: reading and writing the file. Does not belong here: opening it (`database`), the table
(`backends.ledger_table`), what requests mean (`ingest`).
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from stock_assets.backends.interface import Fetch, FetchLedger
from stock_assets.backends.ledger_table import TABLE, LedgerTable, create_table, table_in_memory
from stock_assets.backends.local.data_folder import DataFolder
from stock_assets.backends.local.database import LEDGER_FILE, connect_to_read, connect_to_write


class SqliteLedger(FetchLedger):
    """Shared by all processes of the machine; a connection lives for one call, or for one block of queries."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder

    def record(self, *fetches: Fetch) -> None:
        """Insert the rows in one transaction, and commit it to disk."""
        with connect_to_write(self._folder, LEDGER_FILE) as connection:
            connection.execute("BEGIN IMMEDIATE")
            create_table(connection)
            LedgerTable(connection).insert([(None, fetch) for fetch in fetches])
            connection.execute("COMMIT")

    @contextmanager
    def read(self) -> Iterator[LedgerTable]:
        """Open the file; it is not created."""
        with connect_to_read(self._folder, LEDGER_FILE, TABLE) as connection:
            if connection is not None:
                yield LedgerTable(connection)
                return
        with closing(table_in_memory()) as empty:
            yield LedgerTable(empty)
