"""The alert rules of Grafana, which also work while Dagster itself does not run.

Belongs here: conditions and texts of alerts. Does not belong here: contact points, which the owner of the Grafana
server configures. The texts must not contain `$`: Grafana replaces it by a variable of its environment.
"""

from dataclasses import dataclass
from typing import Any

from infra.grafana.layout import operations
from infra.grafana.queries import ALL_SYMBOLS, ATHENA, ATHENA_OF_RULES, default_connection
from stock_assets.serve.dashboards import OPERATIONS
from stock_assets.serve.panels import PANELS
from stock_assets.serve.views import unqualified_names

FOLDER = "Stock assets"
_HOUR = 3600


@dataclass(frozen=True)
class _Rule:
    """One rule: the number of a panel, the threshold of the alert, and how long the number must exceed it."""

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
            "Two or more weekdays have passed since the latest published session; one of them can be a holiday. See "
            "the latest runs in Dagster and the last ticks of its sensor catch_up."
        ),
    ),
    _Rule(
        uid="stock-assets-coverage",
        title="Symbols are missing",
        panel="latest_coverage",
        column="coverage_pct",
        bad=("lt", 100),
        lasting="6h",
        summary="Symbols are missing from the latest session",
        description=(
            "Some expected symbols have no published bar in the latest session, although requests were repeated for "
            "hours. The dashboard Operations shows whether their bars are missing or quarantined."
        ),
    ),
)


def rules() -> dict[str, Any]:
    """Return the content of the provisioning file."""
    group = {
        "orgId": 1,
        "name": "stock_assets",
        "folder": FOLDER,
        "interval": "1h",
        "rules": [_provisioned(rule) for rule in _RULES],
    }
    return {"apiVersion": 1, "groups": [group]}


def _panel_id(panel: str) -> str:
    [found] = [shown for shown in operations().panels or [] if getattr(shown, "title", "") == PANELS[panel].title]
    return str(found.id_val)


def _provisioned(rule: _Rule) -> dict[str, Any]:
    select = PANELS[rule.panel].select(unqualified_names(), dates=ALL_SYMBOLS, symbols=ALL_SYMBOLS)
    query = {
        "refId": "A",
        # A rule compares the single number of its result.
        "rawSQL": f"SELECT {rule.column} FROM ({select}) AS found",  # noqa: S608 (from the project's own files)
        "format": 1,
        "connectionArgs": default_connection(),
        "datasource": {"type": ATHENA.type_val, "uid": ATHENA_OF_RULES},
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
            {"refId": "A", "relativeTimeRange": span, "datasourceUid": ATHENA_OF_RULES, "model": query},
            {"refId": "B", "relativeTimeRange": dict(span), "datasourceUid": "__expr__", "model": threshold},
        ],
        # An empty table raises the alert too.
        "noDataState": "Alerting",
        "execErrState": "Error",
        "for": rule.lasting,
        "annotations": {
            "summary": rule.summary,
            "description": rule.description,
            # Grafana links the alert to this panel.
            "__dashboardUid__": OPERATIONS.uid,
            "__panelId__": _panel_id(rule.panel),
        },
        "labels": {"service": "stock_assets", "severity": "warning"},
        "isPaused": False,
    }
