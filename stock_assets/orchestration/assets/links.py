"""Tags of the assets, and links from each asset to its code, as the UI shows them.

Belongs here: the function and the SQL files of an asset, and their addresses. Does not belong here: descriptions and
metadata of an asset (its own module in this package).
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

from stock_assets.core.sql import bundled
from stock_assets.orchestration.instance.dagster_internals import DecoratedOpFunction
from stock_assets.orchestration.keys import asset_key, dashboard_key, plain_key
from stock_assets.serve.dashboards import DASHBOARDS
from stock_assets.serve.views import VIEWS

_STATEMENTS = {
    "staged/daily_prices": "stage/*.sql",
    "published/daily_prices": "publish/*.sql",
    "published/quarantined_prices": "publish/*.sql",
    **{asset_key(view).to_user_string(): f"serve/{name}.sql" for name, view in VIEWS.items()},
    **{dashboard_key(dashboard).to_user_string(): "serve/panels/*.sql" for dashboard in DASHBOARDS},
}
"""SQL files by asset. The checks name the files of the audits."""
_PACKAGE = Path(__file__).parents[2]

Reference = dg.LocalFileCodeReference | dg.UrlCodeReference


@dataclass(frozen=True)
class Links:
    """Adds tags and links to assets.

    Attributes:
        vendor: name of the vendor; it is a tag of every asset.
        code_url: address of the repository's folder at a code host; empty for local files.
        usual_cadence: when the assets of the daily job are materialized.
        cadences: when an asset is materialized, for the others.
    """

    vendor: str
    code_url: str = ""
    usual_cadence: str = "each_session"
    cadences: Mapping[dg.AssetKey, str] = field(default_factory=dict)

    def on(self, asset: dg.AssetsDefinition) -> dg.AssetsDefinition:
        """Add tags and links to the assets of a step."""
        function = asset.op.compute_fn
        made_by = function.decorated_fn if isinstance(function, DecoratedOpFunction) else function
        return asset.map_asset_specs(
            lambda spec: self.on_spec(spec, made_by, cadence=self.cadences.get(plain_key(spec.key), self.usual_cadence))
        )

    def on_spec(self, spec: dg.AssetSpec, made_by: Callable[..., object], *, cadence: str = "external") -> dg.AssetSpec:
        """Add tags and links to one asset, by default an external one, which Dagster never materializes."""
        references: list[Reference] = [
            self._python(made_by),
            *self._sql(_STATEMENTS.get(plain_key(spec.key).to_user_string(), "")),
        ]
        return spec.merge_attributes(
            tags={
                "source": self.vendor,
                "cadence": cadence,
                "sensitivity": "public_market_data",
            },
            metadata={"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=references)},
        )

    def _python(self, function: Callable[..., object]) -> Reference:
        plain = inspect.unwrap(function)
        file = Path(inspect.getfile(plain))
        line = plain.__code__.co_firstlineno if inspect.isfunction(plain) else 1
        label = f"{file.name}, {plain.__name__}"
        if self.code_url:
            relative = file.relative_to(_PACKAGE.parent).as_posix()
            return dg.UrlCodeReference(url=f"{self.code_url}/{relative}#L{line}", label=label)
        return dg.LocalFileCodeReference(file_path=str(file), line_number=line, label=label)

    def _sql(self, pattern: str) -> Sequence[Reference]:
        root = Path(str(bundled("sql")))
        files = sorted(root.glob(pattern)) if pattern else []
        labels = [f"sql/{file.relative_to(root).as_posix()}" for file in files]
        if self.code_url:
            return [dg.UrlCodeReference(url=f"{self.code_url}/{label}", label=label) for label in labels]
        return [
            dg.LocalFileCodeReference(file_path=str(file), line_number=1, label=label)
            for file, label in zip(files, labels, strict=True)
        ]
