"""Settings: each variable works, each problem names its variable, and no other module reads the environment."""

import ast
import re
import sys
from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

import stock_assets
from stock_assets.backends.athena.backend import AthenaBackend
from stock_assets.backends.trino.backend import TrinoBackend
from stock_assets.core.calendar import is_session
from stock_assets.core.errors import BadKey, SettingsError
from stock_assets.orchestration.build import build_definitions
from stock_assets.orchestration.keys import RAW_PRICES
from stock_assets.pipeline import Pipeline
from stock_assets.settings import (
    API_KEY_VARIABLE,
    AlphaVantagePlan,
    EventLog,
    Settings,
    SourceName,
    environment_variable,
)
from stock_assets.sources.alpha_vantage import AlphaVantageSource

PACKAGE = Path(stock_assets.__file__).parent


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the settings of the machine."""
    for field in Settings.model_fields:
        monkeypatch.delenv(environment_variable(field), raising=False)


def test_no_variable_is_required() -> None:
    settings = Settings.from_env()
    assert settings.source is SourceName.RECORDED
    assert settings.root == Path.cwd() / "data" / "recorded"
    assert settings.instance_dir == settings.root / "dagster_home"


AWS = {"STOCK_ASSETS_BACKEND": "aws", "STOCK_ASSETS_AWS_BUCKET": "a-bucket", "STOCK_ASSETS_AWS_REGION": "eu-central-1"}
TRINO = {"STOCK_ASSETS_BACKEND": "trino", "STOCK_ASSETS_TRINO_URL": "https://trino.example:8443/"}


def test_settings_configure_the_trino_backend(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_missing_trino_client_is_an_error_that_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**AWS, **TRINO}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(sys.modules, "stock_assets.backends.trino.backend", None)

    with pytest.raises(SettingsError, match=r"stock-assets\[trino\]"):
        Pipeline.from_settings(Settings.from_env())


def test_settings_configure_the_aws_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    more = {
        "STOCK_ASSETS_AWS_PREFIX": "data/prices",
        "STOCK_ASSETS_AWS_DATABASE": "prices",
        "STOCK_ASSETS_AWS_WORKGROUP": "analysts",
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
        "analysts",
        100 * 1024 * 1024,
    )
    assert backend.access.role_arn == "arn:aws:iam::123456789012:role/prices"
    assert backend.access.endpoint_url == "http://localhost:4566"
    assert backend.price_per_terabyte == 6.75


def test_the_workgroup_can_determine_the_location_of_results(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (AWS | {"STOCK_ASSETS_AWS_RESULTS": "workgroup"}).items():
        monkeypatch.setenv(name, text)
    backend = Pipeline.from_settings(Settings.from_env()).backend
    assert isinstance(backend, AthenaBackend)
    assert backend.results == ""


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"STOCK_ASSETS_BACKEND": "aws"}, "needs STOCK_ASSETS_AWS_BUCKET and STOCK_ASSETS_AWS_REGION"),
        ({"STOCK_ASSETS_BACKEND": "aws", "STOCK_ASSETS_AWS_REGION": "us-east-1"}, "needs STOCK_ASSETS_AWS_BUCKET"),
        ({"STOCK_ASSETS_AWS_BUCKET": "a-bucket"}, "set STOCK_ASSETS_BACKEND=aws, or unset STOCK_ASSETS_AWS_BUCKET"),
        ({**AWS, "STOCK_ASSETS_BACKEND": "trino"}, "BACKEND=trino needs STOCK_ASSETS_TRINO_URL"),
        ({**AWS, **TRINO, "STOCK_ASSETS_TRINO_CATALOG": "a-b"}, "TRINO_CATALOG: String should match"),
        ({"STOCK_ASSETS_AWS_API_KEY_SECRET": "key"}, "needs STOCK_ASSETS_AWS_REGION"),
    ],
)
def test_the_error_of_an_incomplete_combination_names_the_variables_to_set(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str
) -> None:
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    with pytest.raises(SettingsError, match=f"^STOCK_ASSETS_.*{message}"):
        Settings.from_env()


def test_definitions_of_the_aws_backend_load_without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
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
        ("STOCK_ASSETS_CLOSURES", "2026-12-09, 2026-12-10", "closures", (date(2026, 12, 9), date(2026, 12, 10))),
        ("STOCK_ASSETS_CLOSURES", "", "closures", ()),
        ("STOCK_ASSETS_MIN_COVERAGE", "0.9", "min_coverage", 0.9),
        ("STOCK_ASSETS_MIN_COVERAGE", "1", "min_coverage", 1.0),
        ("STOCK_ASSETS_MAX_QUARANTINED_SHARE", "0", "max_quarantined_share", 0.0),
        ("STOCK_ASSETS_STAGING_RETENTION_DAYS", "30", "staging_retention_days", 30),
        ("STOCK_ASSETS_ALPHA_VANTAGE_PLAN", "premium_75", "alpha_vantage_plan", AlphaVantagePlan("premium_75")),
        ("STOCK_ASSETS_CALLS_PER_SECOND", "2", "calls_per_second", 2),
        ("STOCK_ASSETS_CALLS_PER_MINUTE", "5", "calls_per_minute", 5),
        ("STOCK_ASSETS_CALLS_PER_DAY", "500", "calls_per_day", 500),
        ("STOCK_ASSETS_SPLITS_REFRESH_DAYS", "1", "splits_refresh_days", 1),
        ("STOCK_ASSETS_EVENT_LOG", "builtin", "event_log", EventLog.BUILTIN),
        ("DAGSTER_HOME", "/srv/dagster", "dagster_home", Path("/srv/dagster")),
        # An empty variable counts as not set.
        ("STOCK_ASSETS_SOURCE", "", "source", SourceName.RECORDED),
        ("DAGSTER_HOME", "", "dagster_home", None),
    ],
)
def test_a_variable_sets_its_field(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, field: str, value: object
) -> None:
    monkeypatch.setenv(variable, text)
    assert getattr(Settings.from_env(), field) == value


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("STOCK_ASSETS_SOURCE", "yahoo", "'recorded' or 'alpha_vantage'"),
        ("STOCK_ASSETS_FIRST_SESSION", "yesterday", "date"),
        ("STOCK_ASSETS_FIRST_SESSION", "1998-12-31", "greater than or equal to 1999-01-01"),
        ("STOCK_ASSETS_CLOSURES", "tomorrow", "date"),
        ("STOCK_ASSETS_CLOSURES", "2026-12-09;2026-12-10", "date"),
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
        ("STOCK_ASSETS_EVENT_LOG", "fast", "'optimized' or 'builtin'"),
    ],
)
def test_the_error_of_an_invalid_value_names_the_variable_and_valid_values(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, message: str
) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(SettingsError) as raised:
        Settings.from_env()
    assert str(raised.value).startswith(f"{variable}: ")
    assert message in str(raised.value)


def test_one_error_names_all_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOCK_ASSETS_SOURCE", "yahoo")
    monkeypatch.setenv("STOCK_ASSETS_MIN_COVERAGE", "2")
    monkeypatch.setenv("STOCK_ASSETS_UNIVERS", "my.csv")
    with pytest.raises(SettingsError, match=r"STOCK_ASSETS_UNIVERS.*STOCK_ASSETS_SOURCE.*STOCK_ASSETS_MIN_COVERAGE"):
        Settings.from_env()


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("STOCK_ASSETS_HOME", "STOCK_ASSETS_HOME is not a setting; it is now STOCK_ASSETS_BACKEND"),
        ("STOCK_ASSETS_BACKENDS", "STOCK_ASSETS_BACKENDS is not a setting; did you mean STOCK_ASSETS_BACKEND?"),
        ("STOCK_ASSETS_AWS_REGOIN", "STOCK_ASSETS_AWS_REGOIN is not a setting; did you mean STOCK_ASSETS_AWS_REGION?"),
        (
            "STOCK_ASSETS_TRINO_PASSWD",
            "STOCK_ASSETS_TRINO_PASSWD is not a setting; did you mean STOCK_ASSETS_TRINO_PASS",
        ),
        ("STOCK_ASSETS_XYZZY", "STOCK_ASSETS_XYZZY is not a setting; unset it; docs/settings.md lists all settings"),
        ("stock_assets_home", "stock_assets_home is not a setting; it is now STOCK_ASSETS_BACKEND"),
    ],
)
def test_an_unknown_variable_is_an_error_that_suggests_a_setting(
    monkeypatch: pytest.MonkeyPatch, variable: str, message: str
) -> None:
    monkeypatch.setenv(variable, "aws")
    with pytest.raises(SettingsError) as raised:
        Settings.from_env()
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    "variable",
    [
        "STOCK_ASSETS_DAGSTER_POSTGRES_URL",
        "STOCK_ASSETS_TEST_CACHE",
        "STOCK_ASSETS_TRINO_PASSWORD",
        "STOCK_ASSETS_ATHENA_DATABASE",
        "ALPHAVANTAGE_API_KEY",
        "stock_assets_source",
    ],
)
def test_variables_that_other_programs_read_are_known(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "recorded")
    assert Settings.from_env().source is SourceName.RECORDED


def test_variables_in_configuration_files_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    project = PACKAGE.parent
    files = [path for path in (project / "infra").rglob("*") if path.suffix in {".yaml", ".yml", ".json"}]
    names = {name for path in files for name in re.findall(r"STOCK_ASSETS_[A-Z_]*[A-Z]", path.read_text("utf-8"))}
    assert {"STOCK_ASSETS_DAGSTER_POSTGRES_URL", "STOCK_ASSETS_ATHENA_DATABASE"} <= names
    valid = {**AWS, "STOCK_ASSETS_SOURCE": "alpha_vantage", "STOCK_ASSETS_AWS_API_KEY_SECRET": "key"}
    for name in names:
        monkeypatch.setenv(name, valid.get(name, ""))
    assert Settings.from_env()


def test_every_setting_has_a_description() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name
        # A default of None needs words, unless the description says where the setting is required.
        if field.default is None and name not in {"grafana_url", "alert_webhook_url", "alert_urls", "alert_topic_arn"}:
            assert "Default: " in field.description or "Required " in field.description, name


def test_a_source_without_a_key_names_the_variable_that_settings_read() -> None:
    with pytest.raises(BadKey, match=f"set {API_KEY_VARIABLE}$"):
        AlphaVantageSource(base_url="", read_key=str).fetch_prices("IBM", [date(2013, 3, 1)])


def test_settings_are_immutable() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings.from_env().source = SourceName.ALPHA_VANTAGE  # type: ignore[misc]  # what is tested


def test_each_source_has_its_own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STOCK_ASSETS_DATA_DIR", str(tmp_path))
    recorded = Settings.from_env()
    monkeypatch.setenv("STOCK_ASSETS_SOURCE", "alpha_vantage")
    live = Settings.from_env()
    assert (recorded.root, live.root) == (tmp_path / "recorded", tmp_path / "alpha_vantage")
    assert live.instance_dir == tmp_path / "alpha_vantage" / "dagster_home"


def test_dagster_home_moves_the_instance_but_not_the_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("STOCK_ASSETS_DAGSTER_HOME", "/not/read")
    settings = Settings.from_env()
    assert settings.instance_dir == tmp_path
    assert settings.root == Path.cwd() / "data" / "recorded"


def test_the_source_determines_the_default_universe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert len(Pipeline.from_settings(Settings.from_env()).universe.symbols) == 5
    monkeypatch.setenv("STOCK_ASSETS_SOURCE", "alpha_vantage")
    assert len(Pipeline.from_settings(Settings.from_env()).universe.symbols) == 20
    monkeypatch.setenv("STOCK_ASSETS_UNIVERSE", str(tmp_path / "none.csv"))
    with pytest.raises(SettingsError, match=r"none\.csv cannot be read"):
        Pipeline.from_settings(Settings.from_env())


def test_a_first_session_after_the_last_session_of_the_source_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOCK_ASSETS_FIRST_SESSION", "2013-03-04")
    with pytest.raises(
        SettingsError, match=r"STOCK_ASSETS_FIRST_SESSION is 2013-03-04.*ends on 2013-03-01\. Set an ea"
    ):
        build_definitions(Settings.from_env())


ACCESSES = {"environ", "environb", "getenv", "getenvb"}


def environment_accesses(source: str) -> list[str]:
    """Return every mention of the environment, under whatever name it is imported."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in ACCESSES:
            found.append(node.attr)
        if isinstance(node, ast.ImportFrom):
            found += [alias.name for alias in node.names if alias.name in ACCESSES or alias.name == "BaseSettings"]
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
def test_the_scan_finds_every_form_of_access(source: str) -> None:
    assert len(environment_accesses(source)) == 1


def test_only_settings_read_the_environment() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix(): accesses
        for path in sorted(PACKAGE.rglob("*.py"))
        if (accesses := environment_accesses(path.read_text(encoding="utf-8")))
    }
    # The command line passes the whole environment to the program that replaces its process.
    assert found == {
        "cli/operate.py": ["environ"],
        "settings/environment.py": ["environ", "environ", "environ", "environ", "environ"],
        "settings/settings.py": ["BaseSettings"],
    }


def test_declared_closures_reach_the_calendar_and_the_partitions_of_dagster(tmp_path: Path) -> None:
    closed = date(2013, 2, 20)
    settings = Settings(data_dir=tmp_path, closures=(closed,))
    try:
        definitions = build_definitions(settings)
        assert not is_session(closed)
        partitions = definitions.resolve_asset_graph().get(RAW_PRICES).partitions_def
        assert partitions is not None
        assert "2013-02-20" not in partitions.get_partition_keys()
    finally:
        Pipeline.from_settings(Settings(data_dir=tmp_path))
    assert is_session(closed)
