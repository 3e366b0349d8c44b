"""Storing rendered reports: a file for the command line, an object of the backend for the asset `reports/prices`.

Belongs here: rendering a report now and storing it. Does not belong here: its look (`page`), its asset
(`orchestration.assets.report`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from stock_assets.ingest.parts import PipelineParts
from stock_assets.serve.report.data import read_report
from stock_assets.serve.report.page import render_page

FOLDER = "reports/prices/"
MAX_REPORTS = 5
"""Stored reports that are kept, so that a page that is open in a browser can be reloaded."""


@dataclass(frozen=True)
class StoredReport:
    """A stored report.

    Attributes:
        uri: address in the backend.
        size: size in bytes.
        symbols: number of published symbols.
        latest: latest session in the report, or empty.
    """

    uri: str
    size: int
    symbols: int
    latest: str


def write_report(parts: PipelineParts, file: Path, *, symbols: Sequence[str] = ()) -> int:
    """Render the report into a file, completely or not at all; return its size in bytes.

    Args:
        parts: the pipeline.
        file: the file to write.
        symbols: symbols to draw; empty for those with the highest value of traded shares.
    """
    page = render_page(read_report(parts, symbols), datetime.now(UTC)).encode()
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.partial")
    partial.write_bytes(page)
    partial.replace(file)
    return len(page)


def store_report(parts: PipelineParts) -> StoredReport:
    """Render the report and store it in the backend, named by its timestamp; delete all but the newest few."""
    backend = parts.backend
    data, now = read_report(parts), datetime.now(UTC)
    page = render_page(data, now).encode()
    key = f"{FOLDER}{now:%Y%m%dT%H%M%S%fZ}.html"
    backend.objects.put(key, page)
    for old in backend.objects.keys(FOLDER)[:-MAX_REPORTS]:
        backend.objects.delete(old)
    return StoredReport(backend.objects.uri(key), len(page), data.symbols, str(data.latest or ""))
