"""The emulated account: queries in flight, ordered faults, and the record of statements and calls.

Belongs here: starting, stopping and failing queries. Does not belong here: the effect of a statement (`engine`), the
Athena API (`api`), the HTTP server (`server`).
"""

import re
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from socket import SHUT_RDWR
from typing import Any
from uuid import uuid4

import pyarrow as pa

from stock_assets.core.clock import utc_now
from stock_assets_tests.emulators.athena.engine import MOST_FILES, MOST_PARTITIONS, Engine
from stock_assets_tests.emulators.athena.errors import StatementError
from stock_assets_tests.emulators.athena.faults import Call, CallFault, QueryFault, fault_body
from stock_assets_tests.emulators.athena.names import REGION
from stock_assets_tests.emulators.athena.storage import ACCESS_KEY


@dataclass
class Query:
    """One query, as the Athena API shows it."""

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
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def is_running(self) -> bool:
        return self.state in ("QUEUED", "RUNNING")


class AwsEmulator:
    """The emulated account; `endpoint` is the address of all its services."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.engine = Engine(endpoint, REGION)
        self.queries: dict[str, Query] = {}
        self.started: dict[str, str] = {}
        """Ids of queries by the token of the client, which repeats a call whose response was lost."""
        self.calls: list[Call] = []
        self.call_faults: list[CallFault] = []
        self.query_faults: list[QueryFault] = []
        self._executing = threading.RLock()

    @property
    def statements(self) -> list[str]:
        """All statements since the last `forget`."""
        return [query.text for query in self.queries.values()]

    @property
    def running(self) -> list[str]:
        """Ids of the queries that have not ended."""
        return [query.query_id for query in self.queries.values() if query.is_running]

    def forget(self) -> None:
        """Clear the record and the faults, and reset clock and limits."""
        self.queries.clear()
        self.started.clear()
        self.calls.clear()
        self.call_faults.clear()
        self.query_faults.clear()
        self.engine.clock = utc_now
        self.engine.most_partitions, self.engine.most_files = MOST_PARTITIONS, MOST_FILES

    def set_clock(self, ahead: timedelta) -> None:
        """Set Athena's clock ahead of this machine's."""
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
            query.ended.set()

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
        except Exception as error:  # noqa: BLE001 (a bug of the emulator must not leave a query running)
            traceback.print_exc()
            self._end(query, "FAILED", f"the emulator failed: {error!r}")
        else:
            self._end(query, "SUCCEEDED", "")

    def _end(self, query: Query, state: str, reason: str) -> None:
        if query.is_running:
            query.completed, query.reason, query.state = time.time(), reason, state
            query.ended.set()

    def _fault_of(self, query: Query) -> QueryFault | None:
        for fault in self.query_faults:
            if fault.times and re.search(fault.matches, query.text, re.IGNORECASE):
                fault.times -= 1
                return fault
        return None

    def with_faults(self, application: Callable[..., Any]) -> Callable[..., Any]:
        """Return a WSGI application that records each call and applies the ordered faults."""

        def respond(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:  # noqa: ANN401 (WSGI)
            target = environ.get("HTTP_X_AMZ_TARGET", "")
            call = Call.of(environ)
            self.calls.append(call)
            for fault in self.call_faults if call.access_key != ACCESS_KEY else ():
                if fault.applies(call):
                    fault.times -= 1
                    if fault.after:
                        # The status and the body of the service are lost.
                        list(application(environ, lambda *_: None))
                    else:
                        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                    if not fault.status:
                        environ["werkzeug.socket"].shutdown(SHUT_RDWR)
                        raise ConnectionResetError
                    body = fault_body(fault, target, call.service).encode()
                    start_response(f"{fault.status} Fault", [("Content-Length", str(len(body)))])
                    return [body]
            return application(environ, start_response)

        return respond
