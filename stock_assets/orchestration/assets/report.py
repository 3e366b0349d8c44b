"""The asset `served/report`.

Belongs here: what Dagster knows of the report. Does not belong here: drawing it (`page`), keeping it (`store`).
"""

import dagster as dg

from stock_assets.orchestration.keys import REPORT, asset_key
from stock_assets.pipeline import Pipeline
from stock_assets.serve.panels import relations_read
from stock_assets.serve.report.data import OTHERS, SERIES
from stock_assets.serve.views import VIEWS

GROUP = "reports"


def report_asset(*, owners: list[str]) -> dg.AssetsDefinition:
    """Make the asset; without partitions, and before the views by the name of its step (see `serve.assets`)."""
    spec = dg.AssetSpec(
        REPORT,
        deps=[asset_key(relation) for relation in (*relations_read((*SERIES, *OTHERS)), VIEWS["weekly_trends"])],
        group_name=GROUP,
        kinds={"html", "altair"},
        owners=owners,
        description="What is published, drawn into one HTML file that opens in any browser without a network.",
    )

    @dg.multi_asset(name="report", specs=[spec], backfill_policy=dg.BackfillPolicy.single_run())
    def report(pipeline: dg.ResourceParam[Pipeline]) -> dg.MaterializeResult[None]:
        # Altair takes half a second to import; a process that only loads the definitions does without.
        from stock_assets.serve.report.store import store_report  # noqa: PLC0415

        stored = store_report(pipeline)
        return dg.MaterializeResult(
            asset_key=spec.key,
            metadata={
                "source": pipeline.source.label,
                "latest session": stored.latest or "none",
                "symbols": stored.symbols,
                "size": f"{stored.size / 1e6:.2f} MB",
                "dagster/uri": stored.uri,
                **{title: dg.MetadataValue.md(picture) for title, picture in stored.previews.items()},
            },
        )

    return report
