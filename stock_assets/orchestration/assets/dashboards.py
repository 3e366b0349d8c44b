"""The Grafana dashboards as external assets, such as `grafana/prices_dashboard`.

Belongs here: lineage and links. Does not belong here: which panels a dashboard has (`serve.dashboards`), how it is
generated (`infra/grafana`).
"""

import dagster as dg
from pydantic import HttpUrl

from stock_assets.orchestration.keys import PLAIN, Names, dashboard_key
from stock_assets.serve.dashboards import DASHBOARDS
from stock_assets.serve.panels import relations_read

GROUP = "grafana"


def dashboard_specs(grafana: HttpUrl | None, names: Names = PLAIN, *, owners: list[str]) -> list[dg.AssetSpec]:
    """Return an external asset per dashboard, with a link if Grafana's address is set."""
    return [
        dg.AssetSpec(
            names.key(dashboard_key(dashboard)),
            deps=[names.key(relation) for relation in relations_read(dashboard.panels)],
            group_name=names.group(GROUP),
            kinds={"grafana", "dashboard"},
            owners=owners,
            description=f"{dashboard.description} A Grafana dashboard on Athena, generated from code.",
            metadata={
                "json": f"infra/grafana/dashboards/{dashboard.uid}.json",
                **(
                    {"dashboard": dg.MetadataValue.url(f"{str(grafana).rstrip('/')}/d/{dashboard.uid}")}
                    if grafana
                    else {}
                ),
            },
        )
        for dashboard in DASHBOARDS
    ]
