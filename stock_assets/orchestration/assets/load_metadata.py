"""What a load contains, as metadata of its materializations.

Belongs here: counts per session and previews. Does not belong here: computing them (`stage.report`).
"""

import dagster as dg

from stock_assets.backends.interface import Backend
from stock_assets.core.tables import QUARANTINED_PRICES, Table
from stock_assets.core.text import markdown_table
from stock_assets.loads.load import Load
from stock_assets.orchestration.assets.statement_runs import statement_metadata
from stock_assets.orchestration.keys import asset_key
from stock_assets.stage.report import load_report


def load_metadata(
    context: dg.AssetExecutionContext, backend: Backend, load: Load, table: Table
) -> dict[str, str | int]:
    """Add what a load holds to the materializations of a table: counts to each session's, a preview to the last one's.

    Returns:
        what every session's materialization says about the whole load; a run over a year stores it 251 times, so it
        is kept short.
    """
    report = load_report(backend, load)
    count = "quarantined" if table is QUARANTINED_PRICES else "published_rows"
    keys = set(context.partition_keys)
    for session in report.sessions:
        # A bar may claim a day that is no session; the audit of trading sessions will say so.
        if session["trade_date"] in keys:
            context.add_asset_metadata(
                {
                    "dagster/partition_row_count": session[count],
                    "symbols": session["symbols"],
                    "quarantined": session["quarantined"],
                },
                asset_key=asset_key(table),
                partition_key=session["trade_date"],
            )
    preview = report.quarantine if table is QUARANTINED_PRICES else report.prices
    context.add_asset_metadata(
        {"preview": dg.MetadataValue.md(markdown_table(preview)), **statement_metadata(backend)},
        asset_key=asset_key(table),
        partition_key=max(keys),
    )
    return {
        "load": load.load_id,
        "load asked for": f"{load.start_date} to {load.end_date}, {len(report.sessions)} sessions",
        "load replaces": f"{load.first_date} to {load.last_date}",
        "load rows": load.rows,
        "load quarantined": load.quarantined,
    }
