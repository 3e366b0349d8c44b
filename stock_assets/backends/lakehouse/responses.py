"""The raw responses of a load as one relation.

Belongs here: which partitions and files of the raw area a statement reads. Does not belong here: their contents.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from stock_assets.backends.lakehouse.glue import external_lines
from stock_assets.core.sql import Fragment, literal, statement

RAW_TABLE = "daily_price_lines"
"""Name of the table over the lines of all raw responses in partitions."""
_INGEST_DATE = re.compile(r"ingest_date=([0-9]{4}-[0-9]{2}-[0-9]{2})/.+")
_COLUMNS = 'line, "$path"'
MOST_LISTED = 100
"""Most partitions, and most files, that a predicate lists. With more, it names the range of partitions and no file."""


@dataclass(frozen=True)
class RawResponses:
    """Addresses of raw responses.

    Attributes:
        root: folder of the partitions, ends with `/`.
        uris: addresses of the responses.
    """

    root: str
    uris: tuple[str, ...]

    @cached_property
    def in_partitions(self) -> dict[str, str]:
        """The ingest date of each response that is stored in a partition, by address."""
        found = {uri: _INGEST_DATE.fullmatch(uri.removeprefix(self.root)) for uri in self.uris}
        return {uri: match.group(1) for uri, match in found.items() if match and uri.startswith(self.root)}

    @cached_property
    def elsewhere(self) -> list[str]:
        """Landing files: others put them somewhere else in the raw area."""
        return [uri for uri in self.uris if uri not in self.in_partitions]

    @property
    def folders(self) -> dict[str, str]:
        """A partition value and location for each folder of landing files; Athena also reads nested folders."""
        folders = sorted({_folder(uri) for uri in self.elsewhere})
        outermost = [one for one in folders if not any(one != other and one.startswith(other) for other in folders)]
        return {str(number): folder for number, folder in enumerate(outermost)}

    def other_table(self, name: str) -> dict[str, Any]:
        """Return the Glue definition of a table over the folders of landing files."""
        return external_lines(name, self.root, partition_key="folder")

    def relation(self, partitioned_table: str, other_table: str) -> str:
        """Return the relation as SQL, with predicates that make Athena read only these partitions and files."""
        parts = []
        if self.in_partitions:
            dates = sorted(set(self.in_partitions.values()))
            where = _in("ingest_date", dates) or f"ingest_date BETWEEN {literal(dates[0])} AND {literal(dates[-1])}"
            files = _in('"$path"', list(self.in_partitions))
            parts.append(f"SELECT {_COLUMNS} FROM {partitioned_table} WHERE {where}{f' AND {files}' if files else ''}")  # noqa: S608 (escaped)
        if self.elsewhere:
            files = ", ".join(map(literal, self.elsewhere))
            parts.append(f'SELECT {_COLUMNS} FROM {other_table} WHERE "$path" IN ({files})')  # noqa: S608 (escaped)
        if not parts:
            parts.append('SELECT CAST(NULL AS varchar) AS line, CAST(NULL AS varchar) AS "$path" WHERE FALSE')
        lines = Fragment(f"({' UNION ALL '.join(parts)})")
        return f"({statement('stage/raw_rows.sql').bind({'lines': lines})})"


def _in(column: str, values: list[str]) -> str:
    return f"{column} IN ({', '.join(map(literal, values))})" if len(values) <= MOST_LISTED else ""


def _folder(uri: str) -> str:
    return f"{uri.rpartition('/')[0]}/"
