"""A data folder with the recorded sample, to damage and to check."""

import shutil
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

from stock_assets.backends.interface import Backend, FetchKind
from stock_assets.backends.local import packs
from stock_assets.backends.local.relocation import relocate
from stock_assets.core.calendar import sessions_between
from stock_assets.core.universe import Universe
from stock_assets.ingest.parts import PipelineParts
from stock_assets.pipeline import Pipeline
from stock_assets.settings import Settings
from stock_assets.sources.recorded import RecordedSource
from stock_assets_tests.support.steps import load_range, local_backend, parts, published_rows

LOADED = (
    tuple(sessions_between(date(2013, 2, 19), date(2013, 2, 22))),
    tuple(sessions_between(date(2013, 2, 25), date(2013, 2, 28))),
)
"""The sessions of the two loads."""


@cache
def universe() -> Universe:
    """Return the symbols of the sample."""
    return Pipeline.from_settings(Settings()).universe


def load_sample(root: Path) -> None:
    """Publish both loads."""
    for sessions in LOADED:
        load_range(local_backend(root), RecordedSource(), universe(), sessions[0], sessions[-1])


@dataclass(frozen=True)
class Folder:
    """A data folder; every access is that of a new process."""

    root: Path
    prices = FetchKind.PRICES

    @classmethod
    def copy_of(cls, original: Path, root: Path) -> "Folder":
        """Copy a folder and relocate the copy."""
        shutil.copytree(original, root)
        relocate(root)
        return cls(root)

    @property
    def backend(self) -> Backend:
        """A backend that has read nothing yet."""
        packs.opened_pack.cache_clear()
        return local_backend(self.root)

    @property
    def parts(self) -> PipelineParts:
        """The parts of a pipeline on the folder."""
        return parts(self.backend, RecordedSource(), universe())

    def load_again(self) -> None:
        """Load the sessions of the second load, from the stored responses."""
        load_range(self.backend, RecordedSource(), universe(), LOADED[1][0], LOADED[1][-1])

    def rows(self) -> list[dict[str, object]]:
        """Return the published prices."""
        return published_rows(self.backend)

    def one(self, pattern: str) -> Path:
        """Return the first file that matches a pattern."""
        return min(self.root.glob(pattern))

    def contents(self) -> dict[str, bytes]:
        """Return the bytes of every file."""
        return {str(path.relative_to(self.root)): path.read_bytes() for path in self.root.rglob("*") if path.is_file()}
