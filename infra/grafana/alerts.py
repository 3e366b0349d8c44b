"""The alert rules of Grafana: a second pair of eyes, for the day on which Dagster itself does not run.

Belongs here: what is judged, and what is said. Does not belong here: whom Grafana tells (contact points are its
owner's). A `$` has no place in these texts: Grafana reads it as a variable of its environment.
"""

from dataclasses import dataclass
from typing import Any

from infra.grafana.queries import ALL_SYMBOLS, ATHENA
from stock_assets.serve.panels import PANELS
from stock_assets.serve.views import unqualified_names

FOLDER = "Stock assets"
_HOUR = 3600


@dataclass(frozen=True)
class _Rule:
    """One rule: the number of a panel that is judged, the level beyond which it is bad, and for how long."""

    uid: str
    title: str
    panel: str
    column: str
    bad: tuple[str, float]
    lasting: str
    summary: str
    description: str


_RULES = (
    _Rule(
        uid="stock-assets-freshness",
        title="Prices are late",
        panel="freshness",
        column="weekdays_missed",
        bad=("gt", 1),
        lasting="1h",
        summary="No new session for two weekdays",
        description=(
            "Two or more weekdays after the latest published session have passed; one could be a holiday. Look at the "
            "last runs in Dagster and at what its sensor catch_up says."
        ),
    ),
    _Rule(
        uid="stock-assets-coverage",
        title="Symbols are missing",
        panel="latest_coverage",
        column="coverage_pct",
        bad=("lt", 100),
        lasting="6h",
        summary="The latest session lacks symbols",
        description=(
            "Some expected symbols have no published bar in the latest session, after hours of asking again. The "
            "dashboard Operations tells whether they are missing or in quarantine."
        ),
    ),
)


def rules() -> dict[str, Any]:
    """Give the content of the provisioning file."""
    group = {
        "orgId": 1,
        "name": "stock_assets",
        "folder": FOLDER,
        "interval": "1h",
        "rules": [_provisioned(rule) for rule in _RULES],
    }
    return {"apiVersion": 1, "groups": [group]}


def _provisioned(rule: _Rule) -> dict[str, Any]:
    select = PANELS[rule.panel].select(unqualified_names(), dates=ALL_SYMBOLS, symbols=ALL_SYMBOLS)
    query = {
        "refId": "A",
        # A rule judges the one number of its result.
        "rawSQL": f"SELECT {rule.column} FROM ({select}) AS found",  # noqa: S608 (from the project's own files)
        "format": 1,
        "connectionArgs": {"region": "__default", "catalog": "__default", "database": "__default"},
        "datasource": {"type": ATHENA.type_val, "uid": ATHENA.uid},
    }
    kind, level = rule.bad
    threshold = {
        "refId": "B",
        "type": "threshold",
        "expression": "A",
        "datasource": {"type": "__expr__", "uid": "__expr__"},
        "conditions": [{"type": "query", "evaluator": {"type": kind, "params": [level]}}],
    }
    span = {"from": _HOUR, "to": 0}
    return {
        "uid": rule.uid,
        "title": rule.title,
        "condition": "B",
        "data": [
            {"refId": "A", "relativeTimeRange": span, "datasourceUid": ATHENA.uid, "model": query},
            {"refId": "B", "relativeTimeRange": dict(span), "datasourceUid": "__expr__", "model": threshold},
        ],
        # An empty table is as bad as a late one.
        "noDataState": "Alerting",
        "execErrState": "Error",
        "for": rule.lasting,
        "annotations": {"summary": rule.summary, "description": rule.description},
        "labels": {"service": "stock_assets", "severity": "warning"},
        "isPaused": False,
    }
