"""An installed wheel is complete: it contains the SQL, the universes and the configuration of the instance.

It needs no package that only the tests install.
"""

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent

# Runs commands one after the other in one process, because each process imports Dagster again. A module that is None
# cannot be imported.
_SCRIPT = """
import sys
sys.modules.update(dict.fromkeys(sys.argv[2:]))
import stock_assets, pathlib
assert pathlib.Path(stock_assets.__file__).is_relative_to(sys.argv[1]), stock_assets.__file__
from stock_assets.cli.app import app
from stock_assets.core.sql import statements
print(len(statements("audit/row")))
for command in (["backfill", "2012-12-27", "2013-01-04"], ["backfill", "2012-12-31", "2013-01-02", "--again"],
                ["backfill", "2013-03-01", "2013-03-01"], ["maintain"], ["verify", "--deep"], ["report"]):
    assert not app(command, standalone_mode=False)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel without a network and unpack it as an installer does."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=PROJECT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    site = folder / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


def modules_of_the_tests_only() -> list[str]:
    """Return the top-level modules of the packages that `requirements.lock` does not contain."""
    lock = (PROJECT / "requirements.lock").read_text(encoding="utf-8")
    locked = {_normal(name) for name in re.findall(r"^([\w.-]+)(?:\[[^]]*\])?==", lock, re.MULTILINE)}
    return sorted(
        module
        for module, packages in importlib.metadata.packages_distributions().items()
        if not any(_normal(package) in locked | {"stock-assets", "pip", "setuptools"} for package in packages)
    )


def imported_modules() -> dict[str, set[str]]:
    """Return the top-level modules that the package imports, also inside functions, with the files that do."""
    found: dict[str, set[str]] = {}
    for file in (PROJECT / "stock_assets").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                found.setdefault(name.partition(".")[0], set()).add(str(file.relative_to(PROJECT)))
    return found


def _normal(package: str) -> str:
    """Return the name of a package as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", package).lower()


def test_the_package_imports_only_what_it_requires() -> None:
    """An import inside a function, such as one of an error message, runs in no test without the tools of the tests."""
    optional = {"apprise", "dagster_postgres", "polars", "trino"}
    missing = set(modules_of_the_tests_only()) - optional
    assert {module: files for module, files in imported_modules().items() if module in missing} == {}


def test_the_wheel_contains_every_sql_file(installed: Path) -> None:
    expected = {path.relative_to(PROJECT / "sql") for path in (PROJECT / "sql").rglob("*.sql")}
    bundled = installed / "stock_assets" / "_bundled" / "sql"
    assert {path.relative_to(bundled) for path in bundled.rglob("*.sql")} == expected
    assert not (installed / "stock_assets_tests").exists()


@pytest.mark.slow
def test_the_installed_package_runs_without_the_checkout(installed: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(installed), "STOCK_ASSETS_DATA_DIR": str(tmp_path / "data")}
    command = [sys.executable, "-P", "-c", _SCRIPT, str(installed), *modules_of_the_tests_only()]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()

    assert lines[0] == str(len(list((PROJECT / "sql" / "audit" / "row").glob("*.sql"))))
    assert "Published: published.daily_prices." in lines
    assert "recorded sample, ends 2013-03-01" in Path(lines[-1]).read_text(encoding="utf-8")
    assert (tmp_path / "data" / "recorded" / "dagster_home" / "dagster.yaml").read_bytes() == (
        PROJECT / "infra" / "local" / "dagster.yaml"
    ).read_bytes()
