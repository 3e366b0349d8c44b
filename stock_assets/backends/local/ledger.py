"""Store the fetch ledger in a table of one SQLite file.

Belongs here: reading and writing the file. Does not belong here: opening it (`database`), the table
(`backends.ledger_table`), what requests mean (`ingest`).
"""

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from stock_assets.backends.damage_texts import describe
from stock_assets.backends.interface import Damage, Fetch, FetchLedger, Part
from stock_assets.backends.ledger_schema import TABLE, create_table, table_in_memory
from stock_assets.backends.ledger_table import LedgerTable
from stock_assets.backends.local.data_folder import DataFolder
from stock_assets.backends.local.database import (
    CATALOG_FILE,
    LEDGER_FILE,
    connect_to_read,
    connect_to_write,
    open_to_read,
)
from stock_assets.backends.local.packs import FOLDER as PACKS_FOLDER
from stock_assets.core.errors import DamagedFiles, Outcome

_TABLE_EXISTS = "SELECT name FROM sqlite_master WHERE type = 'table' AND name = ?"


_RETIRE = f"""
UPDATE fetches SET outcome = '{Outcome.MALFORMED}', first_session = NULL, last_session = NULL,
    missing_sessions = '[]', content_hash = '', detail = ?
WHERE response_key = ? AND content_hash <> ''
"""  # noqa: S608 (a constant)
_RESPONSES = ("raw/*/ingest_date=*/*/*", f"{PACKS_FOLDER}/*/*/*.zip")


def require_ledger(root: Path) -> None:
    """Check a data folder whose ledger has no table: an empty ledger would request and load everything again.

    Raises:
        DamagedFiles: the ledger was lost.
    """
    if why := lost_ledger(root):
        raise DamagedFiles([describe(Damage(Part.LEDGER, str(root / LEDGER_FILE), why))])


def lost_ledger(root: Path) -> str:
    """Return why the ledger must have been lost; empty if it has its table, or the folder is new.

    Nothing is published before a request is recorded, so a catalog beside stored responses proves it. Responses alone
    prove nothing: others may have copied them into a new folder.
    """
    catalog, file = root / CATALOG_FILE, root / LEDGER_FILE
    if not catalog.exists() or not catalog.stat().st_size:
        return ""
    with open_to_read(file, TABLE) as connection:
        if connection is not None:
            return ""
    if not any(next(root.glob(stored), None) for stored in _RESPONSES):
        return ""
    state = "it has no table of requests" if file.exists() else "it is missing"
    return f"{state}, although {CATALOG_FILE} has published tables"


class SqliteLedger(FetchLedger):
    """Shared by all processes of the machine; a connection lives for one call, or for one block of queries."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder

    def record(self, *fetches: Fetch) -> None:
        """Insert the rows in one transaction, and commit it to disk."""
        with connect_to_write(self._folder, LEDGER_FILE) as connection:
            connection.execute("BEGIN IMMEDIATE")
            if not connection.execute(_TABLE_EXISTS, (TABLE,)).fetchone():
                require_ledger(self._folder.root)
            create_table(connection)
            LedgerTable(connection).insert([(None, fetch) for fetch in fetches])
            connection.execute("COMMIT")

    def retire(self, keys: Iterable[str], why: str) -> None:
        """Record that responses are lost: their entries stay, and none of their bars is used."""
        with connect_to_write(self._folder, LEDGER_FILE) as connection:
            connection.executemany(_RETIRE, [(f"{why}: {key}", key) for key in keys])

    @contextmanager
    def read(self) -> Iterator[LedgerTable]:
        """Open the file; it is not created."""
        with connect_to_read(self._folder, LEDGER_FILE, TABLE) as connection:
            if connection is not None:
                yield LedgerTable(connection)
                return
        require_ledger(self._folder.root)
        with closing(table_in_memory()) as empty:
            yield LedgerTable(empty)
