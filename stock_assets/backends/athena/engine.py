"""The Athena engine: sends statements through PyAthena, one at a time.

Belongs here: running one statement to its end, its typed error, its time, bytes and cost. Does not belong here: what
all engines share (`lakehouse.sql_engine`), names of tables (`lakehouse.names`), which statements are sent
(`lakehouse.sql_session`).

Any interruption of the caller stops the query; PyAthena alone stops it for KeyboardInterrupt only.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import pyarrow as pa
from botocore.exceptions import BotoCoreError, ClientError
from pyathena import connect
from pyathena.cursor import Cursor
from pyathena.error import Error
from pyathena.model import AthenaQueryExecution
from pyathena.util import RetryConfig

from stock_assets.backends.athena.ddl import AthenaDdl
from stock_assets.backends.interface import StatementRun
from stock_assets.backends.lakehouse.aws_session import AwsAccess, error_code, typed_error, typed_errors
from stock_assets.backends.lakehouse.results import to_arrow
from stock_assets.backends.lakehouse.sql_engine import SHOWN, SqlEngine, run_interruptibly
from stock_assets.core.errors import (
    AccessRefused,
    EngineBusy,
    QueryCancelled,
    QueryFailed,
    QueryTimedOut,
    ScanLimitExceeded,
    ServiceRefused,
    ServiceUnavailable,
    SettingsError,
)
from stock_assets.core.text import plural

_MEGABYTE = 1024 * 1024
LARGEST_STATEMENT = 262_144
"""Longest statement that Athena accepts, in bytes."""
_LEAST_CHARGED = 10 * _MEGABYTE
"""Minimum number of bytes that Athena charges per statement, except for DDL."""
_TERABYTE = 1024**4
# Parts of failure reasons for which Athena, or its documentation, recommends a retry.
_TRANSIENT = ("INTERNAL_ERROR", "exhausted resources", "SlowDown", "TooManyRequests", "ThrottlingException")
_SCAN_LIMIT = "Bytes scanned limit was exceeded"


@dataclass(frozen=True)
class AthenaWorkgroup:
    """The workgroup that runs statements, and the limits of a statement.

    Attributes:
        access: region, role and endpoint.
        workgroup: name of the workgroup.
        results: folder for query results, an `s3://` address; empty if the workgroup defines one.
        kms_key: id of the KMS key that encrypts results; empty for the keys that S3 manages.
        scan_limit: bytes that one statement may read; None for the workgroup's own limit.
        timeout_seconds: time after which a statement is stopped.
        price_per_terabyte: price of reading, in USD.
        poll_seconds: pause between two status requests for a running statement.
    """

    access: AwsAccess
    workgroup: str
    results: str
    kms_key: str = ""
    scan_limit: int | None = None
    timeout_seconds: float = 1800.0
    price_per_terabyte: float = 5.0
    poll_seconds: float = 0.5

    def console(self, query_id: str) -> str:
        """Return the address of a query in the AWS console."""
        region = self.access.region
        return f"https://{region}.console.aws.amazon.com/athena/home?region={region}#/query-editor/history/{query_id}"

    def cost(self, execution: AthenaQueryExecution) -> float:
        """Estimate the cost of a query, in USD."""
        if execution.statement_type != "DML" or not execution.data_scanned_in_bytes:
            return 0.0
        return max(execution.data_scanned_in_bytes, _LEAST_CHARGED) / _TERABYTE * self.price_per_terabyte


@dataclass
class _Attempt:
    """One query in flight, shared by the waiting thread and the thread that sends the query."""

    workgroup: AthenaWorkgroup
    started: float = field(default_factory=time.monotonic)
    query_id: str = ""
    stopped_for: type[QueryFailed] | None = None
    last_seen: AthenaQueryExecution | None = None
    known: threading.Event = field(default_factory=threading.Event)

    def begin(self, query_id: str) -> None:
        """Store the id; stop the query if it was cancelled while it was being started."""
        self.query_id = query_id
        if self.stopped_for is not None:
            self._stop()
        self.known.set()

    def update(self, execution: object) -> None:
        """Store the state of the query, and stop it if it reads too much or takes too long."""
        assert isinstance(execution, AthenaQueryExecution)  # noqa: S101 (PyAthena's other type is for Spark)
        self.last_seen = execution
        if self.stopped_for is not None or execution.state in AthenaQueryExecution.TERMINAL_STATES:
            return
        limit = self.workgroup.scan_limit
        if limit is not None and (execution.data_scanned_in_bytes or 0) > limit:
            self.stop(ScanLimitExceeded)
        elif time.monotonic() - self.started > self.workgroup.timeout_seconds:
            self.stop(QueryTimedOut)

    def stop(self, reason: type[QueryFailed]) -> None:
        """Stop the query, as soon as it has an id."""
        self.stopped_for = reason
        if self.query_id:
            self._stop()

    def abandon(self) -> None:
        """Stop a query whose end is not known, for example as status requests were rejected; ignore rejected stops."""
        last = self.last_seen
        if self.query_id and (last is None or last.state not in AthenaQueryExecution.TERMINAL_STATES):
            with suppress(AccessRefused, ServiceRefused, ServiceUnavailable):
                self._stop()

    def _stop(self) -> None:
        with typed_errors(f"stopping Athena query {self.query_id}"):
            self.workgroup.access.client("athena").stop_query_execution(QueryExecutionId=self.query_id)


class AthenaEngine(SqlEngine):
    """Run statements on Athena."""

    name = "Athena"
    largest_statement = LARGEST_STATEMENT

    def __init__(self, workgroup: AthenaWorkgroup, *, pause: Callable[[float], None] = time.sleep) -> None:
        super().__init__(workgroup, AthenaDdl(), pause=pause)
        self._workgroup = workgroup

    def _run_once(self, statement: str) -> pa.Table:
        attempt = _Attempt(self._workgroup)
        try:
            return run_interruptibly(
                lambda: self._execute(attempt, statement),
                lambda: attempt.stop(QueryCancelled),
                thread="athena",
                patience_seconds=self._workgroup.timeout_seconds,
            )
        except (Error, BotoCoreError, ClientError) as error:
            attempt.abandon()
            raise self._failure(attempt, statement, error) from error
        finally:
            self._record(attempt, statement)

    def _execute(self, attempt: _Attempt, statement: str) -> pa.Table:
        workgroup = self._workgroup
        # boto3 already retries single calls, so PyAthena's retries are off. Results are never reused: an audit must see
        # the current rows.
        connection = connect(
            session=workgroup.access.session(),
            region_name=workgroup.access.region,
            endpoint_url=workgroup.access.endpoint_url or None,
            config=workgroup.access.config(),
            work_group=workgroup.workgroup,
            s3_staging_dir=workgroup.results,
            encryption_option=("SSE_KMS" if workgroup.kms_key else "SSE_S3") if workgroup.results else None,
            kms_key=workgroup.kms_key or None,
            poll_interval=workgroup.poll_seconds,
            retry_config=RetryConfig(attempt=1),
            kill_on_interrupt=False,
            on_start_query_execution=attempt.begin,
            on_poll=attempt.update,
        )
        with connection, connection.cursor(Cursor) as cursor:
            cursor.execute(statement)
            return to_arrow(cursor.description or [], cursor.fetchall() if cursor.description else [])

    def _failure(self, attempt: _Attempt, statement: str, error: Exception) -> Exception:
        """Return the typed error of a failed query, or of a rejected call."""
        cause = error if isinstance(error, (ClientError, BotoCoreError)) else error.__cause__
        if isinstance(cause, ClientError):
            return self._rejected(cause, statement)
        if isinstance(cause, BotoCoreError):
            return EngineBusy(f"Athena sends no response: {cause}")
        last = attempt.last_seen
        reason = (last.state_change_reason if last else None) or str(error)
        kind: type[QueryFailed] = QueryFailed
        if attempt.stopped_for is not None:
            kind = attempt.stopped_for
        elif _SCAN_LIMIT in reason:
            kind = ScanLimitExceeded
        elif last is not None and last.state == AthenaQueryExecution.STATE_CANCELLED:
            kind = QueryCancelled
        elif last is not None and (last.retryable or any(word in reason for word in _TRANSIENT)):
            kind = EngineBusy
        return kind(
            f"Athena query {attempt.query_id}: {reason}{self._remedy(kind)}\n"
            f"{self._workgroup.console(attempt.query_id)}\n{statement[:SHOWN]}"
        )

    def _rejected(self, error: ClientError, statement: str) -> Exception:
        message = str(error)
        if error_code(error) == "InvalidRequestException" and "workgroup" in message.lower():
            return SettingsError(
                f"Athena cannot use workgroup {self._workgroup.workgroup!r} in {self._workgroup.access.region}: "
                f"{message}; set STOCK_ASSETS_AWS_WORKGROUP and STOCK_ASSETS_AWS_REGION"
            )
        rejected = typed_error(error, "calling Athena")
        if isinstance(rejected, ServiceUnavailable):
            return EngineBusy(str(rejected))
        if error_code(error) == "InvalidRequestException":
            return QueryFailed(f"Athena rejected a statement: {message}\n{statement[:SHOWN]}")
        return rejected

    def _remedy(self, kind: type[QueryFailed]) -> str:
        if kind is ScanLimitExceeded:
            limit = self._workgroup.scan_limit
            allowed = f"it may read {plural(limit, 'byte')}" if limit is not None else "the workgroup sets the limit"
            return f" ({allowed}; load a shorter range, or raise STOCK_ASSETS_AWS_SCAN_LIMIT_MB or the workgroup's)"
        if kind is QueryTimedOut:
            seconds = f"{self._workgroup.timeout_seconds:g} s"
            return f" (stopped after {seconds}; load a shorter range, or raise STOCK_ASSETS_AWS_QUERY_TIMEOUT_SECONDS)"
        return ""

    def _record(self, attempt: _Attempt, statement: str) -> None:
        last = attempt.last_seen
        if last is None:
            return
        self._runs.append(
            StatementRun(
                query_id=attempt.query_id,
                statement=statement.split(maxsplit=1)[0].upper(),
                state=str(last.state),
                seconds=(last.total_execution_time_in_millis or 0) / 1000,
                queued_seconds=(last.query_queue_time_in_millis or 0) / 1000,
                scanned_bytes=last.data_scanned_in_bytes or 0,
                cost=self._workgroup.cost(last),
                link=self._workgroup.console(attempt.query_id),
            )
        )
