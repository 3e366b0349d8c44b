"""Check the files of an Iceberg table, whatever catalog stores the table.

Belongs here: walking from the snapshots to their files, and what Iceberg's metadata states about them. Does not belong
here: finding the current metadata (the backends), the contents of data files (`local.damage`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFile, ManifestFile
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.snapshots import Snapshot as IcebergSnapshot

from stock_assets.backends.interface import Damage, Part
from stock_assets.backends.snapshots import row_count
from stock_assets.core.tables import Table
from stock_assets.core.text import plural

CheckContent = Callable[[DataFile], str]
"""Returns what is wrong with the content of a data file; empty if nothing is."""


def damaged_files(stored: IcebergTable, table: Table, check: CheckContent = lambda _: "") -> Iterator[Damage]:
    """Find the files that a snapshot needs and that are missing, damaged, or of another size.

    Args:
        stored: the table.
        table: its contract.
        check: checks the content of each data file that has the right size.
    """
    walk = _Walk(stored.io, check)
    for snapshot in stored.snapshots():
        walk.add(snapshot)
    current = stored.metadata.current_snapshot_id
    for file, found in walk.damage.items():
        yield Damage(
            Part.TABLE, file, found.why, table, tuple(sorted(found.snapshots)), is_current=current in found.snapshots
        )


@dataclass
class _Found:
    why: str
    snapshots: set[int] = field(default_factory=set)


class _Walk:
    """Reads each manifest and each data file once, for all snapshots that need it."""

    def __init__(self, io: FileIO, check: CheckContent) -> None:
        self._io = io
        self._check = check
        self._entries: dict[str, list[DataFile]] = {}
        self._problems: dict[str, str] = {}
        self.damage: dict[str, _Found] = {}

    def add(self, snapshot: IcebergSnapshot) -> None:
        try:
            manifests = snapshot.manifests(self._io)
        except Exception as error:  # noqa: BLE001 (Avro readers raise many kinds of errors for damaged bytes)
            self._note(snapshot.manifest_list, _why(error), snapshot)
            return
        rows, complete = 0, True
        for manifest in manifests:
            problem = self._manifest_problem(manifest)
            if problem:
                complete = False
                self._note(manifest.manifest_path, problem, snapshot)
            for file in self._entries.get(manifest.manifest_path, ()):
                rows += file.record_count if file.content.value == 0 else -file.record_count
                if problem := self._file_problem(file):
                    self._note(file.file_path, problem, snapshot)
        if complete and rows != row_count(snapshot):
            stated = f"its manifests have {plural(rows, 'row')}, the metadata state {row_count(snapshot):,}"
            self._note(snapshot.manifest_list, stated, snapshot)

    def _note(self, file: str, why: str, snapshot: IcebergSnapshot) -> None:
        self.damage.setdefault(file, _Found(why)).snapshots.add(snapshot.snapshot_id)

    def _manifest_problem(self, manifest: ManifestFile) -> str:
        path = manifest.manifest_path
        if path not in self._problems:
            self._problems[path] = ""
            try:
                size = len(self._io.new_input(path))
                if size != manifest.manifest_length:
                    self._problems[path] = f"it has {plural(size, 'byte')} instead of {manifest.manifest_length:,}"
                else:
                    self._entries[path] = [entry.data_file for entry in manifest.fetch_manifest_entry(self._io)]
            except Exception as error:  # noqa: BLE001 (as above)
                self._problems[path] = _why(error)
        return self._problems[path]

    def _file_problem(self, file: DataFile) -> str:
        path = file.file_path
        if path not in self._problems:
            try:
                size = len(self._io.new_input(path))
                stated = file.file_size_in_bytes
                self._problems[path] = (
                    self._check(file) if size == stated else f"it has {plural(size, 'byte')} instead of {stated:,}"
                )
            except Exception as error:  # noqa: BLE001 (each FileIO has its own errors for a missing file)
                self._problems[path] = _why(error)
        return self._problems[path]


def _why(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "it is missing"
    return f"it cannot be read: {type(error).__name__}: {error}"
