"""The SQL engine: statements sent to Athena through PyAthena, one at a time.

Belongs here: running one statement to its end, whatever the end is, and what it took. Does not belong here: what is the
same for every engine (`engine`), names of tables (`names`), what is run when (`session`).

Whatever interrupts the caller stops the query; PyAthena itself does so for KeyboardInterrupt only.
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
from stock_assets.backends.lakehouse.aws_session import AwsAccess, code_of, typed, typed_errors
from stock_assets.backends.lakehouse.results import to_arrow
from stock_assets.backends.lakehouse.sql_engine import SHOWN, SqlEngine, interruptible
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

_MEGABYTE = 1024 * 1024
LARGEST_STATEMENT = 262_144
"""Bytes of SQL that Athena takes."""
_LEAST_CHARGED = 10 * _MEGABYTE
"""Bytes that every statement is charged for at least, unless it only changes the catalog."""
_TERABYTE = 1024**4
# States in which Athena says by itself that another try may help, and reasons of which its documentation says so.
_PASSING = ("INTERNAL_ERROR", "exhausted resources", "SlowDown", "TooManyRequests", "ThrottlingException")
_SCAN_LIMIT = "Bytes scanned limit was exceeded"


@dataclass(frozen=True)
class Engine:
    """How statements are run.

    Attributes:
        access: where and as whom.
        workgroup: Athena's workgroup.
        results: folder for results, an `s3://` address; empty if the workgroup has its own.
        kms_key: id of the KMS key that encrypts results; empty for the keys of S3.
        scan_limit: bytes one statement may read; None for as many as the workgroup allows.
        timeout_seconds: how long one statement may take.
        price_per_terabyte: what reading costs, in USD.
        poll_seconds: pause between looks at a running statement.
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
        """Give the address of a query in the console."""
        region = self.access.region
        return (
            f"https://{region}.console.aws.amazon.com/athena/backend?region={region}#/query-editor/history/{query_id}"
        )

    def cost(self, execution: AthenaQueryExecution) -> float:
        """Estimate what a query costs, in USD."""
        if execution.statement_type != "DML" or not execution.data_scanned_in_bytes:
            return 0.0
        return max(execution.data_scanned_in_bytes, _LEAST_CHARGED) / _TERABYTE * self.price_per_terabyte


@dataclass
class _Attempt:
    """One query in flight, as the waiting thread and the working one see it."""

    engine: Engine
    started: float = field(default_factory=time.monotonic)
    query_id: str = ""
    stopped_for: type[QueryFailed] | None = None
    last_seen: AthenaQueryExecution | None = None
    known: threading.Event = field(default_factory=threading.Event)

    def begin(self, query_id: str) -> None:
        """Learn the id; a query that was given up while it was being started is stopped now."""
        self.query_id = query_id
        if self.stopped_for is not None:
            self._stop()
        self.known.set()

    def see(self, execution: object) -> None:
        """Look at the state: stop what reads too much or takes too long."""
        assert isinstance(execution, AthenaQueryExecution)  # noqa: S101 (PyAthena's other kind is of Spark)
        self.last_seen = execution
        if self.stopped_for is not None or execution.state in AthenaQueryExecution.TERMINAL_STATES:
            return
        limit = self.engine.scan_limit
        if limit is not None and (execution.data_scanned_in_bytes or 0) > limit:
            self.stop(ScanLimitExceeded)
        elif time.monotonic() - self.started > self.engine.timeout_seconds:
            self.stop(QueryTimedOut)

    def stop(self, why: type[QueryFailed]) -> None:
        """Stop the query, or do so as soon as it has an id."""
        self.stopped_for = why
        if self.query_id:
            self._stop()

    def abandon(self) -> None:
        """Stop a query that has not been seen to end, as where looking at it was refused; stopping may be, too."""
        seen = self.last_seen
        if self.query_id and (seen is None or seen.state not in AthenaQueryExecution.TERMINAL_STATES):
            with suppress(AccessRefused, ServiceRefused, ServiceUnavailable):
                self._stop()

    def _stop(self) -> None:
        with typed_errors(f"stopping Athena query {self.query_id}"):
            self.engine.access.client("athena").stop_query_execution(QueryExecutionId=self.query_id)


class Athena(SqlEngine):
    """Runs statements on Athena."""

    name = "Athena"
    largest_statement = LARGEST_STATEMENT

    def __init__(self, engine: Engine, *, pause: Callable[[float], None] = time.sleep) -> None:
        super().__init__(engine, AthenaDdl(), pause=pause)
        self._engine = engine

    def _run_once(self, statement: str) -> pa.Table:
        attempt = _Attempt(self._engine)
        try:
            return interruptible(
                lambda: self._execute(attempt, statement),
                lambda: attempt.stop(QueryCancelled),
                thread="athena",
                patience_seconds=self._engine.timeout_seconds,
            )
        except (Error, BotoCoreError, ClientError) as error:
            attempt.abandon()
            raise self._failure(attempt, statement, error) from error
        finally:
            self._note(attempt, statement)

    def _execute(self, attempt: _Attempt, statement: str) -> pa.Table:
        engine = self._engine
        # The client's own retries do for single calls, so PyAthena's are off; results are never reused, since an audit
        # has to see the rows of now.
        connection = connect(
            session=engine.access.session(),
            region_name=engine.access.region,
            endpoint_url=engine.access.endpoint_url or None,
            config=engine.access.config(),
            work_group=engine.workgroup,
            s3_staging_dir=engine.results,
            encryption_option=("SSE_KMS" if engine.kms_key else "SSE_S3") if engine.results else None,
            kms_key=engine.kms_key or None,
            poll_interval=engine.poll_seconds,
            retry_config=RetryConfig(attempt=1),
            kill_on_interrupt=False,
            on_start_query_execution=attempt.begin,
            on_poll=attempt.see,
        )
        with connection, connection.cursor(Cursor) as cursor:
            cursor.execute(statement)
            return to_arrow(cursor.description or [], cursor.fetchall() if cursor.description else [])

    def _failure(self, attempt: _Attempt, statement: str, error: Exception) -> Exception:
        """Make the typed error of a query that ended badly, or of a call that was refused."""
        cause = error if isinstance(error, (ClientError, BotoCoreError)) else error.__cause__
        if isinstance(cause, ClientError):
            return self._refused(cause, statement)
        if isinstance(cause, BotoCoreError):
            return EngineBusy(f"Athena does not answer: {cause}")
        seen = attempt.last_seen
        reason = (seen.state_change_reason if seen else None) or str(error)
        kind: type[QueryFailed] = QueryFailed
        if attempt.stopped_for is not None:
            kind = attempt.stopped_for
        elif _SCAN_LIMIT in reason:
            kind = ScanLimitExceeded
        elif seen is not None and seen.state == AthenaQueryExecution.STATE_CANCELLED:
            kind = QueryCancelled
        elif seen is not None and (seen.retryable or any(word in reason for word in _PASSING)):
            kind = EngineBusy
        return kind(
            f"Athena query {attempt.query_id}: {reason}{self._remedy(kind)}\n"
            f"{self._engine.console(attempt.query_id)}\n{statement[:SHOWN]}"
        )

    def _refused(self, error: ClientError, statement: str) -> Exception:
        message = str(error)
        if code_of(error) == "InvalidRequestException" and "workgroup" in message.lower():
            return SettingsError(
                f"Athena has no usable workgroup {self._engine.workgroup!r} in {self._engine.access.region}: {message}"
                "; set STOCK_ASSETS_AWS_WORKGROUP and STOCK_ASSETS_AWS_REGION"
            )
        refused = typed(error, "asking Athena")
        if isinstance(refused, ServiceUnavailable):
            return EngineBusy(str(refused))
        if code_of(error) == "InvalidRequestException":
            return QueryFailed(f"Athena refused a statement: {message}\n{statement[:SHOWN]}")
        return refused

    def _remedy(self, kind: type[QueryFailed]) -> str:
        if kind is ScanLimitExceeded:
            limit = self._engine.scan_limit
            allowed = f"it may read {limit:,} bytes" if limit is not None else "the workgroup sets the limit"
            return f" ({allowed}; load a shorter range, or raise STOCK_ASSETS_AWS_SCAN_LIMIT_MB or the workgroup's)"
        if kind is QueryTimedOut:
            return f" (stopped after {self._engine.timeout_seconds:g} s, STOCK_ASSETS_AWS_QUERY_TIMEOUT_SECONDS)"
        return ""

    def _note(self, attempt: _Attempt, statement: str) -> None:
        seen = attempt.last_seen
        if seen is None:
            return
        self._runs.append(
            StatementRun(
                query_id=attempt.query_id,
                statement=statement.split(maxsplit=1)[0].upper(),
                state=str(seen.state),
                seconds=(seen.total_execution_time_in_millis or 0) / 1000,
                queued_seconds=(seen.query_queue_time_in_millis or 0) / 1000,
                scanned_bytes=seen.data_scanned_in_bytes or 0,
                cost=self._engine.cost(seen),
                link=self._engine.console(attempt.query_id),
            )
        )
