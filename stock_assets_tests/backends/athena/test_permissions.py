"""The calls of the backend, recorded on the emulator during full use, are exactly what the policy allows."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from stock_assets.backends.athena.backend import AthenaBackend
from stock_assets.backends.lakehouse import aws_session
from stock_assets.core.call_limits import CallLimits
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.legacy_import.importer import import_bars
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.emulators.athena.faults import Call
from stock_assets_tests.emulators.athena.names import BUCKET, CREDENTIALS, ROLE
from stock_assets_tests.emulators.athena.storage import ACCESS_KEY
from stock_assets_tests.infra.cloudformation import KMS_KEY, Stack
from stock_assets_tests.support.athena_backends import athena_backend
from stock_assets_tests.support.legacy_account import LegacyAccount
from stock_assets_tests.support.legacy_files import SCOPE, hive_table
from stock_assets_tests.support.scenes import BAD_BAR, FIRST_WEEK, SECOND_WEEK, Scene, wavy_source
from stock_assets_tests.support.steps import FIVE, parts

ATHENA_CALLS = {
    "athena:GetWorkGroup",
    "athena:StopQueryExecution",  # sent on an interruption, see test_faults
    "glue:BatchGetPartition",
    "glue:GetDatabase",
    "glue:GetPartition",
    "glue:GetPartitions",
    "s3:AbortMultipartUpload",
    "s3:GetBucketLocation",
    "s3:ListBucketMultipartUploads",
    "s3:ListMultipartUploadParts",
}
"""Calls that Athena makes with the caller's permissions, by AWS's documentation; this package does not make them."""
LEGACY_CATALOG = {"glue:GetTable", "glue:GetPartitions"}
"""Permissions that docs/import.md requires on the database of an earlier pipeline."""
_ELSEWHERE = ("kms:", "sns:", "sqs:", "secretsmanager:")
"""Services that infra/test_data.py tests with a policy in force."""


@pytest.fixture
def backend(tmp_path: Path, aws: AwsEmulator) -> Iterator[AthenaBackend]:
    """A backend with a role: its calls differ from the calls of the emulated engine by their access key."""
    for kept in (aws_session._session, aws_session._client):  # noqa: SLF001 (the caches have no other handle)
        kept.cache_clear()
    yield replace(athena_backend(aws.endpoint, tmp_path / "backend"), role_arn=ROLE)
    for kept in (aws_session._session, aws_session._client):  # noqa: SLF001
        kept.cache_clear()


def action(call: Call) -> str:
    """Return the permission that a call needs."""
    if call.service != "s3":
        return f"{call.service}:{call.request.rpartition('.')[2]}"
    method, path = call.request.split(" ", 1)
    key, _, query = path.partition("?")
    if key.rstrip("/") == f"/{BUCKET}":
        return "s3:DeleteObject" if query == "delete" else "s3:ListBucket"
    return {"GET": "s3:GetObject", "HEAD": "s3:GetObject", "PUT": "s3:PutObject", "POST": "s3:PutObject"}.get(
        method, "s3:DeleteObject"
    )


def allowed() -> set[str]:
    """Return the actions that the template's policy allows."""
    statements = Stack("data", {"KmsKeyArn": KMS_KEY}).properties("PipelinePolicy")["PolicyDocument"]["Statement"]
    return {name for one in statements if one["Effect"] == "Allow" for name in one["Action"]}


def used_by_the_role(aws: AwsEmulator) -> set[str]:
    """Return the permissions that the role's calls needed; the emulated engine uses other credentials."""
    others = {"", CREDENTIALS["AWS_ACCESS_KEY_ID"], ACCESS_KEY}
    own = [call for call in aws.calls if call.access_key not in others]
    return {action(call) for call in own}


@pytest.mark.slow
def test_the_policy_allows_exactly_what_the_backend_calls(backend: AthenaBackend, aws: AwsEmulator) -> None:
    scene = Scene(backend, wavy_source())
    scene.source.set_bar("IBM", FIRST_WEEK[1], BAD_BAR)
    scene.run(FIRST_WEEK)
    scene.run(SECOND_WEEK)
    backend.rate_limiter.acquire("a vendor", CallLimits(per_day=1), lambda: datetime.now(UTC))
    with backend.warehouse.connect("load_large") as sql:
        many = sql.register("many", pa.table({"symbol": [f"S{number:06d}" for number in range(2000)]}))
        assert sql.query(f"SELECT COUNT(*) AS n FROM {many.value}").to_pylist() == [{"n": 2000}]
    backend.warehouse.rollback(DAILY_PRICES, backend.warehouse.history(DAILY_PRICES)[-1].snapshot_id)
    for load_id in backend.warehouse.staged_loads():
        backend.warehouse.drop_staging(load_id)
    scene.run(SECOND_WEEK)  # ends the rollback: maintenance skips a table that is rolled back
    done = backend.warehouse.maintain(
        DAILY_PRICES, keep_since=datetime.now(UTC), at=datetime.now(UTC) + timedelta(days=30)
    )
    assert done.skipped_because == ""

    used = used_by_the_role(aws)
    assert {"s3:GetObject", "s3:ListBucket", "glue:UpdateTable", "athena:StartQueryExecution"} <= used
    assert used - allowed() == set()
    assert {name for name in allowed() - used if not name.startswith(_ELSEWHERE)} <= ATHENA_CALLS


@pytest.mark.slow
def test_an_import_only_reads_the_data_of_the_earlier_pipeline(
    backend: AthenaBackend, aws: AwsEmulator, tmp_path: Path
) -> None:
    scene = Scene(backend, wavy_source())
    account = LegacyAccount(aws.endpoint, tmp_path, role_arn=ROLE)
    table = account.table_by_symbol(hive_table(tmp_path / "old", scene.source, FIVE.symbols, FIRST_WEEK, SCOPE.at))
    aws.calls.clear()

    assert import_bars(parts(backend, scene.source), account.at(table), SCOPE).files == 5

    used = used_by_the_role(aws)
    assert used - allowed() == set()
    old = [call for call in aws.calls if call.access_key and f"old/{account.name}" in call.request]
    assert {action(call) for call in old} == {"s3:GetObject"}
    assert {name for name in used if name.startswith("glue:")} >= LEGACY_CATALOG
    assert "s3:ListBucket" in used
