"""The size limit of a report for 20 symbols and 10 years; `benchmarks/report.py` measures times."""

from pathlib import Path

import pytest

from benchmarks.report import synthetic_pipeline
from stock_assets.serve.report.store import write_report


@pytest.mark.slow
def test_a_report_of_20_symbols_and_10_years_has_less_than_three_megabytes(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    write_report(synthetic_pipeline(tmp_path / "backend"), file)
    assert file.stat().st_size < 3_000_000
