"""Migrate a local data folder of an earlier layout version: compute it again from its raw responses, in a new folder.

Belongs here: what is taken from a folder of which version, and the exchange of the two folders. Does not belong here:
the versions and the refusal of others (`backends.layout`), computing ledger and tables (`rebuild`).

Layout 1 had no `layout.json`. Its raw responses have today's keys; its ledger has other columns, also counts calls, and
refers to landing files instead of copies of them. So the responses are copied, the ledger is written from them, and
the published sessions are loaded again through all audits. The earlier folder is not changed. It stays beside the new
one as the backup, under the name `<folder>.layout-1`.

A process that is killed leaves the earlier folder, or both folders under their other names; running the migration again
completes it.
"""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path

from stock_assets.backends.interface import FetchKind, ObjectEntry
from stock_assets.backends.layout import LAYOUT_KEY, LAYOUT_VERSION
from stock_assets.backends.local.backend import LocalBackend
from stock_assets.backends.local.backup import copy_instance, copy_tree
from stock_assets.backends.local.data_folder import earlier_version
from stock_assets.backends.local.database import LEDGER_FILE
from stock_assets.backends.local.durable import make_folder, sync
from stock_assets.backends.local.relocation import relocate
from stock_assets.backends.local.repair import published_sessions
from stock_assets.core.errors import Outcome, PriceFileUnreadable
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.ingest.file_responses import store_responses
from stock_assets.ingest.landing_conversion import LandingScope, convert
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.response_keys import request_time
from stock_assets.ingest.response_reader import PriceReader
from stock_assets.maintenance.rebuild import load_again, record_responses, response_keys

_LANDING_FILES = f"""
SELECT payload, MIN(fetched_at) FROM fetches
WHERE kind = '{FetchKind.PRICES}' AND outcome = '{Outcome.OK}' AND calls = 0 AND payload <> ''
GROUP BY payload
"""  # noqa: S608 (constants)
_ALL_SESSIONS = LandingScope(date.min, date.max)


@dataclass
class Migrated:
    """The result of a migration.

    Attributes:
        backup: the earlier folder under its new name.
        sessions: number of sessions that were loaded again.
        notes: what was not migrated, with the reason.
    """

    backup: Path
    sessions: int = 0
    notes: list[str] = field(default_factory=list)


def migrate(
    parts: PipelineParts, root: Path, instance: Path, at: datetime, announce: Callable[[str], None]
) -> Migrated | None:
    """Replace a data folder by one of the current layout; return None if it has the current layout already.

    Args:
        parts: the pipeline; its backend is not used.
        root: the data folder.
        instance: the folder of the Dagster instance.
        at: now.
        announce: receives a line for each step.

    Raises:
        UnsupportedLayout: a newer release wrote the folder.
    """
    root = root.absolute()
    building = root.with_name(f"{root.name}.migrating")
    interrupted = not root.exists() and (building / LAYOUT_KEY).exists()
    version = None if interrupted else earlier_version(root)
    done = Migrated(root.with_name(f"{root.name}.layout-{version or LAYOUT_VERSION - 1}"))
    if version is None and not interrupted:
        # A killed process may have exchanged the folders without the last step.
        return done if done.backup.exists() and relocate(root) else None
    if not interrupted:
        shutil.rmtree(building, ignore_errors=True)
        make_folder(building)
        _build(
            replace(parts, backend=LocalBackend(building, parts.memory_limit_mb)), root, building, at, announce, done
        )
        if instance.is_relative_to(root):
            copy_instance(root, building, instance)
        announce(f"keeping the earlier folder as {done.backup}")
        root.rename(done.backup)
    building.rename(root)
    sync(root.parent)
    relocate(root)
    return done


def _build(
    parts: PipelineParts, root: Path, building: Path, at: datetime, announce: Callable[[str], None], done: Migrated
) -> None:
    """Compute a new folder from the raw responses of an earlier one."""
    announce("copying the raw responses")
    copy_tree(root, building, "raw")
    announce("recording the responses in a new ledger")
    done.notes += record_responses(parts, response_keys(parts.backend), at).not_used
    for key, written_at in _landing_files(root / LEDGER_FILE):
        done.notes += _take_landing_file(parts, key, written_at, at)
    sessions = published_sessions(root, DAILY_PRICES)
    done.sessions = len(sessions)
    done.notes += load_again(parts, sessions, announce).not_loaded


def _landing_files(ledger: Path) -> Iterator[tuple[str, datetime]]:
    """Yield the landing files that an earlier ledger used as responses, with the times at which they were written."""
    if not ledger.exists():
        return
    with closing(sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True)) as connection:
        for key, written_at in connection.execute(_LANDING_FILES).fetchall():
            if request_time(key) is None:
                yield key, datetime.fromisoformat(written_at)


def _take_landing_file(parts: PipelineParts, key: str, written_at: datetime, at: datetime) -> list[str]:
    """Store the responses in a landing file; return why it was not possible."""
    with parts.backend.ledger.read() as ledger:
        try:
            entry = ObjectEntry(key, len(parts.backend.objects.get(key)), written_at)
            reader = PriceReader(parts, ledger)
            file = convert(parts, _ALL_SESSIONS, entry, reader=reader, noted_at=lambda _: written_at, at=at)
        except (PriceFileUnreadable, KeyError) as error:
            return [f"{key}: {error}"]
    store_responses(parts.backend, file.responses, at=at)
    return list(file.problems)
