"""Published tables as Iceberg tables in a local catalog: find to change, create, evolve, commit files.

Belongs here: writing tables through pyiceberg. Does not belong here: reading them (`table_reader`, which imports faster
than this module), SQL (`warehouse`), snapshots (`backends.snapshots`), compaction and expiry (`maintenance`), which
files a publish replaces (`replacement`), private names of pyiceberg (`backends.pyiceberg_internals`).
"""

from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path

from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError, TableAlreadyExistsError
from pyiceberg.io import PY_IO_IMPL
from pyiceberg.manifest import DataFile, ManifestFile
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.sorting import SortField, SortOrder
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
from sqlalchemy import URL, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import IntegrityError, OperationalError

from stock_assets.backends.local.database import CATALOG_FILE, DURABLE_COMMITS
from stock_assets.backends.local.durable import make_folder
from stock_assets.backends.local.durable_file_io import DurableFileIO
from stock_assets.backends.local.table_folder import require_metadata_inside, require_table_inside, require_usable
from stock_assets.backends.local.table_reader import CATALOG_NAME, PROPERTY_PREFIX, require_not_lost
from stock_assets.backends.pyiceberg_internals import OverwriteFiles, Transaction
from stock_assets.core.errors import ConcurrentPublish
from stock_assets.core.retry import retrying
from stock_assets.core.tables import ColumnType, Table, added_columns

_ATTEMPTS = 6
_PARTITION_FIELD_ID = 1000
_TYPES: dict[ColumnType, PrimitiveType] = {
    ColumnType.TEXT: StringType(),
    ColumnType.DATE: DateType(),
    ColumnType.DOUBLE: DoubleType(),
    ColumnType.INTEGER: LongType(),
    ColumnType.BOOLEAN: BooleanType(),
    ColumnType.TIMESTAMP: TimestampType(),
}
_METADATA_PROPERTIES = {
    # Each commit writes a metadata file with all snapshots. Readers load the newest one, so a few are enough.
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
}
_TABLE_PROPERTIES = {
    **_METADATA_PROPERTIES,
    # pyiceberg would retry a conflict automatically if the files do not overlap. But the metrics of a load depend on
    # published rows outside its range, so after any other commit the load must be staged again.
    "commit.retry.num-retries": "0",
    "write.parquet.compression-codec": "zstd",
    # For other writers; ours write no dictionaries of numbers: staged_files.
    "write.parquet.dict-size-bytes": "65536",
}


def folder_catalog(root: Path) -> Catalog:
    """Open the catalog of a data folder; create it if it is missing."""
    return _FolderCatalog(root)


def find(root: Path, table: Table) -> IcebergTable | None:
    """Load the current snapshot of a table to change it, or return None if the table does not exist.

    Raises:
        TableOutsideDataFolder: the folder was copied or moved; the catalog in it names the files of another folder.
    """
    require_usable(root)
    if not (root / CATALOG_FILE).exists():
        require_not_lost(root, table)
        return None

    def attempt() -> IcebergTable | None:
        try:
            return _FolderCatalog(root).load_table((table.schema, table.name))
        except NoSuchTableError:
            require_not_lost(root, table)
            return None

    return retrying(attempts=_ATTEMPTS, longest_seconds=2.0, on=(IntegrityError, OperationalError))(attempt)


def load(root: Path, table: Table) -> IcebergTable:
    """Load the current snapshot of a table; create the table, or add the columns its contract gained, where needed.

    Of the processes that create or evolve a table at the same time one succeeds; the others try again and find it done.

    Raises:
        TableDrift: the contract gained a `required` column.
        TableOutsideDataFolder: the folder was copied or moved; the catalog in it names the files of another folder.
    """
    require_usable(root)
    make_folder(root)
    conflicts = (IntegrityError, OperationalError, CommitFailedException)
    return retrying(attempts=_ATTEMPTS, longest_seconds=2.0, on=conflicts, first_seconds=0.1)(_load, root, table)


def _load(root: Path, table: Table) -> IcebergTable:
    catalog = _FolderCatalog(root)
    identifier = (table.schema, table.name)
    try:
        stored = catalog.load_table(identifier)
    except NoSuchTableError:
        require_not_lost(root, table)
        catalog.create_namespace_if_not_exists(table.schema)
        stored = _create(catalog, table)
    if not _METADATA_PROPERTIES.keys() <= stored.properties.keys():
        # An earlier release created the table.
        with stored.transaction() as transaction:
            transaction.set_properties(_METADATA_PROPERTIES)
    added = added_columns(table, stored.schema().column_names)
    if added:
        with stored.update_schema() as update:
            for column in added:
                update.add_column(column.name, _TYPES[column.type], doc=column.description)
    return stored


def concurrent_publish(stored: IcebergTable, first: date, last: date) -> ConcurrentPublish:
    """Return the error for a publish that another commit has preceded."""
    return ConcurrentPublish(
        f"{'.'.join(stored.name())} changed while [{first}, {last}] was being published. Stage and publish these "
        "sessions again"
    )


def replace_files(
    stored: IcebergTable, replaced: Iterable[DataFile], written: Iterable[DataFile], *, properties: Mapping[str, str]
) -> int:
    """Replace data files by others, in one snapshot on top of the loaded one; return the snapshot's id.

    Raises:
        CommitFailedException: the table has a newer snapshot than the loaded one.
    """
    with Transaction(stored) as transaction:
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


class _ReplaceFiles(OverwriteFiles):
    """An overwrite that drops manifests which list only removed files.

    pyiceberg 0.12 copies the list of files that a snapshot removed into every later snapshot, and reads the list in
    every scan, so each publish would take longer than the one before.
    """

    def _process_manifests(self, manifests: list[ManifestFile]) -> list[ManifestFile]:
        return [
            manifest
            for manifest in manifests
            if manifest.has_added_files()
            or manifest.has_existing_files()
            or manifest.added_snapshot_id == self.snapshot_id
        ]


class _FolderCatalog(SqlCatalog):
    """A catalog of tables in one folder; rejects a table in another folder, also when pyiceberg commits."""

    def __init__(self, root: Path) -> None:
        database = URL.create("sqlite", database=str(root / CATALOG_FILE), query={"timeout": "30"})
        super().__init__(
            CATALOG_NAME,
            uri=database.render_as_string(),
            # Not as_uri(): pyiceberg does not decode percent signs, so a folder with a space would become two folders.
            warehouse=f"file://{root}",
            **{PY_IO_IMPL: f"{DurableFileIO.__module__}.{DurableFileIO.__qualname__}"},
        )
        self._root = root
        event.listen(self.engine, "connect", _commit_durably)
        # The connection that looked for the catalog's tables.
        self.engine.dispose()

    # Private, but the only place that knows where a table is stored before pyiceberg reads there: after a move there is
    # nothing left to read. Every load of a table passes here.
    def _convert_orm_to_iceberg(self, orm_table: IcebergTables) -> IcebergTable:
        name = f"{orm_table.table_namespace}.{orm_table.table_name}"
        if orm_table.metadata_location:
            require_metadata_inside(self._root, name, orm_table.metadata_location)
        stored = super()._convert_orm_to_iceberg(orm_table)
        require_table_inside(self._root, name, stored.location())
        return stored


def _commit_durably(connection: DBAPIConnection, _: object) -> None:
    connection.cursor().execute(DURABLE_COMMITS)


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
        # Another process has created the table meanwhile.
        return catalog.load_table((table.schema, table.name))
