"""Decide whether a tick of the landing files sensor lists files: its cursor, and a queue with notifications.

Belongs here: the cursor, and what messages change. Does not belong here: SQS (`backends.lakehouse.landing_queue`),
listing and reading files (`ingest.landing_files`).

The ledger remains the source of truth, and a message is a hint only: it makes a tick list the files, as every tick does
without a queue. So duplicated messages and their order change nothing. A file whose message is late is found, because
the cursor moves only when files are listed; a file whose message is lost is found by the first tick of the next day,
which compares all files. A message is deleted when the next tick shows that Dagster has stored the cursor of the tick
that received it; if a process is killed before, the message is received again.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from stock_assets.backends.interface import INGEST_DATE, STILL_WRITTEN
from stock_assets.core.errors import AccessRefused, ServiceRefused, ServiceUnavailable
from stock_assets.ingest.landing_files import LandingScan
from stock_assets.ingest.response_keys import FOLDER

if TYPE_CHECKING:
    from stock_assets.backends.lakehouse.landing_queue import LandingQueue

OVERLAP = timedelta(minutes=10)
"""A file may become visible this long after its timestamp."""
_DATED = re.compile(rf"{FOLDER}{INGEST_DATE}([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})/")
_COMPLETE = "complete"


@dataclass(frozen=True)
class LandingCursor:
    """What earlier ticks have compared with the ledger.

    Attributes:
        known_before: every file that was written earlier is known.
        day: day (UTC) on which all files were compared; empty if they have to be compared again.
        complete: whether the last listing left no file for a later tick.
    """

    known_before: datetime
    day: str
    complete: bool

    @classmethod
    def parse(cls, text: str | None) -> "LandingCursor | None":
        """Read a cursor, or return None if there is none."""
        if not text:
            return None
        known_before, *rest = text.split(" ")
        return cls(datetime.fromisoformat(known_before), rest[0] if rest else "", _COMPLETE in rest)

    def __str__(self) -> str:
        """Format the cursor for Dagster."""
        return " ".join(filter(None, [self.known_before.isoformat(), self.day, _COMPLETE if self.complete else ""]))


def next_cursor(scanned: LandingScan, at: datetime, *, compared_all: bool) -> LandingCursor:
    """Return the cursor after a listing."""
    unknown = [*(file.entry for file in scanned.landing_files), *scanned.waiting, *scanned.remaining]
    known_before = min([entry.modified_at for entry in unknown] + [at]) - OVERLAP
    # An unknown file may be in a folder of an earlier day.
    return LandingCursor(known_before, "" if compared_all and unknown else f"{at:%Y-%m-%d}", not unknown)


@dataclass(frozen=True)
class Listing:
    """What a tick lists: the files that were written since a timestamp, or all files."""

    since: datetime | None


@dataclass
class LandingHints:
    """The queue of a pipeline, if it has one, and the messages that this process has received and not deleted yet."""

    queue: "LandingQueue | None" = None
    _receipts: tuple[str, ...] = ()
    _stored_with: str = field(default="")

    def listing(self, stored: str | None, at: datetime, warn: Callable[[str], None]) -> Listing | None:
        """Return what to list now, or None if nothing shows that there is a new file.

        Args:
            stored: the cursor that Dagster has stored.
            at: now, aware, UTC.
            warn: reports that the queue cannot be read; the tick then lists the files.
        """
        cursor = LandingCursor.parse(stored)
        since = cursor.known_before if cursor and cursor.day == f"{at:%Y-%m-%d}" else None
        if self.queue is None:
            return Listing(since)
        try:
            if self._receipts and self._stored_with == stored:
                self.queue.delete(self._receipts)
            self._receipts, self._stored_with = (), ""
            received = self.queue.receive()
        except (AccessRefused, ServiceRefused, ServiceUnavailable) as error:
            warn(f"the files are listed, because the queue cannot be read: {error}")
            return Listing(since)
        self._receipts = received.receipts
        if cursor is None or since is None:
            return Listing(None)
        if any(_is_unlisted(key, since) for key in received.keys):
            return Listing(None)
        return None if cursor.complete and not received.receipts else Listing(since)

    def stored_with(self, cursor: str) -> None:
        """Keep the received messages until Dagster has stored this cursor."""
        self._stored_with = cursor


def _is_unlisted(key: str, since: datetime) -> bool:
    """Return whether a key is in a folder of an earlier day, which `Objects.entries` leaves out."""
    dated = _DATED.match(key)
    return dated is not None and date.fromisoformat(dated[1]) < (since - STILL_WRITTEN).date()
