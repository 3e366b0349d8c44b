"""Dagster's SQLite event log, without the costs that a backfill of thousands of sessions cannot bear.

Belongs here: how events reach the same files, tables and rows that Dagster's own storage keeps. Does not belong here:
what an event says. A folder written by either storage is read by the other.

Dagster 1.13's `SqliteEventLogStorage` opens a connection with a new SQLAlchemy engine for every statement group,
compiles every statement again for it, asks SQLite for the columns of a table per event, and commits twice per event.
Here an engine is kept per file, what cannot change is asked once, and a batch of events is one transaction per file.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import Any, cast

import dagster as dg
import sqlalchemy as db

# The storage has no public base to build on; the tests compare every answer with Dagster's own.
from dagster._config.config_schema import UserConfigSchema
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.event_api import EventHandlerFn
from dagster._core.events import ASSET_EVENTS, BATCH_WRITABLE_EVENTS, DagsterEventType
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, AssetKeyTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    SqliteEventLogStorage,
    SqliteEventLogStorageWatchdog,
)
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import QueuePool
from watchdog.events import FileSystemEvent
from watchdog.observers.api import BaseObserver

from stock_assets.orchestration.instance.settled_failures import SettledFailures

BATCH_SIZE = 500
"""Events per transaction: past some hundreds the commit costs nothing any more, and a kill loses at most as many."""

_BATCH_VARIABLE = "DAGSTER_EVENT_BATCH_SIZE"
_OPEN_FILES = 16
"""Event logs kept open: one per run. A web page may look at hundreds of runs."""


class LocalEventLogStorage(SettledFailures, SqliteEventLogStorage):
    """The event log of `dagster.yaml`, in the folder where Dagster would keep it by default.

    Several processes may use a folder at once, as with Dagster's own: SQLite's locks do the work, and each waits up to
    30 seconds for its turn. What was committed survives `kill -9`; only a crash of the machine itself may take back
    the last commits (`synchronous=NORMAL` under a write-ahead log), and never leaves a broken file.
    """

    def __init__(self, base_dir: str | None = None, inst_data: ConfigurableClassData | None = None) -> None:
        """Open the log, or without a folder wait for the instance that says where it lies."""
        self._engines: OrderedDict[str, tuple[tuple[int, int], Engine]] = OrderedDict()
        self._pid = os.getpid()
        self._tables: set[str] = set()
        self._has_index_columns = False
        self._inst_data = inst_data
        if base_dir is not None:
            self._open(base_dir)

    def _open(self, base_dir: str) -> None:
        super().__init__(base_dir, self._inst_data)
        # A batch holds the run's file and the index at once.
        self._db_lock = cast("threading.Lock", threading.RLock())

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """A folder, if it is not the default one."""
        return {"base_dir": dg.Field(dg.StringSource, is_required=False)}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "LocalEventLogStorage":
        """Make it from `dagster.yaml`."""
        return cls(inst_data=inst_data, **config_value)

    def register_instance(self, instance: dg.DagsterInstance) -> None:
        """Learn the folder, and have Dagster hand over its events in batches.

        Dagster takes the size of a batch from the environment alone. It is set here, unless somebody has, so that
        every process which opens the instance writes alike: web server, daemon, run worker, command line.
        """
        if not hasattr(self, "_base_dir"):
            self._open(str(Path(instance.root_directory) / "history" / "runs"))
        super().register_instance(instance)
        os.environ.setdefault(_BATCH_VARIABLE, str(BATCH_SIZE))

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = self._engine(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.connect() as connection, connection.begin():
                yield connection

    def _engine(self, shard: str) -> Engine:
        """Give the engine of a file, kept from the last use if it is still the same file and process."""
        if self._pid != os.getpid():
            # After a fork the connections belong to the parent; closing them here would break its locks.
            for _, engine in self._engines.values():
                engine.dispose(close=False)
            self._engines.clear()
            self._pid = os.getpid()
        path = Path(self.path_for_shard(shard))
        kept = self._engines.get(shard)
        if kept is not None and kept[0] == _identity(path):
            self._engines.move_to_end(shard)
            return kept[1]
        if kept is not None:
            # Somebody deleted the file, as the removal of old runs does.
            self._engines.pop(shard)[1].dispose()
            self._initialized_dbs.discard(shard)
        if not path.exists():
            path.touch()
        engine = _new_engine(self.conn_string_for_shard(shard))
        self._engines[shard] = (cast("tuple[int, int]", _identity(path)), engine)
        while len(self._engines) > _OPEN_FILES:
            oldest = next(iter(self._engines))
            self._engines.pop(oldest)[1].dispose()
        return engine

    def has_table(self, table_name: str) -> bool:
        """Remember the tables that are there: a migration adds some, and takes none away."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def _has_asset_key_index_cols_on_connection(self, conn: Connection) -> bool:
        self._has_index_columns = self._has_index_columns or super()._has_asset_key_index_cols_on_connection(conn)
        return self._has_index_columns

    def store_event_batch(self, events: Sequence[dg.EventLogEntry]) -> None:
        """Store events of one run in one transaction per file, with the same rows as one after the other.

        The index is committed inside the run's transaction: if it fails, neither holds anything, and Dagster, which
        then stores the events singly, doubles none.
        """
        run_ids = {event.run_id for event in events}
        if len(run_ids) != 1 or not all(event.dagster_event_type in BATCH_WRITABLE_EVENTS for event in events):
            super().store_event_batch(events)
            return
        rows = [self._event_to_row(event) for event in events]
        with self.run_connection(run_ids.pop()) as run:
            run.execute(SqlEventLogStorageTable.insert(), rows)
            with self.index_connection() as index:
                ids = _inserted(index, rows)
                stored = list(zip(events, ids, strict=True))
                assets = [(event, at) for event, at in stored if event.dagster_event_type in ASSET_EVENTS]
                self._store_asset_event_tags(index, [event for event, _ in assets], [at for _, at in assets])
                self._store_asset_keys(index, assets)
                for event, at in stored:
                    if event.dagster_event_type is DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
                        self._insert_planned_check(index, event, at)

    def _store_asset_keys(self, index: Connection, stored: list[tuple[dg.EventLogEntry, int]]) -> None:
        """Write what the last events say of each asset, once, instead of once per event."""
        kinds: dict[tuple[str, str], tuple[dg.EventLogEntry, int]] = {}
        for event, at in stored:
            kind = (str(event.get_dagster_event().asset_key), event.get_dagster_event().event_type_value)
            kinds.pop(kind, None)
            kinds[kind] = (event, at)
        for event, at in kinds.values():
            self._store_asset_event(index, event, at)

    def _store_asset_event(self, conn: Connection, event: dg.EventLogEntry, event_id: int) -> None:
        # As Dagster's own, with the update first: it inserts first, which fails for every event but an asset's first.
        asset_key = event.get_dagster_event().asset_key
        if asset_key is None:
            return
        values = self._get_asset_entry_values(event, event_id, self._has_asset_key_index_cols_on_connection(conn))
        if not values:
            return
        key = asset_key.to_string()
        changed = conn.execute(AssetKeyTable.update().values(**values).where(AssetKeyTable.c.asset_key == key)).rowcount
        if changed == 0:
            conn.execute(AssetKeyTable.insert().values(asset_key=key, **values))

    def _store_asset_check_evaluation_planned(self, event: dg.EventLogEntry, event_id: int | None) -> None:
        with self.index_connection() as index:
            self._insert_planned_check(index, event, event_id)

    def _insert_planned_check(self, index: Connection, event: dg.EventLogEntry, event_id: int | None) -> None:
        """Write one planned row per check and run.

        Dagster 1.13 gives a check without partitions those of the run (if the asset of the run's last step by name has
        some), writes a row per session with the whole event in each, and its evaluation, which knows no session, then
        finds none of them and adds another: 20 checks x 251 sessions x 14 kB in a run over a year, left as planned for
        ever. No check of this project has partitions, which the tests hold fast.
        """
        planned = cast("AssetCheckEvaluationPlanned", event.get_dagster_event().event_specific_data)
        index.execute(_planned_row(self._event_to_row(event), planned, event_id))

    def watch(self, run_id: str, cursor: str | None, callback: EventHandlerFn) -> None:
        """Follow a run, as the page of a run does."""
        super().watch(run_id, cursor, callback)
        stock, scheduled = self._watchers[run_id][callback]
        observer = cast("BaseObserver", self._obs)
        watchdog = _WriteAheadLogWatchdog(self, run_id, callback, cursor)
        observer.add_handler_for_watch(watchdog, scheduled)
        observer.remove_handler_for_watch(stock, scheduled)
        self._watchers[run_id][callback] = (watchdog, scheduled)

    def wipe(self) -> None:
        """Close what is open, and remove everything."""
        self._close()
        super().wipe()

    def dispose(self) -> None:
        """Close what is open."""
        if hasattr(self, "_base_dir"):
            super().dispose()
        self._close()

    def _close(self) -> None:
        for _, engine in self._engines.values():
            engine.dispose(close=self._pid == os.getpid())
        self._engines.clear()


class _WriteAheadLogWatchdog(SqliteEventLogStorageWatchdog):
    """Wakes up when events reach the write-ahead log.

    Dagster's own wakes up when they reach the database file, which a connection that stays open lets happen only every
    thousand pages.
    """

    def __init__(
        self, storage: LocalEventLogStorage, run_id: str, callback: EventHandlerFn, cursor: str | None
    ) -> None:
        super().__init__(storage, run_id, callback, cursor)
        self._patterns = [self._log_path, f"{self._log_path}-wal"]

    def on_modified(self, event: FileSystemEvent) -> None:  # noqa: ARG002 (both files tell the same)
        self._process_log()


def _planned_row(row: dict[str, Any], planned: AssetCheckEvaluationPlanned, event_id: int | None) -> db.Insert:
    return AssetCheckExecutionsTable.insert().values(
        asset_key=planned.asset_key.to_string(),
        check_name=planned.check_name,
        partition=None,
        run_id=row["run_id"],
        execution_status=AssetCheckExecutionRecordStatus.PLANNED.value,
        evaluation_event=row["event"],
        evaluation_event_timestamp=row["timestamp"],
        evaluation_event_storage_id=event_id,
    )


def _inserted(index: Connection, rows: list[dict[str, Any]]) -> list[int]:
    """Insert events and give their ids, which the transaction makes follow each other: it alone can write."""
    index.execute(SqlEventLogStorageTable.insert(), rows)
    last = int(index.execute(db.text("select last_insert_rowid()")).scalar_one())
    return list(range(last - len(rows) + 1, last + 1))


def _new_engine(address: str) -> Engine:
    engine = db.create_engine(
        address,
        poolclass=QueuePool,
        pool_size=1,
        connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
    )
    db.event.listen(engine, "connect", _sync_at_checkpoints)
    return engine


def _sync_at_checkpoints(connection: SqliteConnection, _: object) -> None:
    """Sync the file when the log is folded into it; under a write-ahead log that keeps it whole (sqlite.org/wal)."""
    connection.execute("PRAGMA synchronous=NORMAL")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
