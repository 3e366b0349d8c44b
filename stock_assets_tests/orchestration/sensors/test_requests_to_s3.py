"""Requests to S3 per tick of each sensor: they grow neither with the stored responses nor with the ledger."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import dagster as dg
import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from stock_assets.backends.interface import Fetch, FetchKind
from stock_assets.core.calendar import previous_session
from stock_assets.core.errors import Outcome
from stock_assets.ingest.response_keys import response_key
from stock_assets.orchestration.build import build_definitions
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.emulators.athena.names import REGION
from stock_assets_tests.fakes.vendor_server import VendorServer
from stock_assets_tests.support.athena_backends import BUCKET, athena_backend
from stock_assets_tests.support.live_source import live_settings, live_source
from stock_assets_tests.support.steps import FIVE, as_pipeline, load_range, parts

pytestmark = pytest.mark.slow

RESPONSES = 20_000
LEDGER_OBJECTS = 200
MOST = {"landing_files": 3, "alerts": 1, "freshness": 1, "catch_up": 6}
"""Requests of the third tick. `landing_files` and `alerts` tick every minute, the others rarely."""


class Deployment:
    """A pipeline on the emulator with a published session, many stored responses, and many ledger objects."""

    def __init__(self, folder: Path, aws: AwsEmulator, server: VendorServer, *, queue: str) -> None:
        self.aws = aws
        self.backend = athena_backend(aws.endpoint, folder)
        source = live_source(server)
        self.pipeline = as_pipeline(parts(self.backend, source, FIVE))
        latest = previous_session(server.last_session)
        load_range(self.backend, source, FIVE, latest, server.last_session)
        self._store_history()
        settings = live_settings(server, folder, **_aws_settings(aws, queue))
        definitions = build_definitions(settings, resource_overrides={"pipeline": self.pipeline})
        self.sensors = {
            sensor.name: sensor for sensor in definitions.sensors or [] if isinstance(sensor, dg.SensorDefinition)
        }
        self.instance = dg.DagsterInstance.ephemeral()
        self.cursors: dict[str, str | None] = {}

    def _store_history(self) -> None:
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


@pytest.mark.parametrize("with_queue", [False, True], ids=["without a queue", "with a queue"])
def test_a_third_tick_costs_the_same_with_a_long_history(
    tmp_path: Path, aws: AwsEmulator, server: VendorServer, monkeypatch: pytest.MonkeyPatch, *, with_queue: bool
) -> None:
    monkeypatch.setattr("stock_assets.backends.lakehouse.landing_queue._WAIT_SECONDS", 0)
    sqs = boto3.client("sqs", region_name=REGION, endpoint_url=aws.endpoint)
    queue = sqs.create_queue(QueueName=uuid4().hex)["QueueUrl"] if with_queue else ""
    made = Deployment(tmp_path / "backend", aws, server, queue=queue)
    assert set(made.sensors) == set(MOST)

    first = {name: len(made.tick(name)) for name in MOST}
    second = {name: len(made.tick(name)) for name in MOST}
    third = {name: made.tick(name) for name in MOST}

    assert first["landing_files"] + first["catch_up"] > LEDGER_OBJECTS + RESPONSES / 1000
    most = MOST | ({"landing_files": 0} if with_queue else {})
    assert {name: found for name, found in third.items() if len(found) > most[name]} == {}
    assert {name: len(found) for name, found in third.items()} == second
