"""A stretch of simulated time: the schedule and the sensor ticked as the daemon would, their runs executed at once.

The daemon itself is left out: what it adds (processes, queues, ticks missed while it was off) is tested on real ones.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import time_machine

from stock_assets.backends.interface import Backend
from stock_assets.orchestration.build import build_definitions
from stock_assets.orchestration.jobs.daily_prices import JOB_NAME
from stock_assets.orchestration.schedules.weekdays import SCHEDULE_NAME
from stock_assets.orchestration.sensors.catch_up import SENSOR_NAME
from stock_assets.pipeline import Pipeline
from stock_assets.settings import Settings
from stock_assets_tests.fakes.vendor_server import VendorServer, newest_closed_session
from stock_assets_tests.support.live_source import live_source
from stock_assets_tests.support.steps import local_backend

HOUR = timedelta(hours=1)


@dataclass
class Almanac:
    """The pipeline on a live source and a clock that the test moves.

    Attributes:
        runs: every run so far: who asked for it, its first and last session, and whether it succeeded.
        skips: what the sensor said whenever it asked for nothing, by moment.
    """

    folder: Path
    server: VendorServer
    settings: Settings
    clock: time_machine.Traveller
    runs: list[tuple[str, str, str, bool]] = field(default_factory=list)
    skips: dict[datetime, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Wire the definitions, with an instance that forgets."""
        given = Pipeline.from_settings(self.settings)
        source = live_source(self.server, patience=10.0, calls_per_day=25, splits_refresh_days=6)
        self.resources = {"pipeline": replace(given, backend=self.backend, source=source)}
        self.repository = build_definitions(self.settings, resource_overrides=self.resources).get_repository_def()
        self.instance = dg.DagsterInstance.ephemeral()
        self.run_keys: set[str] = set()

    @property
    def backend(self) -> Backend:
        """Where everything is."""
        return local_backend(self.folder / "backend")

    def live_through(self, start: datetime, end: datetime) -> None:
        """Tick whatever is due in each hour from `start` to before `end`."""
        moment = start
        while moment < end:
            self.clock.move_to(moment)
            self.server.last_session = newest_closed_session()
            if moment.hour == 22 and moment.isoweekday() <= 5:
                self.tick_schedule(moment)
            self.tick_sensor()
            moment += HOUR

    def tick_schedule(self, moment: datetime) -> None:
        """Evaluate the schedule for a tick, and run what it asks for."""
        context = dg.build_schedule_context(scheduled_execution_time=moment, repository_def=self.repository)
        for request in self.repository.get_schedule_def(SCHEDULE_NAME).evaluate_tick(context).run_requests or []:
            self._run("schedule", request)

    def tick_sensor(self) -> None:
        """Evaluate the sensor, and run what it asks for."""
        with dg.build_sensor_context(instance=self.instance, resources=self.resources) as context:
            done = self.repository.get_sensor_def(SENSOR_NAME).evaluate_tick(context)
        for request in done.run_requests or []:
            self._run(SENSOR_NAME, request)
        if done.skip_message:
            self.skips[datetime.now(UTC)] = done.skip_message

    def _run(self, asker: str, request: dg.RunRequest) -> None:
        assert request.run_key is not None
        assert request.run_key not in self.run_keys, "Dagster would silently ignore this"
        self.run_keys.add(request.run_key)
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        done = self.repository.get_job(JOB_NAME).execute_in_process(
            instance=self.instance,
            partition_key=request.partition_key,
            run_config={**(request.run_config or {}), **quiet},
            tags=dict(request.tags),
            raise_on_error=False,
        )
        first = request.partition_key or request.tags["dagster/asset_partition_range_start"]
        last = request.partition_key or request.tags["dagster/asset_partition_range_end"]
        self.runs.append((asker, first, last, done.success))
