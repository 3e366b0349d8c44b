"""DuckDB's memory is limited by a setting; what does not fit is written to files of the load."""

from pathlib import Path

import pytest

from stock_assets.backends.local.backend import LocalBackend
from stock_assets.core.errors import QueryFailed
from stock_assets.core.tables import TYPED_PRICES
from stock_assets.pipeline import Pipeline
from stock_assets.settings import Settings

ROWS = 3_000_000
DAYS = "(SELECT CAST(n AS BIGINT) AS n FROM UNNEST(SEQUENCE(1, 1000)) AS s (n))"
# Sorted by text, so that some 200 MB have to be in memory or in files at once.
SORTED = (
    "SELECT t, ROW_NUMBER() OVER (ORDER BY t) AS place FROM (SELECT 'a text that is long enough ' || "
    f"CAST(a.n * b.n * 7919 + c.n AS VARCHAR) AS t FROM {DAYS} AS a CROSS JOIN {DAYS} AS b "
    f"CROSS JOIN (SELECT n FROM {DAYS} AS d WHERE n <= 3) AS c) AS texts"
)


@pytest.mark.slow
def test_rows_that_exceed_the_memory_are_spilled_to_the_folder_of_the_load(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path, memory_limit_mb=100)
    with backend.warehouse.connect("load_1") as sql:
        assert sql.stage(TYPED_PRICES, SORTED) == ROWS
    spill = tmp_path / "staged" / "tables" / "load_1" / "spill"
    assert not spill.exists()

    spill.write_text("a file, so that no folder can be created here")
    with backend.warehouse.connect("load_1") as sql, pytest.raises(QueryFailed, match="spill"):
        sql.stage(TYPED_PRICES, SORTED)


@pytest.mark.slow
def test_memory_that_is_not_sufficient_is_an_error_that_names_the_setting(tmp_path: Path) -> None:
    one_value = "SELECT ARRAY_AGG(n) AS n FROM UNNEST(SEQUENCE(1, 20000000)) AS s (n)"
    with (
        LocalBackend(tmp_path, memory_limit_mb=100).warehouse.connect("load_1") as sql,
        pytest.raises(QueryFailed, match="Set STOCK_ASSETS_MEMORY_LIMIT_MB to more memory, or load fewer sessions"),
    ):
        sql.query(one_value)


def test_the_setting_limits_the_memory_of_the_pipeline(tmp_path: Path) -> None:
    backend = Pipeline.from_settings(Settings(data_dir=tmp_path, memory_limit_mb=250)).backend
    assert isinstance(backend, LocalBackend)
    assert backend.memory_limit_mb == 250
