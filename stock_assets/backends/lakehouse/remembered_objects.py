"""Objects of a bucket of which a process remembers the few that its sensors read every minute.

Belongs here: which objects are remembered, and for how long. Does not belong here: what the objects mean (`alerts`,
`loads.rejections`).

The process that evaluates the sensors is the only one that opens and resolves incidents. So it lists them once, and
again after `REMEMBERED_FOR_SECONDS`, in case that somebody has deleted one by hand, or another process of the sensors
has existed for a short time. A write that another process was faster with makes it list them at once. The record of a
rejected load never changes: each is read once.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from threading import RLock

from stock_assets.backends.interface import ObjectEntry
from stock_assets.backends.lakehouse.aws_session import AwsAccess
from stock_assets.backends.lakehouse.data_folder import DataFolderObjects
from stock_assets.backends.lakehouse.objects import BucketFolder

REMEMBERED_FOR_SECONDS = 600.0
_INCIDENTS = "alerts/open/"
_RECORDS = "staged/rejections/"


class RememberedObjects(DataFolderObjects):
    """Objects that are read from S3, except the open incidents and the records of rejected loads."""

    def __init__(self, access: AwsAccess, place: BucketFolder, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(access, place)
        self._clock = clock
        self._lock = RLock()
        """Held during requests too: a listing that overlaps with a write would not contain the new object."""
        self._incidents: dict[str, ObjectEntry] | None = None
        self._listed_at = 0.0
        self._bodies: dict[str, tuple[bytes, str]] = {}

    def entries(self, prefix: str, *, since: datetime | None = None) -> Sequence[ObjectEntry]:
        """List objects; the open incidents from memory."""
        if not prefix.startswith(_INCIDENTS):
            return super().entries(prefix, since=since)
        with self._lock:
            return [entry for key, entry in sorted(self._listed().items()) if key.startswith(prefix)]

    def get_version(self, key: str) -> tuple[bytes, str]:
        """Read an object and its ETag; one that is remembered from memory."""
        if not key.startswith((_INCIDENTS, _RECORDS)):
            return super().get_version(key)
        with self._lock:
            if key.startswith(_INCIDENTS) and key not in self._listed():
                raise KeyError(key)
            if key not in self._bodies:
                self._bodies[key] = super().get_version(key)
            return self._bodies[key]

    def put_version(self, key: str, body: bytes, *, etag: str | None) -> str | None:
        """Put under a condition, and remember the object."""
        if not key.startswith(_INCIDENTS):
            return super().put_version(key, body, etag=etag)
        with self._lock:
            listed, self._incidents = self._incidents, None
            stored = super().put_version(key, body, etag=etag)
            if stored is not None and listed is not None:
                self._incidents = listed | {key: ObjectEntry(key, len(body), datetime.now(UTC))}
            return stored

    def delete(self, key: str) -> None:
        """Delete an object, and forget it."""
        with self._lock:
            super().delete(key)
            self._bodies.pop(key, None)
            if self._incidents is not None:
                self._incidents.pop(key, None)

    def _listed(self) -> dict[str, ObjectEntry]:
        if self._incidents is None or self._clock() - self._listed_at >= REMEMBERED_FOR_SECONDS:
            self._listed_at = self._clock()
            self._incidents = {entry.key: entry for entry in super().entries(_INCIDENTS)}
            self._bodies = {key: body for key, body in self._bodies.items() if not key.startswith(_INCIDENTS)}
        return self._incidents
