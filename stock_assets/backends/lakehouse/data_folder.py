"""The objects of a lakehouse backend, below a prefix that records its layout version.

Belongs here: recognising data of other releases, and marking a new prefix. Does not belong here: how objects are stored
(`objects`), what they contain (the modules beside this one).
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from stock_assets.backends.interface import ListedPart, ObjectEntry
from stock_assets.backends.lakehouse.aws_session import AwsAccess
from stock_assets.backends.lakehouse.object_cache import CachedObjects
from stock_assets.backends.lakehouse.objects import BucketFolder, S3Objects
from stock_assets.backends.layout import LAYOUT_KEY, check_layout, import_responses, layout_body, older_layout
from stock_assets.core.text_cache import cache_folder

_WRITTEN_BY_EVERY_RELEASE = ("ledger/", "history/")
"""Without a layout object, objects with these prefixes prove an older layout.

Objects below `raw/` prove nothing: others may deliver landing files before the pipeline has ever run.
"""
_NEW_FOLDER = "set STOCK_ASSETS_AWS_PREFIX and STOCK_ASSETS_AWS_DATABASE to new names"


class DataFolderObjects(S3Objects):
    """Objects that are checked before the first access and marked before the first write, once per instance."""

    def __init__(self, access: AwsAccess, place: BucketFolder) -> None:
        super().__init__(access, place)
        self._checked = False
        self._marked = False

    def require_layout(self) -> None:
        """Check once that this release can read the data.

        Raises:
            UnsupportedLayout: another release wrote the data.
        """
        if not self._checked:
            self._marked = self._has_layout()
            self._checked = True

    def put_version(self, key: str, body: bytes, *, etag: str | None) -> str | None:
        """Put under a condition; the first put of a new prefix writes the layout object before."""
        self.require_layout()
        if not self._marked:
            # None if another process has marked the prefix meanwhile, with the same content.
            super().put_version(LAYOUT_KEY, layout_body(), etag=None)
            self._marked = True
        return super().put_version(key, body, etag=etag)

    def get_version(self, key: str) -> tuple[bytes, str]:
        """Read an object and its ETag, if the layout is supported."""
        self.require_layout()
        return super().get_version(key)

    def get_together(self, prefix: str, keys: Collection[str]) -> Mapping[str, bytes]:
        """Read small objects from the machine's cache or in several threads, if the layout is supported."""
        self.require_layout()
        return CachedObjects(self, prefix, cache_folder("objects")).read(keys) if keys else {}

    def entries(self, prefix: str, *, since: datetime | None = None) -> Sequence[ObjectEntry]:
        """List objects, if the layout is supported."""
        self.require_layout()
        return super().entries(prefix, since=since)

    def list_part(self, prefix: str, *, after: str = "") -> ListedPart:
        """List a part of the objects, if the layout is supported."""
        self.require_layout()
        return super().list_part(prefix, after=after)

    def delete(self, key: str) -> None:
        """Delete an object, if the layout is supported."""
        self.require_layout()
        super().delete(key)

    def delete_keys(self, keys: Sequence[str]) -> None:
        """Delete objects, if the layout is supported."""
        self.require_layout()
        super().delete_keys(keys)

    def delete_all(self, prefix: str) -> None:
        """Delete all objects below a prefix, if the layout is supported."""
        self.require_layout()
        super().delete_all(prefix)

    def _has_layout(self) -> bool:
        """Return whether the layout object exists; check its content then."""
        folder = self.uri("").rstrip("/")
        try:
            body, _ = super().get_version(LAYOUT_KEY)
        except KeyError:
            if not any(super(DataFolderObjects, self).entries(prefix) for prefix in _WRITTEN_BY_EVERY_RELEASE):
                return False
            try:
                # Another process may be marking the prefix; it writes the layout object before any other.
                body, _ = super().get_version(LAYOUT_KEY)
            except KeyError:
                raise older_layout(folder, import_responses(folder, _NEW_FOLDER)) from None
        check_layout(body, folder, new_folder=_NEW_FOLDER)
        return True
