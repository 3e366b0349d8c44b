"""The only reader of the environment.

Belongs here: every setting, its default, its unit, and which combinations are refused. Does not belong here:
building anything of them (`build`). The API key is not a setting: the live client reads it through a Dagster `EnvVar`
when a run asks for prices, so that it is never part of a definition.
"""

import os
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import Field, HttpUrl, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from stock_assets.core.calendar import CALENDAR_START
from stock_assets.core.errors import SettingsError

_PREFIX = "STOCK_ASSETS_"
API_KEY_VARIABLE = "ALPHAVANTAGE_API_KEY"
"""Environment variable of the API key; its name, never its value, is part of definitions."""


class SourceName(StrEnum):
    """Where prices come from."""

    RECORDED = "recorded"
    ALPHA_VANTAGE = "alpha_vantage"


class AlphaVantagePlan(StrEnum):
    """Plan of the API key, named by its price class: the calls a minute it allows."""

    FREE = "free"
    PREMIUM_75 = "premium_75"
    PREMIUM_150 = "premium_150"
    PREMIUM_300 = "premium_300"
    PREMIUM_600 = "premium_600"
    PREMIUM_1200 = "premium_1200"


class BackendName(StrEnum):
    """Where everything is kept and run."""

    LOCAL = "local"
    AWS = "aws"
    TRINO = "trino"


class EventLog(StrEnum):
    """How the local Dagster instance stores its event log."""

    OPTIMIZED = "optimized"
    BUILTIN = "builtin"


class Settings(BaseSettings):
    """Everything that can be set, by variables named `STOCK_ASSETS_` and the field's name in capitals."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    source: SourceName = Field(
        default=SourceName.RECORDED,
        description="`recorded`: a sample of real prices, no key needed. `alpha_vantage`: the live API.",
    )
    backend: BackendName = Field(
        default=BackendName.LOCAL,
        description="`local`: files of this machine. `aws`: S3, Glue and Athena; see docs/aws.md. `trino`: the same "
        "with a Trino of one's own; see docs/engines.md.",
    )
    data_dir: Path = Field(
        default=Path("data"),
        description="Folder of everything the local backend keeps; each source has its own folder inside.",
    )
    universe: Path | None = Field(
        default=None,
        description="CSV file of symbols; default: the five recorded ones, or 20 semiconductor stocks when live.",
    )
    first_session: date = Field(
        default=date(2000, 3, 1),
        ge=CALENDAR_START,
        description="First session with a partition.",
    )
    min_coverage: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Share of the listed symbols that must have a bar in each session, else nothing is published.",
    )
    max_quarantined_share: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="Share of a session's symbols that may be quarantined; above it nothing is published.",
    )
    staging_retention_days: int = Field(
        default=7,
        ge=1,
        description="Days after which the staging tables of a load are dropped.",
    )
    snapshot_retention_days: int = Field(
        default=30,
        ge=1,
        description="Days in which a version of a published table can be gone back to; then it expires.",
    )
    run_retention_days: int = Field(
        default=90,
        ge=1,
        description="Days after which a run of the Dagster instance is deleted, if nothing shown depends on it.",
    )
    event_log: EventLog = Field(
        default=EventLog.OPTIMIZED,
        description="Event log storage of the local Dagster instance. `optimized`: this project's faster version of "
        "Dagster's SQLite storage. `builtin`: Dagster's own, slower; use it if a new version of Dagster has a problem "
        "with the optimized one.",
    )
    code_url: HttpUrl | None = Field(
        default=None,
        description="Address of this repository's folder at a code host, for links from the UI; default: local files.",
    )
    catch_up_sessions: int = Field(
        default=100,
        ge=1,
        description="Latest sessions that the catch-up sensor keeps complete; older gaps are left to backfills.",
    )
    alpha_vantage_base_url: HttpUrl = Field(
        default=HttpUrl("https://www.alphavantage.co"),
        description="Where the live client asks; point it at a look-alike server to try it without a key.",
    )
    alpha_vantage_plan: AlphaVantagePlan = Field(
        default=AlphaVantagePlan.FREE,
        description="Plan of the key: `free` (25 calls a day, latest 100 bars) or `premium_75` to `premium_1200`.",
    )
    calls_per_second: int | None = Field(
        default=None, ge=1, description="Calls in any second; default: what the plan allows."
    )
    calls_per_minute: int | None = Field(
        default=None, ge=1, description="Calls in any minute; default: what the plan allows."
    )
    calls_per_day: int | None = Field(
        default=None, ge=1, description="Calls in a quota day; default: what the plan allows."
    )
    splits_refresh_days: int = Field(
        default=7, ge=1, description="Age in days at which an answer about splits is asked for again."
    )

    ui_url: HttpUrl = Field(
        default=HttpUrl("http://localhost:3000"), description="Address of the Dagster UI, for links in messages."
    )
    grafana_url: HttpUrl | None = Field(
        default=None, description="Address of Grafana, for links from the assets of its dashboards."
    )
    alert_webhook_url: SecretStr | None = Field(
        default=None, description="Where messages are posted as JSON with a `text` (Slack, Mattermost); a secret."
    )
    alert_topic_arn: str | None = Field(
        default=None,
        pattern=r"^arn:[a-z-]+:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+$",
        description="SNS topic that messages are published to.",
    )

    aws_bucket: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
        description="Bucket of the aws backend; needed there.",
    )
    aws_region: str | None = Field(
        default=None, pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$", description="Region of the aws backend; needed there."
    )
    aws_prefix: str = Field(
        default="stock_assets",
        pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$",
        description="Folder of the bucket; each source has its own folder inside.",
    )
    aws_database: str = Field(
        default="stock_assets",
        pattern=r"^[a-z][a-z0-9_]{0,63}$",
        description="What the names of the Glue databases begin with; source and step follow.",
    )
    aws_workgroup: str = Field(
        default="primary", pattern=r"^[A-Za-z0-9._-]{1,128}$", description="Workgroup of Athena."
    )
    aws_results: str | None = Field(
        default=None,
        pattern=r"^(s3://[a-z0-9.-]+/.*|workgroup)$",
        description="Where Athena puts results; default: `results/` in the backend's folder. `workgroup`: where it says.",
    )
    aws_role_arn: str | None = Field(
        default=None, pattern=r"^arn:[a-z-]+:iam::[0-9]{12}:role/.+$", description="Role to assume for the aws backend."
    )
    aws_kms_key: str | None = Field(
        default=None, description="KMS key for objects and results; default: the keys of S3 (SSE-S3)."
    )
    aws_endpoint_url: HttpUrl | None = Field(default=None, description="Address of an emulator of AWS.")
    aws_api_key_secret: str | None = Field(
        default=None, description="Name or ARN of the Secrets Manager secret that holds the live source's key."
    )
    aws_scan_limit_mb: int | None = Field(
        default=None, ge=10, description="MiB one statement may read; default: what the workgroup allows."
    )
    aws_query_timeout_seconds: int = Field(
        default=1800, ge=10, description="Seconds one statement of Athena may take; it is stopped then."
    )
    aws_price_per_tb: float = Field(
        default=5.0, ge=0, description="USD per TiB that Athena reads, for estimates; it differs between regions."
    )

    trino_url: HttpUrl | None = Field(default=None, description="Address of Trino's coordinator; needed with it.")
    trino_user: str = Field(default="stock-assets", min_length=1, description="Whom Trino is told statements are from.")
    trino_catalog: str = Field(
        default="iceberg", pattern=r"^[a-z][a-z0-9_]*$", description="Trino's catalog of the Iceberg connector."
    )
    trino_hive_catalog: str = Field(
        default="hive", pattern=r"^[a-z][a-z0-9_]*$", description="Trino's catalog of the Hive connector."
    )
    trino_scan_limit_mb: int | None = Field(
        default=None, ge=10, description="MiB one statement of Trino may read; default: what the server allows."
    )
    trino_query_timeout_seconds: int = Field(
        default=1800, ge=10, description="Seconds one statement of Trino may take; it is stopped then."
    )

    dagster_home: Path | None = Field(
        default=None,
        validation_alias="DAGSTER_HOME",
        description="Dagster's own folder (runs, events); default: `dagster_home` inside the source's folder.",
    )

    @model_validator(mode="after")
    def _home_is_complete(self) -> Self:
        lacking = [f"{_PREFIX}{name.upper()}" for name in ("aws_bucket", "aws_region") if getattr(self, name) is None]
        if self.backend is BackendName.TRINO and self.trino_url is None:
            lacking.append(f"{_PREFIX}TRINO_URL")
        if self.backend is not BackendName.LOCAL and lacking:
            raise ValueError(f"{_PREFIX}HOME={self.backend} needs {' and '.join(lacking)}")
        if self.backend is BackendName.LOCAL and self.aws_bucket is not None:
            raise ValueError(
                f"{_PREFIX}AWS_BUCKET is set, but the backend is local; set {_PREFIX}HOME=aws, or unset it"
            )
        if self.aws_api_key_secret is not None and self.aws_region is None:
            raise ValueError(f"{_PREFIX}AWS_API_KEY_SECRET needs {_PREFIX}AWS_REGION")
        return self

    @property
    def instance_dir(self) -> Path:
        """Folder of the Dagster instance."""
        return (self.dagster_home or self.root / "dagster_home").absolute()

    @property
    def root(self) -> Path:
        """Folder of the local backend: data of different sources never mix."""
        return (self.data_dir / self.source.value).absolute()

    @classmethod
    def from_env(cls) -> Self:
        """Read the environment.

        Raises:
            SettingsError: a value is unusable; the message names the variable and what it takes.
        """
        try:
            return cls()
        except ValidationError as error:
            problems = "; ".join(
                # What is wrong with a combination has no field of its own, and names its variables itself.
                f"{_PREFIX}{str(problem['loc'][0]).upper()}: {problem['msg']}" if problem["loc"] else problem["msg"]
                for problem in error.errors()
            )
            raise SettingsError(f"unusable settings: {problems}") from error


def read_api_key() -> str:
    """Return the API key of Alpha Vantage from the environment, or nothing; called when a request is sent."""
    return os.environ.get(API_KEY_VARIABLE, "")


def read_trino_password() -> str:
    """Return the password of the Trino user from the environment, or nothing; called when a statement is sent."""
    return os.environ.get("STOCK_ASSETS_TRINO_PASSWORD", "")
