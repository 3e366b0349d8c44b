"""The information in the names of files and folders: columns, trade dates, times of arrival.

Belongs here: reading a path relative to its location. Does not belong here: the content of the file.
"""

import re
from datetime import UTC, date, datetime, timedelta
from urllib.parse import unquote

from stock_assets.core.text import escape_name
from stock_assets.core.universe import SYMBOL
from stock_assets.ingest.price_files.columns import ARRIVAL_HOUR, DAYS

_HOUR = re.compile(
    r"(?:^|/)(?:year=)?([0-9]{4})/(?:month=)?([0-9]{1,2})/(?:day=)?([0-9]{1,2})/(?:hour=)?([0-9]{1,2})/[^/]*$"
)
_DAY = re.compile(r"(?:^|/)([0-9]{4})/([0-9]{2})/([0-9]{2})/(?![0-9]{2}/)")
_EXTENSION = re.compile(r"[.](csv|tsv|txt|json|jsonl|ndjson|parquet|pq|gz|gzip|zst|zstd|snappy)$", re.IGNORECASE)
_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
_TO_END_OF_HOUR = timedelta(hours=1) - timedelta(microseconds=1)


def path_values(relative: str) -> dict[str, str]:
    """Return the columns that a path names: `symbol=IBM/`, `year=2024/month=01/day=02/`, `2024/01/02/`, `IBM.csv`."""
    values = {**_file_name_values(relative), **_folder_values(relative)}
    if folder_hour(relative) is not None or "hour" in values:
        return {**values, ARRIVAL_HOUR: ""}
    day = _folder_date(relative, values)
    return values if day is None or any(name in values for name in DAYS) else {**values, "date": day.isoformat()}


def name_problem(relative: str) -> str:
    """Return why a file with this path is not read, or an empty text."""
    if escape_name(relative) == relative:
        return ""
    return "its name is not UTF-8, or contains control characters; rename it"


def folder_hour(relative: str) -> datetime | None:
    """Return the end of the hour in a folder name of Firehose, `2012/03/01/21/` in UTC; None without such a folder.

    The exchange closes on the hour, so the end of the hour is after the market close exactly if the whole hour is.
    """
    match = _HOUR.search(relative)
    if match is None:
        return None
    try:
        year, month, day, hour = map(int, match.groups())
        return datetime(year, month, day, hour, tzinfo=UTC) + _TO_END_OF_HOUR
    except ValueError:
        return None


def _folder_values(relative: str) -> dict[str, str]:
    """Read the columns in folder names: symbol and year in `symbol=IBM/year=2012/part-0`."""
    pairs = [part.partition("=") for part in relative.split("/")[:-1] if "=" in part]
    return {name.lower(): unquote(value) for name, _, value in pairs if value != _NULL_PARTITION}


def _file_name_values(relative: str) -> dict[str, str]:
    """Return the symbol in a file name such as `BRK.B.csv.gz`: raw responses have no symbol column."""
    name = relative.rpartition("/")[2]
    while _EXTENSION.search(name):
        name = _EXTENSION.sub("", name)
    return {"symbol": name} if SYMBOL.fullmatch(name) else {}


def _folder_date(relative: str, values: dict[str, str]) -> date | None:
    match = _DAY.search(relative)
    hive = [values.get(name, "") for name in ("year", "month", "day")]
    try:
        return date(*map(int, hive if all(hive) else match.groups() if match else ()))
    except (TypeError, ValueError):
        return None
