"""A process that writes events, for tests that race or kill it. Run: `python -m ... FOLDER RUN_ID COUNT`.

It prints the number of committed events after each batch. With COUNT 0 it writes until it is killed.
"""

import sys
from itertools import count

import dagster as dg

from stock_assets.orchestration.instance.event_log import LocalEventLogStorage
from stock_assets_tests.support.dagster_internals import StepMaterializationData

BATCH = 20
ASSET = dg.AssetKey(["written"])


def materialized(run_id: str, number: int) -> dg.EventLogEntry:
    """Return the event of one materialization."""
    event = dg.DagsterEvent(
        event_type_value=dg.DagsterEventType.ASSET_MATERIALIZATION.value,
        job_name="job",
        step_key="step",
        event_specific_data=StepMaterializationData(
            dg.AssetMaterialization(ASSET, partition=f"{run_id}-{number}", tags={"number": str(number)})
        ),
    )
    return dg.EventLogEntry(  # type: ignore[no-untyped-call]
        None, 20, "", run_id, 1000.0 + number, step_key="step", job_name="job", dagster_event=event
    )


def main(folder: str, run_id: str, wanted: int) -> None:
    """Write batches of events."""
    storage = LocalEventLogStorage(folder)
    for first in count(0, BATCH):
        if wanted and first >= wanted:
            break
        storage.store_event_batch([materialized(run_id, number) for number in range(first, first + BATCH)])
        sys.stdout.write(f"{first + BATCH}\n")
        sys.stdout.flush()
    storage.dispose()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
