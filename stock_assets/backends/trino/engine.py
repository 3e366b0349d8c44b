"""The SQL engine: statements sent to a Trino server through its own client, one at a time.

Belongs here: running one statement to its end, whatever the end is, and what it took. Does not belong here: what is the
same for every engine (`backends.aws.engine`), which statements there are (`ddl`).
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
from stock_assets.backends.lakehouse.sql_engine import SHOWN, SqlEngine, interruptible
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
"""Characters of SQL that Trino takes, unless `query.max-length` is changed."""
_SECONDS_TO_ANSWER = 60
_SECONDS_TO_STOP = 30
_SOURCE = "stock-assets"
_KINDS: Mapping[str, type[QueryFailed]] = {
    "EXCEEDED_TIME_LIMIT": QueryTimedOut,
    "EXCEEDED_SCAN_LIMIT": ScanLimitExceeded,
    "USER_CANCELED": QueryCancelled,
    "ADMINISTRATIVELY_KILLED": QueryCancelled,
}
_PASSING_TYPES = frozenset({"INSUFFICIENT_RESOURCES"})
_PASSING = frozenset(
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
"""Names of errors of a server that is losing or gaining machines."""


@dataclass(frozen=True)
class TrinoServer:
    """How statements are run.

    Attributes:
        url: address of the coordinator, `http://host:port` or `https://...`.
        user: user name sent to Trino.
        password: returns the password, or nothing where the server needs none; called when a statement is sent.
        catalog: the one of the Iceberg connector.
        hive_catalog: the one of the Hive connector, over the same Glue Data Catalog.
        scan_limit: bytes one statement may read; None for as many as the server allows.
        timeout_seconds: how long one statement may take.
    """

    url: str
    user: str
    password: Callable[[], str] = field(default=str, repr=False, compare=False)
    catalog: str = "iceberg"
    hive_catalog: str = "hive"
    scan_limit: int | None = None
    timeout_seconds: float = 1800.0

    def page(self, query_id: str) -> str:
        """Give the address of a query in the server's own UI."""
        return f"{self.url}/ui/query.html?{query_id}"


class _Attempt:
    """One statement in flight, as the waiting thread and the working one see it."""

    def __init__(self, connection: Connection) -> None:
        self.cursor = connection.cursor(stats_callback=self._see)
        self.failed = False
        self._given_up = False
        self._started = threading.Event()

    @property
    def query_id(self) -> str:
        """Give the server's id, or nothing as long as there is none."""
        return str(self.cursor.query_id or "")

    def execute(self, statement: str) -> pa.Table:
        """Run it, and fetch its rows."""
        self.cursor.execute(statement)
        rows = self.cursor.fetchall()
        return to_arrow([_described(column) for column in self.cursor.description or []], rows)

    def stop(self) -> None:
        """Stop it, or do so as soon as it has an id; a server out of reach ends by itself what nobody asks for."""
        self._given_up = True
        if self._started.is_set():
            with suppress(Error, HttpError, RequestException):
                self.cursor.cancel()

    def _see(self, _: Mapping[str, Any]) -> None:
        self._started.set()
        if self._given_up:
            self.cursor.cancel()


class Trino(SqlEngine):
    """Runs statements on a Trino server."""

    name = "Trino"
    largest_statement = LARGEST_STATEMENT

    def __init__(self, server: TrinoServer, *, pause: Callable[[float], None] = time.sleep) -> None:
        super().__init__(server, TrinoDdl(server.hive_catalog), pause=pause)
        self._server = server

    def _run_once(self, statement: str) -> pa.Table:
        with closing(self._connect()) as connection:
            attempt = _Attempt(connection)
            try:
                return interruptible(
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
                self._note(attempt, statement)

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
                request_timeout=_SECONDS_TO_ANSWER,
                timezone="UTC",
            )
        except TrinoAuthError as error:
            raise SettingsError(f"{error}; a password needs an https:// address in STOCK_ASSETS_TRINO_URL") from error
        return connection

    def _failure(self, attempt: _Attempt, statement: str, error: Exception) -> Exception:
        """Make the typed error of a statement that ended badly, or of a server that does not answer."""
        if not isinstance(error, TrinoQueryError):
            if isinstance(error, TrinoConnectionError | RequestException):
                return EngineBusy(f"Trino at {self._server.url} does not answer: {error}")
            if "401" in str(error) or "403" in str(error):
                return AccessRefused(f"Trino at {self._server.url} does not accept the user or password: {error}")
            return EngineBusy(f"Trino at {self._server.url}: {error}")
        name = error.error_name or ""
        kind = _KINDS.get(name, QueryFailed)
        if kind is QueryFailed and (name in _PASSING or error.error_type in _PASSING_TYPES):
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
            return f" (stopped after {self._server.timeout_seconds:g} s, STOCK_ASSETS_TRINO_QUERY_TIMEOUT_SECONDS)"
        return ""

    def _note(self, attempt: _Attempt, statement: str) -> None:
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
    """Take the name and the parameters of a type apart: `decimal(38, 2)`, `timestamp(6)`, `varchar(4)`."""
    name, *numbers = re.findall(r"\w+", str(column[1]))
    precision, scale = [*numbers, None, None][:2] if name == "decimal" else (None, None)
    return (column[0], name, None, None, precision, scale, None)
