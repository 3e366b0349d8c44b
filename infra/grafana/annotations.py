"""The annotations of the dashboards: events that are marked in every chart.

Belongs here: queries and fields of annotations. Does not belong here: panels (`panels`).

The SDK knows only the annotations of Grafana's own data source, so these are added to the finished dashboards.
"""

from typing import Any

from infra.grafana.panels import ORANGE
from infra.grafana.queries import ATHENA, raw_sql, reusing_connection


def splits() -> dict[str, Any]:
    """Return the annotation of the selected symbols' splits, on the first session at the new number of shares."""
    return {
        "name": "Splits",
        "enable": True,
        "iconColor": ORANGE,
        "datasource": {"type": ATHENA.type_val, "uid": ATHENA.uid},
        "target": {
            "refId": "splits",
            "rawSQL": raw_sql("splits", group_by_symbol=True),
            "format": 1,
            "connectionArgs": reusing_connection(),
        },
        "mappings": {
            "time": {"source": "field", "value": "time"},
            "title": {"source": "field", "value": "symbol"},
            "text": {"source": "field", "value": "split_ratio"},
        },
    }
