"""The HTTP server of the emulator: moto's S3, Glue, STS and other services, with the gaps filled that matter here.

Added to moto: a conditional put is atomic; Glue checks the version of a table, which is how writers of Iceberg tables
exclude each other; no table has statistics; a stack has the outputs of its change set; Athena executes
statements (`api`).
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from unittest.mock import patch

import requests
from moto.athena.responses import AthenaResponse
from moto.cloudformation.models import ChangeSet
from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult, EmptyResult
from moto.glue.responses import GlueResponse
from moto.s3.responses import S3Response
from moto.server import ThreadedMotoServer

from stock_assets_tests.emulators.athena import api
from stock_assets_tests.emulators.athena.emulator import AwsEmulator


@contextmanager
def running_emulator() -> Iterator[AwsEmulator]:
    """Start the emulator of an empty account on a free port of the loopback interface, one at a time in a process."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    emulator = AwsEmulator(f"http://{host}:{port}")
    # moto's objects and tables are those of the process: an earlier emulator has left its own.
    requests.post(f"{emulator.endpoint}/moto-api/reset", timeout=60).raise_for_status()
    http = server._server  # noqa: SLF001 (no public way)
    assert http is not None
    # moto searches all services for each request; the service depends on the host alone.
    http.app.get_backend_for_host = cache(http.app.get_backend_for_host)  # type: ignore[attr-defined]
    http.app = emulator.with_faults(http.app)
    with (
        patch.object(S3Response, "put_object", _serialized(S3Response.put_object)),
        patch.object(ChangeSet, "apply", _with_outputs(ChangeSet.apply)),
        patch.object(GlueResponse, "update_table", _checking_versions(GlueResponse.update_table)),
        patch.object(GlueResponse, "get_column_statistics_for_table", _no_statistics, create=True),
        patch.object(GlueResponse, "get_column_statistics_for_partition", _no_statistics, create=True),
        patch.object(GlueResponse, "delete_column_statistics_for_table", lambda _: EmptyResult(), create=True),
        patch.object(AthenaResponse, "start_query_execution", lambda handler: api.start(emulator, handler)),
        patch.object(AthenaResponse, "get_query_execution", lambda handler: api.execution(emulator, handler)),
        patch.object(AthenaResponse, "get_query_results", lambda handler: api.results(emulator, handler)),
        patch.object(AthenaResponse, "stop_query_execution", lambda handler: api.stop(emulator, handler)),
    ):
        try:
            yield emulator
        finally:
            server.stop()


def _serialized(put: Callable[[S3Response], Any]) -> Callable[[S3Response], Any]:
    """Make the check of a condition and the write one step, as in S3."""
    putting = threading.Lock()

    def put_alone(handler: S3Response) -> Any:  # noqa: ANN401 (moto's own)
        with putting:
            return put(handler)

    return put_alone


def _with_outputs(apply: Callable[[ChangeSet], None]) -> Callable[[ChangeSet], None]:
    """Give the stack the outputs of an executed change set, as CloudFormation does."""

    def applied(change_set: ChangeSet) -> None:
        apply(change_set)
        stack = change_set.stack
        stack.template_dict = change_set.template_dict
        stack.output_map = stack._create_output_map()  # noqa: SLF001 (no public way)

    return applied


def _checking_versions(update: Callable[[GlueResponse], Any]) -> Callable[[GlueResponse], Any]:
    """Reject an update that names another version of the table than the current one, as Glue does."""
    updating = threading.Lock()

    def checked(handler: GlueResponse) -> Any:  # noqa: ANN401 (moto's own)
        request = handler.parameters
        with updating:
            table = handler.glue_backend.get_table(request["DatabaseName"], request["TableInput"]["Name"])
            if request.get("VersionId", table.as_dict()["VersionId"]) != table.as_dict()["VersionId"]:
                raise JsonRESTError("ConcurrentModificationException", "Update table failed: concurrent modifications.")
            return update(handler)

    return checked


def _no_statistics(_: GlueResponse) -> ActionResult:
    """Return no statistics, as Glue does for a table without them; Trino requests them."""
    return ActionResult({"ColumnStatisticsList": [], "Errors": []})
