"""A short test of a deployment: one symbol from the request to a rollback, in a folder and databases of its own.

Belongs here: the steps of the test and its clean-up. Does not belong here: printing (`cli.aws`), what a step does
(`pipeline`).

The folder and the databases are inside those that the pipeline's policy names, so the test needs no other permissions
than the pipeline, and never touches its tables. It is removed at the end, and before the next test if that end was
never reached.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from stock_assets.backends.interface import StatementRun
from stock_assets.backends.lakehouse.aws_session import typed_errors
from stock_assets.backends.lakehouse.backend import LakehouseBackend
from stock_assets.backends.lakehouse.glue import Glue
from stock_assets.backends.lakehouse.objects import BucketFolder, S3Objects
from stock_assets.core.calendar import closing_time, sessions_between
from stock_assets.core.errors import DeploymentFailed
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.core.text import plural
from stock_assets.core.universe import Universe
from stock_assets.pipeline import Pipeline
from stock_assets.settings import Settings, SourceName

_FOLDER = "smoke"
_COUNT = "SELECT count(*) AS n, max(trade_date) AS latest FROM published.daily_prices"


@dataclass(frozen=True)
class SmokeResult:
    """What the test did.

    Attributes:
        symbol: the requested symbol.
        sessions: the two loaded sessions.
        snapshots: after each publish.
        statements: all statements that were sent, in order.
    """

    symbol: str
    sessions: tuple[date, date]
    snapshots: tuple[int, int]
    statements: Sequence[StatementRun]


def smoke_settings(deployed: Mapping[str, str], own: Settings, source: SourceName) -> Settings:
    """Return the settings of the test.

    Args:
        deployed: the variables of the deployment.
        own: of the environment, for the endpoint and the role.
        source: where the test's prices come from.
    """
    fields = {
        name: deployed[variable]
        for name in Settings.model_fields.keys() - {"aws_universes"}
        if (variable := f"STOCK_ASSETS_{name.upper()}") in deployed
    }
    folder = {
        "aws_prefix": f"{fields['aws_prefix']}/{fields['source']}/{_FOLDER}",
        "aws_database": f"{fields['aws_database']}_{fields['source']}_{_FOLDER}",
        "source": source,
        "aws_endpoint_url": own.aws_endpoint_url,
        "aws_role_arn": own.aws_role_arn,
    }
    return Settings.model_validate({**fields, **folder})


def smoke(pipeline: Pipeline, at: datetime, report: Callable[[str], None]) -> SmokeResult:
    """Request one symbol, publish two sessions one after the other, query them and roll the second one back.

    Raises:
        DeploymentFailed: a step has another result than expected; the message names the step.
    """
    backend = pipeline.backend
    if not isinstance(backend, LakehouseBackend):
        raise DeploymentFailed("The smoke test needs a deployment on AWS; STOCK_ASSETS_BACKEND is another backend.")
    remove(backend)
    try:
        return _steps(pipeline, at, report)
    finally:
        remove(backend)


def remove(backend: LakehouseBackend) -> None:
    """Remove tables, databases and objects of the test."""
    glue, client = Glue(backend.access), backend.access.client("glue")
    for schema in ("raw", "staged", "published"):
        database = f"{backend.database}_{schema}"
        for table in glue.tables(database, ""):
            glue.delete(database, table["Name"])
        with typed_errors(f"removing the Glue database {database}"):
            try:
                client.delete_database(Name=database)
            except client.exceptions.EntityNotFoundException:
                continue
    parent, _, folder = backend.prefix.rpartition("/")
    S3Objects(backend.access, BucketFolder(backend.bucket, parent)).delete_all(f"{folder}/")


def _steps(pipeline: Pipeline, at: datetime, report: Callable[[str], None]) -> SmokeResult:
    first, second = _sessions(pipeline, at)
    symbol = next((name for name in pipeline.universe.symbols if pipeline.universe.covers(name, first)), "")
    one = replace(pipeline, universe=Universe(pipeline.universe.listings_of(symbol)))
    [result] = one.fetch([first, second])
    if result.missing:
        raise DeploymentFailed(
            f"{symbol} has no bar of {result.missing[0]}: {result.outcome}. {result.detail}. Try again later."
        )
    report(f"requested {symbol}: {first} and {second}")
    snapshots = []
    for sessions in ([first], [first, second]):
        one.stage(sessions)
        commit = one.publish(sessions).prices
        if commit.snapshot_id is None:
            raise DeploymentFailed(f"Publishing {sessions[-1]} of {symbol} has committed no snapshot.")
        snapshots.append(commit.snapshot_id)
        report(f"published {sessions[-1]}: snapshot {commit.snapshot_id}")
    _check_rows(one, 2, second, "after the second publish")
    report(f"query: 2 rows, the latest of {second}")
    pipeline.backend.warehouse.rollback(DAILY_PRICES, snapshots[0])
    _check_rows(one, 1, first, "after the rollback")
    report(f"rolled back to snapshot {snapshots[0]}: 1 row")
    log = pipeline.backend.take_statement_log()
    return SmokeResult(symbol, (first, second), (snapshots[0], snapshots[1]), log.total if log is not None else ())


def _sessions(pipeline: Pipeline, at: datetime) -> tuple[date, date]:
    """Return two sessions whose bars the source has: a day after their close."""
    last = pipeline.source.last_session or at.date()
    closed = [
        session
        for session in sessions_between(last - timedelta(days=14), last)
        if closing_time(session) + timedelta(days=1) <= at
    ]
    return closed[-2], closed[-1]


def _check_rows(pipeline: Pipeline, rows: int, latest: date, when: str) -> None:
    [found] = pipeline.query(_COUNT).to_pylist()
    if (found["n"], found["latest"]) != (rows, latest):
        raise DeploymentFailed(
            f"published.daily_prices has {plural(found['n'], 'row')} until {found['latest']} {when}; expected: {rows} "
            f"until {latest}."
        )
