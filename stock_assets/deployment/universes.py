"""The named universes of a deployment: their files in the bucket, and the setting that names them.

Belongs here: reading and checking files before they are uploaded, and which universes a deployment then has. Does not
belong here: the upload (`artifacts`), the format of a file (`core.universe`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from stock_assets.core.errors import DeploymentFailed, SettingsError
from stock_assets.core.universe import Universe, parse_universe, read_universe, require_enough_calls
from stock_assets.pipeline.source import price_source
from stock_assets.settings import DEFAULT_UNIVERSE, Settings, SourceName, environment_variable

SETTING = environment_variable("aws_universes")


def read_files(files: Sequence[Path]) -> dict[str, bytes]:
    """Return the content of universe files by the name of the universe, which is the name of the file.

    Raises:
        SettingsError: a name cannot be used, or a file is invalid.
    """
    try:
        Settings.model_validate({"universes": tuple(files)})
    except ValidationError as error:
        raise SettingsError(f"--universe {error.errors()[0]['msg'].removeprefix('Value error, ')}") from error
    for file in files:
        read_universe(file)
    return {file.stem: file.read_bytes() for file in files}


def names_after(stored: str, given: Sequence[str], *, runs: bool) -> list[str]:
    """Return the names of the universes that a deployment has after some are added.

    Args:
        stored: value of the setting so far.
        given: names of the universes whose files are uploaded.
        runs: whether the deployment runs already. Its universe without a name then stays.
    """
    before = [name for name in stored.split(",") if name]
    if given and runs and not before:
        before = [DEFAULT_UNIVERSE]
    return list(dict.fromkeys([*before, *given]))


def check_universes(names: Sequence[str], bodies: Mapping[str, bytes], settings: Mapping[str, str]) -> None:
    """Check that every universe has a file, and that together they need no more calls than the plan allows.

    Args:
        names: the universes.
        bodies: content of the files by name.
        settings: variables of the deployment.

    Raises:
        DeploymentFailed: a file is missing.
        SettingsError: the plan allows fewer calls.
    """
    if absent := [name for name in names if name not in bodies and name != DEFAULT_UNIVERSE]:
        raise DeploymentFailed(
            f"The universe {absent[0]} has no file in the bucket. Add --universe {absent[0]}.csv, or remove the name: "
            f"--setting {SETTING}={','.join(name for name in names if name not in absent)}"
        )
    fields = ("source", "alpha_vantage_plan", "calls_per_day")
    given = {
        field: settings[environment_variable(field)] for field in fields if settings.get(environment_variable(field))
    }
    described = Settings.model_validate(given)
    if described.source is SourceName.RECORDED:
        return
    universes = [_universe(name, bodies, described) for name in names]
    require_enough_calls(universes, price_source(described).terms.limits.per_day)


def _universe(name: str, bodies: Mapping[str, bytes], settings: Settings) -> Universe:
    if name == DEFAULT_UNIVERSE:
        return read_universe(settings.packaged_universe)
    return parse_universe(bodies[name], f"{name}.csv")
