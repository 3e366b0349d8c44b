"""What statements took, as metadata that an operator reads in the UI.

Belongs here: showing. Does not belong here: counting (`engine`).
"""

from collections.abc import Sequence

import dagster as dg

from stock_assets.backends.interface import StatementRun
from stock_assets.core.text import markdown_table


def shown_runs(engine: str, new: Sequence[StatementRun], total: Sequence[StatementRun]) -> dict[str, dg.MetadataValue]:
    """Show each new statement, and the sum of all; nothing where there was none, no cost where nobody charges."""
    if not new:
        return {}
    name = engine.lower()
    shown: dict[str, dg.MetadataValue] = {
        f"{name} statements": dg.MetadataValue.md(markdown_table([_row(run) for run in new])),
        f"{name} bytes scanned": dg.MetadataValue.int(sum(run.scanned_bytes for run in new)),
        f"{name} statements so far": dg.MetadataValue.int(len(total)),
        f"{name} bytes scanned so far": dg.MetadataValue.int(sum(run.scanned_bytes for run in total)),
    }
    if all(run.cost is None for run in total):
        return shown
    cost = round(sum(run.cost or 0.0 for run in total), 6)
    return {**shown, f"{name} cost so far, estimated (USD)": dg.MetadataValue.float(cost)}


def _row(run: StatementRun) -> dict[str, object]:
    return {
        "statement": run.statement,
        "state": run.state,
        "seconds": run.seconds,
        "queued": run.queued_seconds,
        "bytes scanned": run.scanned_bytes,
        "query": f"[{run.query_id}]({run.link})",
    }
