"""The dashboards for a Trino data source, derived from those for Athena.

Belongs here: what differs. Does not belong here: panels and statements, which are the same.

The Trino data source has no default schema, so each dashboard has a text box for it, and every table in a statement is
named with it. There is no metric of scanned bytes, and no reuse of results.
"""

import copy
import json
import re
from typing import Any

from infra.grafana.queries import ATHENA, CLOUDWATCH
from stock_assets.serve.views import unqualified_names

TYPE = "trino-datasource"
_SUFFIX = "-trino"
_RELATIONS = "|".join(sorted({str(getattr(name, "value", name)) for name in unqualified_names().values()}, key=len))
_TABLE = re.compile(rf"\b(FROM|JOIN) ({_RELATIONS})\b")
_DEFAULT = "iceberg.stock_assets_alpha_vantage_published"
"""Catalog and schema of the live source without other settings."""
_SCHEMA = {
    "name": "schema",
    "label": "Schema",
    "type": "textbox",
    "description": "Catalog and schema of the published tables.",
    "hide": 0,
    "query": _DEFAULT,
    "current": {"text": _DEFAULT, "value": _DEFAULT},
    "options": [],
    "skipUrlSync": False,
}


def for_trino(dashboard: dict[str, Any]) -> dict[str, Any]:
    """Return a dashboard for Trino that shows what the given one shows on Athena."""
    found = copy.deepcopy(dashboard)
    _remove_metrics_of_athena(found["panels"])
    variables = [one for one in found["templating"]["list"] if one["name"] not in {"cloudwatch", "workgroup"}]
    found["templating"]["list"] = [*variables, _SCHEMA]
    _convert(found)
    found["uid"] += _SUFFIX
    found["title"] += " (Trino)"
    text = json.dumps(found).replace(json.dumps(ATHENA.type_val), json.dumps(TYPE))
    text = re.sub(r"/d/(stock-assets-[a-z]+)", rf"/d/\1{_SUFFIX}", text)
    result: dict[str, Any] = json.loads(text.replace("A Grafana dashboard on Athena", "A Grafana dashboard on Trino"))
    return result


def _remove_metrics_of_athena(panels: list[dict[str, Any]]) -> None:
    """Remove the panels of CloudWatch; the panel to the left of each takes its place too."""
    for removed in [panel for panel in panels if panel.get("datasource", {}).get("uid") == CLOUDWATCH.uid]:
        left = panels[panels.index(removed) - 1]
        left["gridPos"]["w"] += removed["gridPos"]["w"]
        panels.remove(removed)


def _convert(node: object) -> None:
    """Name tables with their schema, and remove what only Athena's data source knows, in every query below a node."""
    if isinstance(node, dict):
        if "rawSQL" in node:
            node["rawSQL"] = _TABLE.sub(r"\1 ${schema}.\2", node["rawSQL"])
            node.pop("connectionArgs", None)
        for child in node.values():
            _convert(child)
    elif isinstance(node, list):
        for child in node:
            _convert(child)
