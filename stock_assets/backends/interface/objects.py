"""The interface of the stored objects: raw responses and records of loads.

Belongs here: the names of folders that every backend uses, the interface, and the values it exchanges. Does not belong
here: keys of responses (`ingest.response_keys`), records of the other steps, the ledger of requests (`ledger`).
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, NamedTuple

INGEST_DATE = "ingest_date="
"""Start of the names of the folders that have the raw responses of one day."""
STILL_WRITTEN = timedelta(days=1)
"""Time for which a folder of raw responses may still change after its last object was added."""


@dataclass(frozen=True)
class ObjectEntry:
    """One object of a listing.

    Attributes:
        key: key of the object.
        size: size in bytes.
        modified_at: when the object was written to this place, aware, UTC.
        problem: why it must not be read, such as a link that leaves the folder; empty for an object.
    """

    key: str
    size: int
    modified_at: datetime
    problem: str = ""


class ListedPart(NamedTuple):
    """A part of the objects below a prefix, in the order of their keys.

    Attributes:
        entries: the objects.
        next_after: key after which the next part begins; empty after the last one.
    """

    entries: Sequence[ObjectEntry]
    next_after: str


class Objects(ABC):
    """Immutable bytes under keys such as `raw/daily_prices/ingest_date=2012-03-01/...`.

    Attributes:
        has_packs: whether `pack` moves responses; without packs, responses stay single objects forever.
    """

    has_packs: ClassVar[bool] = False

    @abstractmethod
    def put(self, key: str, body: bytes) -> None:
        """Store a new object, completely or not at all.

        Raises:
            ObjectExists: the key already has an object.
        """

    @abstractmethod
    def get(self, key: str) -> bytes:
        """Read an object.

        Raises:
            KeyError: the key has no object.
        """

    def get_together(self, prefix: str, keys: Collection[str]) -> Mapping[str, bytes]:  # noqa: ARG002 (for S3)
        """Read small objects below a prefix where this is faster together; the caller reads the others with `get`.

        An object that was removed or replaced is left out or read again.
        """
        return {}

    @abstractmethod
    def keys(self, prefix: str) -> list[str]:
        """Return the keys below a prefix that ends with `/`, sorted."""

    @abstractmethod
    def entries(self, prefix: str, *, since: datetime | None = None) -> Sequence[ObjectEntry]:
        """Return the objects below a prefix that ends with `/`, sorted by key, with size and time; not packed ones.

        Whatever else others put there is returned too, with its `problem`.

        Args:
            prefix: the folder.
            since: objects that were written earlier may be left out: those in folders `ingest_date=...` of earlier
                days, which grow with every session. None for all objects.
        """

    def list_part(self, prefix: str, *, after: str = "") -> ListedPart:  # noqa: ARG002 (for S3)
        """Return a part of the `entries`, so that listing all of them never takes long; here, all of them.

        Args:
            prefix: the folder.
            after: key after which the part begins; empty for the first part.
        """
        return ListedPart(self.entries(prefix), "")

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove an object; do nothing if the key has no object."""

    def pack(self, keys: Iterable[str]) -> int:  # noqa: ARG002 (for backends that have packs)
        """Move raw responses into few compressed files, and return their number; `get` and `keys` still find them.

        Their bytes stay the same, also if the process is killed. Call this only for responses that the ledger knows:
        `entries` leaves packed objects out, and so do the landing files.
        """
        return 0

    def remove_partial_files(self, *, before: datetime) -> int:  # noqa: ARG002 (for backends that need it)
        """Remove partial files that killed writers left before a timestamp; return their number."""
        return 0

    @abstractmethod
    def uri(self, key: str) -> str:
        """Return the address by which the backend's SQL engine reads the object."""
