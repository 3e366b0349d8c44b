"""The settings, read from environment variables and a `.env` file; no other module reads the environment.

Belongs here: every setting with its default, its unit and its description, which combinations are invalid, and the
secrets that are read from the environment when they are needed. Does not belong here: constructing anything from the
settings (`pipeline`).

The API key and Trino's password are no settings: they are read when a request is sent, so that they are never part of a
definition or of a run's record.
"""

import os
import re
from collections.abc import Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Self

from pydantic import Field, HttpUrl, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from stock_assets.core.calendar import CALENDAR_START
from stock_assets.core.env_file import find_upwards, read_env_file
from stock_assets.core.errors import SettingsError
from stock_assets.core.folder_names import why_not_for_dagster, why_not_for_tables

_PREFIX = "STOCK_ASSETS_"
API_KEY_VARIABLE = "ALPHAVANTAGE_API_KEY"
"""Environment variable of the API key; its name, never its value, is part of definitions."""
_TRINO_PASSWORD_VARIABLE = f"{_PREFIX}TRINO_PASSWORD"
_ENV_FILE_VARIABLE = f"{_PREFIX}ENV_FILE"

_NAME = "[a-z][a-z0-9_]{0,29}"
_NOT_A_NAME = frozenset({"raw", "staged", "published", "reports", "grafana", "vendor"})
"""Schemas and groups: a universe cannot have their names, or the names of sources, which are folders."""
_RENAMED = {f"{_PREFIX}HOME": f"{_PREFIX}BACKEND"}
"""Settings of earlier releases and their names today. Entries are never removed."""
_READ_ELSEWHERE = frozenset(
    {
        _TRINO_PASSWORD_VARIABLE,
        _ENV_FILE_VARIABLE,
        # Read by Grafana: infra/grafana/provisioning/datasources/athena.yaml.
        f"{_PREFIX}ATHENA_DATABASE",
        f"{_PREFIX}ATHENA_WORKGROUP",
    }
)
_PREFIXES_READ_ELSEWHERE = (
    f"{_PREFIX}DAGSTER_",  # Dagster's configuration files, such as infra/aws/dagster.yaml
    f"{_PREFIX}TEST_",  # the tests
)


class SourceName(StrEnum):
    """Names of the sources of prices."""

    RECORDED = "recorded"
    ALPHA_VANTAGE = "alpha_vantage"


class AlphaVantagePlan(StrEnum):
    """Plan of the API key; the number in a paid plan's name is its calls per minute."""

    FREE = "free"
    PREMIUM_75 = "premium_75"
    PREMIUM_150 = "premium_150"
    PREMIUM_300 = "premium_300"
    PREMIUM_600 = "premium_600"
    PREMIUM_1200 = "premium_1200"


class BackendName(StrEnum):
    """Names of the backends."""

    LOCAL = "local"
    AWS = "aws"
    TRINO = "trino"


class EventLog(StrEnum):
    """Event log storages of the local Dagster instance."""

    OPTIMIZED = "optimized"
    BUILTIN = "builtin"


class Settings(BaseSettings):
    """All settings: each is read from the variable named `STOCK_ASSETS_` and the field's name in capitals."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    source: SourceName = Field(
        default=SourceName.RECORDED,
        description="Where prices come from. `recorded`: a sample of real prices, needs no key. `alpha_vantage`: the "
        "vendor's API.",
    )
    backend: BackendName = Field(
        default=BackendName.LOCAL,
        description="Where data live and SQL runs. `local`: files on this machine. `aws`: S3, Glue and Athena; see "
        "docs/aws.md. `trino`: S3 and Glue with your own Trino cluster; see docs/engines.md.",
    )
    data_dir: Path = Field(
        default=Path("data"),
        description="Folder of the local backend's data. Each source has its own folder inside. Its name cannot "
        "contain `?`, `#`, line breaks, tabs, or a percent sign before two hexadecimal digits.",
    )
    memory_limit_mb: int = Field(
        default=1000,
        ge=100,
        description="Memory in MB that DuckDB may use for one load or query of the local backend; larger intermediate "
        "results are written to temporary files beside the load's staged rows. A load of more than 1,000 rows per MB "
        "is staged and audited in chunks of symbols.",
    )
    universe: Path | None = Field(
        default=None,
        description="CSV file of symbols. Default: the 5 symbols of the recorded sample, or 20 semiconductor stocks "
        "for `alpha_vantage`.",
    )
    universes: Annotated[tuple[Path, ...], NoDecode] = Field(
        default=(),
        description="CSV files of several universes in one deployment, separated by commas. The name of a file without "
        "its ending is the name of its universe, such as `banks` for `banks.csv`; see docs/universes.md. If "
        f"`{_PREFIX}UNIVERSE` is set too, its universe is one more, without a name.",
    )
    universe_name: str = Field(
        default="",
        pattern=rf"^({_NAME})?$",
        description="Which of several universes a command uses; the option `--universe` sets it. Without "
        f"`{_PREFIX}UNIVERSES`, the name of the only universe. Names of assets, jobs and alerts begin with it.",
    )
    first_session: date = Field(
        default=date(2000, 3, 1),
        ge=CALENDAR_START,
        description="Earliest trading session that can be loaded: the first daily partition.",
    )
    closures: Annotated[tuple[date, ...], NoDecode] = Field(
        default=(),
        description="Days on which the exchange is closed although this release does not know it yet (a day of "
        "mourning, a storm), such as `2026-12-09,2026-12-10`. They are no trading sessions.",
    )
    min_coverage: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Smallest share of the listed symbols that must have a bar in a session. With less, the session is "
        "not published.",
    )
    max_quarantined_share: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="Largest share of a session's symbols that may be quarantined. With more, and with at least two "
        "symbols, the session is not published.",
    )
    accept_revised_history: str = Field(
        default="",
        description="Symbols, separated by commas, for which a response is accepted although it changes most of the "
        "stored bars. Without it, such a response is stored and reported, and replaces nothing.",
    )
    staging_retention_days: int = Field(
        default=7,
        ge=1,
        description="Days after which maintenance deletes the staging tables of a load.",
    )
    snapshot_retention_days: int = Field(
        default=30,
        ge=1,
        description="Days in which you can roll a published table back to a snapshot. Maintenance then expires it.",
    )
    run_retention_days: int = Field(
        default=90,
        ge=1,
        description="Days after which maintenance deletes a Dagster run. A run whose results the UI still shows stays "
        "without its log.",
    )
    event_log: EventLog = Field(
        default=EventLog.OPTIMIZED,
        description="Event log storage of the local Dagster instance. `optimized`: this project's faster version of "
        "Dagster's SQLite storage. `builtin`: Dagster's own, slower; use it if a new version of Dagster has a problem "
        "with the optimized one.",
    )
    code_url: HttpUrl | None = Field(
        default=None,
        description="Address of this repository at a code host, for links from the UI to the code. Default: links to "
        "local files.",
    )
    catch_up_sessions: int = Field(
        default=100,
        ge=1,
        description="Number of latest sessions that the catch-up sensor completes. Older gaps need a backfill.",
    )
    alpha_vantage_base_url: HttpUrl = Field(
        default=HttpUrl("https://www.alphavantage.co"),
        description="Address of the vendor's API. Set it to the address of a test server to try the source without a "
        "key.",
    )
    alpha_vantage_plan: AlphaVantagePlan = Field(
        default=AlphaVantagePlan.FREE,
        description="Plan of your API key: `free` (25 calls per day, latest 100 bars) or `premium_75` to "
        "`premium_1200` (full history; the number is the calls per minute).",
    )
    calls_per_second: int | None = Field(
        default=None, ge=1, description="Most calls to the vendor in any second. Default: the limit of the plan."
    )
    calls_per_minute: int | None = Field(
        default=None, ge=1, description="Most calls to the vendor in any minute. Default: the limit of the plan."
    )
    calls_per_day: int | None = Field(
        default=None, ge=1, description="Most calls to the vendor in one quota day. Default: the limit of the plan."
    )
    splits_refresh_days: int = Field(
        default=7, ge=1, description="Days after which the splits of a symbol are requested again."
    )

    ui_url: HttpUrl = Field(
        default=HttpUrl("http://localhost:3000"), description="Address of the Dagster UI, for links in alerts."
    )
    grafana_url: HttpUrl | None = Field(
        default=None, description="Address of Grafana, for links from the dashboard assets in the UI."
    )
    alert_webhook_url: SecretStr | None = Field(
        default=None,
        description="Address to which alerts are posted as JSON with a `text` (Slack, Mattermost). It is a secret.",
    )
    alert_urls: SecretStr | None = Field(
        default=None,
        description="Services that receive alerts: one or more URLs of apprise, separated by blanks (Slack, Teams, "
        "e-mail, PagerDuty, Telegram and others: https://appriseit.com/services). They are secrets. Needs "
        "`pip install 'stock-assets[alerts]'`.",
    )
    alert_topic_arn: str | None = Field(
        default=None,
        pattern=r"^arn:[a-z-]+:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+$",
        description="ARN of the SNS topic to which alerts are published.",
    )

    aws_bucket: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
        description="S3 bucket of the data. Required by the backends `aws` and `trino`.",
    )
    aws_region: str | None = Field(
        default=None,
        pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$",
        description="AWS region of the bucket. Required by the backends `aws` and `trino`.",
    )
    aws_prefix: str = Field(
        default="stock_assets",
        pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$",
        description="Folder in the bucket. Each source has its own folder inside.",
    )
    aws_database: str = Field(
        default="stock_assets",
        pattern=r"^[a-z][a-z0-9_]{0,63}$",
        description="First part of the names of the Glue databases. The names of the source and the schema follow.",
    )
    aws_workgroup: str = Field(
        default="primary", pattern=r"^[A-Za-z0-9._-]{1,128}$", description="Athena workgroup that runs the statements."
    )
    aws_results: str | None = Field(
        default=None,
        pattern=r"^(s3://[a-z0-9.-]+/.*|workgroup)$",
        description="Where Athena writes query results: an `s3://` address, or `workgroup` for the workgroup's own "
        "location. Default: `results/` in the pipeline's folder of the bucket.",
    )
    aws_role_arn: str | None = Field(
        default=None,
        pattern=r"^arn:[a-z-]+:iam::[0-9]{12}:role/.+$",
        description="ARN of the IAM role to assume for all AWS calls. Default: the credentials of the environment.",
    )
    aws_kms_key: str | None = Field(
        default=None, description="KMS key that encrypts objects and results. Default: S3's own keys (SSE-S3)."
    )
    aws_endpoint_url: HttpUrl | None = Field(
        default=None, description="Address of an AWS emulator. Default: the real AWS services."
    )
    aws_api_key_secret: str | None = Field(
        default=None,
        description="Name or ARN of the Secrets Manager secret that holds the vendor's API key. Default: the key is "
        f"read from `{API_KEY_VARIABLE}`.",
    )
    aws_lambda_function: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9:_-]+$",
        description="Name or ARN of the Lambda function that requests prices for `raw/daily_prices`. Default: each run "
        "requests them itself.",
    )
    aws_pipes_bucket: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
        description="Bucket of the messages that the Lambda function writes for Dagster. Required by "
        f"`{_PREFIX}AWS_LAMBDA_FUNCTION`.",
    )
    aws_landing_queue_url: HttpUrl | None = Field(
        default=None,
        description="Address of an SQS queue that receives the bucket's notifications about landing files. The sensor "
        "`landing_files` then lists files only after a message, and once a day. Default: it lists them every minute.",
    )
    aws_metrics_namespace: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./#-]{0,254}$",
        description="Namespace in CloudWatch to which the sensor `metrics` sends a heartbeat, the failed runs and the "
        "late sessions. Default: no metrics are sent.",
    )
    aws_scan_limit_mb: int | None = Field(
        default=None, ge=10, description="MiB that one Athena statement may read. Default: the workgroup's limit."
    )
    aws_query_timeout_seconds: int = Field(
        default=1800, ge=10, description="Seconds after which a running Athena statement is stopped."
    )
    aws_price_per_tb: float = Field(
        default=5.0, ge=0, description="USD per TiB that Athena reads, for cost estimates. The price differs by region."
    )

    trino_url: HttpUrl | None = Field(
        default=None, description="Address of Trino's coordinator. Required by the backend `trino`."
    )
    trino_user: str = Field(default="stock-assets", min_length=1, description="User name sent to Trino.")
    trino_catalog: str = Field(
        default="iceberg",
        pattern=r"^[a-z][a-z0-9_]*$",
        description="Name of Trino's catalog with the Iceberg connector.",
    )
    trino_hive_catalog: str = Field(
        default="hive", pattern=r"^[a-z][a-z0-9_]*$", description="Name of Trino's catalog with the Hive connector."
    )
    trino_scan_limit_mb: int | None = Field(
        default=None, ge=10, description="MiB that one Trino statement may read. Default: the server's limit."
    )
    trino_query_timeout_seconds: int = Field(
        default=1800, ge=10, description="Seconds after which a running Trino statement is stopped."
    )

    dagster_home: Path | None = Field(
        default=None,
        validation_alias="DAGSTER_HOME",
        description="Folder of the Dagster instance (runs, events). Default: `dagster_home` in the source's folder of "
        f"`{_PREFIX}DATA_DIR`.",
    )

    @field_validator("alert_urls")
    @classmethod
    def _check_urls(cls, value: SecretStr | None) -> SecretStr | None:
        for number, url in enumerate(value.get_secret_value().split() if value else [], start=1):
            if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://.", url):
                # Without the text, which may be part of a secret.
                raise ValueError(f"URL {number} has no scheme such as slack://; separate URLs by blanks")
        return value

    @field_validator("closures", "universes", mode="before")
    @classmethod
    def _split_list(cls, value: object) -> object:
        return [day.strip() for day in value.split(",") if day.strip()] if isinstance(value, str) else value

    @field_validator("universes")
    @classmethod
    def _check_files(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
        names = [file.stem for file in value]
        for file in value:
            if not re.fullmatch(_NAME, file.stem):
                raise ValueError(
                    f"{file}: a universe cannot be named {file.stem!r}; rename the file to at most 30 lower-case "
                    "letters, digits and underscores, the first one a letter"
                )
            if names.count(file.stem) > 1:
                raise ValueError(f"two universes are named {file.stem!r}; rename one of the files")
        return value

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        for name in [self.universe_name, *(file.stem for file in self.universes)]:
            if name in _NOT_A_NAME or name in set(SourceName):
                raise ValueError(f"{_PREFIX}UNIVERSES: a universe cannot be named {name!r}; choose another name")
        return self

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        required = ["aws_bucket", "aws_region"] + (["trino_url"] if self.backend is BackendName.TRINO else [])
        missing = [environment_variable(name) for name in required if getattr(self, name) is None]
        if self.backend is not BackendName.LOCAL and missing:
            raise ValueError(f"{_PREFIX}BACKEND={self.backend} needs {' and '.join(missing)}")
        if self.backend is BackendName.LOCAL and self.aws_bucket is not None:
            raise ValueError(
                f"{_PREFIX}AWS_BUCKET is set, but the backend is local; set {_PREFIX}BACKEND=aws, or unset "
                f"{_PREFIX}AWS_BUCKET"
            )
        if (self.aws_lambda_function is None) != (self.aws_pipes_bucket is None):
            raise ValueError(
                f"{_PREFIX}AWS_LAMBDA_FUNCTION and {_PREFIX}AWS_PIPES_BUCKET need each other; set both, or none"
            )
        if self.aws_lambda_function is not None and (
            self.backend is BackendName.LOCAL or self.source is not SourceName.ALPHA_VANTAGE
        ):
            raise ValueError(
                f"{_PREFIX}AWS_LAMBDA_FUNCTION needs a vendor and a bucket; set {_PREFIX}SOURCE=alpha_vantage and "
                f"{_PREFIX}BACKEND=aws, or unset {_PREFIX}AWS_LAMBDA_FUNCTION"
            )
        if self.backend is BackendName.LOCAL and self.aws_landing_queue_url is not None:
            raise ValueError(
                f"{_PREFIX}AWS_LANDING_QUEUE_URL is set, but the backend is local; set {_PREFIX}BACKEND=aws, or unset "
                f"{_PREFIX}AWS_LANDING_QUEUE_URL"
            )
        if self.aws_metrics_namespace is not None and self.aws_region is None:
            raise ValueError(f"{_PREFIX}AWS_METRICS_NAMESPACE needs {_PREFIX}AWS_REGION")
        if self.aws_api_key_secret is not None and self.aws_region is None:
            raise ValueError(f"{_PREFIX}AWS_API_KEY_SECRET needs {_PREFIX}AWS_REGION")
        return self

    @model_validator(mode="after")
    def _check_folders(self) -> Self:
        data = environment_variable("data_dir")
        home = environment_variable("dagster_home") if self.dagster_home else data
        tables = why_not_for_tables(self.root) if self.backend is BackendName.LOCAL else ""
        for variable, folder, reason in (
            (data, self.root, tables),
            (home, self.instance_dir, why_not_for_dagster(self.instance_dir)),
        ):
            if reason:
                raise ValueError(f"{variable}: {str(folder)!r} cannot be used: {reason}. Choose another folder.")
        return self

    @property
    def universe_file(self) -> Path | None:
        """CSV file of the symbols of this universe; None for the one of the package."""
        return next((file for file in self.universes if file.stem == self.universe_name), self.universe)

    @property
    def instance_dir(self) -> Path:
        """Folder of the Dagster instance; the universes of a deployment share it."""
        return (self.dagster_home or self.shared_root / "dagster_home").absolute()

    @property
    def root(self) -> Path:
        """Folder of the local backend; each source and universe has its own, so that their data never mix."""
        return (self.data_dir / self.universe_name / self.source.value).absolute()

    @property
    def shared_root(self) -> Path:
        """Folder of what all universes of a source share: the calls of the API key, and by default the instance."""
        return (self.data_dir / self.source.value).absolute()

    @classmethod
    def from_env(cls, given: Mapping[str, object] = MappingProxyType({})) -> Self:
        """Return the settings of one universe: the selected one, or the one without a name.

        Args:
            given: values by the names of the fields; they replace those of the environment.

        Raises:
            SettingsError: as `all_from_env`, or no universe has the selected name.
        """
        selected = cls._read(given)
        found = {each.universe_name: each for each in selected.of_each_universe()}
        if selected.universe_name in found:
            return found[selected.universe_name]
        name = selected.universe_name
        problem = f"No universe is named {name!r}." if name else "There are several universes."
        raise SettingsError(f"{problem} Choose one with --universe: {', '.join(filter(None, found))}.")

    @classmethod
    def all_from_env(cls) -> list[Self]:
        """Return the settings of each universe of the deployment.

        Raises:
            SettingsError: a variable is unknown, a value is invalid, or a combination is; the message names the
                variables and what to set.
        """
        return cls._read({}).of_each_universe()

    def of_each_universe(self) -> list[Self]:
        """Return the settings of each universe, the one without a name first."""
        if not self.universes:
            return [self]
        names = [*([""] if self.universe else []), *(file.stem for file in self.universes)]
        return [self.model_copy(update={"universe_name": name}) for name in names]

    @classmethod
    def _read(cls, given: Mapping[str, object]) -> Self:
        """Read what is not given from the environment, and what it does not set from the nearest `.env` file."""
        file, of_file = _env_file()
        problems = [_unknown_variable(name) for name in sorted({*os.environ, *of_file}) if not _is_known(name)]
        values: dict[str, Any] = {
            str(field.validation_alias or name): of_file[environment_variable(name)]
            for name, field in cls.model_fields.items()
            if environment_variable(name) in of_file
        } | dict(given)
        try:
            settings = cls(**values)
            if "data_dir" not in settings.model_fields_set:
                folders = [each.root.relative_to(Path.cwd()) for each in settings.of_each_universe()]
                settings = cls(**values, data_dir=_default_data_dir(file, folders))
        except ValidationError as error:
            problems += [_invalid_value(problem) for problem in error.errors()]
            raise SettingsError("; ".join(problems)) from error
        if problems:
            raise SettingsError("; ".join(problems))
        return settings


def environment_variable(field: str) -> str:
    """Return the name of the environment variable that sets a field of `Settings`."""
    return str(Settings.model_fields[field].validation_alias or f"{_PREFIX}{field.upper()}")


def read_api_key() -> str:
    """Return the API key of Alpha Vantage, or an empty text; called when a request is sent."""
    return _read_secret(API_KEY_VARIABLE)


def read_trino_password() -> str:
    """Return the Trino user's password, or an empty text; called when a statement is sent."""
    return _read_secret(_TRINO_PASSWORD_VARIABLE)


def _read_secret(variable: str) -> str:
    return os.environ.get(variable) or _env_file()[1].get(variable, "")


def _env_file() -> tuple[Path | None, dict[str, str]]:
    """Return the `.env` file, and its variables that the environment does not set; paths relative to the file."""
    named = os.environ.get(_ENV_FILE_VARIABLE)
    file = Path(named) if named else find_upwards(Path.cwd(), ".env")
    if file is None:
        return None, {}
    values = {name: value for name, value in read_env_file(file).items() if not os.environ.get(name)}
    for name in ("data_dir", "universe", "universes", "dagster_home"):
        variable = environment_variable(name)
        if variable in values:
            paths = values[variable].split(",") if name == "universes" else [values[variable]]
            values[variable] = ",".join(str(file.absolute().parent / path.strip()) for path in paths if path.strip())
    return file.absolute(), values


def select_universe(name: str) -> None:
    """Select one of several universes for this process and those that it starts."""
    os.environ[environment_variable("universe_name")] = name


def _default_data_dir(file: Path | None, folders: Sequence[Path]) -> Path:
    """Return the folder `data` nearest to the working directory with one of some data folders, or where it would be."""
    # The layout version is the first file of a data folder (`backends.layout`).
    layouts = [(folder, find_upwards(Path.cwd(), f"{folder.as_posix()}/layout.json")) for folder in folders]
    found = next((layout.parents[len(folder.parts) - 1] for folder, layout in layouts if layout is not None), None)
    if found is None:
        found = (file.parent if file is not None and file.name == ".env" else Path.cwd()) / "data"
    return Path("data") if found == Path.cwd() / "data" else found


def _setting_variables() -> list[str]:
    return [environment_variable(field) for field in Settings.model_fields]


def _is_known(name: str) -> bool:
    # Settings are read from names in any case.
    name = name.upper()
    return (
        not name.startswith(_PREFIX)
        or name.startswith(_PREFIXES_READ_ELSEWHERE)
        or name in _READ_ELSEWHERE
        or name in _setting_variables()
    )


def _unknown_variable(name: str) -> str:
    if renamed := _RENAMED.get(name.upper()):
        return f"{name} is not a setting; it is now {renamed}"
    # Without the prefix, which all names share and which would make any two of them look alike.
    known = [variable.removeprefix(_PREFIX) for variable in [*_setting_variables(), *_READ_ELSEWHERE]]
    closest = get_close_matches(name.upper().removeprefix(_PREFIX), known, n=1)
    remedy = f"did you mean {_PREFIX}{closest[0]}?" if closest else "unset it; docs/settings.md lists all settings"
    return f"{name} is not a setting; {remedy}"


def _invalid_value(problem: ErrorDetails) -> str:
    """Format one problem, beginning with the name of the variable."""
    if problem["loc"]:
        field = str(problem["loc"][0])
        # The location of a field with an alias is the alias, which is the variable itself.
        return f"{environment_variable(field) if field in Settings.model_fields else field}: {problem['msg']}"
    # An invalid combination has no field; its message begins with a variable, behind pydantic's own words.
    return problem["msg"].removeprefix("Value error, ")
