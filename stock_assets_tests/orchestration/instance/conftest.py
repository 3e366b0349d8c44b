"""The production instance, on the tests' PostgreSQL server."""

from pathlib import Path

import pytest

from stock_assets.core.sql import bundled
from stock_assets.orchestration.instance.folder import INSTANCE_FILE


@pytest.fixture
def production_folder(postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder from which Dagster constructs the production instance."""
    monkeypatch.setenv("STOCK_ASSETS_DAGSTER_POSTGRES_URL", postgres)
    monkeypatch.setenv("STOCK_ASSETS_DAGSTER_LOG_BUCKET", "logs")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    (tmp_path / INSTANCE_FILE).write_bytes(bundled("infra/aws").joinpath(INSTANCE_FILE).read_bytes())
    return tmp_path
