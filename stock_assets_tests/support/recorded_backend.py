"""Fixtures: backends with the whole recording published, read by the tests of views, panels, dashboards and reports.

The AWS backend runs on the emulator and is slow: every statement of a panel is translated and run again.
"""

import json
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from stock_assets.backends.interface import Backend
from stock_assets.pipeline import Pipeline
from stock_assets.settings import Settings
from stock_assets.sources.recorded import FIRST_SESSION, LAST_SESSION, RecordedSource
from stock_assets_tests.support.athena_backends import athena_backend
from stock_assets_tests.support.steps import load_range, local_backend

HOMES = ("local", pytest.param("aws", marks=pytest.mark.slow))
local_only = pytest.mark.parametrize("recorded_backend", ["local"], indirect=True, scope="session")
"""Marks a test of what is drawn from the rows, whichever backend they come from."""


def _make(kind: str, folder: Path, request: pytest.FixtureRequest) -> Backend:
    """Return an empty backend; the AWS emulator is started only if it is needed."""
    if kind == "local":
        return local_backend(folder)
    return athena_backend(request.getfixturevalue("aws_server").endpoint, folder)


@pytest.fixture(scope="session", params=HOMES)
def recorded_backend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Backend:
    """All 13 recorded years, published as one load; to be read only."""
    backend = _make(request.param, tmp_path_factory.mktemp("recorded") / "backend", request)
    load_range(backend, RecordedSource(), Pipeline.from_settings(Settings()).universe, FIRST_SESSION, LAST_SESSION)
    return backend


@pytest.fixture(scope="session")
def recorded_bars() -> pd.DataFrame:
    """The vendor's answers on today's share basis, by symbol and date, computed with pandas alone."""
    source = RecordedSource()
    frames = []
    for listing in Pipeline.from_settings(Settings()).universe.listings:
        lines = source.fetch_prices(listing.symbol, [LAST_SESSION]).decode().splitlines()
        rows = pd.DataFrame([line.split(",") for line in lines[1:]], columns=lines[0].split(","))
        rows = rows.assign(symbol=listing.symbol, trade_date=pd.to_datetime(rows["timestamp"]))
        rows[["open", "high", "low", "close", "volume"]] = rows[["open", "high", "low", "close", "volume"]].astype(
            float
        )
        rows["later"] = 1.0
        for split in json.loads(source.fetch_splits(listing.symbol))["data"]:
            before = rows["trade_date"] < pd.Timestamp(date.fromisoformat(split["effective_date"]))
            rows.loc[before, "later"] *= float(split["split_factor"])
        for name in ("open", "high", "low", "close"):
            rows[f"{name}_now"] = rows[name] / rows["later"]
        rows["volume_now"] = rows["volume"] * rows["later"]
        frames.append(rows.sort_values("trade_date"))
    return pd.concat(frames).set_index(["symbol", "trade_date"])
