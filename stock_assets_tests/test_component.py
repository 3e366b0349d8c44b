"""The component `stock_assets.DailyPrices` in a project of `dg`, configured by `defs.yaml`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stock_assets.core.errors import SettingsError
from stock_assets.orchestration.component import DailyPrices
from stock_assets.orchestration.keys import Names
from stock_assets.pipeline import Pipeline
from stock_assets.serve.query import summary
from stock_assets.settings import Settings

_PROJECT = """
[project]
name = "shop"
version = "0"

[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "shop"
"""
_DEFINITIONS = """
from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
"""
_DEFS = """
type: stock_assets.DailyPrices

attributes:
  universe: {name}.csv
  other_universes: [../{other}/{other}.csv]
  data_dir: data
  settings:
    first_session: 2013-02-01
"""
SYMBOLS = {"banks": ("AAPL", "IBM"), "energy": ("MSFT",)}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with two universes, and nothing else."""
    package = tmp_path / "src" / "shop"
    for (name, symbols), other in zip(SYMBOLS.items(), reversed(SYMBOLS), strict=True):
        folder = package / "defs" / name
        folder.mkdir(parents=True)
        lines = ("symbol,name,first_session,last_session", *(f"{symbol},,," for symbol in symbols))
        (folder / f"{name}.csv").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        (folder / "defs.yaml").write_text(_DEFS.format(name=name, other=other), encoding="utf-8")
    for file in (package, package / "defs"):
        (file / "__init__.py").touch()
    (package / "definitions.py").write_text(_DEFINITIONS, encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(_PROJECT, encoding="utf-8")
    (tmp_path / "home").mkdir()
    return tmp_path


def run_dg(project: Path, *arguments: str) -> str:
    """Run `dg` in the project; return its output."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(project),
        "VIRTUAL_ENV": sys.prefix,
        "PYTHONPATH": str(project / "src"),
        "DAGSTER_HOME": str(project / "home"),
    }
    command = [str(Path(sys.executable).parent / "dg"), *arguments]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def settings_of(project: Path, name: str) -> Settings:
    """Return the settings with which commands reach the data of a universe."""
    return Settings(
        data_dir=project / "data", universes=(project / f"src/shop/defs/{name}/{name}.csv",), universe_name=name
    )


@pytest.mark.slow
def test_dg_checks_lists_and_launches_two_universes(project: Path) -> None:
    checked = run_dg(project, "check", "defs")
    assert "All component YAML validated successfully." in checked
    assert "All definitions loaded successfully." in checked
    listed = json.loads(run_dg(project, "list", "defs", "--json"))
    assert {f"{name}_daily_prices" for name in SYMBOLS} <= {job["name"] for job in listed["jobs"]}
    keys = {asset["asset_key"] for asset in listed["assets"]}
    assert {f"{name}/published/daily_prices" for name in SYMBOLS} <= keys
    assert {key.partition("/")[0] for key in keys} == set(SYMBOLS)

    run_dg(project, "launch", "--job", "banks_daily_prices", "--partition", "2013-03-01")
    rows = summary(Pipeline.from_settings(settings_of(project, "banks")).backend)
    assert {row.symbol: row.row_count for row in rows} == dict.fromkeys(SYMBOLS["banks"], 1)
    assert not settings_of(project, "energy").root.exists()


@pytest.mark.slow
def test_dg_knows_the_component() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "dg"), "list", "components", "--json"],
        cwd=Path(__file__).parents[1],
        env={"PATH": os.environ["PATH"], "VIRTUAL_ENV": sys.prefix, "HOME": os.environ.get("HOME", "")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "stock_assets.DailyPrices" in {component["key"] for component in json.loads(done.stdout)["items"]}


def test_attributes_replace_settings_of_the_environment(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOCK_ASSETS_MIN_COVERAGE", "0.9")
    monkeypatch.setenv("STOCK_ASSETS_UNIVERSE", str(project / "none.csv"))
    component = DailyPrices(
        universe="banks.csv",
        other_universes=["../energy/energy.csv"],
        data_dir="data",
        settings={"catch_up_sessions": 5},
    )
    settings = component.to_settings(project / "src/shop/defs/banks", project)
    assert (settings.universe_name, settings.min_coverage, settings.catch_up_sessions) == ("banks", 0.9, 5)
    assert settings.root == project / "data" / "banks" / "recorded"
    pipeline = Pipeline.from_settings(settings)
    assert pipeline.universe.symbols == SYMBOLS["banks"]
    assert [other.universe.symbols for other in pipeline.others] == [SYMBOLS["energy"]]


def test_without_a_universe_the_names_are_plain(tmp_path: Path) -> None:
    settings = DailyPrices(data_dir="data").to_settings(tmp_path, tmp_path)
    assert Names(settings.universe_name) == Names()
    assert settings.root == tmp_path / "data" / "recorded"


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"settings": {"min_coverge": 1}}, "min_coverge"),
        ({"source": "bloomberg"}, "STOCK_ASSETS_SOURCE"),
        ({"other_universes": ["energy.csv"]}, "other_universes needs the attribute universe"),
    ],
)
def test_an_attribute_that_cannot_be_used_is_named(tmp_path: Path, attributes: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        DailyPrices.model_validate(attributes).to_settings(tmp_path, tmp_path)
