"""Data folders with unusual names work, or are refused when the settings are read."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from pydantic import ValidationError

from stock_assets.backends.local.backend import LocalBackend
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.maintenance.maintenance import maintain
from stock_assets.maintenance.retention_periods import RetentionPolicy
from stock_assets.orchestration.runs import local_instance
from stock_assets.serve.query import run_query
from stock_assets.settings import Settings
from stock_assets_tests.support.scenes import FIRST_WEEK, SECOND_WEEK, Scene, calm_source

NAMES = (
    " a b+c&d;e,f$HOME${x}`ls`'\"()[x]{y}~!@:^|<> ",
    "100% %zz %(x)s a\\b \u00fc e\u0301 \u65e5\u672c \U0001f600 \u2028",
    # DuckDB reads columns from the first of these folders.
    "trade_date=2012/.../-rf",
)
REFUSED = {
    "p%20q": "'%20'",
    "%41": "'%41'",
    "a?b": "'?'",
    "a#b": "'#'",
    "a\nb": r"'\n'",
    "a\tb": r"'\t'",
    "a\udcffb": "not UTF-8",
}


def use(folder: Path) -> None:
    """Load twice, read, roll back and maintain, beside a Dagster instance in the same folder."""
    settings = Settings(data_dir=folder)
    with local_instance(settings) as instance:
        assert instance.get_asset_keys() == []
        instance.report_runless_asset_event(dg.AssetMaterialization("a"))
        assert instance.get_asset_keys() == [dg.AssetKey("a")]
    backend = LocalBackend(settings.root)
    scene = Scene(backend, calm_source())
    scene.run(FIRST_WEEK)
    scene.run(SECOND_WEEK)
    count = "SELECT COUNT(*) AS bars FROM published.daily_prices"
    assert run_query(backend, count).to_pylist() == [{"bars": 50}]
    newest, first = backend.warehouse.history(DAILY_PRICES)
    backend.warehouse.rollback(DAILY_PRICES, first.snapshot_id)
    assert run_query(backend, count).to_pylist() == [{"bars": 25}]
    backend.warehouse.rollback(DAILY_PRICES, newest.snapshot_id)
    maintain(backend, RetentionPolicy(*[timedelta(0)] * 3), datetime.now(UTC) + timedelta(days=30))
    assert run_query(backend, count).to_pylist() == [{"bars": 50}]
    assert len(backend.warehouse.history(DAILY_PRICES)) == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_of_any_valid_name_works(tmp_path: Path, name: str) -> None:
    use(tmp_path / name)
    assert [entry.name for entry in tmp_path.iterdir()] == [name.partition("/")[0]]


def test_a_name_that_looks_like_a_pattern_reads_no_other_folder(tmp_path: Path) -> None:
    """Both patterns match the path of the other folder."""
    Scene(LocalBackend(Settings(data_dir=tmp_path / "ab" / "ab").root), calm_source()).run(FIRST_WEEK + SECOND_WEEK)
    use(tmp_path / "a*" / "[a]b")


@pytest.mark.parametrize(("name", "reason"), REFUSED.items())
def test_a_folder_that_a_library_misreads_is_refused_with_the_reason(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(data_dir=tmp_path / name)
    assert "STOCK_ASSETS_DATA_DIR" in str(refused.value)
    assert reason in str(refused.value)


def test_the_folder_of_the_dagster_instance_is_refused_by_its_own_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "p%20q"))
    with pytest.raises(ValidationError, match="DAGSTER_HOME"):
        Settings(data_dir=tmp_path)


def test_a_data_folder_with_a_percent_sign_works_with_another_folder_for_dagster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    use(tmp_path / "p%20q")
