"""The daily job with a live vendor on the Athena emulator, and the statements that it sends.

Belongs here: running the job and reading its statements. Does not belong here: expectations (`backends/athena`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import sqlglot
from sqlglot import exp

from stock_assets.backends.athena.backend import AthenaBackend
from stock_assets.core.calendar import closing_time
from stock_assets.coverage.freshness import expected_session
from stock_assets.ingest.split_requests import fetch_splits
from stock_assets.orchestration.build import build_definitions
from stock_assets.orchestration.jobs.daily_prices import JOB_NAME
from stock_assets.settings import BackendName, Settings, SourceName
from stock_assets.sources.interface import Terms
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.emulators.athena.names import REGION
from stock_assets_tests.emulators.athena.predicates import bounds
from stock_assets_tests.fakes.source import ScriptedSource
from stock_assets_tests.support.athena_backends import BUCKET, athena_backend
from stock_assets_tests.support.bars import deliver
from stock_assets_tests.support.scenes import Scene
from stock_assets_tests.support.steps import as_pipeline, parts

LATEST = expected_session(datetime.now(UTC))
"""The newest session that consumers can expect now; with it, the freshness check passes."""
_COMPACT = 100
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

Bars = Mapping[str, Mapping[date, str]]


class LiveSource(ScriptedSource):
    """A source that requests splits as for a live vendor: when they are due, or after an unexplained jump."""

    def __init__(self) -> None:
        super().__init__()
        self._refresh = timedelta(days=7)

    @property
    def terms(self) -> Terms:
        return Terms(splits_refresh=self._refresh)

    def request_splits_in_every_run(self) -> None:
        """Treat every stored response about splits as out of date."""
        self._refresh = timedelta(0)


@dataclass(frozen=True)
class LiveRuns:
    """A scene on the emulator, with its typed backend and source, and the daily job."""

    scene: Scene
    backend: AthenaBackend
    source: LiveSource
    job: dg.JobDefinition

    def load(self, bars: Bars, sessions: Sequence[date]) -> None:
        """Publish some sessions as one load, from responses of the last session's evening."""
        for symbol, of_symbol in bars.items():
            self.source.set_bars(symbol, {day: of_symbol[day] for day in sessions})
            body = self.source.fetch_prices(symbol, [])
            deliver(self.backend, symbol, body, closing_time(sessions[-1]) + timedelta(hours=1))
        fetch_splits(parts(self.backend, self.source, self.scene.universe))
        self.scene.stage(sessions)
        self.scene.publish(sessions)

    def respond_with(self, bars: Bars, until: date) -> None:
        """Make the vendor return its latest bars up to a session, as many as a free plan includes."""
        for symbol, of_symbol in bars.items():
            latest = [(day, line) for day, line in of_symbol.items() if day <= until][-_COMPACT:]
            self.source.set_bars(symbol, dict(latest))

    def run(self, session: date) -> dg.ExecuteInProcessResult:
        """Run the job for one session, as the schedule does."""
        with dg.DagsterInstance.ephemeral() as instance:
            return self.job.execute_in_process(
                instance=instance, partition_key=session.isoformat(), run_config=_QUIET, raise_on_error=False
            )


def live_runs(emulator: AwsEmulator, folder: Path) -> LiveRuns:
    """Build the definitions for a live vendor on AWS, with the test's source and backend."""
    folder.mkdir(parents=True, exist_ok=True)
    backend, source = athena_backend(emulator.endpoint, folder), LiveSource()
    scene = Scene(backend, source)
    universe = folder / "universe.csv"
    lines = ("symbol,name,first_session,last_session", *(f"{symbol},,," for symbol in scene.universe.symbols))
    universe.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    settings = Settings(
        data_dir=folder / "data",
        source=SourceName.ALPHA_VANTAGE,
        universe=universe,
        backend=BackendName.AWS,
        aws_bucket=BUCKET,
        aws_region=REGION,
    )
    definitions = build_definitions(settings, resource_overrides={"pipeline": as_pipeline(scene)})
    return LiveRuns(scene, backend, source, definitions.resolve_job_def(JOB_NAME))


def kinds(emulator: AwsEmulator) -> list[str]:
    """Return the first word of every recorded statement."""
    return [statement.split(maxsplit=1)[0].upper() for statement in emulator.statements]


def unbounded_reads(statement: str, *, lower_only: bool = False) -> list[str]:
    """List the reads of published or raw tables without a lower and an upper bound on the day or partition."""
    found = []
    for table in sqlglot.parse_one(statement, read="athena").find_all(exp.Table):
        if table.db.endswith(("_published", "_raw")) and "$" not in table.name:
            low, high = bounds(table, "ingest_date" if table.db.endswith("_raw") else "trade_date")
            if low is None or (high is None and not lower_only):
                found.append(table.sql("athena"))
    return found
