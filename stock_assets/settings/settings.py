"""The class `Settings`.

Belongs here: which combinations of settings are invalid, and the folders and universes that follow from several
settings. Does not belong here: the fields (`fields`), the variables (`environment`), constructing anything from the
settings (`pipeline`).
"""

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self, TypedDict

from pydantic import ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from stock_assets.core.env_file import find_upwards
from stock_assets.core.errors import SettingsError
from stock_assets.core.folder_names import why_not_for_dagster, why_not_for_tables
from stock_assets.core.universe import UNIVERSE_NAME
from stock_assets.settings.choices import BackendName, SourceName
from stock_assets.settings.environment import PREFIX, env_file, unknown_variables
from stock_assets.settings.fields import (
    DEFAULT_UNIVERSE,
    AlertFields,
    AwsFields,
    GeneralFields,
    TrinoFields,
    VendorFields,
)

_NOT_A_NAME = frozenset({"raw", "staged", "published", "reports", "grafana", "vendor", DEFAULT_UNIVERSE})
"""Schemas and groups: a universe cannot have their names, or the names of sources, which are folders."""
_UNIVERSES = {SourceName.RECORDED: "recorded.csv", SourceName.ALPHA_VANTAGE: "semiconductors.csv"}
"""Files of the package below `universes`."""
_OF_SMOKE_TESTS = re.compile("smoke(_.*)?")
"""Names whose databases `aws smoke` creates and removes."""
_PATHS = ("data_dir", "universe", "universes", "dagster_home")
"""Fields whose paths in a `.env` file are relative to the file."""


class AwsOptions(TypedDict):
    """Region, role and endpoint of AWS calls."""

    region: str
    role_arn: str
    endpoint_url: str


# Pydantic collects the fields of the last class first.
class Settings(TrinoFields, AwsFields, AlertFields, VendorFields, GeneralFields, BaseSettings):
    """All settings: each is read from the variable named `STOCK_ASSETS_` and the field's name in capitals."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        stems = [file.stem for file in self.universes]
        stored = self._stored_universes
        for variable, names in (("UNIVERSES", [self.universe_name, *stems]), ("AWS_UNIVERSES", stored)):
            for name in names:
                taken = name in _NOT_A_NAME or name in set(SourceName) or _OF_SMOKE_TESTS.fullmatch(name)
                if taken or (name and not re.fullmatch(UNIVERSE_NAME, name)):
                    raise ValueError(f"{PREFIX}{variable}: a universe cannot be named {name!r}; choose another name")
        if twice := {name for name in stored if name in stems or stored.count(name) > 1}:
            raise ValueError(f"{PREFIX}AWS_UNIVERSES: two universes are named {min(twice)!r}; remove one of them")
        return self

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        required = ["aws_bucket", "aws_region"] + (["trino_url"] if self.backend is BackendName.TRINO else [])
        missing = [environment_variable(name) for name in required if getattr(self, name) is None]
        if self.backend is not BackendName.LOCAL and missing:
            raise ValueError(f"{PREFIX}BACKEND={self.backend} needs {' and '.join(missing)}")
        if self.backend is BackendName.LOCAL and self.aws_bucket is not None:
            raise ValueError(
                f"{PREFIX}AWS_BUCKET is set, but the backend is local; set {PREFIX}BACKEND=aws, or unset "
                f"{PREFIX}AWS_BUCKET"
            )
        if self.backend is BackendName.LOCAL and self.aws_universes:
            raise ValueError(
                f"{PREFIX}AWS_UNIVERSES is set, but the backend is local; set {PREFIX}BACKEND=aws, or name the files "
                f"in {PREFIX}UNIVERSES"
            )
        if (self.aws_lambda_function is None) != (self.aws_pipes_bucket is None):
            raise ValueError(
                f"{PREFIX}AWS_LAMBDA_FUNCTION and {PREFIX}AWS_PIPES_BUCKET need each other; set both, or none"
            )
        if self.aws_lambda_function is not None and (
            self.backend is BackendName.LOCAL or self.source is not SourceName.ALPHA_VANTAGE
        ):
            raise ValueError(
                f"{PREFIX}AWS_LAMBDA_FUNCTION needs a vendor and a bucket; set {PREFIX}SOURCE=alpha_vantage and "
                f"{PREFIX}BACKEND=aws, or unset {PREFIX}AWS_LAMBDA_FUNCTION"
            )
        if self.backend is BackendName.LOCAL and self.aws_landing_queue_url is not None:
            raise ValueError(
                f"{PREFIX}AWS_LANDING_QUEUE_URL is set, but the backend is local; set {PREFIX}BACKEND=aws, or unset "
                f"{PREFIX}AWS_LANDING_QUEUE_URL"
            )
        if self.aws_metrics_namespace is not None and self.aws_region is None:
            raise ValueError(f"{PREFIX}AWS_METRICS_NAMESPACE needs {PREFIX}AWS_REGION")
        if self.aws_api_key_secret is not None and self.aws_region is None:
            raise ValueError(f"{PREFIX}AWS_API_KEY_SECRET needs {PREFIX}AWS_REGION")
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
    def universe_in_bucket(self) -> bool:
        """Whether the symbols of this universe are in the bucket, where `aws deploy --universe` puts them."""
        return self.universe_name in self.aws_universes

    @property
    def _stored_universes(self) -> list[str]:
        """Names of the universes whose symbols are in the bucket."""
        return [name for name in self.aws_universes if name != DEFAULT_UNIVERSE]

    @property
    def universe_file(self) -> Path | None:
        """CSV file of the symbols of this universe on this machine; None for one of the package or in the bucket."""
        if self.universe_in_bucket:
            return None
        return next((file for file in self.universes if file.stem == self.universe_name), self.universe)

    @property
    def packaged_universe(self) -> Traversable:
        """CSV file of the source's symbols in the package; an upgrade replaces it."""
        return files("stock_assets").joinpath("universes", _UNIVERSES[self.source])

    @property
    def symbols_file(self) -> Path | Traversable:
        """CSV file of the symbols, if it is not in the bucket: the user's own, or the one of the package."""
        return self.universe_file or self.packaged_universe

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

    @property
    def data_prefix(self) -> str:
        """Folder in the bucket; each source and universe has its own, so that their data never mix."""
        return f"{self.shared_prefix}/universes/{self.universe_name}" if self.universe_name else self.shared_prefix

    @property
    def shared_prefix(self) -> str:
        """Folder in the bucket with the calls of the API key, which all universes of a source share."""
        return f"{self.aws_prefix}/{self.source}"

    @property
    def scratch_prefix(self) -> str:
        """Folder in the bucket of what is deleted after some days.

        Those of named universes are in one folder, so that one lifecycle rule of the bucket covers every universe.
        """
        return f"{self.shared_prefix}/scratch/{self.universe_name}" if self.universe_name else self.shared_prefix

    @property
    def aws_options(self) -> AwsOptions:
        """Region, role and endpoint of AWS calls; a region is set where one is needed."""
        return AwsOptions(
            region=self.aws_region or "",
            role_arn=self.aws_role_arn or "",
            endpoint_url=str(self.aws_endpoint_url or "").rstrip("/"),
        )

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
        named = [*(file.stem for file in self.universes), *self._stored_universes]
        if not named:
            return [self]
        unnamed = self.universe or DEFAULT_UNIVERSE in self.aws_universes
        return [self.model_copy(update={"universe_name": name}) for name in [*([""] if unnamed else []), *named]]

    @classmethod
    def _read(cls, given: Mapping[str, object]) -> Self:
        """Read what is not given from the environment, and what it does not set from the nearest `.env` file."""
        file, of_file = env_file()
        problems = unknown_variables(of_file, [environment_variable(field) for field in cls.model_fields])
        values: dict[str, Any] = {
            str(field.validation_alias or name): _relative_to_file(file, name, of_file[environment_variable(name)])
            for name, field in cls.model_fields.items()
            if environment_variable(name) in of_file
        } | dict(given)
        try:
            settings = cls(**values)
            if "data_dir" not in settings.model_fields_set:
                folders = [each.root.relative_to(Path.cwd()) for each in settings.of_each_universe()]
                if (folder := _default_data_dir(file, folders)) != settings.data_dir:
                    settings = cls(**values, data_dir=folder)
        except ValidationError as error:
            problems += [_invalid_value(problem) for problem in error.errors()]
            raise SettingsError("; ".join(problems)) from error
        if problems:
            raise SettingsError("; ".join(problems))
        return settings


def environment_variable(field: str) -> str:
    """Return the name of the environment variable that sets a field of `Settings`."""
    return str(Settings.model_fields[field].validation_alias or f"{PREFIX}{field.upper()}")


def _relative_to_file(file: Path | None, field: str, value: str) -> str:
    """Return the value of a field in a `.env` file; paths are relative to the file."""
    if file is None or field not in _PATHS:
        return value
    paths = value.split(",") if field == "universes" else [value]
    return ",".join(str(file.parent / path.strip()) for path in paths if path.strip())


def _default_data_dir(file: Path | None, folders: Sequence[Path]) -> Path:
    """Return the folder `data` nearest to the working directory with one of some data folders, or where it would be."""
    # The layout version is the first file of a data folder (`backends.layout`).
    layouts = [(folder, find_upwards(Path.cwd(), f"{folder.as_posix()}/layout.json")) for folder in folders]
    found = next((layout.parents[len(folder.parts) - 1] for folder, layout in layouts if layout is not None), None)
    if found is None:
        found = (file.parent if file is not None and file.name == ".env" else Path.cwd()) / "data"
    return Path("data") if found == Path.cwd() / "data" else found


def _invalid_value(problem: ErrorDetails) -> str:
    """Format one problem, beginning with the name of the variable."""
    if problem["loc"]:
        field = str(problem["loc"][0])
        # The location of a field with an alias is the alias, which is the variable itself.
        return f"{environment_variable(field) if field in Settings.model_fields else field}: {problem['msg']}"
    # An invalid combination has no field; its message begins with a variable, behind pydantic's own words.
    return problem["msg"].removeprefix("Value error, ")
