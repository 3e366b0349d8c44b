"""Contents of a load, as metadata of its materializations.

Belongs here: counts per session and previews. Does not belong here: computing them (`loads.load_report`).
"""

from functools import cache

import dagster as dg

from stock_assets.core.calendar import format_ranges, sessions_between
from stock_assets.core.tables import QUARANTINED_PRICES, Table
from stock_assets.core.text import markdown_table, plural
from stock_assets.loads.load import Load
from stock_assets.loads.load_report import load_report
from stock_assets.orchestration.assets.column_lineage import column_lineage
from stock_assets.orchestration.assets.statement_runs import statement_metadata
from stock_assets.orchestration.instance.dagster_internals import add_partition_metadata
from stock_assets.orchestration.keys import Names
from stock_assets.pipeline import Pipeline


def load_metadata(
    context: dg.AssetExecutionContext, pipeline: Pipeline, load: Load, table: Table, names: Names
) -> dict[str, str | int]:
    """Add counts to the materialization of each session of a table, and more to the last one.

    The last session also shows a preview and the lineage of the columns.

    Returns:
        metadata of the whole load, for the materialization of every session. It is short, because a run over a year
        stores it 251 times.
    """
    backend = pipeline.backend
    report = load_report(backend, load)
    count = "quarantined" if table is QUARANTINED_PRICES else "published_rows"
    keys = set(context.partition_keys)
    reasons: dict[str, list[str]] = {}
    for row in report.excluded:
        reasons.setdefault(row["trade_date"], []).append(f"{row['audit']}: {row['detail']}")
    # Sessions with equal counts share a value, which the event log serializes once (`materialized_partitions`).
    shared = cache(dg.MetadataValue.int)
    by_session: dict[str, dict[str, object]] = {
        day: {
            "dagster/partition_row_count": shared(session[count]),
            "symbols": shared(session["symbols"]),
            "quarantined": shared(session["quarantined"]),
            **({"excluded": "; ".join(reasons[day])} if day in reasons else {}),
        }
        for session in report.sessions
        for day in [session["trade_date"]]
        if day in keys
    }
    preview, total = report.prices, report.rows_of_last_session
    if table is QUARANTINED_PRICES:
        preview, total = report.quarantine, load.quarantined
    by_session.setdefault(max(keys), {}).update(
        {
            "preview": dg.MetadataValue.md(markdown_table(preview, total=total)),
            **column_lineage(table, names),
            **statement_metadata(backend),
        }
    )
    add_partition_metadata(context, names.key(table), by_session)
    excluded = {"load excluded": format_ranges(load.excluded)} if load.excluded else {}
    # A load also replaces later sessions whose look-back includes its own; a recording has none after its last one.
    last_replaced = min(load.last_date, pipeline.source.last_session or load.last_date)
    return {
        "load": load.load_id,
        "load sessions": f"{load.start_date} to {load.end_date}, {plural(len(load.sessions), 'session')}",
        **excluded,
        "load replaces": f"{sessions_between(load.first_date, last_replaced)[0]} to {last_replaced}",
        "load rows": load.rows,
        "load quarantined": load.quarantined,
    }
