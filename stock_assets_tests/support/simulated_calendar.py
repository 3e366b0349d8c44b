"""Simulated time: schedule and sensor are evaluated as by the daemon, and their runs executed at once.

The daemon itself does not run here. Processes, queues, and ticks missed while it was off are tested with a real one.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import time_machine

from stock_assets.backends.interface import Backend
from stock_assets.orchestration.build import build_definitions
from stock_assets.orchestration.jobs.daily_prices import JOB_NAME
from stock_assets.orchestration.schedules.weekdays import SCHEDULE_NAME
from stock_assets.orchestration.sensors.alerts import SENSOR_NAME as ALERTS
from stock_assets.orchestration.sensors.catch_up import SENSOR_NAME
from stock_assets.orchestration.sensors.freshness import SENSOR_NAME as FRESHNESS
from stock_assets.pipeline import Pipeline
from stock_assets.settings import Settings
from stock_assets_tests.fakes.vendor_server import VendorServer, newest_closed_session
from stock_assets_tests.support.dagster_internals import InstanceRef
from stock_assets_tests.support.live_source import live_source
from stock_assets_tests.support.real_daemon import alert_titles
from stock_assets_tests.support.steps import local_backend

HOUR = timedelta(hours=1)


@dataclass
class SimulatedCalendar:
    """The pipeline on a live source and a clock that the test moves.

    Attributes:
        source_options: fields of the source.
        hours: hours of the day (UTC) at which sensors are evaluated.
        runs: every run: its requester, its first and last session, and whether it succeeded.
        skips: the reasons of the catch-up sensor to request no run, by timestamp.
    """

    folder: Path
    server: VendorServer
    settings: Settings
    clock: time_machine.Traveller
    source_options: Mapping[str, object] = field(default_factory=lambda: {"splits_refresh_days": 6})
    hours: Collection[int] = range(24)
    runs: list[tuple[str, str, str, bool]] = field(default_factory=list)
    skips: dict[datetime, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Wire the definitions, with an instance in memory."""
        base = Pipeline.from_settings(self.settings)
        options = {"calls_per_day": 25, **self.source_options}
        source = live_source(self.server, now=None, **options)
        self.resources = {"pipeline": replace(base, backend=self.backend, source=source)}
        self.repository = build_definitions(self.settings, resource_overrides=self.resources).get_repository_def()
        self.instance = dg.DagsterInstance.ephemeral()
        self.run_keys: set[str] = set()
        self.cursors: dict[str, str | None] = {}

    @property
    def backend(self) -> Backend:
        """Return the backend of the simulation."""
        return local_backend(self.folder / "backend")

    def live_through(self, start: datetime, end: datetime) -> None:
        """Evaluate what is due in each hour from `start` to before `end`."""
        timestamp = start
        while timestamp < end:
            if timestamp.hour not in self.hours:
                timestamp += HOUR
                continue
            self.clock.move_to(timestamp)
            self.server.last_session = newest_closed_session()
            if timestamp.hour == 22 and timestamp.isoweekday() <= 5:
                self.tick_schedule(timestamp)
            self.tick_sensor()
            self.tick_alerting_sensors()
            timestamp += HOUR

    def tick_schedule(self, timestamp: datetime) -> None:
        """Evaluate the schedule for a tick, and execute its requests."""
        context = dg.build_schedule_context(
            # As the daemon does.
            instance_ref=InstanceRef.from_dir(str(self.folder)),
            scheduled_execution_time=timestamp,
            repository_def=self.repository,
        )
        for request in self.repository.get_schedule_def(SCHEDULE_NAME).evaluate_tick(context).run_requests or []:
            self._run("schedule", request)

    def tick_sensor(self) -> None:
        """Evaluate the sensor, and execute its requests."""
        with dg.build_sensor_context(instance=self.instance, resources=self.resources) as context:
            done = self.repository.get_sensor_def(SENSOR_NAME).evaluate_tick(context)
        for request in done.run_requests or []:
            self._run(SENSOR_NAME, request)
        if done.skip_message:
            self.skips[datetime.now(UTC)] = done.skip_message

    def tick_alerting_sensors(self) -> None:
        """Evaluate the sensors that check freshness and ended runs."""
        for name in (ALERTS, FRESHNESS):
            cursor = self.cursors.get(name)
            with dg.build_sensor_context(instance=self.instance, cursor=cursor, resources=self.resources) as context:
                done = self.repository.get_sensor_def(name).evaluate_tick(context)
            self.cursors[name] = done.cursor or cursor

    @property
    def alerts(self) -> list[str]:
        """Return the titles of the alerts, in order."""
        return alert_titles(self.settings)

    def _run(self, requester: str, request: dg.RunRequest) -> None:
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
        self.runs.append((requester, first, last, done.success))
