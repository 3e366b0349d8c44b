"""Metadata of the SQL statements that a step sent: duration, bytes scanned and cost.

Belongs here: formatting. Does not belong here: counting (`backends.lakehouse.sql_engine`).
"""

import dagster as dg

from stock_assets.backends.interface import Backend, StatementRun
from stock_assets.core.text import markdown_table


def statement_metadata(backend: Backend) -> dict[str, dg.MetadataValue]:
    """Return metadata of the statements sent since the last call; empty on the local backend."""
    log = backend.take_statement_log()
    if log is None or not log.new:
        return {}
    name = log.engine.lower()
    metadata: dict[str, dg.MetadataValue] = {
        f"{name} statements": dg.MetadataValue.md(markdown_table([_row(run) for run in log.new])),
        f"{name} bytes scanned": dg.MetadataValue.int(sum(run.scanned_bytes for run in log.new)),
        f"{name} statements of this process": dg.MetadataValue.int(len(log.total)),
        f"{name} bytes scanned by this process": dg.MetadataValue.int(sum(run.scanned_bytes for run in log.total)),
    }
    if all(run.cost is None for run in log.total):
        return metadata
    cost = round(sum(run.cost or 0.0 for run in log.total), 6)
    return {**metadata, f"{name} cost of this process, estimated (USD)": dg.MetadataValue.float(cost)}


def _row(run: StatementRun) -> dict[str, object]:
    return {
        "statement": run.statement,
        "state": run.state,
        "seconds": run.seconds,
        "queued": run.queued_seconds,
        "bytes scanned": run.scanned_bytes,
        "query": f"[{run.query_id}]({run.link})",
    }
