"""False positives of the warnings on the recorded sample, as docs/audits.md states them."""

import re
from pathlib import Path

import pytest

from stock_assets.audit.gate import audit_load
from stock_assets.backends.interface import Backend
from stock_assets.ingest.parts import PipelineParts
from stock_assets.loads.audit_files import AuditKind, audits
from stock_assets.loads.load import newest_load_of_any_sessions
from stock_assets.pipeline import Pipeline
from stock_assets.settings import Settings
from stock_assets.sources.recorded import RecordedSource
from stock_assets_tests.support.recorded_backend import local_only
from stock_assets_tests.support.steps import LIMITS

PAGE = Path(__file__).parents[2] / "docs" / "audits.md"


def documented() -> dict[str, int]:
    """Return the number of false positives of each audit in the table of the page."""
    rows = re.findall(r"^\| `(\w+)` \|.*\| (\d+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: int(count) for name, count in rows}


def test_the_page_lists_every_warning() -> None:
    assert sorted(documented()) == sorted(audit.name for audit in audits() if audit.kind is AuditKind.WARNING)


@pytest.mark.slow
@local_only
def test_warnings_find_the_documented_number_of_recorded_bars(recorded_backend: Backend) -> None:
    parts = PipelineParts(recorded_backend, RecordedSource(), Pipeline.from_settings(Settings()).universe, LIMITS)
    load = newest_load_of_any_sessions(recorded_backend)
    assert load.rows == 12_154

    verdicts = audit_load(parts, load)

    found = {verdict.audit.name: verdict.bad_rows for verdict in verdicts if verdict.audit.kind is AuditKind.WARNING}
    assert found == documented()
