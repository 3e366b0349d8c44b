"""Turn an error of a library into the typed error of the damaged file that caused it.

Belongs here: which errors lead to a check, and the check. Does not belong here: the checks (`damage`), the texts
(`backends.damage_texts`).

Nothing is checked as long as nothing fails, so that reading and loading cost the same as without this module.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from stock_assets.backends.damage_texts import describe
from stock_assets.backends.interface import Damage, Part
from stock_assets.backends.local.database import CATALOG_FILE, database_problem
from stock_assets.backends.local.full_disk import typed_full_disk
from stock_assets.core.errors import DamagedFiles, QueryFailed, StockAssetsError
from stock_assets.core.tables import PUBLISHED_TABLES

_MISTAKES = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException, duckdb.OutOfMemoryException)
"""Errors of DuckDB that never come from a damaged file."""


@contextmanager
def diagnosed(root: Path) -> Iterator[None]:
    """Raise `DamagedFiles` or `DiskFull` instead of another error if that is its cause.

    The files of published tables and the catalog are checked.
    """
    try:
        with typed_full_disk(root):
            yield
    except QueryFailed as error:
        if isinstance(_origin(error), _MISTAKES) or not isinstance(_origin(error), duckdb.Error):
            raise
        _raise_for_damage(root, error, deep=True)
        raise
    except StockAssetsError:
        raise
    except Exception as error:
        _raise_for_damage(root, error, deep=False)
        raise


def _origin(error: BaseException) -> BaseException:
    """Return the first error of a chain."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _raise_for_damage(root: Path, error: Exception, *, deep: bool) -> None:
    from stock_assets.backends.local.damage import table_damage  # noqa: PLC0415 (imports slowly)

    catalog = root / CATALOG_FILE
    if why := database_problem(catalog):
        raise DamagedFiles([describe(Damage(Part.CATALOG, str(catalog), why))]) from error
    try:
        found = [one for table in PUBLISHED_TABLES for one in table_damage(root, table, deep=deep)]
    except StockAssetsError as other:
        raise other from error
    if found:
        raise DamagedFiles(map(describe, found)) from error
