"""The raw responses of a load as one relation.

Belongs here: which partitions and files of the raw area a statement reads. Does not belong here: their contents.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from stock_assets.core.sql import Fragment, literal, statement

RAW_TABLE = "daily_price_lines"
"""Name of the table over the lines of all raw responses in partitions."""
_INGEST_DATE = re.compile(r"ingest_date=([0-9]{4}-[0-9]{2}-[0-9]{2})/.+")
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
    def ingest_dates(self) -> list[str]:
        """The partitions of the responses, sorted.

        Raises:
            ValueError: an address is not in a partition of the raw area.
        """
        return sorted({self._ingest_date(uri) for uri in self.uris})

    def relation(self, table: str) -> str:
        """Return the relation as SQL, with predicates that make Athena read only these partitions and files."""
        lines = 'SELECT CAST(NULL AS varchar) AS line, CAST(NULL AS varchar) AS "$path" WHERE FALSE'
        if dates := self.ingest_dates:
            where = _in("ingest_date", dates) or f"ingest_date BETWEEN {literal(dates[0])} AND {literal(dates[-1])}"
            files = _in('"$path"', self.uris)
            lines = f'SELECT line, "$path" FROM {table} WHERE {where}{f" AND {files}" if files else ""}'  # noqa: S608 (escaped)
        return f"({statement('stage/raw_rows.sql').bind({'lines': Fragment(f'({lines})')})})"

    def _ingest_date(self, uri: str) -> str:
        match = _INGEST_DATE.fullmatch(uri.removeprefix(self.root))
        if match is None:
            raise ValueError(f"not in a partition of {self.root}: {uri}")
        return match.group(1)


def _in(column: str, values: Sequence[str]) -> str:
    return f"{column} IN ({', '.join(map(literal, values))})" if len(values) <= MOST_LISTED else ""
