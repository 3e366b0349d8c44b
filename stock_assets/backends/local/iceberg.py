"""Published tables as Iceberg tables in a local catalog: create, evolve, replace a range, look back.

Belongs here: every call of pyiceberg. Does not belong here: SQL.
"""

import random
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import urlparse

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError, TableAlreadyExistsError
from pyiceberg.expressions import And, BooleanExpression, GreaterThanOrEqual, LessThanOrEqual
from pyiceberg.io import PY_IO_IMPL

# The public `Table.overwrite` writes a delete and an append: two snapshots, and a reader or a rollback that lands on
# the first sees a hole. Only the private writer below lets both happen in one snapshot.
from pyiceberg.io.pyarrow import _dataframe_to_data_files
from pyiceberg.manifest import DataFile, ManifestFile
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.table.update.snapshot import _OverwriteFiles
from pyiceberg.transforms import IdentityTransform, YearTransform
from pyiceberg.types import (
    BooleanType,
    DateType,
    DoubleType,
    LongType,
    NestedField,
    PrimitiveType,
    StringType,
    TimestampType,
)
from sqlalchemy import URL
from sqlalchemy.exc import IntegrityError, OperationalError

from stock_assets.backends.interface import Snapshot
from stock_assets.backends.local.durable import DurableFileIO, make_folder
from stock_assets.core.errors import ConcurrentPublish, SettingsError, TableOutsideDataFolder, UnknownSnapshot
from stock_assets.core.tables import ColumnType, Table

PROPERTY_PREFIX = "stock_assets."
EXPIRED_BEFORE = f"{PROPERTY_PREFIX}versions-expired-before"
"""Property of a table: versions that no reader has seen since that moment are gone."""
_LOOKS = 6
_NOT_IN_ADDRESSES = frozenset("?#")
"""pyiceberg takes them for the end of the path, and would write into another folder."""
_PARTITION_FIELD_ID = 1000
_TYPES: dict[ColumnType, PrimitiveType] = {
    ColumnType.TEXT: StringType(),
    ColumnType.DATE: DateType(),
    ColumnType.DOUBLE: DoubleType(),
    ColumnType.INTEGER: LongType(),
    ColumnType.BOOLEAN: BooleanType(),
    ColumnType.TIMESTAMP: TimestampType(),
}
_TABLE_PROPERTIES = {
    # pyiceberg would retry a conflict by itself wherever the files do not overlap; but the metrics of a load depend
    # on published rows outside its range, so after any other commit the load must be staged again.
    "commit.retry.num-retries": "0",
    "write.parquet.compression-codec": "zstd",
    "write.metadata.previous-versions-max": "100",
}


def load(root: Path, table: Table) -> IcebergTable:
    """Load the current version of a table; create it, or add columns its contract gained, where needed.

    Of the processes that meet in a new backend, or right after a contract has grown, one creates; the others look again.

    Raises:
        TableOutsideDataFolder: the folder was copied or moved; the catalog in it names the files of another folder.
    """
    for attempt in range(1, _LOOKS):
        try:
            return _load(root, table)
        except (IntegrityError, OperationalError, CommitFailedException):
            time.sleep(random.uniform(0, 0.05 * 2**attempt))  # noqa: S311 (jitter)
    return _load(root, table)


def _load(root: Path, table: Table) -> IcebergTable:
    catalog = _catalog(root)
    identifier = (table.schema, table.name)
    try:
        stored = catalog.load_table(identifier)
    except NoSuchTableError:
        catalog.create_namespace_if_not_exists(table.schema)
        stored = _create(catalog, table)
    known = {field.name for field in stored.schema().fields}
    added = [column for column in table.columns if column.name not in known]
    if added:
        with stored.update_schema() as update:
            for column in added:
                update.add_column(column.name, _TYPES[column.type], doc=column.description)
    return stored


def data_files(stored: IcebergTable) -> list[str]:
    """List the paths of the Parquet files of the loaded snapshot."""
    return [path_of(task.file.file_path) for task in stored.scan().plan_files()]


def path_of(address: str) -> str:
    """Give the path of a file that a table names."""
    # Not unquoted: pyiceberg writes and reads the path as it stands, percent signs and all.
    return urlparse(address).path


def replace_range(
    stored: IcebergTable, rows: pa.Table, *, first: date, last: date, properties: Mapping[str, str]
) -> int:
    """Make the rows of `[first, last]` equal to `rows`, in one snapshot on top of the loaded one.

    The files of every year the range touches are written anew, one a year, sorted: a publish leaves no small files.

    Raises:
        ConcurrentPublish: the table has a newer snapshot than the loaded one.
    """
    scan = stored.scan(row_filter=And(*_between(date(first.year, 1, 1), date(last.year, 12, 31))))
    replaced = [task.file for task in scan.plan_files()]
    present = scan.to_arrow().cast(rows.schema)
    inside = pc.and_(
        pc.greater_equal(present["trade_date"], pa.scalar(first)),
        pc.less_equal(present["trade_date"], pa.scalar(last)),
    )
    merged = pa.concat_tables([present.filter(pc.invert(inside)), rows])
    merged = merged.sort_by([("symbol", "ascending"), ("trade_date", "ascending")])
    try:
        return replace_files(
            stored, replaced, _dataframe_to_data_files(stored.metadata, merged, stored.io), properties=properties
        )
    except CommitFailedException as error:
        raise ConcurrentPublish(
            f"{'.'.join(stored.name())} changed while [{first}, {last}] was being published; stage and publish again"
        ) from error


def replace_files(
    stored: IcebergTable, replaced: Iterable[DataFile], written: Iterable[DataFile], *, properties: Mapping[str, str]
) -> int:
    """Put files in the place of others, in one snapshot on top of the loaded one; give its id.

    Raises:
        CommitFailedException: the table has a newer snapshot than the loaded one.
    """
    with stored.transaction() as transaction:
        update = _ReplaceFiles(
            Operation.OVERWRITE if stored.current_snapshot() else Operation.APPEND,
            transaction,
            stored.io,
            snapshot_properties={PROPERTY_PREFIX + key: value for key, value in properties.items()},
        )
        with update as snapshot:
            for file in replaced:
                snapshot.delete_data_file(file)
            for file in written:
                snapshot.append_data_file(file)
    current = stored.current_snapshot()
    if current is None:
        raise RuntimeError("a committed Iceberg table has a current snapshot")
    return current.snapshot_id


class _ReplaceFiles(_OverwriteFiles):
    """An overwrite that does not carry on what is gone.

    pyiceberg 0.12 hands the list of files that a snapshot removed on to every later one, and reads it in every scan: a
    publish would take longer with each that was before.
    """

    def _process_manifests(self, manifests: list[ManifestFile]) -> list[ManifestFile]:
        return [
            manifest
            for manifest in manifests
            if manifest.has_added_files()
            or manifest.has_existing_files()
            or manifest.added_snapshot_id == self.snapshot_id
        ]


def history(stored: IcebergTable) -> list[Snapshot]:
    """List the snapshots, newest first."""
    current = stored.current_snapshot()
    return [
        Snapshot(
            snapshot_id=snapshot.snapshot_id,
            committed_at=datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC),
            rows=int(snapshot.summary["total-records"] or 0) if snapshot.summary else 0,
            properties=_own_properties(snapshot.summary.additional_properties if snapshot.summary else {}),
            is_current=current is not None and snapshot.snapshot_id == current.snapshot_id,
        )
        for snapshot in sorted(stored.snapshots(), key=lambda snapshot: snapshot.sequence_number or 0, reverse=True)
    ]


def rollback(root: Path, table: Table, snapshot_id: int) -> None:
    """Make a snapshot the current one, whatever is current by now.

    Raises:
        UnknownSnapshot: the table has none with this id, or has it no more.
    """
    for _ in range(_LOOKS):
        stored = load(root, table)
        _refuse_unknown(stored, snapshot_id)
        try:
            stored.manage_snapshots().set_current_snapshot(snapshot_id=snapshot_id).commit()
        except (CommitFailedException, ValueError):
            # Somebody has published, or let the snapshot expire, since it was looked for (pyiceberg's ValueError).
            continue
        return
    raise ConcurrentPublish(f"{table.full_name} is being published again and again; go back when that is over")


def _refuse_unknown(stored: IcebergTable, snapshot_id: int) -> None:
    if stored.metadata.snapshot_by_id(snapshot_id) is not None:
        return
    known = ", ".join(str(snapshot.snapshot_id) for snapshot in stored.snapshots()) or "none"
    since = stored.properties.get(EXPIRED_BEFORE)
    expired = f" (versions that readers have not seen since {since} have expired)" if since else ""
    raise UnknownSnapshot(f"{'.'.join(stored.name())} has no snapshot {snapshot_id}{expired}; it has: {known}")


def _catalog(root: Path) -> Catalog:
    unusable = set(str(root)) & _NOT_IN_ADDRESSES
    if unusable:
        raise SettingsError(f"{root}: Iceberg addresses cannot hold {' '.join(sorted(unusable))}; use another folder")
    make_folder(root)
    return _FolderCatalog(root)


class _FolderCatalog(SqlCatalog):
    """A catalog of tables in one folder; refuses a table that lies in another folder, also for pyiceberg's commits."""

    def __init__(self, root: Path) -> None:
        database = URL.create("sqlite", database=str(root / "catalog.db"), query={"timeout": "30"})
        super().__init__(
            "local",
            uri=database.render_as_string(),
            # Not as_uri(): pyiceberg does not decode percent signs again, so a folder with a space would split in two.
            warehouse=f"file://{root}",
            **{PY_IO_IMPL: f"{DurableFileIO.__module__}.{DurableFileIO.__qualname__}"},
        )
        self._root = root

    # Private, but the only place that knows where a table lies before it reads there: after a move nothing is left to
    # read. Every load of a table passes here.
    def _convert_orm_to_iceberg(self, orm_table: IcebergTables) -> IcebergTable:
        name = f"{orm_table.table_namespace}.{orm_table.table_name}"
        if orm_table.metadata_location:
            self._refuse_elsewhere(name, Path(path_of(orm_table.metadata_location)).parent.parent)
        stored = super()._convert_orm_to_iceberg(orm_table)
        self._refuse_elsewhere(name, Path(path_of(stored.location())))
        return stored

    def _refuse_elsewhere(self, name: str, folder: Path) -> None:
        """Compare the data folder that a table was created in with the one that is open.

        Both may be links to the same folder. The folder of the table is not resolved: `published` may be a link to
        another disk, and a copy of that link would lead back into the original's files.
        """
        created_in = folder.parent.parent
        schema, _, table = name.partition(".")
        if folder == created_in / schema / table and _is_same_folder(created_in, self._root):
            return
        raise TableOutsideDataFolder(
            f"{name} lies in {folder}, outside the data folder {self._root}. The data folder was copied or moved, and "
            f"Iceberg stores absolute paths. Move the folder back to {created_in}, or start with an empty data folder: "
            f"copy raw/ and ledger.db of {self._root} into it and load the sessions again"
        )


def _is_same_folder(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        # The folder that the table was created in is gone, or out of reach.
        return False


def _create(catalog: Catalog, table: Table) -> IcebergTable:
    fields = [
        NestedField(number, column.name, _TYPES[column.type], required=column.required, doc=column.description)
        for number, column in enumerate(table.columns, start=1)
    ]
    ids = {field.name: field.field_id for field in fields}
    try:
        return catalog.create_table(
            (table.schema, table.name),
            schema=Schema(*fields, identifier_field_ids=[ids[name] for name in table.grain]),
            location=f"{catalog.properties['warehouse']}/{table.schema}/{table.name}",
            partition_spec=PartitionSpec(
                PartitionField(ids["trade_date"], _PARTITION_FIELD_ID, YearTransform(), "trade_year")
            ),
            sort_order=SortOrder(*(SortField(ids[name], IdentityTransform()) for name in ("symbol", "trade_date"))),
            properties={**_TABLE_PROPERTIES, "comment": table.description},
        )
    except TableAlreadyExistsError:
        # Another process was faster.
        return catalog.load_table((table.schema, table.name))


def _between(first: date, last: date) -> tuple[BooleanExpression, BooleanExpression]:
    return GreaterThanOrEqual(term="trade_date", value=first), LessThanOrEqual(term="trade_date", value=last)


def _own_properties(properties: Mapping[str, str]) -> dict[str, str]:
    return {
        key.removeprefix(PROPERTY_PREFIX): value for key, value in properties.items() if key.startswith(PROPERTY_PREFIX)
    }
