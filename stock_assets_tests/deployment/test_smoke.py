"""The smoke test of a deployment, on the Athena emulator: every step, and nothing is left."""

from dataclasses import replace
from pathlib import Path

import pytest

from stock_assets.backends.lakehouse.backend import LakehouseBackend
from stock_assets.core.clock import utc_now
from stock_assets.core.errors import DeploymentFailed
from stock_assets.deployment.smoke import smoke, smoke_settings
from stock_assets.pipeline import Pipeline
from stock_assets.settings import Settings, SourceName
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.emulators.athena.names import BUCKET, CREDENTIALS, REGION, WORKGROUP
from stock_assets_tests.support.steps import local_backend

DEPLOYED = {
    "STOCK_ASSETS_BACKEND": "aws",
    "STOCK_ASSETS_SOURCE": "alpha_vantage",
    "STOCK_ASSETS_AWS_REGION": REGION,
    "STOCK_ASSETS_AWS_BUCKET": BUCKET,
    "STOCK_ASSETS_AWS_PREFIX": "deployed",
    "STOCK_ASSETS_AWS_DATABASE": "deployed",
    "STOCK_ASSETS_AWS_WORKGROUP": WORKGROUP,
    "STOCK_ASSETS_DAGSTER_LOG_BUCKET": BUCKET,
}


@pytest.fixture
def pipeline(aws: AwsEmulator, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    own = Settings.model_validate({"aws_endpoint_url": aws.endpoint})
    return Pipeline.from_settings(smoke_settings(DEPLOYED, own, SourceName.RECORDED))


@pytest.mark.slow
def test_every_step_is_done_and_nothing_is_left(pipeline: Pipeline) -> None:
    backend = pipeline.backend
    assert isinstance(backend, LakehouseBackend)
    assert backend.prefix == "deployed/alpha_vantage/smoke/recorded"
    assert backend.database == "deployed_alpha_vantage_smoke_recorded"
    lines: list[str] = []
    # A second test after one that was killed finds its leftovers, and removes them.
    backend.access.client("s3").put_object(Bucket=BUCKET, Key=f"{backend.prefix}/layout.json", Body=b"of no version")
    done = smoke(pipeline, utc_now(), lines.append)
    assert [str(session) for session in done.sessions] == ["2013-02-28", "2013-03-01"]
    assert len(set(done.snapshots)) == 2
    assert lines[-1] == f"rolled back to snapshot {done.snapshots[0]}: 1 row"
    assert {run.statement for run in done.statements} >= {"CREATE", "MERGE", "SELECT"}
    assert all(run.query_id and run.state == "SUCCEEDED" for run in done.statements)
    listed = backend.access.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="deployed/")
    assert listed["KeyCount"] == 0
    databases = backend.access.client("glue").get_databases()["DatabaseList"]
    assert not [found["Name"] for found in databases if found["Name"].startswith("deployed_")]


def test_the_settings_of_the_test_name_no_universes() -> None:
    deployed = DEPLOYED | {"STOCK_ASSETS_AWS_UNIVERSES": "default,banks"}
    [settings] = smoke_settings(deployed, Settings(), SourceName.RECORDED).of_each_universe()
    assert (settings.aws_universes, settings.universe_name) == ((), "")


def test_another_backend_is_an_error(pipeline: Pipeline, tmp_path: Path) -> None:
    elsewhere = replace(pipeline, backend=local_backend(tmp_path))
    with pytest.raises(DeploymentFailed, match="needs a deployment on AWS"):
        smoke(elsewhere, utc_now(), print)
