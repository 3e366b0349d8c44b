"""What stands in for AWS: one HTTP server that answers for S3, Glue, STS and Athena, with faults to order.

Belongs here: the server, queries in flight, faults. Does not belong here: what a statement does (`engine`).

S3 and Glue are moto's; added is what moto lacks: that a conditional put is one step, the check of versions by which
writers of Iceberg tables exclude each other in Glue, and that no table has statistics. Athena's API is moto's too, but
statements are really executed. Two kinds of faults: of calls (an HTTP answer in place of the service's) and of queries
(they begin, and fail, hang, or read too much).
"""

import json
import logging
import re
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import pyarrow as pa
from moto.athena.responses import AthenaResponse
from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult, EmptyResult
from moto.glue.responses import GlueResponse
from moto.s3.responses import S3Response
from moto.server import ThreadedMotoServer

from stock_assets.core.clock import utc_now
from stock_assets_tests.emulators.athena.engine import MAX_FILES, MOST_PARTITIONS, Engine, StatementError
from stock_assets_tests.emulators.athena.names import CREDENTIALS, REGION, WORKGROUP

__all__ = ["CREDENTIALS", "REGION", "WORKGROUP"]  # names of the double that tests know it by

_PAGE = 1000
_QUERY_SERVICES = ("sts", "sns")
"""Services whose errors are wrapped once more."""


@dataclass
class CallFault:
    """An answer in place of the service's, a number of times.

    Attributes:
        matches: part of what is asked: `METHOD path target`, the target being that of JSON services, else the service.
        status: HTTP status.
        code: the service's code.
        message: text.
        times: how often.
    """

    matches: str
    status: int
    code: str
    message: str = "injected"
    times: int = 1


@dataclass(frozen=True)
class Call:
    """One request, as it was signed.

    Attributes:
        service: such as `s3`; empty if it was not signed.
        access_key: of whom.
        asked: `METHOD path?query`, and the target of JSON services.
        headers: all of them, as a WSGI server names them.
    """

    service: str
    access_key: str
    asked: str
    headers: dict[str, str]

    @classmethod
    def of(cls, environ: dict[str, Any]) -> "Call":
        signed = re.search(
            r"Credential=([^/]+)/[0-9]+/[^/]*/([^/]+)/aws4_request", environ.get("HTTP_AUTHORIZATION", "")
        )
        headers = {name: value for name, value in environ.items() if name.startswith("HTTP_")}
        path = f"{environ['PATH_INFO']}?{environ.get('QUERY_STRING', '')}"
        asked = f"{environ['REQUEST_METHOD']} {path} {headers.get('HTTP_X_AMZ_TARGET', '')}".strip()
        return cls(signed.group(2) if signed else "", signed.group(1) if signed else "", asked, headers)


@dataclass
class QueryFault:
    """What becomes of the next statements that match, in place of their execution.

    Attributes:
        matches: regular expression found in the statement.
        reason: why it fails; empty to go on as usual after the rest.
        times: how often.
        hangs: whether it runs until it is stopped.
        scanned_bytes: what it says it has read so far.
        first: done before.
        retryable: Athena's own word on whether another try may help.
    """

    matches: str
    reason: str = ""
    times: int = 1
    hangs: bool = False
    scanned_bytes: int = 0
    first: Callable[[], object] | None = None
    retryable: bool = False


@dataclass
class Query:
    """One query, as the API shows it."""

    query_id: str
    text: str
    location: str
    state: str = "QUEUED"
    reason: str = ""
    retryable: bool = False
    scanned_bytes: int = 0
    changed: int = -1
    rows: pa.Table | None = None
    submitted: float = field(default_factory=time.time)
    completed: float | None = None

    @property
    def is_running(self) -> bool:
        return self.state in ("QUEUED", "RUNNING")


class AwsDouble:
    """The server; `endpoint` is its address."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.engine = Engine(endpoint, REGION)
        self.queries: dict[str, Query] = {}
        self.calls: list[Call] = []
        self.call_faults: list[CallFault] = []
        self.query_faults: list[QueryFault] = []
        self._executing = threading.RLock()

    @property
    def statements(self) -> list[str]:
        """Every statement so far."""
        return [query.text for query in self.queries.values()]

    @property
    def running(self) -> list[str]:
        """Ids of the queries that have not ended."""
        return [query.query_id for query in self.queries.values() if query.is_running]

    def forget(self) -> None:
        """Begin a new record, without faults, and by the clock and limits of every day."""
        self.queries.clear()
        self.calls.clear()
        self.call_faults.clear()
        self.query_faults.clear()
        self.engine.clock = utc_now
        self.engine.most_partitions, self.engine.most_files = MOST_PARTITIONS, MAX_FILES

    def set_clock(self, ahead: timedelta) -> None:
        """Put Athena's clock ahead of this machine's."""
        self.engine.clock = lambda: utc_now() + ahead

    def start(self, text: str, location: str) -> str:
        query = Query(str(uuid4()), text, location)
        self.queries[query.query_id] = query
        threading.Thread(target=self._execute, args=(query,), daemon=True).start()
        return query.query_id

    def stop(self, query_id: str) -> None:
        query = self.queries[query_id]
        if query.is_running:
            query.state, query.reason, query.completed = "CANCELLED", "Query cancelled by user", time.time()

    def _execute(self, query: Query) -> None:
        fault = self._fault_of(query)
        query.state = "RUNNING"
        try:
            if fault is not None:
                if fault.first is not None:
                    fault.first()
                query.scanned_bytes = fault.scanned_bytes
                while fault.hangs and query.is_running:
                    time.sleep(0.01)
                if fault.reason:
                    query.retryable = fault.retryable
                    self._end(query, "FAILED", fault.reason)
            with self._executing:
                if not query.is_running:
                    return
                query.rows, query.changed, query.scanned_bytes = self.engine.run(query.text)
        except StatementError as error:
            self._end(query, "FAILED", str(error))
        except Exception as error:  # noqa: BLE001 (a fault of the double must not leave a query running)
            traceback.print_exc()
            self._end(query, "FAILED", f"the double failed: {error!r}")
        else:
            self._end(query, "SUCCEEDED", "")

    def _end(self, query: Query, state: str, reason: str) -> None:
        if query.is_running:
            query.completed, query.reason, query.state = time.time(), reason, state

    def _fault_of(self, query: Query) -> QueryFault | None:
        for fault in self.query_faults:
            if fault.times and re.search(fault.matches, query.text, re.IGNORECASE):
                fault.times -= 1
                return fault
        return None

    def faulty(self, application: Callable[..., Any]) -> Callable[..., Any]:
        """Put the faults of calls in front of the server."""

        def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:  # noqa: ANN401 (WSGI)
            target = environ.get("HTTP_X_AMZ_TARGET", "")
            call = Call.of(environ)
            self.calls.append(call)
            asked = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} {target or call.service}"
            for fault in self.call_faults:
                if fault.times and fault.matches in asked:
                    fault.times -= 1
                    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                    body = _fault_body(fault, target, call.service).encode()
                    start_response(f"{fault.status} Fault", [("Content-Length", str(len(body)))])
                    return [body]
            return application(environ, start_response)

        return answer


def _fault_body(fault: CallFault, target: str, service: str) -> str:
    if target:
        return json.dumps({"__type": fault.code, "message": fault.message})
    error = f"<Error><Code>{fault.code}</Code><Message>{fault.message}</Message></Error>"
    return f"<ErrorResponse>{error}</ErrorResponse>" if service in _QUERY_SERVICES else error


@contextmanager
def running_double() -> Iterator[AwsDouble]:
    """Start the server on a free port of this machine only."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    double = AwsDouble(f"http://{host}:{port}")
    server._server.app = double.faulty(server._server.app)  # type: ignore[union-attr]  # noqa: SLF001 (no public way)
    with (
        patch.object(S3Response, "put_object", _one_by_one(S3Response.put_object)),
        patch.object(GlueResponse, "update_table", _checking(GlueResponse.update_table)),
        patch.object(GlueResponse, "get_column_statistics_for_table", _no_statistics, create=True),
        patch.object(GlueResponse, "get_column_statistics_for_partition", _no_statistics, create=True),
        patch.object(GlueResponse, "delete_column_statistics_for_table", lambda _: EmptyResult(), create=True),
        patch.object(AthenaResponse, "start_query_execution", lambda answer: _start(double, answer)),
        patch.object(AthenaResponse, "get_query_execution", lambda answer: _execution(double, answer)),
        patch.object(AthenaResponse, "get_query_results", lambda answer: _results(double, answer)),
        patch.object(AthenaResponse, "stop_query_execution", lambda answer: _stop(double, answer)),
    ):
        try:
            yield double
        finally:
            server.stop()


def _one_by_one(put: Callable[[S3Response], Any]) -> Callable[[S3Response], Any]:
    """Let nobody write between the look at a condition and the write, as S3 does."""
    putting = threading.Lock()

    def alone(answer: S3Response) -> Any:  # noqa: ANN401 (moto's own)
        with putting:
            return put(answer)

    return alone


def _checking(update: Callable[[GlueResponse], Any]) -> Callable[[GlueResponse], Any]:
    """Refuse, as Glue does, to replace another version of a table than the one that the writer names."""
    updating = threading.Lock()

    def checked(answer: GlueResponse) -> Any:  # noqa: ANN401 (moto's own)
        asked = answer.parameters
        with updating:
            table = answer.glue_backend.get_table(asked["DatabaseName"], asked["TableInput"]["Name"])
            if asked.get("VersionId", table.as_dict()["VersionId"]) != table.as_dict()["VersionId"]:
                raise JsonRESTError("ConcurrentModificationException", "Update table failed: concurrent modifications.")
            return update(answer)

    return checked


def _no_statistics(_: GlueResponse) -> ActionResult:
    """Answer as Glue does of tables that have none; Trino asks."""
    return ActionResult({"ColumnStatisticsList": [], "Errors": []})


def _start(double: AwsDouble, answer: AthenaResponse) -> Any:  # noqa: ANN401 (moto's own)
    workgroup = answer._get_param("WorkGroup") or WORKGROUP  # noqa: SLF001 (the handlers' own way)
    if workgroup not in answer.athena_backend.work_groups:
        return answer.error(f"WorkGroup {workgroup} is not found.", 400)
    location = (answer._get_param("ResultConfiguration") or {}).get("OutputLocation", "")  # noqa: SLF001
    return json.dumps({"QueryExecutionId": double.start(answer._get_param("QueryString"), location)})  # noqa: SLF001


def _stop(double: AwsDouble, answer: AthenaResponse) -> str:
    double.stop(answer._get_param("QueryExecutionId"))  # noqa: SLF001
    return "{}"


def _execution(double: AwsDouble, answer: AthenaResponse) -> str:
    query = double.queries[answer._get_param("QueryExecutionId")]  # noqa: SLF001
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


def _results(double: AwsDouble, answer: AthenaResponse) -> str:
    query = double.queries[answer._get_param("QueryExecutionId")]  # noqa: SLF001
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
    start = int(answer._get_param("NextToken") or 0)  # noqa: SLF001
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
