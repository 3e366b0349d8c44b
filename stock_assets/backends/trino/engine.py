"""The Trino engine: sends statements to a Trino server through Trino's client, one at a time.

Belongs here: running one statement to its end, its typed error, its time and bytes. Does not belong here: what all
engines share (`lakehouse.sql_engine`), the text of statements (`ddl`).
"""

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from requests import RequestException
from trino.auth import BasicAuthentication
from trino.dbapi import Connection, connect
from trino.exceptions import Error, HttpError, TrinoAuthError, TrinoConnectionError, TrinoQueryError

from stock_assets.backends.interface import StatementRun
from stock_assets.backends.lakehouse.results import to_arrow
from stock_assets.backends.lakehouse.sql_engine import SHOWN, SqlEngine, run_interruptibly
from stock_assets.backends.trino.ddl import TrinoDdl
from stock_assets.core.errors import (
    AccessRefused,
    EngineBusy,
    QueryCancelled,
    QueryFailed,
    QueryTimedOut,
    ScanLimitExceeded,
    SettingsError,
)

LARGEST_STATEMENT = 1_000_000
"""Longest statement that Trino accepts, in characters, unless `query.max-length` is changed."""
_SECONDS_TO_READ = 60
_SECONDS_TO_STOP = 30
_SOURCE = "stock-assets"
_KINDS: Mapping[str, type[QueryFailed]] = {
    "EXCEEDED_TIME_LIMIT": QueryTimedOut,
    "EXCEEDED_SCAN_LIMIT": ScanLimitExceeded,
    "USER_CANCELED": QueryCancelled,
    "ADMINISTRATIVELY_KILLED": QueryCancelled,
}
_TRANSIENT_TYPES = frozenset({"INSUFFICIENT_RESOURCES"})
_TRANSIENT = frozenset(
    {
        "ABANDONED_QUERY",
        "NO_NODES_AVAILABLE",
        "PAGE_TRANSPORT_ERROR",
        "PAGE_TRANSPORT_TIMEOUT",
        "REMOTE_HOST_GONE",
        "REMOTE_TASK_ERROR",
        "REMOTE_TASK_MISMATCH",
        "SERVER_SHUTTING_DOWN",
        "SERVER_STARTING_UP",
        "TOO_MANY_REQUESTS_FAILED",
    }
)
"""Names of errors of a cluster that is losing or gaining machines."""


@dataclass(frozen=True)
class TrinoServer:
    """The server that runs statements, and the limits of a statement.

    Attributes:
        url: address of the coordinator, `http://host:port` or `https://...`.
        user: user name sent to Trino.
        password: returns the password, or an empty text if the server needs none; it is called for each statement.
        catalog: Trino catalog of the Iceberg connector.
        hive_catalog: Trino catalog of the Hive connector, over the same Glue Data Catalog.
        scan_limit: bytes that one statement may read; None for the server's own limit.
        timeout_seconds: time after which a statement is stopped.
    """

    url: str
    user: str
    password: Callable[[], str] = field(default=str, repr=False, compare=False)
    catalog: str = "iceberg"
    hive_catalog: str = "hive"
    scan_limit: int | None = None
    timeout_seconds: float = 1800.0

    def page(self, query_id: str) -> str:
        """Return the address of a query in Trino's web UI."""
        return f"{self.url}/ui/query.html?{query_id}"


class _Attempt:
    """One statement in flight, shared by the waiting thread and the thread that sends the statement."""

    def __init__(self, connection: Connection) -> None:
        self.cursor = connection.cursor(stats_callback=self._on_progress)
        self.failed = False
        self._stopped = False
        self._started = threading.Event()

    @property
    def query_id(self) -> str:
        """Return the server's id, or an empty text before the server has assigned one."""
        return str(self.cursor.query_id or "")

    def execute(self, statement: str) -> pa.Table:
        """Run the statement and fetch its rows."""
        self.cursor.execute(statement)
        rows = self.cursor.fetchall()
        return to_arrow([_described(column) for column in self.cursor.description or []], rows)

    def stop(self) -> None:
        """Stop the statement, as soon as it has an id; an unreachable server ends abandoned statements itself."""
        self._stopped = True
        if self._started.is_set():
            with suppress(Error, HttpError, RequestException):
                self.cursor.cancel()

    def _on_progress(self, _: Mapping[str, Any]) -> None:
        self._started.set()
        if self._stopped:
            self.cursor.cancel()


class TrinoEngine(SqlEngine):
    """Run statements on a Trino server."""

    name = "Trino"
    largest_statement = LARGEST_STATEMENT

    def __init__(self, server: TrinoServer, *, pause: Callable[[float], None] = time.sleep) -> None:
        super().__init__(server, TrinoDdl(server.hive_catalog), pause=pause)
        self._server = server

    def _run_once(self, statement: str) -> pa.Table:
        with closing(self._connect()) as connection:
            attempt = _Attempt(connection)
            try:
                return run_interruptibly(
                    lambda: attempt.execute(statement),
                    attempt.stop,
                    thread="trino",
                    patience_seconds=_SECONDS_TO_STOP,
                )
            except (Error, HttpError, RequestException) as error:
                attempt.failed = True
                raise self._failure(attempt, statement, error) from error
            except BaseException:
                attempt.failed = True
                raise
            finally:
                self._record(attempt, statement)

    def _connect(self) -> Connection:
        server = self._server
        properties = {"query_max_run_time": f"{server.timeout_seconds:g}s"}
        if server.scan_limit is not None:
            properties["query_max_scan_physical_bytes"] = f"{server.scan_limit}B"
        password = server.password()
        try:
            connection: Connection = connect(  # type: ignore[no-untyped-call]  # the client has no types here
                host=server.url,
                user=server.user,
                source=_SOURCE,
                catalog=server.catalog,
                auth=BasicAuthentication(server.user, password) if password else None,
                session_properties=properties,
                request_timeout=_SECONDS_TO_READ,
                timezone="UTC",
            )
        except TrinoAuthError as error:
            raise SettingsError(
                f"The Trino password was not sent: {error}. Set an https:// address in STOCK_ASSETS_TRINO_URL"
            ) from error
        return connection

    def _failure(self, attempt: _Attempt, statement: str, error: Exception) -> Exception:
        """Return the typed error of a failed statement, or of a server that cannot be reached."""
        if not isinstance(error, TrinoQueryError):
            if isinstance(error, TrinoConnectionError | RequestException):
                return EngineBusy(f"Trino at {self._server.url} sends no response: {error}")
            if "401" in str(error) or "403" in str(error):
                return AccessRefused(
                    f"Trino at {self._server.url} rejected user or password: {error}; set STOCK_ASSETS_TRINO_USER and "
                    "STOCK_ASSETS_TRINO_PASSWORD"
                )
            return EngineBusy(f"Trino at {self._server.url}: {error}")
        name = error.error_name or ""
        kind = _KINDS.get(name, QueryFailed)
        if kind is QueryFailed and (name in _TRANSIENT or error.error_type in _TRANSIENT_TYPES):
            kind = EngineBusy
        query_id = error.query_id or attempt.query_id
        return kind(
            f"Trino query {query_id}: {name}: {error.message}{self._remedy(kind)}\n"
            f"{self._server.page(query_id)}\n{statement[:SHOWN]}"
        )

    def _remedy(self, kind: type[QueryFailed]) -> str:
        if kind is ScanLimitExceeded:
            return " (load a shorter range, or raise STOCK_ASSETS_TRINO_SCAN_LIMIT_MB or the server's limit)"
        if kind is QueryTimedOut:
            seconds = f"{self._server.timeout_seconds:g} s"
            return (
                f" (stopped after {seconds}; load a shorter range, or raise STOCK_ASSETS_TRINO_QUERY_TIMEOUT_SECONDS)"
            )
        return ""

    def _record(self, attempt: _Attempt, statement: str) -> None:
        stats = attempt.cursor.stats
        if not stats or not attempt.query_id:
            return
        self._runs.append(
            StatementRun(
                query_id=attempt.query_id,
                statement=statement.split(maxsplit=1)[0].upper(),
                state="FAILED" if attempt.failed else str(stats.get("state", "")),
                seconds=int(stats.get("elapsedTimeMillis", 0)) / 1000,
                queued_seconds=int(stats.get("queuedTimeMillis", 0)) / 1000,
                scanned_bytes=int(stats.get("physicalInputBytes", 0)),
                cost=None,
                link=self._server.page(attempt.query_id),
            )
        )


def _described(column: Sequence[object]) -> tuple[object, ...]:
    """Split a type such as `decimal(38, 2)`, `timestamp(6)` or `varchar(4)` into name and parameters."""
    name, *numbers = re.findall(r"\w+", str(column[1]))
    precision, scale = [*numbers, None, None][:2] if name == "decimal" else (None, None)
    return (column[0], name, None, None, precision, scale, None)
