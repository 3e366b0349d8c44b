"""Rewrite the addresses in a table's metadata, after a copy or a move, or for a table that was built elsewhere.

Belongs here: new manifests, manifest lists and metadata files, and the change of the catalog. Does not belong here: the
rule that a table must lie in its data folder (`table_folder`), committing rows (`iceberg`).

Iceberg stores absolute addresses. New files are written beside the old ones, and are on disk before one transaction of
the catalog refers to them. So a process that is killed at any time leaves the earlier state or the new one, and running
it again completes the work. Maintenance removes the files that are no longer needed.
"""

import json
import os
import sqlite3
import time
from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from pyiceberg.io import FileIO
from pyiceberg.manifest import ManifestFile, read_manifest_list, write_manifest, write_manifest_list
from pyiceberg.table.metadata import TableMetadata, TableMetadataUtil

from stock_assets.backends.local.database import CATALOG_FILE, DURABLE_COMMITS
from stock_assets.backends.local.durable import make_folder, sync
from stock_assets.backends.local.durable_file_io import DurableFileIO
from stock_assets.backends.local.table_folder import path_of, require_usable
from stock_assets.backends.local.table_reader import CATALOG_NAME
from stock_assets.core.errors import TableOutsideDataFolder

_CODEC: Final = "deflate"
_PATH, _LENGTH = 0, 1
"""Positions of the address and the length in an entry of a manifest list; the address of a data file is at 1."""
_LOCATIONS = """
SELECT table_namespace, table_name, metadata_location FROM iceberg_tables
WHERE catalog_name = ? AND metadata_location IS NOT NULL
"""
_MOVE = """
UPDATE iceberg_tables SET metadata_location = ?, previous_metadata_location = NULL
WHERE catalog_name = ? AND table_namespace = ? AND table_name = ? AND metadata_location = ?
"""


@dataclass(frozen=True)
class Relocated:
    """A table whose addresses were rewritten.

    Attributes:
        table: its name, such as `published.daily_prices`.
        earlier: the folder that its metadata named before.
        files: number of metadata files that were written.
    """

    table: str
    earlier: str
    files: int


def relocate(root: Path) -> list[Relocated]:
    """Make the tables of a copied or moved data folder tables of this folder; return those that were not.

    No other folder is read or changed.

    Raises:
        TableOutsideDataFolder: the tables are a link to another folder, or their metadata are not in this folder.
    """
    require_usable(root)
    catalog = root / CATALOG_FILE
    if not catalog.exists():
        return []
    done: list[Relocated] = []
    with closing(sqlite3.connect(catalog, timeout=30, isolation_level=None)) as connection:
        connection.execute(DURABLE_COMMITS)
        moves = []
        for schema, name, location in connection.execute(_LOCATIONS, (CATALOG_NAME,)).fetchall():
            earlier = Path(path_of(location)).parent.parent
            folder = root / schema / name
            if _is_same(earlier.parent.parent, root):
                continue
            _require_copied(folder, root, earlier, Path(location).name)
            rewrite = Rewrite(read_from=folder, earlier=_location(folder, Path(location).name), target=folder)
            moves.append((rewrite.write(Path(location).name), CATALOG_NAME, schema, name, location))
            done.append(Relocated(f"{schema}.{name}", str(earlier), rewrite.written))
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(_MOVE, moves)
        connection.execute("COMMIT")
    # Rows of a load that is staged and not published name their responses by address; they are written again.
    for rows in (root / "staged" / "tables").glob("*/raw_rows_*.parquet"):
        rows.unlink(missing_ok=True)
    return done


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _require_copied(folder: Path, root: Path, earlier: Path, metadata: str) -> None:
    """Check that the files of a table are in this data folder, not behind a link that was copied.

    Raises:
        TableOutsideDataFolder: they are not.
    """
    if os.path.realpath(folder) != os.path.join(os.path.realpath(root), *folder.relative_to(root).parts):  # noqa: PTH118 (a text comparison)
        raise TableOutsideDataFolder(
            f"{folder} is a link to {os.path.realpath(folder)}, which may belong to the data folder that was copied. "
            "Copy the files instead of the link, and run stock-assets relocate again"
        )
    if not (folder / "metadata" / metadata).exists():
        raise TableOutsideDataFolder(
            f"The tables of {root} were created in {earlier}, and their metadata {metadata} is not in {folder}. Copy "
            "the data folder completely, or run: stock-assets repair --apply"
        )


def _location(folder: Path, metadata: str) -> str:
    """Return the address that a metadata file names; the one in the catalog may be damaged."""
    text = (folder / "metadata" / metadata).read_text(encoding="utf-8")
    return TableMetadataUtil.parse_raw(text).location


class Rewrite:
    """One table's metadata with other addresses."""

    def __init__(self, *, read_from: Path, earlier: str, target: Path) -> None:
        """Describe the change.

        Args:
            read_from: folder of the table's files.
            earlier: address of the folder that the metadata name.
            target: folder that the new metadata name, and in which they are written.
        """
        self._read_from = read_from
        self._earlier = earlier
        self._target = target
        self._io: FileIO = DurableFileIO()
        self._manifests: dict[str, ManifestFile] = {}
        self.written = 0

    def write(self, metadata_file: str, *, drop: Collection[int] = (), current: int | None = None) -> str:
        """Write new metadata for a file of the folder `metadata`; return their address.

        Args:
            metadata_file: name of the file.
            drop: snapshots to leave out.
            current: snapshot that becomes the current one; None for the one that is current.
        """
        body = (self._read_from / "metadata" / metadata_file).read_bytes()
        metadata = TableMetadataUtil.parse_raw(body.decode())
        content: dict[str, Any] = json.loads(body)
        lists = {
            snapshot.snapshot_id: self._write_list(metadata, snapshot.snapshot_id)
            for snapshot in metadata.snapshots
            if snapshot.snapshot_id not in drop
        }
        content["location"] = f"file://{self._target}"
        # Earlier metadata files name the earlier folder; nothing reads them.
        content["metadata-log"] = []
        content["snapshots"] = [
            {**snapshot, "manifest-list": lists[snapshot["snapshot-id"]]}
            for snapshot in content.get("snapshots", [])
            if snapshot["snapshot-id"] in lists
        ]
        content["snapshot-log"] = [entry for entry in content.get("snapshot-log", []) if entry["snapshot-id"] in lists]
        if current is not None:
            content["current-snapshot-id"] = current
            content["refs"] = {"main": {"snapshot-id": current, "type": "branch"}}
            content["last-updated-ms"] = int(time.time() * 1000)
        number = int(metadata_file.partition("-")[0]) + 1
        file = self._target / "metadata" / f"{number:05d}-{uuid4()}.metadata.json"
        make_folder(file.parent)
        file.write_bytes(json.dumps(content).encode())
        sync(file)
        sync(file.parent)
        self.written += 1
        return f"file://{file}"

    def link_data(self, metadata_file: str) -> None:
        """Give the data files of all snapshots a second name in the target folder."""
        metadata = TableMetadataUtil.parse_raw(
            (self._read_from / "metadata" / metadata_file).read_text(encoding="utf-8")
        )
        for snapshot in metadata.snapshots:
            for manifest in read_manifest_list(self._io.new_input(self._source(snapshot.manifest_list))):
                for entry in self._at_source(manifest).fetch_manifest_entry(self._io):
                    source = Path(path_of(self._source(entry.data_file.file_path)))
                    target = Path(path_of(self._moved(entry.data_file.file_path)))
                    make_folder(target.parent)
                    if not target.exists():
                        os.link(source, target)
                        sync(target.parent)

    def _write_list(self, metadata: TableMetadata, snapshot_id: int) -> str:
        snapshot = metadata.snapshot_by_id(snapshot_id)
        if snapshot is None:
            raise KeyError(snapshot_id)
        manifests = [
            self._write_manifest(metadata, manifest)
            for manifest in read_manifest_list(self._io.new_input(self._source(snapshot.manifest_list)))
        ]
        address = f"file://{self._target}/metadata/snap-{snapshot_id}-0-{uuid4()}.avro"
        with write_manifest_list(
            2,
            self._io.new_output(address),
            snapshot_id,
            snapshot.parent_snapshot_id,
            snapshot.sequence_number,
            _CODEC,
        ) as writer:
            writer.add_manifests(manifests)
        self.written += 1
        return address

    def _write_manifest(self, metadata: TableMetadata, manifest: ManifestFile) -> ManifestFile:
        """Return the entry of a manifest with other addresses; a manifest of several snapshots is written once."""
        known = self._manifests.get(manifest.manifest_path)
        if known is not None:
            return known
        spec = metadata.specs()[manifest.partition_spec_id]
        address = f"file://{self._target}/metadata/{uuid4()}-m0.avro"
        output = self._io.new_output(address)
        with write_manifest(2, spec, metadata.schema(), output, manifest.added_snapshot_id or 0, _CODEC) as writer:
            for entry in self._at_source(manifest).fetch_manifest_entry(self._io, discard_deleted=False):
                entry.data_file[1] = self._moved(entry.data_file.file_path)
                writer.add_entry(entry)
        moved = ManifestFile(*manifest._data)  # noqa: SLF001 (a record has no public copy)
        moved[_PATH], moved[_LENGTH] = address, len(self._io.new_input(address))
        self._manifests[manifest.manifest_path] = moved
        self.written += 1
        return moved

    def _at_source(self, manifest: ManifestFile) -> ManifestFile:
        found = ManifestFile(*manifest._data)  # noqa: SLF001 (as above)
        found[_PATH] = self._source(manifest.manifest_path)
        return found

    def _source(self, address: str) -> str:
        return f"file://{self._read_from}{self._inside(address)}"

    def _moved(self, address: str) -> str:
        return f"file://{self._target}{self._inside(address)}"

    def _inside(self, address: str) -> str:
        if not address.startswith(f"{self._earlier}/"):
            raise TableOutsideDataFolder(
                f"{self._read_from} has the file {address}, outside its earlier folder {self._earlier}"
            )
        return address.removeprefix(self._earlier)
