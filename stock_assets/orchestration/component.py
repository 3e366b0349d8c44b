"""The Dagster component `stock_assets.DailyPrices`: one universe in a project of your own, configured in `defs.yaml`.

Belongs here: its attributes, and the settings that they set. Does not belong here: its definitions (`build`), the
settings of the environment, which apply to everything that `defs.yaml` does not set (`settings`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from stock_assets.core.errors import SettingsError
from stock_assets.orchestration.build import build_definitions
from stock_assets.settings import Settings, SourceName


class DailyPrices(dg.Component, dg.Resolvable, dg.Model):
    """Daily stock prices of one universe: requested, audited, and published as Iceberg tables.

    Needs `STOCK_ASSETS_` settings only for what the attributes do not set; see docs/settings.md of stock_assets.
    """

    universe: str | None = Field(
        default=None,
        description="CSV file of symbols, relative to the folder of defs.yaml, such as banks.csv. Its name without the "
        "ending is the name of the universe, with which all asset keys and names of jobs begin. Default: a universe "
        "without a name, from the settings of the environment.",
        examples=["banks.csv"],
    )
    other_universes: Sequence[str] = Field(
        default=(),
        description="Files of the other universes whose requests use the same API key, relative to the folder of "
        "defs.yaml. Catch-up leaves them the calls of the day that their next scheduled run needs.",
        examples=[["../energy/energy.csv"]],
    )
    source: str | None = Field(
        default=None,
        description=f"Where prices come from: {' or '.join(SourceName)}.",
        examples=[SourceName.ALPHA_VANTAGE.value],
    )
    data_dir: str | None = Field(
        default=None,
        description="Folder of the local backend's data, relative to the project. Universes with the same folder share "
        "the quota of the API key.",
        examples=["data"],
    )
    settings: Mapping[str, Any] = Field(
        default={},
        description="Further settings of this universe, by their names without STOCK_ASSETS_, in lower-case letters.",
        examples=[{"min_coverage": 0.8}],
    )

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the definitions of the universe."""
        return build_definitions(self.to_settings(context.path, context.project_root))

    def to_settings(self, folder: Path, project: Path) -> Settings:
        """Return the settings of the universe.

        Args:
            folder: folder of defs.yaml.
            project: folder of the project.

        Raises:
            SettingsError: an attribute or a setting is invalid; the message names it.
        """
        given: dict[str, Any] = {**self.settings}
        if self.source is not None:
            given["source"] = self.source
        if self.data_dir is not None:
            given["data_dir"] = project / self.data_dir
        if self.universe is not None:
            given["universe"], given["universe_name"] = None, Path(self.universe).stem
            given["universes"] = [folder / file for file in (self.universe, *self.other_universes)]
        elif self.other_universes:
            raise SettingsError("other_universes needs the attribute universe: without one, the universe has no name")
        return Settings.from_env(given)
