"""The pipeline as a Dagster resource.

Belongs here: what Dagster shows of the pipeline. Does not belong here: constructing it (`pipeline`).
"""

import dagster as dg

from stock_assets.pipeline import Pipeline


def pipeline_resource(pipeline: Pipeline) -> dg.ResourceDefinition:
    """Return the resource `pipeline`. It has no configuration, so that a launch cannot change it; none of it is secret."""
    return dg.ResourceDefinition(
        resource_fn=lambda _: pipeline,
        description=(
            f"Backend `{type(pipeline.backend).__name__}`, source `{pipeline.source.label}`, "
            f"{len(pipeline.universe.symbols)} symbols. Change it with settings (docs/settings.md)."
        ),
    )
