"""A DuckDB file with the published tables and views, for other tools.

Belongs here: writing the file. Does not belong here: the views (`serve.views`), when the file is written.

The file contains no rows: its tables are views over the Parquet files of one snapshot. After a publish, an older file
still shows the rows of its snapshot, whose files stay as long as the snapshot does. Maintenance writes the file before
it expires snapshots, so the file never names a snapshot that is gone.
"""

import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import duckdb

from stock_assets.backends.local.durable import sync

VIEWS_FILE = "views.duckdb"
_LEFT_BY_A_KILL_SECONDS = 3600
_DEFINITIONS = "SELECT sql FROM duckdb_views() WHERE schema_name = 'published' ORDER BY view_oid"


def write_views(connection: duckdb.DuckDBPyConnection, root: Path) -> None:
    """Replace the file by one with the views of the schema `published` of a connection; it is complete or unchanged."""
    partial = root / f".{VIEWS_FILE}.{uuid4().hex}"
    _remove_partial_files(root)
    definitions = connection.execute(_DEFINITIONS).fetchall()
    try:
        # DuckDB cannot create a database in every folder: it reads a backslash in the path as a slash.
        with TemporaryDirectory() as folder:
            written = Path(folder) / VIEWS_FILE
            with duckdb.connect(str(written)) as stored:
                # One transaction: each one writes to the disk.
                stored.execute(
                    "; ".join(["BEGIN; CREATE SCHEMA published", *(text.rstrip(";") for (text,) in definitions)])
                )
                stored.execute("COMMIT")
            partial.write_bytes(written.read_bytes())
        sync(partial)
        partial.replace(root / VIEWS_FILE)
        sync(root)
    finally:
        partial.unlink(missing_ok=True)


def _remove_partial_files(root: Path) -> None:
    for file in root.glob(f".{VIEWS_FILE}.*"):
        with suppress(FileNotFoundError):
            if time.time() - file.stat().st_mtime > _LEFT_BY_A_KILL_SECONDS:
                file.unlink()
