"""What a load holds, as metadata that an operator reads in the UI: in all, per session, and a preview.

Belongs here: counting and showing. Does not belong here: the load itself (`load`, `staging`).
"""

import dagster as dg

from stock_assets.homes.interfaces import Home
from stock_assets.markdown import markdown_table
from stock_assets.sql import SqlValue, statement
from stock_assets.stage.load import Load
from stock_assets.tables import (
    DAILY_PRICES,
    QUARANTINED_PRICES,
    STAGED_PRICES,
    STAGED_QUARANTINE,
    TYPED_PRICES,
    Table,
)

_PREVIEWS = {
    STAGED_PRICES: "stage/preview_prices.sql",
    DAILY_PRICES: "stage/preview_prices.sql",
    QUARANTINED_PRICES: "stage/preview_quarantine.sql",
}


def show_load(context: dg.AssetExecutionContext, home: Home, load: Load, table: Table) -> dict[str, str | int]:
    """Add what a load holds to the materializations of a table: counts to each session's, a preview to the last one's.

    Returns:
        what every session's materialization says about the whole load; a run over a year stores it 251 times, so it
        is kept short.
    """
    with home.warehouse.open(load.load_id) as sql:
        values: dict[str, SqlValue] = {
            "typed_prices": sql.name(TYPED_PRICES),
            "quarantined_prices": sql.name(STAGED_QUARANTINE),
            "staged_prices": sql.name(STAGED_PRICES),
            "end_date": load.end_date,
        }
        sessions = sql.query(statement("stage/sessions.sql").bind(values)).to_pylist()
        preview = sql.query(statement(_PREVIEWS[table]).bind(values)).to_pylist()
    count = "quarantined" if table is QUARANTINED_PRICES else "published_rows"
    keys = set(context.partition_keys)
    for session in sessions:
        # A bar may claim a day that is no session; the audit of trading sessions will say so.
        if str(session["trade_date"]) in keys:
            context.add_asset_metadata(
                {
                    "dagster/partition_row_count": session[count],
                    "symbols": session["symbols"],
                    "quarantined": session["quarantined"],
                },
                asset_key=table.asset_key,
                partition_key=str(session["trade_date"]),
            )
    context.add_asset_metadata(
        {"preview": dg.MetadataValue.md(markdown_table(preview))},
        asset_key=table.asset_key,
        partition_key=max(keys),
    )
    return {
        "load": load.load_id,
        "load asked for": f"{load.start_date} to {load.end_date}, {len(sessions)} sessions",
        "load replaces": f"{load.first_date} to {load.last_date}",
        "load rows": load.rows,
        "load quarantined": load.quarantined,
    }
