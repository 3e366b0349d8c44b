"""Data folders as releases with an earlier layout version stored them.

Belongs here: making such a folder from a current one. Does not belong here: migrating it (`maintenance.migrate`).
"""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

LANDING_FILE = "raw/daily_prices/delivered/IBM.csv"
_LEDGER = """
CREATE TABLE fetches (
    id INTEGER PRIMARY KEY, symbol TEXT NOT NULL, kind TEXT NOT NULL, fetched_at TEXT NOT NULL, outcome TEXT NOT NULL,
    payload TEXT NOT NULL, first_session TEXT, last_session TEXT, holes TEXT NOT NULL, content_hash TEXT NOT NULL,
    calls INTEGER NOT NULL, detail TEXT NOT NULL
)
"""
_CALLS = "CREATE TABLE calls (id INTEGER PRIMARY KEY, vendor TEXT NOT NULL, called_at TEXT NOT NULL)"
_COPY = """
INSERT INTO fetches
SELECT id, symbol, kind, fetched_at, outcome, response_key, first_session, last_session, missing_sessions, content_hash,
    calls, detail
FROM new.fetches
"""


def as_layout_1(current: Path, root: Path) -> None:
    """Write the data of a folder as releases with layout 1 stored them; the prices of IBM came in a landing file."""
    root.mkdir()
    for part in ("raw", "published", "catalog.db"):
        copy = shutil.copytree if (current / part).is_dir() else shutil.copy2
        copy(current / part, root / part)
    response = min(root.glob("raw/daily_prices/ingest_date=*/*/IBM.csv"))
    (root / LANDING_FILE).parent.mkdir()
    response.rename(root / LANDING_FILE)
    with closing(sqlite3.connect(root / "ledger.db", isolation_level=None)) as ledger:
        ledger.execute(_LEDGER)
        ledger.execute(_CALLS)
        ledger.execute("ATTACH ? AS new", (str(current / "ledger.db"),))
        ledger.execute(_COPY)
        key = str(response.relative_to(root))
        ledger.execute("UPDATE fetches SET payload = ?, calls = 0 WHERE payload = ?", (LANDING_FILE, key))
        ledger.execute("DETACH new")
