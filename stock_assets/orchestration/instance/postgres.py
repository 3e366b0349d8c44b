"""Dagster's event log on PostgreSQL, for the production instance. Needs the extra `aws` of the package.

Belongs here: the changes for the production instance. Does not belong here: the local event log (`event_log`).
"""

from collections.abc import Mapping
from typing import Any

from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.utils import get_token_provider_from_config, pg_url_from_config

from stock_assets.orchestration.instance.dagster_internals import ConfigurableClassData
from stock_assets.orchestration.instance.log_removal import RemovableLogs
from stock_assets.orchestration.instance.settled_failures import SettledFailures


class PostgresSettledEventLogStorage(SettledFailures, RemovableLogs, PostgresEventLogStorage):
    """The event log of `infra/aws/dagster.yaml`: Dagster's own, except that every killed run is retried.

    Maintenance can also remove the logs of old runs.
    """

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "PostgresSettledEventLogStorage":
        """Construct the storage from `dagster.yaml`, with the options of Dagster's own."""
        return cls(
            inst_data=inst_data,
            postgres_url=pg_url_from_config(config_value),
            should_autocreate_tables=config_value.get("should_autocreate_tables", True),
            token_provider=get_token_provider_from_config(config_value),
        )
