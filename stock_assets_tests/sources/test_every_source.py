"""What every source has outside its own module, so that a new one is complete (CONTRIBUTING.md, Add a source)."""

import pytest

from stock_assets.core.universe import read_universe
from stock_assets.deployment.templates import read_templates
from stock_assets.orchestration.build import build_definitions
from stock_assets.settings import Settings, SourceName


@pytest.mark.parametrize("source", SourceName)
def test_a_source_has_a_universe_in_the_package_and_definitions(source: SourceName) -> None:
    settings = Settings(source=source)
    assert read_universe(settings.packaged_universe).symbols
    assert build_definitions(settings).resolve_asset_graph()


def test_every_template_with_a_source_allows_all_sources() -> None:
    parameters = {name: template.parameters for name, template in read_templates().items()}
    allowed = {name: set(found["Source"]["AllowedValues"]) for name, found in parameters.items() if "Source" in found}
    assert "data" in allowed
    assert {name for name, sources in allowed.items() if sources != set(SourceName)} == set()
