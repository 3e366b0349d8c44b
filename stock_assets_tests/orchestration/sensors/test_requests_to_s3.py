"""Requests to S3 per tick of each sensor: they grow neither with the stored responses nor with the ledger."""

from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import dagster as dg
import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from stock_assets.alerts.deduplication import Notifier
from stock_assets.alerts.incident import Incident
from stock_assets.backends.interface import Fetch, FetchKind
from stock_assets.backends.stored_records import record_body
from stock_assets.core.calendar import previous_session
from stock_assets.core.errors import Outcome
from stock_assets.core.universe import Listing, Universe
from stock_assets.ingest.response_keys import response_key
from stock_assets.loads.rejections import Rejection, audit_rules_digest, bar_digests
from stock_assets.orchestration.build import build_definitions
from stock_assets.settings import Settings
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.emulators.athena.names import REGION
from stock_assets_tests.fakes.vendor_server import VendorServer
from stock_assets_tests.support.athena_backends import BUCKET, athena_backend
from stock_assets_tests.support.live_source import live_settings, live_source
from stock_assets_tests.support.steps import FIVE, as_pipeline, load_range, parts

pytestmark = pytest.mark.slow

RESPONSES = 20_000
LEDGER_OBJECTS = 200
MOST = {"landing_files": 2, "alerts": 0, "freshness": 0, "catch_up": 3}
"""Requests of the third tick, with bars that are due; with a queue, 3 of all sensors together."""


class History:
    """A pipeline on the emulator with published sessions, many stored responses, and many ledger objects.

    A symbol was never requested, an incident is open, and a load was rejected whose bars have not changed.
    """

    def __init__(self, folder: Path, aws: AwsEmulator, server: VendorServer) -> None:
        self.backend = athena_backend(aws.endpoint, folder)
        self.source = live_source(server)
        self.universe = Universe((*FIVE.listings, Listing("S99", "never requested")))
        latest = previous_session(server.last_session)
        load_range(self.backend, self.source, FIVE, latest, server.last_session)
        self._store_responses()
        incident = Incident(kind="other", subject="anything", title="open")
        assert Notifier(self.backend, []).notify(incident, datetime.now(UTC)) == []
        with self.backend.ledger.read() as ledger:
            digests = bar_digests(self.backend, ledger, [latest])
        rejection = Rejection(
            "rejected",
            ("an_audit",),
            {str(day): digest for day, digest in digests.items()},
            audit_rules_digest(parts(self.backend, self.source, self.universe)),
            datetime.now(UTC),
        )
        self.backend.objects.put("staged/rejections/rejected.json", record_body(asdict(rejection)))

    def _store_responses(self) -> None:
        """Store responses of earlier days, and their entries in many ledger objects."""
        now = datetime.now(UTC)
        store = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        per_object = RESPONSES // LEDGER_OBJECTS
        for number in range(LEDGER_OBJECTS):
            at = now - timedelta(days=LEDGER_OBJECTS + 5 - number)
            fetches = []
            for other in range(per_object):
                key = response_key(FetchKind.PRICES, f"X{other}", at + timedelta(microseconds=other))
                # Through the model of the emulator: twenty thousand requests would take a minute.
                store.put_object(BUCKET, f"{self.backend.prefix}/{key}", b"x").last_modified = at
                fetches.append(Fetch(f"X{other}", FetchKind.PRICES, at, Outcome.OK, key, calls=1))
            self.backend.ledger.record(*fetches)


class Daemon:
    """A new process that evaluates the sensors."""

    def __init__(self, history: History, aws: AwsEmulator, settings: Settings) -> None:
        self.aws = aws
        self.pipeline = as_pipeline(parts(replace(history.backend), history.source, history.universe))
        definitions = build_definitions(settings, resource_overrides={"pipeline": self.pipeline})
        self.sensors = {
            sensor.name: sensor for sensor in definitions.sensors or [] if isinstance(sensor, dg.SensorDefinition)
        }
        self.instance = dg.DagsterInstance.ephemeral()
        self.cursors: dict[str, str | None] = {}

    def tick(self, name: str) -> list[str]:
        """Evaluate a sensor; return its requests to S3."""
        self.aws.calls.clear()
        with dg.build_sensor_context(
            instance=self.instance, cursor=self.cursors.get(name), resources={"pipeline": self.pipeline}
        ) as context:
            result = self.sensors[name](context)
        assert isinstance(result, dg.SensorResult)
        self.cursors[name] = result.cursor
        return [
            call.request.partition("?")[0] + call.request.partition("?")[2]
            for call in self.aws.calls
            if call.service == "s3"
        ]


def _aws_settings(aws: AwsEmulator, queue: str) -> dict[str, Any]:
    return {"backend": "aws", "aws_bucket": BUCKET, "aws_region": REGION, "aws_endpoint_url": aws.endpoint} | (
        {"aws_landing_queue_url": queue} if queue else {}
    )


def test_a_third_tick_costs_the_same_with_a_long_history(
    tmp_path: Path, aws: AwsEmulator, server: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stock_assets.backends.lakehouse.landing_queue._WAIT_SECONDS", 0)
    sqs = boto3.client("sqs", region_name=REGION, endpoint_url=aws.endpoint)
    history = History(tmp_path / "backend", aws, server)
    for queue in ("", sqs.create_queue(QueueName=uuid4().hex)["QueueUrl"]):
        # A machine without a mirror of the ledger.
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"cache{bool(queue)}"))
        daemon = Daemon(history, aws, live_settings(server, tmp_path / "backend", **_aws_settings(aws, queue)))
        assert set(daemon.sensors) == set(MOST)

        first = {name: len(daemon.tick(name)) for name in MOST}
        second = {name: len(daemon.tick(name)) for name in MOST}
        third = {name: daemon.tick(name) for name in MOST}

        assert first["landing_files"] + first["catch_up"] > LEDGER_OBJECTS + RESPONSES / 1000
        most = MOST | ({"landing_files": 0} if queue else {})
        assert {name: len(found) for name, found in third.items()} == second == most, third
        at = datetime.now(UTC)
        gaps = daemon.pipeline.coverage([previous_session(server.last_session)], at=at)
        assert gaps.is_due(at)
        assert len(gaps.rejected) == 1
