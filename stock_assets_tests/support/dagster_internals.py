"""Private names of Dagster that only tests use.

Names that the package uses too are in `stock_assets.orchestration.instance.dagster_internals`. If a new version of
Dagster moves a name, `test_dagster_internals.py` names it; fix it in this module only.
"""

# The policy of an asset has no public type; a test compares its window with the calendar.
from dagster._core.definitions.freshness import TimeWindowFreshnessPolicy

# Time at which partitions are read, and how the web server and the daemon store a partition definition.
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.definitions.partitions.snap import TimeWindowPartitionsSnap

# Dagster raises it in a step when a run is terminated.
from dagster._core.errors import DagsterExecutionInterruptedError

# Content of the row of an asset in the event log.
from dagster._core.event_api import EventLogRecord

# Contents of the events that the tests write.
from dagster._core.events import EngineEventData, StepMaterializationData

# The address of an instance: the daemon passes it to a schedule, and creating the instance itself would replace the
# default of the process.
from dagster._core.instance import InstanceRef

# Origin of a run that the daemon or the UI has started; a run of the command line has none.
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

# Type of the queue of runs.
from dagster._core.run_coordinator import QueuedRunCoordinator

# Kind of a captured log of a step.
from dagster._core.storage.compute_log_manager import ComputeIOType

# Storage of runs: a gate holds a process between the event and the status of a failed run.
from dagster._core.storage.runs import SqlRunStorage

# A new run id.
from dagster._core.utils import make_new_run_id

# What `dagster dev` and the web server read from workspace files and pyproject.toml.
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load import location_origins_from_yaml_paths
from dagster._core.workspace.load_target import PyProjectFileTarget, WorkspaceFileTarget

# Reads and writes values as Dagster stores them.
from dagster._serdes import deserialize_value, serialize_value

# How a step receives the signal of a termination.
from dagster._utils.interrupts import raise_interrupts_as

__all__ = [
    "ComputeIOType",
    "DagsterExecutionInterruptedError",
    "EngineEventData",
    "EventLogRecord",
    "InstanceRef",
    "PyProjectFileTarget",
    "QueuedRunCoordinator",
    "RegisteredCodeLocationOrigin",
    "RemoteJobOrigin",
    "RemoteRepositoryOrigin",
    "SqlRunStorage",
    "StepMaterializationData",
    "TimeWindowFreshnessPolicy",
    "TimeWindowPartitionsSnap",
    "WorkspaceFileTarget",
    "WorkspaceProcessContext",
    "deserialize_value",
    "location_origins_from_yaml_paths",
    "make_new_run_id",
    "partition_loading_context",
    "raise_interrupts_as",
    "serialize_value",
]
