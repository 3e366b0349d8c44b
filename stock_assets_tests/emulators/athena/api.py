"""The Athena API: moto's handlers, with queries that the emulator really executes."""

import json
import time
from datetime import date, datetime
from typing import Any

import pyarrow as pa
from moto.athena.responses import AthenaResponse

from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.emulators.athena.names import WORKGROUP

_PAGE = 1000
"""Rows per page of results, as in Athena."""
_POLL_SECONDS = 0.25
"""How long a status request waits for the end of the query: each request costs the CPU that the query needs."""


def start(emulator: AwsEmulator, handler: AthenaResponse) -> Any:  # noqa: ANN401 (moto's own)
    """Start a query, once for each `ClientRequestToken`."""
    workgroup = handler._get_param("WorkGroup") or WORKGROUP  # noqa: SLF001 (the handlers' own way)
    if workgroup not in handler.athena_backend.work_groups:
        return handler.error(f"WorkGroup {workgroup} is not found.", 400)
    location = (handler._get_param("ResultConfiguration") or {}).get("OutputLocation", "")  # noqa: SLF001
    text, token = handler._get_param("QueryString"), handler._get_param("ClientRequestToken")  # noqa: SLF001
    if token not in emulator.started:
        emulator.started[token] = emulator.start(text, location)
    return json.dumps({"QueryExecutionId": emulator.started[token]})


def stop(emulator: AwsEmulator, handler: AthenaResponse) -> str:
    """Stop a query."""
    emulator.stop(handler._get_param("QueryExecutionId"))  # noqa: SLF001
    return "{}"


def execution(emulator: AwsEmulator, handler: AthenaResponse) -> str:
    """Return the state of a query."""
    query = emulator.queries[handler._get_param("QueryExecutionId")]  # noqa: SLF001
    query.ended.wait(_POLL_SECONDS)
    first = query.text.split(maxsplit=1)[0].upper()
    is_ddl = first == "ALTER" or (first == "CREATE" and "is_external = false" not in query.text)
    status: dict[str, object] = {"State": query.state, "SubmissionDateTime": query.submitted}
    if query.completed is not None:
        status["CompletionDateTime"] = query.completed
    if query.reason:
        status["StateChangeReason"] = query.reason
        status["AthenaError"] = {"ErrorCategory": 2, "Retryable": query.retryable, "ErrorMessage": query.reason}
    seconds = (query.completed or time.time()) - query.submitted
    return json.dumps(
        {
            "QueryExecution": {
                "QueryExecutionId": query.query_id,
                "Query": query.text,
                "StatementType": "DDL" if is_ddl else "DML",
                "ResultConfiguration": {"OutputLocation": f"{query.location}{query.query_id}.csv"},
                "Status": status,
                "Statistics": {
                    "DataScannedInBytes": query.scanned_bytes,
                    "QueryQueueTimeInMillis": 1,
                    "TotalExecutionTimeInMillis": int(seconds * 1000),
                },
                "WorkGroup": WORKGROUP,
            }
        }
    )


def results(emulator: AwsEmulator, handler: AthenaResponse) -> str:
    """Return one page of rows."""
    query = emulator.queries[handler._get_param("QueryExecutionId")]  # noqa: SLF001
    rows = query.rows if query.rows is not None else pa.table({})
    columns = [
        {
            "Name": name,
            "Label": name,
            "Type": _type(of),
            "Precision": _digits(of)[0],
            "Scale": _digits(of)[1],
            "Nullable": "UNKNOWN",
        }
        for name, of in zip(rows.schema.names, rows.schema.types, strict=True)
    ]
    data = (
        [rows.column_names, *([_text(value) for value in row.values()] for row in rows.to_pylist())] if columns else []
    )
    start = int(handler._get_param("NextToken") or 0)  # noqa: SLF001
    page = [
        {"Data": [{} if value is None else {"VarCharValue": value} for value in row]}
        for row in data[start : start + _PAGE]
    ]
    result: dict[str, object] = {"ResultSet": {"Rows": page, "ResultSetMetadata": {"ColumnInfo": columns}}}
    if query.changed >= 0:
        result["UpdateCount"] = query.changed
    if start + _PAGE < len(data):
        result["NextToken"] = str(start + _PAGE)
    return json.dumps(result)


def _type(of: pa.DataType) -> str:
    names = {"int64": "bigint", "int32": "integer", "bool": "boolean", "date32[day]": "date", "string": "varchar"}
    if pa.types.is_decimal(of):
        return "decimal"
    return "timestamp" if pa.types.is_timestamp(of) else names.get(str(of), str(of))


def _digits(of: pa.DataType) -> tuple[int, int]:
    return (of.precision, of.scale) if pa.types.is_decimal(of) else (0, 0)


def _text(value: object) -> str | None:
    match value:
        case None:
            return None
        case bool():
            return str(value).lower()
        case datetime():
            return value.isoformat(" ", "microseconds")
        case date():
            return value.isoformat()
        case _:
            return str(value)
