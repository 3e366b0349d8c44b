"""Names in Dagster: asset keys, groups, jobs, sensors and pools of a universe; column schemas of tables and views.

Belongs here: one rule for every name: the table `published.daily_prices` is the asset `published/daily_prices` in the
group `published`, and in a universe named `banks` the asset `banks/published/daily_prices` in the group
`banks/published`. Does not belong here: the tables (`core.tables`), the views (`serve.views`).
"""

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, cast

import dagster as dg

from stock_assets.core.tables import Column, Table
from stock_assets.serve.dashboards import Dashboard
from stock_assets.serve.views import View

RAW_PRICES = dg.AssetKey(["raw", "daily_prices"])
RAW_SPLITS = dg.AssetKey(["raw", "splits"])
REPORT = dg.AssetKey(["reports", "prices"])

_PIPELINE = "pipeline"
_LENGTH = 2
"""Parts of an asset key, without the name of a universe."""
GROUPS = frozenset({"vendor", "raw", "staged", "published", "reports", "grafana"})
"""Groups of a universe without a name."""
UNIVERSE_TAG = "stock_assets/universe"
"""Tag of the runs of a universe's jobs."""
Function = TypeVar("Function", bound=Callable[..., object])


def asset_key(relation: Table | View) -> dg.AssetKey:
    """Return the asset key of a table or view, without the name of a universe."""
    return dg.AssetKey([relation.schema, relation.name])


def dashboard_key(dashboard: Dashboard) -> dg.AssetKey:
    """Return the asset key of a Grafana dashboard, without the name of a universe."""
    return dg.AssetKey(["grafana", dashboard.name])


@dataclass(frozen=True)
class Names:
    """The names of one universe in Dagster, which are unique in a deployment with several.

    Attributes:
        universe: name of the universe, with which all its names begin; empty for plain names.
    """

    universe: str = ""

    def name(self, plain: str) -> str:
        """Return the name of a job, step, schedule, sensor, pool or resource, such as `banks_daily_prices`."""
        return f"{self.universe}_{plain}" if self.universe else plain

    def key(self, of: dg.AssetKey | Table | View) -> dg.AssetKey:
        """Return an asset key, such as `banks/published/daily_prices`."""
        plain = of if isinstance(of, dg.AssetKey) else asset_key(of)
        return plain.with_prefix(self.universe) if self.universe else plain

    def group(self, plain: str) -> str:
        """Return the name of a group, such as `banks/published`."""
        return f"{self.universe}/{plain}" if self.universe else plain

    @property
    def tags(self) -> dict[str, str]:
        """The tags of the jobs of the universe; Dagster adds them to each run."""
        return {UNIVERSE_TAG: self.universe} if self.universe else {}

    @property
    def resource(self) -> str:
        """The key of the resource with the pipeline of the universe."""
        return self.name(_PIPELINE)

    def uses_pipeline(self, function: Function) -> Function:
        """Return the function with its parameter `pipeline` named like the resource of the universe.

        Dagster passes a resource to the parameter of the same name, and the steps of several universes are in one
        repository, where each key has one resource.
        """
        if not self.universe:
            return function
        signature = inspect.signature(function)

        def call(args: tuple[object, ...], kwargs: dict[str, object]) -> Any:  # noqa: ANN401 (the function's result)
            return function(*args, **{_PIPELINE: kwargs.pop(self.resource)}, **kwargs)

        @wraps(function)
        def renamed(*args: object, **kwargs: object) -> object:
            return call(args, kwargs)

        @wraps(function)
        def renamed_generator(*args: object, **kwargs: object) -> Iterator[object]:
            yield from call(args, kwargs)

        parameters = [
            parameter.replace(name=self.resource) if parameter.name == _PIPELINE else parameter
            for parameter in signature.parameters.values()
        ]
        # Dagster recognises a function that yields its results by its code.
        found = renamed_generator if inspect.isgeneratorfunction(function) else renamed
        vars(found)["__signature__"] = signature.replace(parameters=parameters)
        return cast("Function", found)


PLAIN = Names()
"""The names of a universe without a name."""


def plain_key(key: dg.AssetKey) -> dg.AssetKey:
    """Return an asset key without the name of its universe."""
    return dg.AssetKey(key.path[-_LENGTH:])


def column_schema(columns: Iterable[Column]) -> dg.TableSchema:
    """Return columns as the schema that the Dagster UI shows."""
    return dg.TableSchema(columns=[_column(column) for column in columns])


def _column(column: Column) -> dg.TableColumn:
    return dg.TableColumn(
        name=column.name,
        type=column.type.value,
        description=column.meaning,
        constraints=dg.TableColumnConstraints(nullable=not column.required),
    )
