"""Where a drawn report is put: a file for whoever asks on the command line, an object of the backend for the asset.

Belongs here: drawing now and keeping the result. Does not belong here: how it looks (`page`), Dagster (`assets`).
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from stock_assets.ingest.parts import PipelineParts
from stock_assets.serve.report.data import gather
from stock_assets.serve.report.page import draw, previews

FOLDER = "reports/prices/"
KEPT = 5
"""Reports that are kept, newest first: whoever has one open can load it again."""


@dataclass(frozen=True)
class Stored:
    """A report as it was stored.

    Attributes:
        uri: address in the backend.
        size: bytes.
        symbols: on it.
        latest: session it shows as the latest, or empty.
        previews: small pictures as Markdown, by title.
    """

    uri: str
    size: int
    symbols: int
    latest: str
    previews: dict[str, str]


def write_report(parts: PipelineParts, file: Path) -> int:
    """Draw the report into a file, whole or not at all; give its size in bytes."""
    page = draw(gather(parts), datetime.now(UTC)).encode()
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.partial")
    partial.write_bytes(page)
    partial.replace(file)
    return len(page)


def store_report(parts: PipelineParts) -> Stored:
    """Draw the report and keep it in the backend, named by the moment; forget those before the last few."""
    backend = parts.backend
    data, now = gather(parts), datetime.now(UTC)
    page = draw(data, now).encode()
    key = f"{FOLDER}{now:%Y%m%dT%H%M%S%fZ}.html"
    backend.objects.put(key, page)
    for old in backend.objects.list(FOLDER)[:-KEPT]:
        backend.objects.delete(old)
    return Stored(backend.objects.uri(key), len(page), len(data.names), str(data.latest or ""), previews(data))
