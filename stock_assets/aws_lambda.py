"""The AWS Lambda function that requests prices and splits: the project's own client, with a role of its own.

Belongs here: the handler. Does not belong here: the requests (`ingest`), the message that it receives and the report
that it returns (`ingest.remote_requests`), building its zip file (`deployment.lambda_zip`).

It imports neither dagster, pandas nor pyarrow, so that the zip file stays below 10 MB and a cold start is short. boto3
is the one of Lambda's runtime: botocore alone is larger than 10 MB, and a version without conditional writes makes the
first write fail, instead of replacing an object.

`dagster_pipes.open_dagster_pipes` returns the same context for the whole process, and a warm function is the same
process: its second invocation would write to the closed channel of the first. So each invocation has its own context.
"""

import json
from collections.abc import Mapping
from datetime import date, timedelta
from functools import cache
from typing import Any, Protocol

from dagster_pipes import (
    DAGSTER_PIPES_CONTEXT_ENV_VAR,
    PipesContext,
    PipesDefaultContextLoader,
    PipesMappingParamsLoader,
    PipesS3MessageWriter,
)

from stock_assets.backends.interface import FetchKind
from stock_assets.backends.lakehouse.aws_session import AwsAccess
from stock_assets.backends.lakehouse.ingest_backend import IngestBackend
from stock_assets.backends.lakehouse.objects import BucketFolder
from stock_assets.core.audit_limits import Limits
from stock_assets.core.calendar import closing_time, declare_closures, sessions_between
from stock_assets.core.clock import utc_now
from stock_assets.core.universe import Universe, read_universe
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.price_requests import RequestRules, fetch_prices
from stock_assets.ingest.remote_requests import RequestReport, RequestTask
from stock_assets.ingest.split_requests import request_splits
from stock_assets.pipeline.source import price_source
from stock_assets.settings import Settings

_MOST_SECONDS = 300.0
"""Time in which an invocation sends requests; another invocation requests the rest.

Gateways drop a connection that is silent for 350 seconds, and the process that waits for the function would never
receive its end.
"""
_SHARE_OF_TIME = 0.6
"""Share of the remaining time in which requests are sent; the last ones, and the ledger, need the rest."""
_LATEST_DAYS = 3


class LambdaContext(Protocol):
    """What Lambda passes to a handler."""

    def get_remaining_time_in_millis(self) -> int:
        """Return the time until the invocation is stopped."""


def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, int]:
    """Request the prices or splits of the event's `task`; report to Dagster if a run has invoked the function."""
    task = RequestTask.model_validate(event.get("task", {}))
    settings = Settings.from_env()
    if task.universe:
        settings = settings.model_copy(update={"universe_name": task.universe})
    seconds = min(_MOST_SECONDS, context.get_remaining_time_in_millis() / 1000 * _SHARE_OF_TIME)
    if DAGSTER_PIPES_CONTEXT_ENV_VAR not in event:
        return _summary(_request(settings, task, seconds))
    writer = PipesS3MessageWriter(client=AwsAccess(**settings.aws_options).client("s3"), interval=1)
    with PipesContext(PipesMappingParamsLoader(event), PipesDefaultContextLoader(), writer) as pipes:
        report = _request(settings, task, seconds)
        pipes.report_custom_message(json.loads(report.model_dump_json()))
    return _summary(report)


def _request(settings: Settings, task: RequestTask, seconds: float) -> RequestReport:
    declare_closures(task.closures or settings.closures)
    backend = _backend(settings)
    parts = PipelineParts(
        backend,
        price_source(settings),
        Universe(task.listings) if task.listings else read_universe(settings.symbols_file),
        Limits(min_coverage=settings.min_coverage, max_quarantined_share=settings.max_quarantined_share),
        frozenset(task.revisions_accepted),
    )
    until = utc_now() + timedelta(seconds=seconds)
    backend.ledger.responses.clear()
    if task.kind is FetchKind.SPLITS:
        symbols = task.symbols or ()
        splits = request_splits(parts, symbols, reserve_calls=task.reserve_calls, until=until)
        return RequestReport.of_splits(symbols, splits, list(dict.fromkeys(backend.ledger.responses)))
    rules = RequestRules(
        None if task.symbols is None else frozenset(task.symbols),
        task.reserve_calls,
        frozenset(task.again),
        until=until,
    )
    sessions = task.sessions or _latest_sessions(task.latest_sessions)
    results = fetch_prices(parts, sessions, rules=rules)
    return RequestReport.of(results, list(dict.fromkeys(backend.ledger.responses)))


def _latest_sessions(count: int) -> list[date]:
    now = utc_now()
    found = sessions_between((now - timedelta(days=_LATEST_DAYS * count + 10)).date(), now.date())
    return [session for session in found if closing_time(session) <= now][-count:]


def _summary(report: RequestReport) -> dict[str, int]:
    return {
        "symbols": len(report.symbols),
        "responses": len(report.responses),
        "calls": sum(symbol.calls for symbol in report.symbols),
        "postponed": sum(symbol.postponed for symbol in report.symbols),
    }


@cache
def _backend(settings: Settings) -> IngestBackend:
    """Return the backend of this process; a warm function reads only the new entries of the ledger."""
    folder, calls = (
        BucketFolder(settings.aws_bucket or "", prefix, settings.aws_kms_key or "")
        for prefix in (settings.data_prefix, settings.shared_prefix)
    )
    return IngestBackend(AwsAccess(**settings.aws_options), folder, calls)
