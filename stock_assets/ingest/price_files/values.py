"""Write the values of a file as text in the vendor's format, and read its dates.

Belongs here: the text of one value. Does not belong here: whether a number is plausible (the audits).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from stock_assets.core.calendar import NEW_YORK
from stock_assets.ingest.price_files.columns import FIELDS

_DATE = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[ T]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(?:[.,]([0-9]+))?(?: ?(Z|UTC|[+-][0-9]{2}(?::?[0-9]{2})?))?"
    r"|[ T]00:00(?::00(?:[.]0+)?)? [A-Za-z_]+/[A-Za-z_/]+)?"
)
_EXPONENT = re.compile(r"(-?)([0-9])(?:[.]([0-9]+))?[eE][+]?([0-9]{1,2})")
_EXACT_FLOAT32 = 2**24
"""Above this value, 32-bit floating point numbers skip integers."""


def trade_date(text: str) -> date | None:
    """Return the date in a text: a date, or a timestamp at midnight of its own zone or of New York.

    Midnight in New York, written in UTC (05:00 or 04:00), is on the same date in both zones.
    """
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    day, clock, fraction, zone = match.groups()
    try:
        found = date.fromisoformat(day)
        if clock is None:
            return found
        if fraction and fraction.strip("0"):
            return None
        stamp = datetime.fromisoformat(f"{day}T{clock}{'Z' if zone == 'UTC' else zone or ''}")
    except ValueError:
        return None
    return _date_of_midnight(stamp)


def _date_of_midnight(stamp: datetime) -> date | None:
    for local in (stamp, stamp.astimezone(NEW_YORK)) if stamp.tzinfo else (stamp,):
        if not any((local.hour, local.minute, local.second, local.microsecond)):
            return local.date()
    return None


def row_table(lines: Sequence[int] | pa.Array, columns: Mapping[str, pa.Array]) -> pa.Table:
    """Build the rows of a batch: `line`, `trade_date` (NULL if `day` contains none), and each field as trimmed text.

    A character that the vendor's format cannot contain becomes `?`, so that the audits find the value.
    """
    texts = {field: _text(columns[field], exact_integer=field == "volume") for field in FIELDS}
    dates, texts["day"] = _dates(columns["day"], texts["day"])
    for field in FIELDS[2:]:
        texts[field] = pc.replace_substring_regex(texts[field], "[^ !#-+.-~-]", "?")
    texts["volume"] = _integers(texts["volume"])
    return pa.table({"line": pa.array(lines, pa.int64()), "trade_date": dates, **texts})


def _text(column: pa.Array, *, exact_integer: bool) -> pa.Array:
    """Write a column as text; numbers in full, without exponent."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
        text = column.cast(pa.string())
        if exact_integer and column.type != pa.float64():
            # The digits do not determine the integer: the exponent stays, and the audits quarantine the bar.
            large = pc.fill_null(pc.greater_equal(pc.abs(column.cast(pa.float64())), _EXACT_FLOAT32), fill_value=False)
            text = _rewrite(text, large, lambda value: f"{Decimal(value):.5e}")
        else:
            text = _rewrite(text, pc.match_substring(text, "e"), lambda value: f"{Decimal(value):f}")
    else:
        text = column.cast(pa.string())
    return pc.utf8_trim_whitespace(pc.fill_null(text, ""))


def _dates(column: pa.Array, texts: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return the dates of a column and its text; each distinct value is read once."""
    if pa.types.is_timestamp(column.type):
        zoned = column.type.tz is not None
        # Arrow writes a timestamp with a zone in UTC; its own clock shows whether it is midnight.
        local = pc.local_timestamp(column) if zoned else column
        in_new_york = pc.local_timestamp(column.cast(pa.timestamp(column.type.unit, str(NEW_YORK)))) if zoned else local
        midnight = pc.equal(local, pc.floor_temporal(local, unit="day"))
        stamp = pc.if_else(midnight, local, in_new_york)
        is_date = pc.equal(stamp, pc.floor_temporal(stamp, unit="day"))
        return pc.if_else(is_date, stamp.cast(pa.date32(), safe=False), pa.scalar(None, pa.date32())), texts
    encoded = texts.dictionary_encode()
    days = pa.array([trade_date(text) for text in encoded.dictionary.to_pylist()], pa.date32())
    return days.take(encoded.indices), texts


def _integers(texts: pa.Array) -> pa.Array:
    """Write integers such as 61618922.00 and 6.1618922E+07 plainly; other texts stay."""
    plain = pc.replace_substring_regex(texts, "^(-?[0-9]+)[.]0+$", r"\1")
    return _rewrite(plain, pc.match_substring_regex(plain, "[eE]"), _without_exponent)


def _without_exponent(text: str) -> str:
    match = _EXPONENT.fullmatch(text)
    if match is None:
        return text
    sign, first, digits, exponent = match[1], match[2], match[3] or "", int(match[4])
    # 6.16E+07 may be any integer from 61,550,000 to 61,650,000: its digits do not determine which.
    if exponent > len(digits) or digits[exponent:].strip("0"):
        return text
    return f"{sign}{first}{digits[:exponent]}"


def _rewrite(texts: pa.Array, selected: pa.Array, write: Callable[[str], str]) -> pa.Array:
    selected = pc.fill_null(selected, fill_value=False)
    if not pc.any(selected).as_py():
        return texts
    written = [write(text) for text in texts.filter(selected).to_pylist()]
    return pc.replace_with_mask(texts, selected, pa.array(written, pa.string()))
