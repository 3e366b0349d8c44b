"""Dagster's SQLite event log, made fast enough for a backfill of thousands of sessions.

Belongs here: writing events to the same files, tables and rows as Dagster's own storage. Does not belong here: the
content of an event. Either storage reads a folder that the other has written; `STOCK_ASSETS_EVENT_LOG=builtin` selects
Dagster's own.

Dagster 1.13's `SqliteEventLogStorage` opens a connection with a new SQLAlchemy engine for every group of statements,
compiles every statement again for it, requests the columns of a table from SQLite per event, and commits twice per
event. This storage keeps one engine per file, requests once what cannot change, and writes a batch of events in one
transaction per file.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from itertools import accumulate, chain
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from sqlite3 import OperationalError, connect
from typing import Any, cast

import dagster as dg
import sqlalchemy as db
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import QueuePool
from watchdog.events import FileSystemEvent
from watchdog.observers.api import BaseObserver

from stock_assets.orchestration.instance.dagster_internals import (
    ASSET_EVENTS,
    BATCH_WRITABLE_EVENTS,
    INDEX_SHARD_NAME,
    SQLITE_BUSY_TIMEOUT_SECONDS,
    AssetCheckEvaluationPlanned,
    AssetCheckExecutionRecordStatus,
    AssetCheckExecutionsTable,
    AssetKeyTable,
    ConfigurableClassData,
    EventHandlerFn,
    SqlEventLogStorageTable,
    SqliteEventLogStorage,
    SqliteEventLogStorageWatchdog,
    UserConfigSchema,
    store_events_in_batches,
)
from stock_assets.orchestration.instance.log_removal import RemovableLogs
from stock_assets.orchestration.instance.materialized_partitions import rows_of_events
from stock_assets.orchestration.instance.planned_partitions import plans_partitions, rows_of_event
from stock_assets.orchestration.instance.settled_failures import SettledFailures

BATCH_SIZE = 500
"""Events per transaction. With more than some hundreds the cost of the commit is negligible; a kill loses one batch."""

_OPEN_FILES = 16
"""Files kept open, one per run. A web page may read hundreds of runs."""


class LocalEventLogStorage(SettledFailures, RemovableLogs, SqliteEventLogStorage):
    """The event log of `dagster.yaml`, in Dagster's default folder.

    Several processes may use a folder at the same time, as with Dagster's own storage: SQLite's locks coordinate them,
    and each waits up to 30 seconds for a lock. Committed events survive `kill -9`. Only a crash of the machine may
    undo the last commits (`synchronous=NORMAL` under a write-ahead log), and it never leaves a broken file.
    """

    def __init__(self, base_dir: str | None = None, inst_data: ConfigurableClassData | None = None) -> None:
        """Open the log. Without a folder, `register_instance` opens it in the folder of the instance."""
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
        """Return the configuration: a folder, if it is not the default one."""
        return {"base_dir": dg.Field(dg.StringSource, is_required=False)}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "LocalEventLogStorage":
        """Construct the storage from `dagster.yaml`."""
        return cls(inst_data=inst_data, **config_value)

    def register_instance(self, instance: dg.DagsterInstance) -> None:
        """Open the log in the instance's folder, and make the instance store its events in batches.

        Every process that opens the instance does so: web server, daemon, run worker, command line.
        """
        if not hasattr(self, "_base_dir"):
            self._open(str(Path(instance.root_directory) / "history" / "runs"))
        super().register_instance(instance)
        store_events_in_batches(instance, BATCH_SIZE)

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
        """Return the engine of a file; reuse the last one if file and process are still the same."""
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
            # The file was deleted, as maintenance does with old runs.
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

    def run_connection(self, run_id: str | None = None) -> AbstractContextManager[Connection]:
        """Connect to the file of a run, or to the index if the log of the run was removed.

        Dagster's own storage would create an empty file again as soon as a page shows the run.
        """
        shard = str(run_id)
        is_removed = not Path(self.path_for_shard(shard)).exists() and self.has_notice(shard)
        return self._connect(INDEX_SHARD_NAME if is_removed else shard)

    def remove_logs(self, run_ids: Sequence[str]) -> None:
        """Remove logs (see `RemovableLogs`) and the files of the runs; return free space of the index to the disk."""
        super().remove_logs(run_ids)
        for run_id in run_ids:
            self._remove_file(run_id)
        if run_ids:
            self._shrink_index()

    def delete_events(self, run_id: str) -> None:
        """Delete the events of a run and its file; Dagster's own storage keeps the file, at its full size."""
        super().delete_events(run_id)
        self._remove_file(run_id)

    def _remove_file(self, run_id: str) -> None:
        with self._db_lock:
            if run_id in self._engines:
                self._engines.pop(run_id)[1].dispose()
            self._initialized_dbs.discard(run_id)
            # The database last: as long as it exists, a killed maintenance is repeated.
            for ending in ("-shm", "-wal", ""):
                Path(f"{self.path_for_shard(run_id)}{ending}").unlink(missing_ok=True)

    def _shrink_index(self) -> None:
        """Rewrite the index if most of it is free. Another process that is reading prevents it until the next time."""
        with self._db_lock, closing(connect(self.path_for_shard(INDEX_SHARD_NAME), timeout=1)) as index:
            [free], [pages] = (index.execute(f"PRAGMA {name}").fetchone() for name in ("freelist_count", "page_count"))
            if free * 2 > pages:
                with suppress(OperationalError):
                    index.execute("VACUUM")
                    index.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def has_table(self, table_name: str) -> bool:
        """Return whether a table exists. An existing table is cached: a migration adds tables and removes none."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def _has_asset_key_index_cols_on_connection(self, conn: Connection) -> bool:
        self._has_index_columns = self._has_index_columns or super()._has_asset_key_index_cols_on_connection(conn)
        return self._has_index_columns

    @property
    def supports_partition_subset_in_asset_materialization_planned_events(self) -> bool:
        """Return True: Dagster plans all partitions of an asset with one event, which is stored as a row for each."""
        return True

    def store_event(self, event: dg.EventLogEntry) -> None:
        """Store an event; one that plans many partitions is stored as a row for each."""
        if plans_partitions(event):
            self.store_event_batch([event])
        else:
            super().store_event(event)

    def store_event_batch(self, events: Sequence[dg.EventLogEntry]) -> None:
        """Store events of one run in one transaction per file, with the same rows as one by one.

        The index is committed inside the run's transaction. If it fails, neither file holds an event, and Dagster,
        which then stores the events one by one, duplicates none.
        """
        run_ids = {event.run_id for event in events}
        if len(run_ids) != 1 or not all(event.dagster_event_type in BATCH_WRITABLE_EVENTS for event in events):
            super().store_event_batch(events)
            return
        by_event = rows_of_events(
            events, lambda event: rows_of_event(event, self._event_to_row), self._event_insert_timestamp
        )
        rows = list(chain.from_iterable(by_event))
        # Assets and checks name the last row of an event.
        last_rows = [count - 1 for count in accumulate(map(len, by_event))]
        with self.run_connection(run_ids.pop()) as run:
            run.execute(SqlEventLogStorageTable.insert(), rows)
            with self.index_connection() as index:
                ids = _inserted(index, rows)
                stored = [(event, ids[last]) for event, last in zip(events, last_rows, strict=True)]
                assets = [(event, at) for event, at in stored if event.dagster_event_type in ASSET_EVENTS]
                self._store_asset_event_tags(index, [event for event, _ in assets], [at for _, at in assets])
                self._store_asset_keys(index, assets)
                for event, at in stored:
                    if event.dagster_event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
                        self._insert_planned_check(index, event, at)

    def _store_asset_keys(self, index: Connection, stored: list[tuple[dg.EventLogEntry, int]]) -> None:
        """Update each asset once, from its last events, not once per event."""
        kinds: dict[tuple[str, str], tuple[dg.EventLogEntry, int]] = {}
        for event, at in stored:
            kind = (str(event.get_dagster_event().asset_key), event.get_dagster_event().event_type_value)
            kinds.pop(kind, None)
            kinds[kind] = (event, at)
        for event, at in kinds.values():
            self._store_asset_event(index, event, at)

    def _store_asset_event(self, conn: Connection, event: dg.EventLogEntry, event_id: int) -> None:
        # Dagster's own storage inserts first, which fails for every event except an asset's first. This one updates
        # first.
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

        Dagster 1.13 gives a check without partitions the partitions of the run (if the asset of the run's last step by
        name has partitions) and writes one row per session with the whole event. The evaluation, which has no session,
        matches none of these rows and adds another: 20 checks x 251 sessions x 14 kB in a run over a year remain
        "planned" forever. No check of this project has partitions; a test checks it.
        """
        planned = cast("AssetCheckEvaluationPlanned", event.get_dagster_event().event_specific_data)
        index.execute(_planned_row(self._event_to_row(event), planned, event_id))

    def watch(self, run_id: str, cursor: str | None, callback: EventHandlerFn) -> None:
        """Call back for each new event of a run, as the UI's page of a run requires."""
        super().watch(run_id, cursor, callback)
        stock, scheduled = self._watchers[run_id][callback]
        observer = cast("BaseObserver", self._obs)
        watchdog = _WriteAheadLogWatchdog(self, run_id, callback, cursor)
        observer.add_handler_for_watch(watchdog, scheduled)
        observer.remove_handler_for_watch(stock, scheduled)
        self._watchers[run_id][callback] = (watchdog, scheduled)

    def wipe(self) -> None:
        """Close every file, and delete all events."""
        self._close()
        super().wipe()

    def dispose(self) -> None:
        """Close every file."""
        if hasattr(self, "_base_dir"):
            super().dispose()
        self._close()

    def _close(self) -> None:
        for _, engine in self._engines.values():
            engine.dispose(close=self._pid == os.getpid())
        self._engines.clear()


class _WriteAheadLogWatchdog(SqliteEventLogStorageWatchdog):
    """Calls back when events reach the write-ahead log.

    Dagster's own watchdog reacts to the database file. While a connection stays open, SQLite writes to this file only
    every thousand pages.
    """

    def __init__(
        self, storage: LocalEventLogStorage, run_id: str, callback: EventHandlerFn, cursor: str | None
    ) -> None:
        super().__init__(storage, run_id, callback, cursor)
        self._patterns = [self._log_path, f"{self._log_path}-wal"]

    def on_modified(self, event: FileSystemEvent) -> None:  # noqa: ARG002 (a change of either file means new events)
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
    """Insert events and return their ids. The ids are consecutive, because only this transaction can write."""
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
    """Sync at checkpoints only; under a write-ahead log this keeps the file consistent (sqlite.org/wal)."""
    connection.execute("PRAGMA synchronous=NORMAL")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
