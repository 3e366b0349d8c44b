"""Opening the backend's SQLite file, which the fetch ledger and the call budget share.

Belongs here: how processes of one machine wait for each other. Does not belong here: tables and statements (`ledger`,
`budget`), Iceberg's catalog (`iceberg`).
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from stock_assets.backends.local.durable import make_folder

_BUSY_SECONDS = 30


@contextmanager
def connect(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the file, made where it is not there yet, for one call; each statement commits unless a BEGIN was sent.

    The rollback journal is kept: the switch of a new file to a write-ahead log does not wait for other processes
    ("database is locked" at once), and for connections that live for one call the log is the slower of the two.
    """
    make_folder(path.parent)
    with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)) as connection:
        yield connection
