"""Decide whether a tick of the landing files sensor lists files: its cursor, and a queue with notifications.

Belongs here: the cursor, and what messages change. Does not belong here: SQS (`backends.lakehouse.landing_queue`),
listing and reading files (`ingest.landing_files`).

Once a day all files are compared with the ledger. A bucket may have millions, so a tick compares a part of them (on the
local backend, all), and the next tick goes on behind it.

The ledger remains the source of truth, and a message is a hint only: it makes a tick list the files, as every tick does
without a queue. So duplicated messages and their order change nothing. A file whose message is late is found, because
the cursor moves only when files are listed; a file whose message is lost is found on the next day, when all files are
compared. A message is deleted when the next tick shows that Dagster has stored the cursor of the tick
that received it; if a process is killed before, the message is received again.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from stock_assets.backends.interface import INGEST_DATE, STILL_WRITTEN
from stock_assets.core.errors import AccessRefused, ServiceRefused, ServiceUnavailable
from stock_assets.ingest.landing_files import LandingScan
from stock_assets.ingest.response_keys import FOLDER

if TYPE_CHECKING:
    from stock_assets.backends.lakehouse.landing_queue import LandingQueue

OVERLAP = timedelta(minutes=10)
"""A file may become visible this long after its timestamp."""
_DATED = re.compile(rf"{FOLDER}{INGEST_DATE}([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})/")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_COMPLETE, _AGAIN, _AFTER = "complete", "again", "after="


@dataclass(frozen=True)
class LandingCursor:
    """What earlier ticks have compared with the ledger.

    Attributes:
        known_before: every file that was written earlier is known, or will be compared in a later part.
        day: day (UTC) on which all files were compared; empty if they have to be compared.
        complete: whether the last listing left no file for a later tick.
        after: key after which the next part of all files begins; empty for the first part.
        again: whether an earlier part had an unknown file, so that all files are compared again after the last part.
    """

    known_before: datetime
    day: str
    complete: bool
    after: str = ""
    again: bool = False

    @classmethod
    def parse(cls, text: str | None) -> "LandingCursor | None":
        """Read a cursor, or return None if there is none."""
        if not text:
            return None
        known_before, *words = text.split(" ")
        after = next((word.removeprefix(_AFTER) for word in words if word.startswith(_AFTER)), "")
        day = next((word for word in words if _DAY.fullmatch(word)), "")
        return cls(datetime.fromisoformat(known_before), day, _COMPLETE in words, unquote(after), _AGAIN in words)

    def __str__(self) -> str:
        """Format the cursor for Dagster."""
        words = [
            self.known_before.isoformat(),
            self.day,
            _COMPLETE if self.complete else "",
            f"{_AFTER}{quote(self.after)}" if self.after else "",
            _AGAIN if self.again else "",
        ]
        return " ".join(filter(None, words))


def next_cursor(scanned: LandingScan, at: datetime, listing: "Listing") -> LandingCursor:
    """Return the cursor after a listing."""
    unknown = [*(file.entry for file in scanned.landing_files), *scanned.waiting, *scanned.remaining]
    known_before, day = min([entry.modified_at for entry in unknown] + [at]) - OVERLAP, f"{at:%Y-%m-%d}"
    if listing.after is None:
        return LandingCursor(known_before, day, not unknown)
    # An unknown file may be in a folder of an earlier day: comparing all files finds it again, however old it is.
    again = listing.again or bool(unknown)
    since = max(known_before, at - STILL_WRITTEN)
    if scanned.next_after:
        return LandingCursor(since, "", complete=False, after=scanned.next_after, again=again)
    return LandingCursor(since, "", complete=False) if again else LandingCursor(known_before, day, complete=True)


@dataclass(frozen=True)
class Listing:
    """What a tick lists.

    Attributes:
        since: the files that were written since this timestamp.
        after: also the part of all files that begins after this key; None for no part.
        again: whether all files are compared again after the last part.
    """

    since: datetime
    after: str | None = None
    again: bool = False

    def has_every_unknown_file(self, scanned: LandingScan) -> bool:
        """Return whether a scan of this listing has every unknown file, not only those of a part."""
        return self.after is None or not (self.after or scanned.next_after)


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
        cursor = LandingCursor.parse(stored) or LandingCursor(at - OVERLAP, "", complete=False)
        since, are_compared = cursor.known_before, cursor.day == f"{at:%Y-%m-%d}"
        found = Listing(since) if are_compared else Listing(since, cursor.after, again=cursor.again)
        if self.queue is None:
            return found
        try:
            if self._receipts and self._stored_with == stored:
                self.queue.delete(self._receipts)
            self._receipts, self._stored_with = (), ""
            received = self.queue.receive()
        except (AccessRefused, ServiceRefused, ServiceUnavailable) as error:
            warn(f"the files are listed, because the queue cannot be read: {error}")
            return found
        self._receipts = received.receipts
        if any(_is_unlisted(key, since) for key in received.keys):
            # The part with this file may be behind us.
            return Listing(since, found.after or "", again=bool(found.after))
        return None if are_compared and cursor.complete and not received.receipts else found

    def stored_with(self, cursor: str) -> None:
        """Keep the received messages until Dagster has stored this cursor."""
        self._stored_with = cursor


def _is_unlisted(key: str, since: datetime) -> bool:
    """Return whether a key is in a folder of an earlier day, which `Objects.entries` leaves out."""
    dated = _DATED.match(key)
    return dated is not None and date.fromisoformat(dated[1]) < (since - STILL_WRITTEN).date()
