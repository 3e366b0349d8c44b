"""Settings: each variable works, each bad value is named with what it takes, and nobody else reads the environment."""

import ast
import sys
from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

import stock_assets
from stock_assets.backends.athena.backend import AthenaBackend
from stock_assets.backends.trino.backend import TrinoBackend
from stock_assets.core.errors import SettingsError
from stock_assets.orchestration.build import build_definitions
from stock_assets.pipeline import Pipeline
from stock_assets.settings import AlphaVantagePlan, Settings, SourceName

PACKAGE = Path(stock_assets.__file__).parent


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide what the machine has set."""
    for name, field in Settings.model_fields.items():
        monkeypatch.delenv(str(field.validation_alias or f"STOCK_ASSETS_{name.upper()}"), raising=False)


def test_nothing_needs_to_be_set() -> None:
    settings = Settings.from_env()
    assert settings.source is SourceName.RECORDED
    assert settings.root == Path.cwd() / "data" / "recorded"
    assert settings.instance_dir == settings.root / "dagster_home"


AWS = {"STOCK_ASSETS_BACKEND": "aws", "STOCK_ASSETS_AWS_BUCKET": "a-bucket", "STOCK_ASSETS_AWS_REGION": "eu-central-1"}


TRINO = {"STOCK_ASSETS_BACKEND": "trino", "STOCK_ASSETS_TRINO_URL": "https://trino.example:8443/"}


def test_the_trino_home_is_made_of_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    more = {
        "STOCK_ASSETS_TRINO_USER": "prices",
        "STOCK_ASSETS_TRINO_CATALOG": "lake",
        "STOCK_ASSETS_TRINO_HIVE_CATALOG": "files",
        "STOCK_ASSETS_TRINO_SCAN_LIMIT_MB": "100",
        "STOCK_ASSETS_TRINO_QUERY_TIMEOUT_SECONDS": "60",
    }
    for name, value in {**AWS, **TRINO, **more}.items():
        monkeypatch.setenv(name, value)

    backend = Pipeline.from_settings(Settings.from_env()).backend

    assert isinstance(backend, TrinoBackend)
    assert (backend.url, backend.user, backend.catalog, backend.hive_catalog) == (
        "https://trino.example:8443",
        "prices",
        "lake",
        "files",
    )
    assert (backend.bucket, backend.prefix) == ("a-bucket", "stock_assets/recorded")
    assert (backend.scan_limit, backend.query_timeout_seconds) == (100 * 1024 * 1024, 60)


def test_the_trino_home_says_how_to_get_its_client(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**AWS, **TRINO}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(sys.modules, "stock_assets.backends.trino.backend", None)

    with pytest.raises(SettingsError, match=r"stock-assets\[trino\]"):
        Pipeline.from_settings(Settings.from_env())


def test_the_aws_home_is_made_of_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    more = {
        "STOCK_ASSETS_AWS_PREFIX": "data/prices",
        "STOCK_ASSETS_AWS_DATABASE": "prices",
        "STOCK_ASSETS_AWS_WORKGROUP": "notifier",
        "STOCK_ASSETS_AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/prices",
        "STOCK_ASSETS_AWS_ENDPOINT_URL": "http://localhost:4566",
        "STOCK_ASSETS_AWS_SCAN_LIMIT_MB": "100",
        "STOCK_ASSETS_AWS_PRICE_PER_TB": "6.75",
    }
    for name, text in (AWS | more).items():
        monkeypatch.setenv(name, text)
    backend = Pipeline.from_settings(Settings.from_env()).backend
    assert isinstance(backend, AthenaBackend)
    assert backend.objects.uri("raw/x") == "s3://a-bucket/data/prices/recorded/raw/x"
    assert backend.results == "s3://a-bucket/data/prices/recorded/results/"
    assert (backend.database, backend.workgroup, backend.scan_limit) == (
        "prices_recorded",
        "notifier",
        100 * 1024 * 1024,
    )
    assert backend.access.role_arn == "arn:aws:iam::123456789012:role/prices"
    assert backend.access.endpoint_url == "http://localhost:4566"
    assert backend.price_per_terabyte == 6.75


def test_results_can_be_left_to_the_workgroup(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (AWS | {"STOCK_ASSETS_AWS_RESULTS": "workgroup"}).items():
        monkeypatch.setenv(name, text)
    backend = Pipeline.from_settings(Settings.from_env()).backend
    assert isinstance(backend, AthenaBackend)
    assert backend.results == ""


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"STOCK_ASSETS_BACKEND": "aws"}, "STOCK_ASSETS_AWS_BUCKET and STOCK_ASSETS_AWS_REGION"),
        ({"STOCK_ASSETS_BACKEND": "aws", "STOCK_ASSETS_AWS_REGION": "us-east-1"}, "needs STOCK_ASSETS_AWS_BUCKET"),
        ({"STOCK_ASSETS_AWS_BUCKET": "a-bucket"}, "set STOCK_ASSETS_BACKEND=aws, or unset it"),
        ({**AWS, "STOCK_ASSETS_BACKEND": "trino"}, "STOCK_ASSETS_BACKEND=trino needs STOCK_ASSETS_TRINO_URL"),
        ({**AWS, **TRINO, "STOCK_ASSETS_TRINO_CATALOG": "a-b"}, "STOCK_ASSETS_TRINO_CATALOG"),
        ({"STOCK_ASSETS_AWS_API_KEY_SECRET": "key"}, "needs STOCK_ASSETS_AWS_REGION"),
    ],
)
def test_an_incomplete_combination_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], says: str
) -> None:
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    with pytest.raises(SettingsError, match=says):
        Settings.from_env()


def test_definitions_of_the_aws_home_load_without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    more = {"STOCK_ASSETS_SOURCE": "alpha_vantage", "STOCK_ASSETS_AWS_API_KEY_SECRET": "key"}
    for name, text in (AWS | more).items():
        monkeypatch.setenv(name, text)
    settings = Settings.from_env()
    pipeline = Pipeline.from_settings(settings)
    assert isinstance(pipeline.backend, AthenaBackend)
    assert build_definitions(settings, pipeline=pipeline).resources


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("STOCK_ASSETS_SOURCE", "alpha_vantage", "source", SourceName.ALPHA_VANTAGE),
        ("STOCK_ASSETS_DATA_DIR", "/srv/prices", "data_dir", Path("/srv/prices")),
        ("STOCK_ASSETS_UNIVERSE", "my.csv", "universe", Path("my.csv")),
        ("STOCK_ASSETS_FIRST_SESSION", "2010-01-04", "first_session", date(2010, 1, 4)),
        ("STOCK_ASSETS_MIN_COVERAGE", "0.9", "min_coverage", 0.9),
        ("STOCK_ASSETS_MIN_COVERAGE", "1", "min_coverage", 1.0),
        ("STOCK_ASSETS_MAX_QUARANTINED_SHARE", "0", "max_quarantined_share", 0.0),
        ("STOCK_ASSETS_STAGING_RETENTION_DAYS", "30", "staging_retention_days", 30),
        ("STOCK_ASSETS_ALPHA_VANTAGE_PLAN", "premium_75", "alpha_vantage_plan", AlphaVantagePlan("premium_75")),
        ("STOCK_ASSETS_CALLS_PER_SECOND", "2", "calls_per_second", 2),
        ("STOCK_ASSETS_CALLS_PER_MINUTE", "5", "calls_per_minute", 5),
        ("STOCK_ASSETS_CALLS_PER_DAY", "500", "calls_per_day", 500),
        ("STOCK_ASSETS_SPLITS_REFRESH_DAYS", "1", "splits_refresh_days", 1),
        ("DAGSTER_HOME", "/srv/dagster", "dagster_home", Path("/srv/dagster")),
        # An empty variable is one that is not set.
        ("STOCK_ASSETS_SOURCE", "", "source", SourceName.RECORDED),
        ("DAGSTER_HOME", "", "dagster_home", None),
    ],
)
def test_variable(monkeypatch: pytest.MonkeyPatch, variable: str, text: str, field: str, value: object) -> None:
    monkeypatch.setenv(variable, text)
    assert getattr(Settings.from_env(), field) == value


@pytest.mark.parametrize(
    ("variable", "text", "says"),
    [
        ("STOCK_ASSETS_SOURCE", "yahoo", "'recorded' or 'alpha_vantage'"),
        ("STOCK_ASSETS_FIRST_SESSION", "yesterday", "date"),
        ("STOCK_ASSETS_FIRST_SESSION", "1998-12-31", "greater than or equal to 1999-01-01"),
        ("STOCK_ASSETS_MIN_COVERAGE", "0", "greater than 0"),
        ("STOCK_ASSETS_MIN_COVERAGE", "50", "less than or equal to 1"),
        ("STOCK_ASSETS_MIN_COVERAGE", "half", "valid number"),
        ("STOCK_ASSETS_MIN_COVERAGE", "nan", "less than or equal to 1"),
        ("STOCK_ASSETS_MAX_QUARANTINED_SHARE", "-0.1", "greater than or equal to 0"),
        ("STOCK_ASSETS_MAX_QUARANTINED_SHARE", "1.1", "less than or equal to 1"),
        ("STOCK_ASSETS_STAGING_RETENTION_DAYS", "0", "greater than or equal to 1"),
        ("STOCK_ASSETS_STAGING_RETENTION_DAYS", "a week", "valid integer"),
        ("STOCK_ASSETS_ALPHA_VANTAGE_BASE_URL", "alphavantage", "valid URL"),
        ("STOCK_ASSETS_ALPHA_VANTAGE_PLAN", "gold", "'free'"),
        ("STOCK_ASSETS_CALLS_PER_SECOND", "0", "greater than or equal to 1"),
        ("STOCK_ASSETS_CALLS_PER_MINUTE", "many", "valid integer"),
        ("STOCK_ASSETS_CALLS_PER_DAY", "-1", "greater than or equal to 1"),
        ("STOCK_ASSETS_SPLITS_REFRESH_DAYS", "0", "greater than or equal to 1"),
    ],
)
def test_a_bad_value_is_named_with_what_the_variable_takes(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, says: str
) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(SettingsError) as raised:
        Settings.from_env()
    assert f"{variable}: " in str(raised.value)
    assert says in str(raised.value)


def test_all_bad_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOCK_ASSETS_SOURCE", "yahoo")
    monkeypatch.setenv("STOCK_ASSETS_MIN_COVERAGE", "2")
    with pytest.raises(SettingsError, match=r"STOCK_ASSETS_SOURCE.*STOCK_ASSETS_MIN_COVERAGE"):
        Settings.from_env()


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings.from_env().source = SourceName.ALPHA_VANTAGE  # type: ignore[misc]  # what is tested


def test_sources_have_folders_of_their_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STOCK_ASSETS_DATA_DIR", str(tmp_path))
    recorded = Settings.from_env()
    monkeypatch.setenv("STOCK_ASSETS_SOURCE", "alpha_vantage")
    live = Settings.from_env()
    assert (recorded.root, live.root) == (tmp_path / "recorded", tmp_path / "alpha_vantage")
    assert live.instance_dir == tmp_path / "alpha_vantage" / "dagster_home"


def test_dagster_s_own_variable_moves_its_folder_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("STOCK_ASSETS_DAGSTER_HOME", "/not/read")
    settings = Settings.from_env()
    assert settings.instance_dir == tmp_path
    assert settings.root == Path.cwd() / "data" / "recorded"


def test_the_source_picks_the_universe_unless_one_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert len(Pipeline.from_settings(Settings.from_env()).universe.symbols) == 5
    monkeypatch.setenv("STOCK_ASSETS_SOURCE", "alpha_vantage")
    assert len(Pipeline.from_settings(Settings.from_env()).universe.symbols) == 20
    monkeypatch.setenv("STOCK_ASSETS_UNIVERSE", str(tmp_path / "none.csv"))
    with pytest.raises(SettingsError, match=r"none\.csv cannot be read"):
        Pipeline.from_settings(Settings.from_env())


def test_a_first_session_after_the_end_of_the_source_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOCK_ASSETS_FIRST_SESSION", "2013-03-04")
    with pytest.raises(SettingsError, match=r"STOCK_ASSETS_FIRST_SESSION is 2013-03-04.*ends 2013-03-01; set an ea"):
        build_definitions(Settings.from_env())


READERS = {"environ", "environb", "getenv", "getenvb"}


def reads_of_the_environment(source: str) -> list[str]:
    """List every mention of the environment, however it is imported."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in READERS:
            found.append(node.attr)
        if isinstance(node, ast.ImportFrom):
            found += [alias.name for alias in node.names if alias.name in READERS or alias.name == "BaseSettings"]
    return found


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos.environ['A']",
        "import os as system\nsystem.getenv('A')",
        "from os import environ",
        "from os import getenv as read",
        "from pydantic_settings import BaseSettings",
    ],
)
def test_the_scan_finds(source: str) -> None:
    assert len(reads_of_the_environment(source)) == 1


def test_settings_is_the_only_reader_of_the_environment() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix(): reads
        for path in sorted(PACKAGE.rglob("*.py"))
        if (reads := reads_of_the_environment(path.read_text(encoding="utf-8")))
    }
    # The command line hands the whole environment on to the program that takes its place; the event log hands Dagster
    # a setting of Dagster's that has no other form.
    assert found == {
        "cli.py": ["environ"],
        "instance/event_log.py": ["environ"],
        "settings.py": ["BaseSettings"],
    }
