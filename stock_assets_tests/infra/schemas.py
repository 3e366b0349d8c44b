"""JSON Schemas of Grafana's provisioning files, by its documentation; unknown keys are rejected."""

from typing import Any

_TEXT = {"type": "string", "minLength": 1}
_UID = {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,40}$"}
_DURATION = {"type": "string", "pattern": "^[0-9]+(s|m|h|d)$"}


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


def _list(of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": of, "minItems": 1}


_SOURCE = {
    "name": _TEXT,
    "uid": _UID,
    "type": {"enum": ["grafana-athena-datasource", "cloudwatch"]},
    "access": {"const": "proxy"},
    "editable": {"const": False},
    # No `secureJsonData`: a data source must not contain credentials.
    "jsonData": _object(
        {"authType": {"const": "default"}, "defaultRegion": {"const": "$AWS_REGION"}},
        {"catalog": _TEXT, "database": {"type": "string", "pattern": r"^\$[A-Z_]+$"}, "workgroup": _TEXT},
    ),
}
DATA_SOURCES = _object({"apiVersion": {"const": 1}, "datasources": _list(_object(_SOURCE))})

_PROVIDER = {
    "name": _TEXT,
    "orgId": {"type": "integer"},
    "folder": _TEXT,
    "type": {"const": "file"},
    "disableDeletion": {"type": "boolean"},
    "allowUiUpdates": {"const": False},
    "updateIntervalSeconds": {"type": "integer", "minimum": 10},
    "options": _object({"path": {"type": "string", "pattern": "^/"}}),
}
DASHBOARD_PROVIDERS = _object({"apiVersion": {"const": 1}, "providers": _list(_object(_PROVIDER))})

_REFERENCE = _object({"type": _TEXT, "uid": _TEXT})
_EVALUATOR = _object({"type": {"enum": ["gt", "lt"]}, "params": _list({"type": "number"})})
_QUERY = _object(
    {
        "refId": _TEXT,
        "rawSQL": _TEXT,
        "format": {"const": 1},
        "connectionArgs": _object({name: {"const": "__default"} for name in ("region", "catalog", "database")}),
        "datasource": _REFERENCE,
    }
)
_THRESHOLD = _object(
    {
        "refId": _TEXT,
        "type": {"const": "threshold"},
        "expression": _TEXT,
        "datasource": _REFERENCE,
        "conditions": _list(_object({"type": {"const": "query"}, "evaluator": _EVALUATOR})),
    }
)
_STEP = {
    "refId": _TEXT,
    "relativeTimeRange": _object({"from": {"type": "integer"}, "to": {"type": "integer"}}),
    "datasourceUid": _TEXT,
    "model": {"oneOf": [_QUERY, _THRESHOLD]},
}
_RULE = {
    "uid": _UID,
    "title": _TEXT,
    "condition": _TEXT,
    "data": _list(_object(_STEP)),
    "noDataState": {"enum": ["NoData", "OK", "Alerting"]},
    "execErrState": {"enum": ["Error", "OK", "Alerting"]},
    "for": _DURATION,
    "annotations": _object(
        {"summary": _TEXT, "description": _TEXT, "__dashboardUid__": _UID, "__panelId__": {"pattern": "^[0-9]+$"}}
    ),
    "labels": {"type": "object", "additionalProperties": _TEXT},
    "isPaused": {"const": False},
}
_GROUP = {
    "orgId": {"type": "integer"},
    "name": _TEXT,
    "folder": _TEXT,
    "interval": _DURATION,
    "rules": _list(_object(_RULE)),
}
ALERT_RULES = _object({"apiVersion": {"const": 1}, "groups": _list(_object(_GROUP))})
