"""The promised size for 20 symbols and 10 years; what it takes to draw and to open is for the benchmark to say."""

from pathlib import Path

import pytest

from benchmarks.report import made_up_pipeline
from stock_assets.serve.report.store import write_report


@pytest.mark.slow
def test_it_is_three_megabytes_at_most(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    write_report(made_up_pipeline(tmp_path / "backend"), file)
    assert file.stat().st_size < 3_000_000
