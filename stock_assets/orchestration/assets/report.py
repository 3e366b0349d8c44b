"""The asset `served/report`.

Belongs here: what Dagster knows of the report. Does not belong here: drawing it (`page`), keeping it (`store`).
"""

import dagster as dg

from stock_assets.backends.interface import Backend
from stock_assets.core.universe import Universe
from stock_assets.serve.panels import read_by
from stock_assets.serve.report.data import OTHERS, SERIES
from stock_assets.serve.views import VIEWS
from stock_assets.sources.interface import PriceSource

REPORT = dg.AssetKey(["served", "report"])


def report_asset(universe: Universe, *, owners: list[str]) -> dg.AssetsDefinition:
    """Make the asset; without partitions, and before the views by the name of its step (see `serve.assets`)."""
    spec = dg.AssetSpec(
        REPORT,
        deps=[*read_by((*SERIES, *OTHERS)), VIEWS["weekly_trends"].asset_key],
        group_name="served",
        kinds={"html", "altair"},
        owners=owners,
        description="What is published, drawn into one HTML file that opens in any browser without a network.",
    )

    @dg.multi_asset(name="report", specs=[spec], backfill_policy=dg.BackfillPolicy.single_run())
    def report(backend: Backend, source: PriceSource) -> dg.MaterializeResult[None]:
        # Altair takes half a second to import; a process that only loads the definitions does without.
        from stock_assets.serve.report.store import store_report  # noqa: PLC0415

        stored = store_report(backend, universe, source.label)
        return dg.MaterializeResult(
            asset_key=spec.key,
            metadata={
                "source": source.label,
                "latest session": stored.latest or "none",
                "symbols": stored.symbols,
                "size": f"{stored.size / 1e6:.2f} MB",
                "dagster/uri": stored.uri,
                **{title: dg.MetadataValue.md(picture) for title, picture in stored.previews.items()},
            },
        )

    return report
