"""Replace files of a published table by others: a range of sessions by the files of a load, small files by one.

Belongs here: which files of the table a publish rewrites, rewriting files, and the entries of new files in Iceberg's
metadata. Does not belong here: writing rows (`staged_files`), opening tables and committing (`iceberg`), which files
maintenance compacts (`maintenance`).

A load after all published sessions only adds its own files. Where files of the table have sessions of the range, their
other rows are written again together with the load. Small files do not pile up: a publish also rewrites the files of
its years that are at most twice as large as what it writes there anyway. So the sizes of the files of a year at least
double from one to the next, and a row is written again a few times a year.
"""

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from uuid import uuid4

import duckdb
import pyarrow.parquet as pq
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.expressions import And, GreaterThanOrEqual, LessThanOrEqual
from pyiceberg.io.pyarrow import (
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import Table as IcebergTable

from stock_assets.backends.local.chunks import EVERY_SYMBOL, Chunk
from stock_assets.backends.local.digest_names import digest_name
from stock_assets.backends.local.durable import make_folder, sync
from stock_assets.backends.local.iceberg import concurrent_publish, replace_files
from stock_assets.backends.local.parquet_scans import read_parquet, scan
from stock_assets.backends.local.staged_files import field_ids, sorted_files, year_of
from stock_assets.backends.local.table_folder import path_of
from stock_assets.backends.local.table_reader import day_of
from stock_assets.core.errors import TableDrift
from stock_assets.core.sql import literal
from stock_assets.core.tables import Table
from stock_assets.core.text import plural

_MERGED_UP_TO = 2
"""A file of up to this many times the rows that a publish writes to its year anyway is written again with them."""
_SESSION = "trade_date"


@dataclass
class _Plan:
    """The files of a table that a publish replaces.

    Attributes:
        files: the replaced files.
        years: the years whose rows are written again; the load's files of other years are added as they are.
    """

    files: list[DataFile] = field(default_factory=list)
    years: set[int] = field(default_factory=set)


def replace_range(  # noqa: PLR0913 (one argument more than usual, passed by name)
    connection: duckdb.DuckDBPyConnection,
    stored: IcebergTable,
    table: Table,
    files: Sequence[Path],
    days: tuple[date, date],
    properties: Mapping[str, str],
    *,
    chunks: Iterable[Chunk] = (EVERY_SYMBOL,),
) -> int:
    """Replace the rows of a range of days by those of files, in one snapshot on top of the loaded one.

    Args:
        connection: writes the rows that have to be written again.
        stored: the published table.
        table: its contract.
        files: the load's rows as `staged_files` writes them; new files are written beside their folder.
        days: first and last day of the range.
        properties: recorded with the snapshot.
        chunks: ranges of symbols whose rows are written again together, in order.

    Returns:
        the id of the snapshot.

    Raises:
        ConcurrentPublish: the table has a newer snapshot than the loaded one.
        TableDrift: a required column of the load has no value.
    """
    first, last = days
    added = {year: file for file in files if (year := year_of(file)) is not None}
    plan = _plan(stored, first, last, {year: pq.read_metadata(file).num_rows for year, file in added.items()})
    ids = {column.name: column.field_id for column in stored.schema().fields}
    if any(ids[name] != number for name, number in field_ids(table).items()):
        plan.years.update(added)
    written = [file for year, file in added.items() if year not in plan.years]
    again = [file for year, file in added.items() if year in plan.years]
    folder = files[0].parent.with_name(f"{table.name}_rewritten")
    if plan.files or again:
        columns = ", ".join(table.column_names)
        kept = scan(table, stored, [path_of(file.file_path) for file in plan.files])
        select = f"SELECT {columns} FROM ({kept}) WHERE NOT trade_date BETWEEN {literal(first)} AND {literal(last)}"  # noqa: S608 (contract's names)
        for file in again:
            select += f" UNION ALL SELECT {columns} FROM ({read_parquet(file)})"  # noqa: S608 (contract's names)
        with sorted_files(folder, table, ids) as rewritten:
            for chunk in chunks:
                rewritten.add(connection, chunk.of(select))
        written += sorted(folder.glob("*.parquet"))
    try:
        return replace_files(stored, plan.files, _add_files(stored, written), properties=properties)
    except CommitFailedException as error:
        raise concurrent_publish(stored, first, last) from error
    finally:
        # The links keep the files as long as the table needs them.
        shutil.rmtree(folder, ignore_errors=True)


def compact(
    connection: duckdb.DuckDBPyConnection,
    stored: IcebergTable,
    table: Table,
    files: Sequence[DataFile],
    properties: Mapping[str, str],
) -> None:
    """Replace files by one file per year with the same rows, in one snapshot on top of the loaded one.

    Raises:
        CommitFailedException: the table has a newer snapshot than the loaded one.
    """
    ids = {column.name: column.field_id for column in stored.schema().fields}
    # In the table's folder, where the next maintenance removes the files if this process is killed.
    folder = Path(path_of(stored.location())) / "data" / f"compaction_{uuid4()}"
    try:
        with sorted_files(folder, table, ids) as compacted:
            compacted.add(connection, scan(table, stored, [path_of(file.file_path) for file in files]))
        written = _add_files(stored, sorted(folder.glob("*.parquet")))
        replace_files(stored, files, written, properties={**properties, "files_after": str(len(written))})
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(folder.with_suffix(".partial"), ignore_errors=True)


def _plan(stored: IcebergTable, first: date, last: date, added: Mapping[int, int]) -> _Plan:
    """Choose the files that a publish of a range replaces; `added` is the number of the load's rows by year."""
    plan = _Plan()
    by_year: dict[tuple[int, int], list[DataFile]] = {}
    for file, (since, until) in _files_of_years(stored, first, last):
        if since <= last and until >= first:
            plan.files.append(file)
            plan.years.update(range(since.year, until.year + 1))
        else:
            by_year.setdefault((since.year, until.year), []).append(file)
    for (year, last_year), files in sorted(by_year.items()):
        if year != last_year:
            continue
        rows = added.get(year, 0) + sum(file.record_count for file in plan.files if _days(stored, file)[0].year == year)
        for file in sorted(files, key=lambda file: file.record_count):
            if file.record_count > _MERGED_UP_TO * rows:
                break
            rows += file.record_count
            plan.files.append(file)
            plan.years.add(year)
    return plan


def _files_of_years(stored: IcebergTable, first: date, last: date) -> list[tuple[DataFile, tuple[date, date]]]:
    inside = And(
        GreaterThanOrEqual(term=_SESSION, value=date(first.year, 1, 1)),
        LessThanOrEqual(term=_SESSION, value=date(last.year, 12, 31)),
    )
    files = [task.file for task in stored.scan(row_filter=inside).plan_files()]
    return [(file, _days(stored, file)) for file in files]


def _days(stored: IcebergTable, file: DataFile) -> tuple[date, date]:
    """Return the first and last session of a file, from its statistics; the whole calendar if it has none."""
    number = stored.schema().find_field(_SESSION).field_id
    lower, upper = (bounds.get(number) if bounds else None for bounds in (file.lower_bounds, file.upper_bounds))
    if lower is None or upper is None:
        return date.min, date.max
    return day_of(lower), day_of(upper)


def _add_files(stored: IcebergTable, files: Iterable[Path]) -> list[DataFile]:
    """Link Parquet files into the folder of a table; return their entries for a commit. Empty files are left out.

    Raises:
        TableDrift: a required column has no value.
    """
    return [_add(stored, file, metadata) for file in files if (metadata := pq.read_metadata(file)).num_rows]


def _add(stored: IcebergTable, file: Path, metadata: pq.FileMetaData) -> DataFile:
    schema, spec = stored.schema(), stored.spec()
    statistics = data_file_statistics_from_parquet_metadata(
        metadata, compute_statistics_plan(schema, stored.properties), parquet_path_to_id_mapping(schema)
    )
    for column in schema.fields:
        if column.required and (count := statistics.null_value_counts.get(column.field_id)):
            raise TableDrift(
                f"{'.'.join(stored.name())}: column {column.name} is required, but "
                f"{plural(count, 'row')} of the load {'has' if count == 1 else 'have'} no value in it, so nothing was "
                "published. Fix the statement under sql/stage that computes the column, then load the sessions again."
            )
    partition = statistics.partition(spec, schema)
    folder = f"{stored.location()}/data/{spec.partition_to_path(partition, schema)}"
    address = f"{folder}/{digest_name(file)}"
    _link(file, Path(path_of(address)))
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=address,
        file_format=FileFormat.PARQUET,
        partition=partition,
        file_size_in_bytes=file.stat().st_size,
        sort_order_id=None,
        spec_id=spec.spec_id,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )


def _link(file: Path, target: Path) -> None:
    """Give a file that is on disk a second name, or copy it to another disk; the name is on disk afterwards.

    The file of a symbolic link is copied: a second name of the link would lead to a file that others move or delete.
    """
    make_folder(target.parent)
    if file.is_symlink() or not _try_to_link(file, target):
        shutil.copyfile(file, target)
        sync(target)
    sync(target.parent)


def _try_to_link(file: Path, target: Path) -> bool:
    """Give a file a second name; return False where that is not possible, as on another disk."""
    try:
        os.link(file, target)
    except OSError:
        return False
    return True
