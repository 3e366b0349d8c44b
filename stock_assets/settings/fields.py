"""The fields of the settings, by subject.

Belongs here: each setting with its default, its unit and its description, and which values of one field are invalid.
Does not belong here: which combinations are invalid, and what follows from several fields (`settings`).
"""

import re
from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, HttpUrl, SecretStr, field_validator
from pydantic_settings import NoDecode

from stock_assets.core.calendar import CALENDAR_START
from stock_assets.core.universe import UNIVERSE_NAME
from stock_assets.core.vendor_facts import API_KEY_VARIABLE
from stock_assets.settings.choices import AlphaVantagePlan, BackendName, EventLog, SourceName
from stock_assets.settings.environment import PREFIX

DEFAULT_UNIVERSE = "default"
"""In the names of `aws_universes`, the universe without a name."""


class GeneralFields(BaseModel):
    """Data, universes, limits, retention and the Dagster instance."""

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
        description="Memory in MB that DuckDB may use for one load or query of the local backend, and for an import; "
        "larger intermediate results are written to temporary files, those of a load beside its staged rows. A load of "
        "more than 1,000 rows per MB is staged and audited in chunks of symbols.",
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
        f"`{PREFIX}UNIVERSE` is set too, its universe is one more, without a name.",
    )
    universe_name: str = Field(
        default="",
        pattern=rf"^({UNIVERSE_NAME})?$",
        description="Which of several universes a command uses; the option `--universe` sets it. Without "
        f"`{PREFIX}UNIVERSES`, the name of the only universe. Names of assets, jobs and alerts begin with it.",
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
    catch_up_sessions: int = Field(
        default=100,
        ge=1,
        description="Number of latest sessions that the catch-up sensor completes. Older gaps need a backfill.",
    )
    report_symbols: int = Field(
        default=50,
        ge=1,
        # The page would be 15 MB for one year, and Athena rejects a statement of more than 262,144 bytes.
        le=1000,
        description="Maximum number of symbols that the report draws, at most 1,000: those with the highest value of "
        "traded shares. The report's market breadth, coverage and lists contain all symbols.",
    )
    dagster_home: Path | None = Field(
        default=None,
        validation_alias="DAGSTER_HOME",
        description="Folder of the Dagster instance (runs, events). Default: `dagster_home` in the source's folder of "
        f"`{PREFIX}DATA_DIR`.",
    )

    @field_validator("closures", "universes", mode="before")
    @classmethod
    def _split_list(cls, value: object) -> object:
        return [day.strip() for day in value.split(",") if day.strip()] if isinstance(value, str) else value

    @field_validator("universes")
    @classmethod
    def _check_files(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
        names = [file.stem for file in value]
        for file in value:
            if not re.fullmatch(UNIVERSE_NAME, file.stem):
                raise ValueError(
                    f"{file}: a universe cannot be named {file.stem!r}; rename the file to at most 30 lower-case "
                    "letters, digits and underscores, the first one a letter"
                )
            if names.count(file.stem) > 1:
                raise ValueError(f"two universes are named {file.stem!r}; rename one of the files")
        return value


class VendorFields(BaseModel):
    """Requests to a vendor."""

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


class AlertFields(BaseModel):
    """Alerts, and the addresses of links."""

    code_url: HttpUrl | None = Field(
        default=None,
        description="Address of this repository at a code host, for links from the UI to the code. Default: links to "
        "local files.",
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

    @field_validator("alert_urls")
    @classmethod
    def _check_urls(cls, value: SecretStr | None) -> SecretStr | None:
        for number, url in enumerate(value.get_secret_value().split() if value else [], start=1):
            if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://.", url):
                # Without the text, which may be part of a secret.
                raise ValueError(f"URL {number} has no scheme such as slack://; separate URLs by blanks")
        return value


class AwsFields(BaseModel):
    """The backend `aws`; `trino` uses its bucket and catalog too."""

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
    aws_universes: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Names of universes whose files are in the bucket, as `artifacts/universes/NAME.csv`, separated by "
        f"commas. `{DEFAULT_UNIVERSE}` is the universe without a name. `stock-assets aws deploy --universe FILE` "
        "uploads a file and adds its name; see docs/universes.md.",
    )
    aws_results: str | None = Field(
        default=None,
        pattern=r"^(s3://[a-z0-9.-]+/.*|workgroup)$",
        description="Where Athena writes query results: an `s3://` address, or `workgroup` for the workgroup's own "
        "location. Default: `results/` in the source's folder of the bucket.",
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
        f"`{PREFIX}AWS_LAMBDA_FUNCTION`.",
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

    @field_validator("aws_universes", mode="before")
    @classmethod
    def _split_names(cls, value: object) -> object:
        return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


class TrinoFields(BaseModel):
    """The backend `trino`."""

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
