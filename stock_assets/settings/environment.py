"""Environment variables and the `.env` file; no other module of the package reads them.

Belongs here: the names of variables, the secrets that are read when they are needed, and unknown variables. Does not
belong here: what a setting means (`fields`), or which ones are valid together (`settings`). `settings.Settings` lets
pydantic read the variables of its fields.
"""

import os
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

from stock_assets.core.env_file import find_upwards, read_env_file
from stock_assets.core.vendor_facts import API_KEY_VARIABLE

PREFIX = "STOCK_ASSETS_"
_TRINO_PASSWORD_VARIABLE = f"{PREFIX}TRINO_PASSWORD"
_ENV_FILE_VARIABLE = f"{PREFIX}ENV_FILE"

_RENAMED = {f"{PREFIX}HOME": f"{PREFIX}BACKEND"}
"""Settings of earlier releases and their names today. Entries are never removed."""
_READ_ELSEWHERE = frozenset(
    {
        _TRINO_PASSWORD_VARIABLE,
        _ENV_FILE_VARIABLE,
        # Read by Grafana: infra/grafana/provisioning/datasources/athena.yaml.
        f"{PREFIX}ATHENA_DATABASE",
        f"{PREFIX}ATHENA_WORKGROUP",
    }
)
_PREFIXES_READ_ELSEWHERE = (
    f"{PREFIX}DAGSTER_",  # Dagster's configuration files, such as infra/aws/dagster.yaml
    f"{PREFIX}TEST_",  # the tests
)


def read_api_key() -> str:
    """Return the API key of Alpha Vantage, or an empty text; called when a request is sent."""
    return _read_secret(API_KEY_VARIABLE)


def read_trino_password() -> str:
    """Return the Trino user's password, or an empty text; called when a statement is sent."""
    return _read_secret(_TRINO_PASSWORD_VARIABLE)


def _read_secret(variable: str) -> str:
    return os.environ.get(variable) or env_file()[1].get(variable, "")


def env_file() -> tuple[Path | None, dict[str, str]]:
    """Return the `.env` file, and its variables that the environment does not set."""
    named = os.environ.get(_ENV_FILE_VARIABLE)
    file = Path(named) if named else find_upwards(Path.cwd(), ".env")
    if file is None:
        return None, {}
    return file.absolute(), {name: value for name, value in read_env_file(file).items() if not os.environ.get(name)}


def select_universe(name: str) -> None:
    """Select one of several universes for this process and those that it starts."""
    os.environ[f"{PREFIX}UNIVERSE_NAME"] = name


def unknown_variables(of_file: Iterable[str], of_settings: Sequence[str]) -> list[str]:
    """Return a problem for each variable, of the environment or of a file, that no setting and no other program reads.

    Args:
        of_file: names of the variables of the `.env` file.
        of_settings: names of the variables of all settings.
    """
    return [
        _unknown_variable(name, of_settings)
        for name in sorted({*os.environ, *of_file})
        if not _is_known(name, of_settings)
    ]


def _is_known(name: str, of_settings: Sequence[str]) -> bool:
    # Settings are read from names in any case.
    name = name.upper()
    return (
        not name.startswith(PREFIX)
        or name.startswith(_PREFIXES_READ_ELSEWHERE)
        or name in _READ_ELSEWHERE
        or name in of_settings
    )


def _unknown_variable(name: str, of_settings: Sequence[str]) -> str:
    if renamed := _RENAMED.get(name.upper()):
        return f"{name} is not a setting; it is now {renamed}"
    # Without the prefix, which all names share and which would make any two of them look alike.
    known = [variable.removeprefix(PREFIX) for variable in [*of_settings, *_READ_ELSEWHERE]]
    closest = get_close_matches(name.upper().removeprefix(PREFIX), known, n=1)
    remedy = f"did you mean {PREFIX}{closest[0]}?" if closest else "unset it; docs/settings.md lists all settings"
    return f"{name} is not a setting; {remedy}"
