"""The stored answers of a load as one relation.

Belongs here: which partitions and files of the raw area a statement reads. Does not belong here: what is in them.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from stock_assets.backends.lakehouse.glue import external_csv
from stock_assets.core.sql import literal
from stock_assets.core.tables import RAW_COLUMNS

_INGEST_DATE = re.compile(r"ingest_date=([0-9]{4}-[0-9]{2}-[0-9]{2})/.+")
_COLUMNS = ", ".join(f'"{name}"' for name in (*RAW_COLUMNS, "$path"))
MOST_LISTED = 100
"""Partitions, and files, that are named one by one; of more partitions the range is named, and the files are not."""


@dataclass(frozen=True)
class Payloads:
    """Addresses of stored answers.

    Attributes:
        root: folder of the partitions, ends with `/`.
        uris: the answers.
    """

    root: str
    uris: tuple[str, ...]

    @cached_property
    def inside(self) -> dict[str, str]:
        """The ingest date of each answer that lies in a partition."""
        found = {uri: _INGEST_DATE.fullmatch(uri.removeprefix(self.root)) for uri in self.uris}
        return {uri: match.group(1) for uri, match in found.items() if match and uri.startswith(self.root)}

    @cached_property
    def outside(self) -> list[str]:
        """Answers that others put somewhere else in the raw area."""
        return [uri for uri in self.uris if uri not in self.inside]

    @property
    def folders(self) -> dict[str, str]:
        """A partition value and location for each folder of those outside; Athena reads what is nested in one too."""
        folders = sorted({_folder(uri) for uri in self.outside})
        outermost = [one for one in folders if not any(one != other and one.startswith(other) for other in folders)]
        return {str(number): folder for number, folder in enumerate(outermost)}

    def outside_table(self, name: str) -> dict[str, Any]:
        """Describe a table over the folders of those outside."""
        return external_csv(name, RAW_COLUMNS, self.root, partition_key="folder")

    def relation(self, inside_table: str, outside_table: str) -> str:
        """Write the relation, with predicates that let Athena read these partitions and files only."""
        parts = []
        if self.inside:
            dates = sorted(set(self.inside.values()))
            where = _in("ingest_date", dates) or f"ingest_date BETWEEN {literal(dates[0])} AND {literal(dates[-1])}"
            files = _in('"$path"', list(self.inside))
            parts.append(f"SELECT {_COLUMNS} FROM {inside_table} WHERE {where}{f' AND {files}' if files else ''}")  # noqa: S608 (escaped)
        if self.outside:
            files = ", ".join(map(literal, self.outside))
            parts.append(f'SELECT {_COLUMNS} FROM {outside_table} WHERE "$path" IN ({files})')  # noqa: S608 (escaped)
        if not parts:
            empty = ", ".join(f'CAST(NULL AS varchar) AS "{name}"' for name in (*RAW_COLUMNS, "$path"))
            parts.append(f"SELECT {empty} WHERE FALSE")
        return f"({' UNION ALL '.join(parts)})"


def _in(column: str, values: list[str]) -> str:
    return f"{column} IN ({', '.join(map(literal, values))})" if len(values) <= MOST_LISTED else ""


def _folder(uri: str) -> str:
    return f"{uri.rpartition('/')[0]}/"
