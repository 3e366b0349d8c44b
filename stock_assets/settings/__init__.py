"""The settings, read from environment variables and a `.env` file.

Belongs here: every setting with its default, its unit and its description (`fields`), which combinations are invalid
(`settings`), and the only module that reads the environment (`environment`). Does not belong here: constructing
anything from the settings (`pipeline`).

The API key and Trino's password are no settings: they are read when a request is sent, so that they are never part of a
definition or of a run's record.
"""

from stock_assets.core.vendor_facts import API_KEY_VARIABLE
from stock_assets.settings.choices import AlphaVantagePlan, BackendName, EventLog, SourceName
from stock_assets.settings.environment import read_api_key, read_trino_password, select_universe
from stock_assets.settings.fields import DEFAULT_UNIVERSE
from stock_assets.settings.settings import AwsOptions, Settings, environment_variable

__all__ = [
    "API_KEY_VARIABLE",
    "DEFAULT_UNIVERSE",
    "AlphaVantagePlan",
    "AwsOptions",
    "BackendName",
    "EventLog",
    "Settings",
    "SourceName",
    "environment_variable",
    "read_api_key",
    "read_trino_password",
    "select_universe",
]
