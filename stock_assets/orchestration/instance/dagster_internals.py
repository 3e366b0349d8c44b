"""Every private name of Dagster that the package uses, with the reason.

Belongs here: imports from `dagster._*` and `dagster_shared`, and calls of private methods. Does not belong here: what
is built on them. If a new version of Dagster moves a name, `test_dagster_internals.py` names it; fix it in this module
only.

Checked with Dagster 1.13. Numbers of issues and pull requests refer to github.com/dagster-io/dagster.
"""

import sys
import threading
from collections.abc import Mapping
from functools import wraps

import dagster as dg

# `config_type` of a storage class returns this type.
from dagster._config.config_schema import UserConfigSchema

# Content of the event that plans a check. `LocalEventLogStorage` writes one row per check and run, not one per session,
# which Dagster does since it has partitioned checks (#17005, #33231).
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned

# The asset decorators wrap the step's function in it. Links to the code need the function's file and line.
from dagster._core.definitions.decorators.op_decorator import DecoratedOpFunction

# Name of the repository that holds `Definitions`; the UI's filter for runs contains it.
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME

# The public function `define_asset_job` returns this type.
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

# The error of a step that failed because a blocking check failed; the command line prints the check instead. The error
# of a request to a code server that does not respond.
from dagster._core.errors import DagsterAssetCheckFailedError, DagsterUserCodeUnreachableError

# Type of the callback of `EventLogStorage.watch`.
from dagster._core.event_api import EventHandlerFn

# Events that name an asset, events that Dagster may store in batches, events that change a run's status, and the
# contents of the events that plan and report a materialization, of which `planned_partitions` and
# `materialized_partitions` write one row per partition.
from dagster._core.events import (
    ASSET_EVENTS,
    BATCH_WRITABLE_EVENTS,
    EVENT_TYPE_TO_PIPELINE_RUN_STATUS,
    AssetMaterializationPlannedData,
    StepMaterializationData,
)

# Where a step collects the metadata of its materializations: `add_partition_metadata`.
from dagster._core.execution.context.metadata_logging import AssetMetadataHandle, OutputMetadataAccumulator

# Type of an argument of the public method `PartitionsDefinition.get_partition_keys`.
from dagster._core.instance import DynamicPartitionsStore

# Base and result types of the launcher. Dagster's own does not check whether the process of a run is alive (#4319).
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus

# Which repository and code location a run belongs to; the timeline of the UI shows only runs that have it.
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

# Status of a row of the table of check results.
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

# Base of every event log. `SettledFailures` filters what the daemon reads.
from dagster._core.storage.event_log import EventLogStorage

# Tables of the event log. `LocalEventLogStorage` writes the same rows as Dagster's own storage; `RemovableLogs` deletes
# rows, because Dagster deletes events only together with their run, and with them the status of partitions.
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    AssetKeyTable,
    SqlEventLogStorageTable,
)

# Base of the event logs in SQLite and PostgreSQL.
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

# Base of `LocalEventLogStorage`; there is no public one. The tests compare every result with Dagster's own storage,
# whose cost per event grows with the number of events (#19618).
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    INDEX_SHARD_NAME,
    SqliteEventLogStorage,
    SqliteEventLogStorageWatchdog,
)

# How long Dagster waits for a lock of SQLite; both storages may work on one folder.
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS

# Tags that Dagster writes to runs: the code location, the address of the code server that started the run, the key of a
# sensor's request, and whether a failed run is retried.
from dagster._core.storage.tags import (
    AUTO_RETRY_RUN_ID_TAG,
    GRPC_INFO_TAG,
    REPOSITORY_LABEL_TAG,
    RUN_KEY_TAG,
    WILL_RETRY_TAG,
)

# The request that shows whether a code server executes a run; `CodeServerRunLauncher` sends it.
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult

# Argument of every storage class that `dagster.yaml` names, how replies of code servers are read, and how events are
# written.
from dagster._serdes import ConfigurableClassData, deserialize_value, serialize_value

# Type of the error of a failed step; the root cause is one of its chain.
from dagster_shared.error import SerializableErrorInfo

__all__ = [
    "ASSET_EVENTS",
    "AUTO_RETRY_RUN_ID_TAG",
    "BATCH_WRITABLE_EVENTS",
    "EVENT_TYPE_TO_PIPELINE_RUN_STATUS",
    "GRPC_INFO_TAG",
    "INDEX_SHARD_NAME",
    "REPOSITORY_LABEL_TAG",
    "RUN_KEY_TAG",
    "SINGLETON_REPOSITORY_NAME",
    "SQLITE_BUSY_TIMEOUT_SECONDS",
    "USED_METHODS",
    "WILL_RETRY_TAG",
    "AssetCheckEvaluationPlanned",
    "AssetCheckExecutionRecordStatus",
    "AssetCheckExecutionsTable",
    "AssetEventTagsTable",
    "AssetKeyTable",
    "AssetMaterializationPlannedData",
    "AssetMetadataHandle",
    "CanCancelExecutionRequest",
    "CanCancelExecutionResult",
    "CheckRunHealthResult",
    "ConfigurableClassData",
    "DagsterAssetCheckFailedError",
    "DagsterUserCodeUnreachableError",
    "DecoratedOpFunction",
    "DefaultRunLauncher",
    "DynamicPartitionsStore",
    "EventHandlerFn",
    "EventLogStorage",
    "OutputMetadataAccumulator",
    "RegisteredCodeLocationOrigin",
    "RemoteJobOrigin",
    "RemoteRepositoryOrigin",
    "SerializableErrorInfo",
    "SqlEventLogStorage",
    "SqlEventLogStorageTable",
    "SqliteEventLogStorage",
    "SqliteEventLogStorageWatchdog",
    "StepMaterializationData",
    "UnresolvedAssetJobDefinition",
    "UserConfigSchema",
    "WorkerStatus",
    "add_partition_metadata",
    "deserialize_value",
    "serialize_value",
    "set_backfill_interval",
    "store_events_in_batches",
]

USED_METHODS: Mapping[type, tuple[str, ...]] = {
    EventLogStorage: (
        "get_logs_for_all_runs_by_log_id",
        "supports_partition_subset_in_asset_materialization_planned_events",
    ),
    SqlEventLogStorage: ("index_transaction", "prepare_insert_event"),
    SqliteEventLogStorage: (
        "_connect",
        "_event_insert_timestamp",
        "_event_to_row",
        "_get_asset_entry_values",
        "_has_asset_key_index_cols_on_connection",
        "_initdb",
        "_store_asset_check_evaluation_planned",
        "_store_asset_event",
        "_store_asset_event_tags",
        "conn_string_for_shard",
        "delete_events",
        "has_table",
        "index_connection",
        "path_for_shard",
        "run_connection",
        "store_event",
        "store_event_batch",
        "watch",
        "wipe",
    ),
    SqliteEventLogStorageWatchdog: ("_process_log", "on_modified"),
    DefaultRunLauncher: (
        "_get_grpc_client_for_termination",
        "check_run_worker_health",
        "supports_check_run_worker_health",
    ),
    dg.DagsterInstance: ("_get_event_batch_size",),
    dg.OpExecutionContext: ("_step_execution_context",),
}
"""Methods that the package calls or overrides, by class. If Dagster renames one, no import fails, but an override has
no effect; so a test checks them."""


def store_events_in_batches(instance: dg.DagsterInstance, size: int) -> None:
    """Configure an instance to store its events in batches, unless `DAGSTER_EVENT_BATCH_SIZE` sets another size.

    Dagster reads the size from the environment only. Setting the variable here would change every other instance of the
    process and every program that it starts, so the method that reads it is replaced on this instance. The public form
    would be a field of `dagster.yaml`.
    """
    chosen = instance._get_event_batch_size() or size  # noqa: SLF001 (private; the reason is above)
    instance._get_event_batch_size = lambda: chosen  # type: ignore[method-assign]  # noqa: SLF001 (same)


def add_partition_metadata(
    context: dg.AssetExecutionContext, asset_key: dg.AssetKey, by_partition: Mapping[str, Mapping[str, object]]
) -> None:
    """Add metadata to the materializations of many partitions of an asset of the step.

    The public `add_asset_metadata` takes one partition at a time. Each call lists the partitions of the run, and copies
    and checks the metadata of all partitions before: the time grows with the square of their number.
    """
    step = context.op_execution_context._step_execution_context  # noqa: SLF001 (private; the reason is above)
    collected = step._metadata_accumulator.per_output_metadata  # noqa: SLF001 (same)
    merged = dict(collected)
    for partition, metadata in by_partition.items():
        handle = AssetMetadataHandle(asset_key=asset_key, partition_key=partition)
        merged[handle] = {**collected.get(handle, {}), **metadata}
    step._metadata_accumulator = OutputMetadataAccumulator(per_output_metadata=merged)  # noqa: SLF001 (same)


class _ShortWaits:
    """An event whose waits end after some seconds at the latest."""

    def __init__(self, event: threading.Event, seconds: float) -> None:
        self._event = event
        self._seconds = seconds

    def wait(self, timeout: float | None = None) -> bool:
        return self._event.wait(self._seconds if timeout is None else min(timeout, self._seconds))

    def __getattr__(self, name: str) -> object:
        return getattr(self._event, name)


def set_backfill_interval(seconds: float) -> None:
    """Make the daemon of this process check for backfills more often; without effect in every other process.

    After each check the loop of the backfill daemon waits for the event of the daemon's end, 30 seconds at most. The
    time is a constant that another daemon uses too (#11649, #11860: a maintainer proposed 2 seconds while a backfill is
    in progress; it was never merged). So the event is replaced, for this daemon alone. If a later Dagster has another
    loop, backfills wait as long as it decides, and `test_run_coordinator.py` fails. The public form would be a field
    `interval_seconds` of `backfills` in `dagster.yaml`.
    """
    # Only the process of the daemon has the module, and needs it: importing it takes long in the processes of runs.
    daemon = getattr(sys.modules.get("dagster._daemon.daemon"), "BackfillDaemon", None)
    loop = getattr(daemon, "core_loop", None)
    if daemon is None or loop is None:
        return
    loop = getattr(loop, "__wrapped__", loop)

    @wraps(loop)
    def core_loop(*arguments: object) -> object:
        return loop(*(_ShortWaits(one, seconds) if isinstance(one, threading.Event) else one for one in arguments))

    daemon.core_loop = core_loop
