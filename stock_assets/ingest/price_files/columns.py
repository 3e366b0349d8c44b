"""Decide which column of a file is which field, by its name; an ambiguous name is an error, never a choice.

Belongs here: the names of columns. Does not belong here: their values (`values`).
"""

import re
from collections.abc import Mapping, Sequence

from stock_assets.core.errors import PriceFileUnreadable

FIELDS = ("symbol", "day", "open", "high", "low", "close", "volume")
"""The fields of a row; `day` is the text that should contain a date."""
DAYS = ("date", "timestamp", "trade_date")
"""Names of a column with the trade date."""
ARRIVAL_HOUR = "(hour of arrival)"
"""Marks the values of a path whose folders name an hour: such folders are times of arrival, not trade dates."""
_VALUES = "open|high|low|close|price|volume"
_BASIS = "(split)?(un)?adj(usted)?|raw"
_ADJUSTED = re.compile(f"({_BASIS})({_VALUES})|({_VALUES})({_BASIS})")


def normalized(name: str) -> str:
    """Return the name of a column as names are compared: without case and surrounding spaces."""
    return name.strip().lower()


def default_values(defaults: Mapping[str, str]) -> list[str | None]:
    """Return the value of each field that names of files and folders state, or None."""
    day = next((defaults[name] for name in DAYS if name in defaults), None)
    return [day if field == "day" else defaults.get(field) for field in FIELDS]


def find_columns(names: Sequence[str], defaults: Mapping[str, str], *, complete: bool = True) -> dict[str, int | None]:
    """Return the position of each field's column; None for a field that the file does not have.

    Args:
        names: names of the columns, as in the file.
        defaults: values from the names of the file and its folders; a column of the file has priority.
        complete: whether a field that is neither in the file nor in `defaults` is an error.

    Raises:
        PriceFileUnreadable: a column is missing, or several may be meant; the message names them.
    """
    found: dict[str, list[int]] = {}
    for position, name in enumerate(names):
        found.setdefault(normalized(name), []).append(position)
    days = [name for name in DAYS if name in found]
    _reject_ambiguous(names, found, days)
    columns = {field: next(iter(found.get(field, ())), None) for field in FIELDS}
    columns["day"] = found[days[0]][0] if days else None
    missing = [
        "date" if field == "day" else field
        for field, default in zip(FIELDS, default_values(defaults), strict=True)
        if columns[field] is None and default is None
    ]
    if missing and complete:
        is_arrival = "date" in missing and ARRIVAL_HOUR in defaults
        arrival = "; the folder YYYY/MM/DD/HH is a time of arrival, not a trade date" if is_arrival else ""
        raise PriceFileUnreadable(
            f"columns are missing: {', '.join(missing)}; the file has {', '.join(sorted(found)) or 'none'}{arrival}"
        )
    return columns


def _reject_ambiguous(names: Sequence[str], found: Mapping[str, Sequence[int]], days: Sequence[str]) -> None:
    for name in (*DAYS, *FIELDS):
        positions = found.get(name, ())
        if len(positions) > 1:
            spellings = sorted({names[position].strip() for position in positions})
            raise PriceFileUnreadable(
                f"the columns {' and '.join(spellings)} differ only in case; remove or rename all but one"
                if len(spellings) > 1
                else f"the column {spellings[0]} occurs {len(positions)} times; remove or rename all but one"
            )
    if len(days) > 1:
        raise PriceFileUnreadable(
            f"the columns {' and '.join(days)} may both be the trade date; remove or rename all but one"
        )
    adjusted = [name.strip() for name in names if _ADJUSTED.fullmatch(re.sub(r"[^a-z]", "", name.lower()))]
    if adjusted:
        raise PriceFileUnreadable(
            f"adjusted and unadjusted values are next to each other: {', '.join(adjusted)}; published prices are as "
            "traded, so keep the columns as traded, named open, high, low, close and volume, and remove the others"
        )
