"""The panels' statements as Grafana sends them to Athena.

Belongs here: macros for the selected dates and symbols, and data sources. Does not belong here: the statements
(`sql/serve/panels`), the look of a panel (`panels`).

Tables and views are named without a database. The data source has a default database, so that nothing here depends on
an account.
"""

from grafana_foundation_sdk.builders import athena as athena_builders
from grafana_foundation_sdk.models import athena
from grafana_foundation_sdk.models.dashboard import DataSourceRef

from stock_assets.core.sql import Fragment
from stock_assets.serve.panels import PANELS
from stock_assets.serve.views import unqualified_names

# Variables of each dashboard, so that it can be imported into any Grafana. Alert rules cannot use variables.
ATHENA = DataSourceRef(type_val="grafana-athena-datasource", uid="${datasource}")
CLOUDWATCH = DataSourceRef(type_val="cloudwatch", uid="${cloudwatch}")
ATHENA_OF_RULES = "stock-assets-athena"
REUSE_MINUTES = 60
"""Age of results that Athena may return again without reading data. Prices change once a day."""

SELECTED_DATES = Fragment("$__dateFilter(trade_date)")
SELECTED_SYMBOLS = Fragment("symbol IN (${symbol:singlequote})")
ALL_SYMBOLS = Fragment("1 = 1")


def default_connection() -> dict[str, str]:
    """Return the connection of a query outside the SDK: region, catalog and database of the data source."""
    return dict.fromkeys(("region", "catalog", "database"), "__default")


def reusing_connection() -> dict[str, object]:
    """Return the default connection for a query of a dashboard, which may return an earlier result."""
    return {
        **default_connection(),
        "resultReuseEnabled": True,
        "resultReuseMaxAgeInMinutes": REUSE_MINUTES,
    }


def raw_sql(panel: str, *, group_by_symbol: bool) -> str:
    """Return a panel's statement with Grafana's macros."""
    symbols = SELECTED_SYMBOLS if group_by_symbol else ALL_SYMBOLS
    return PANELS[panel].select(unqualified_names(), dates=SELECTED_DATES, symbols=symbols)


def target(panel: str, *, group_by_symbol: bool) -> athena_builders.Dataquery:
    """Return the query of a panel: a time series if it has a time column, else a table."""
    series = PANELS[panel].columns[0] == "time"
    return (
        athena_builders.Dataquery()
        .format(athena.FormatOptions.TIME_SERIES if series else athena.FormatOptions.TABLE)
        .connection_args(
            athena_builders.ConnectionArgs().result_reuse_enabled(True).result_reuse_max_age_in_minutes(REUSE_MINUTES)
        )
        .raw_sql(raw_sql(panel, group_by_symbol=group_by_symbol))
        .ref_id("A")
        .datasource(ATHENA)
    )
