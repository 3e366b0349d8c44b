"""Records of Firehose become published rows, from `put_record` on.

The emulator writes an object for each call, uncompressed; AWS buffers records for 60 seconds or 5 MiB and compresses
them, as the tests of `price_files` read them. `test_lambda_on_ministack` evaluates the folders of the template.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest

from stock_assets.backends.interface import FetchKind
from stock_assets.core.errors import Outcome
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.emulators.athena.names import REGION
from stock_assets_tests.orchestration.sensors.test_landing_files import LandingArea, in_a_while, vendor_csv
from stock_assets_tests.support.athena_backends import BUCKET, athena_backend
from stock_assets_tests.support.scenes import FIRST_WEEK, Scene, wavy_source
from stock_assets_tests.support.steps import FIVE, published_rows

pytestmark = pytest.mark.slow

FIELDS = ("date", "open", "high", "low", "close", "volume")


def test_records_of_a_stream_are_loaded_without_a_request(
    tmp_path: Path, aws: AwsEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stock_assets.orchestration.assets.raw.utc_now", in_a_while)
    backend = athena_backend(aws.endpoint, tmp_path / "backend")
    area = LandingArea(Scene(backend, wavy_source()), tmp_path)
    firehose: Any = boto3.client("firehose", endpoint_url=aws.endpoint, region_name=REGION)
    now = datetime.now(UTC)
    firehose.create_delivery_stream(
        DeliveryStreamName=tmp_path.name,
        ExtendedS3DestinationConfiguration={
            "RoleARN": "arn:aws:iam::123456789012:role/delivery",
            "BucketARN": f"arn:aws:s3:::{BUCKET}",
            "Prefix": f"{backend.prefix}/raw/daily_prices/ingest_date={now:%Y-%m-%d}/firehose/",
        },
    )
    for symbol in FIVE.symbols:
        lines = vendor_csv(area.scene, symbol, FIRST_WEEK).splitlines()[1:]
        records = [{"symbol": symbol} | dict(zip(FIELDS, line.split(","), strict=True)) for line in lines]
        text = "".join(f"{json.dumps(record)}\n" for record in records)
        firehose.put_record(DeliveryStreamName=tmp_path.name, Record={"Data": text.encode()})
    area.at = in_a_while()

    [request] = area.requests()
    assert area.run(request).success

    rows = {(row["symbol"], row["trade_date"]): row["close_price"] for row in published_rows(backend)}
    expected = {
        (symbol, line[:10]): float(line.split(",")[4])
        for symbol in FIVE.symbols
        for line in vendor_csv(area.scene, symbol, FIRST_WEEK).splitlines()[1:]
    }
    assert {(symbol, str(day)): close for (symbol, day), close in rows.items()} == expected
    known = backend.ledger.fetches(FetchKind.LANDING_FILES, outcome=Outcome.OK)
    assert sum("/firehose/" in fetch.response_key for fetch in known) == len(FIVE.symbols)
    assert sum(fetch.calls for fetch in backend.ledger.fetches(FetchKind.PRICES)) == 0
    assert area.requests() == []
