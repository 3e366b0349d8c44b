"""The private names of pyiceberg that this project uses, each with the reason.

Belongs here: every import of a private name of pyiceberg, for the package and for the tests, and the list of private
members that classes of this project override. Does not belong here: what is done with them. A test fails with a clear
message if an upgrade of pyiceberg moves a name (`stock_assets_tests/backends/test_pyiceberg_internals.py`).
"""

from collections.abc import Callable

# The public `Table.overwrite` commits a delete and an append: two snapshots, and a consumer or a rollback that uses the
# first one sees a table with missing rows (apache/iceberg-python#1287). Only this writer commits both in one snapshot;
# a public API is proposed in apache/iceberg-python#3130.
# Used by the Athena emulator only. The Parquet files for a commit through `_OverwriteFiles`: `Table.append` writes them
# and commits at once, so the files cannot be used in another commit.
from pyiceberg.io.pyarrow import _dataframe_to_data_files as dataframe_to_data_files
from pyiceberg.manifest import ManifestFile
from pyiceberg.table import Table
from pyiceberg.table import Transaction as _Transaction
from pyiceberg.table.metadata import TableMetadata

# Used by tests only: Athena marks rows as deleted in separate files, which pyiceberg reads but cannot write.
from pyiceberg.table.update.snapshot import _FastAppendFiles as FastAppendFiles
from pyiceberg.table.update.snapshot import _OverwriteFiles

__all__ = ["OVERRIDDEN", "FastAppendFiles", "OverwriteFiles", "Transaction", "dataframe_to_data_files"]

OVERRIDDEN = {
    "pyiceberg.catalog.sql:SqlCatalog._convert_orm_to_iceberg": (
        "the only place that knows where a table is stored before pyiceberg reads there; "
        "`local.table_folder` compares the location with the data folder"
    ),
    "pyiceberg.table.update.snapshot:_OverwriteFiles._process_manifests": (
        "drops manifests that list only removed files; pyiceberg 0.12 copies them into every later snapshot, so each "
        "publish would be slower than the one before (apache/iceberg-python#3103)"
    ),
    "pyiceberg.table.update.snapshot:_OverwriteFiles._build_manifest_evaluator": (
        "pyiceberg 0.12 evaluates the manifests of a commit in several threads with one object that holds the current "
        "manifest, and so overlooks files to replace: the commit fails on a busy machine"
    ),
    "pyiceberg.table.update.snapshot:_OverwriteFiles._summary": "the Athena emulator writes the totals of OPTIMIZE",
    "pyiceberg.table:Transaction.table_metadata": (
        "pyiceberg 0.12 applies the updates and copies all metadata at each access, seventeen times in a commit: half "
        "of the CPU time of a small commit"
    ),
    "pyiceberg.manifest:ManifestWriterV2._meta": "the tests write a manifest of delete files",
}
"""Private members that subclasses override, as `module:class.member`, with the reason."""


class OverwriteFiles(_OverwriteFiles):
    """A commit that removes and adds files; each manifest is evaluated by an object of its own."""

    def _build_manifest_evaluator(self, spec_id: int) -> Callable[[ManifestFile], bool]:
        build = super()._build_manifest_evaluator

        def evaluate(manifest: ManifestFile) -> bool:
            return build(spec_id)(manifest)

        return evaluate


class Transaction(_Transaction):
    """A transaction that computes its metadata once after each update."""

    def __init__(self, table: Table) -> None:
        super().__init__(table)
        self._computed: tuple[TableMetadata, object, TableMetadata] | None = None

    @property
    def table_metadata(self) -> TableMetadata:
        """The metadata of the table with the updates so far; nothing in pyiceberg changes it."""
        base, updates = self._table.metadata, self._updates
        if self._computed is None or self._computed[0] is not base or self._computed[1] is not updates:
            self._computed = base, updates, super().table_metadata
        return self._computed[2]
