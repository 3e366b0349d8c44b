"""The information in the names of files and folders."""

from datetime import UTC, datetime

import pytest

from stock_assets.ingest.price_files.columns import ARRIVAL_HOUR
from stock_assets.ingest.price_files.paths import folder_hour, path_values


@pytest.mark.parametrize(
    ("path", "hour"),
    [
        ("2012/03/01/21/part-0", datetime(2012, 3, 1, 21, 59, 59, 999999, tzinfo=UTC)),
        ("stocks/2012/03/01/00/part-0", datetime(2012, 3, 1, 0, 59, 59, 999999, tzinfo=UTC)),
        ("year=2012/month=3/day=01/hour=21/part-0", datetime(2012, 3, 1, 21, 59, 59, 999999, tzinfo=UTC)),
        ("2012/03/01/part-0", None),
        ("2012/13/01/21/part-0", None),
        ("12012/03/01/21/part-0", None),
        ("2012/03/01/21/more/part-0", None),
    ],
)
def test_the_hour_in_a_folder_name(path: str, hour: datetime | None) -> None:
    assert folder_hour(path) == hour


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("Symbol=BRK%2EB/year=2012/part=0", {"symbol": "BRK.B", "year": "2012"}),
        ("symbol=__HIVE_DEFAULT_PARTITION__/x", {}),
        ("ingest_date=2026-11-25/20261125T193433053886Z/BRK.B.csv", {"ingest_date": "2026-11-25", "symbol": "BRK.B"}),
        ("symbol=IBM/OTHER.csv", {"symbol": "IBM"}),
        ("IBM.csv.gz", {"symbol": "IBM"}),
        ("IBM", {"symbol": "IBM"}),
        ("part-0.csv", {}),
        ("ibm.csv", {}),
        ("PUT-S3-naxEK-1-2025-05-27-22-00-05-0a1b2c3d", {}),
        ("year=2024/month=1/day=02/x", {"year": "2024", "month": "1", "day": "02", "date": "2024-01-02"}),
        ("old/2024/01/02/x", {"date": "2024-01-02"}),
        ("date=2024-01-03/2024/01/02/x", {"date": "2024-01-03"}),
        ("2024/02/30/x", {}),
        ("year=2024/month=1/x", {"year": "2024", "month": "1"}),
        ("2024/01/02/22/x", {ARRIVAL_HOUR: ""}),
        (
            "year=2024/month=01/day=02/hour=22/x",
            {"year": "2024", "month": "01", "day": "02", "hour": "22", ARRIVAL_HOUR: ""},
        ),
    ],
)
def test_columns_in_the_names_of_files_and_folders(path: str, values: dict[str, str]) -> None:
    assert path_values(path) == values
