"""The pipeline as a Dagster resource.

Belongs here: what Dagster shows about the pipeline. Does not belong here: constructing it (`pipeline`).
"""

import dagster as dg

from stock_assets.core.text import SYMBOLS_SHOWN, plural, shorten_list
from stock_assets.pipeline import Pipeline


def pipeline_resource(pipeline: Pipeline) -> dg.ResourceDefinition:
    """Return the resource `pipeline`.

    Its schema is empty, so that the UI shows no secret and a run configuration cannot change it.
    """
    return dg.ResourceDefinition(resource_fn=lambda _: pipeline, description=_description(pipeline), config_schema={})


def _description(pipeline: Pipeline) -> str:
    symbols = pipeline.universe.symbols
    return "\n".join(
        (
            "Backend, source and universe of every step. Change them with settings (docs/settings.md); a run cannot.",
            "",
            f"- Backend: `{type(pipeline.backend).__name__}`",
            f"- Raw responses: `{pipeline.backend.objects.uri('raw')}`",
            f"- Source: {pipeline.source.label}",
            f"- Universe: {plural(len(symbols), 'symbol')}: {shorten_list(symbols, SYMBOLS_SHOWN)}",
        )
    )
