"""The asset `reports/prices`.

Belongs here: its definition and metadata. Does not belong here: rendering and storing the report (`serve.report`).
"""

from pathlib import Path

import dagster as dg

from stock_assets.orchestration.keys import PLAIN, REPORT, Names
from stock_assets.pipeline import Pipeline
from stock_assets.serve.panels import relations_read
from stock_assets.serve.report.data import REPORT_PANELS
from stock_assets.serve.report.store import store_report

GROUP = "reports"


def report_asset(*, owners: list[str], names: Names = PLAIN) -> dg.AssetsDefinition:
    """Return the asset. It has no partitions, and its step sorts before the views by name (see `assets.views`)."""
    spec = dg.AssetSpec(
        names.key(REPORT),
        deps=[names.key(relation) for relation in relations_read(REPORT_PANELS)],
        group_name=names.group(GROUP),
        kinds={"html"},
        owners=owners,
        description="Charts of the published tables in one HTML file, which opens in any browser without a network.",
    )

    @dg.multi_asset(name=names.name("report"), specs=[spec], backfill_policy=dg.BackfillPolicy.single_run())
    @names.uses_pipeline
    def report(pipeline: dg.ResourceParam[Pipeline]) -> dg.MaterializeResult[None]:
        stored = store_report(pipeline)
        return dg.MaterializeResult(
            asset_key=spec.key,
            metadata={
                "source": pipeline.source.label,
                "latest session": stored.latest or "none",
                "symbols": stored.symbols,
                "size": f"{stored.size / 1e6:.2f} MB",
                "dagster/uri": stored.uri,
                # A page of a web server may not open a local file by a click; the link can be copied.
                "report": dg.MetadataValue.url(stored.uri if "://" in stored.uri else Path(stored.uri).as_uri()),
            },
        )

    return report
