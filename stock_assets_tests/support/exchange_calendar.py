"""The sessions of `exchange_calendars`, and the table that the package reads instead; `make calendar` writes it.

Belongs here: generating the table. Does not belong here: reading it (`core.calendar`), comparing it (`test_calendar`).
"""

from datetime import date, time, timedelta
from pathlib import Path

import exchange_calendars

from stock_assets.core import calendar
from stock_assets.core.calendar import CALENDAR_END, CALENDAR_START, NEW_YORK, REGULAR_CLOSE, TABLE

FILE = Path(calendar.__file__).with_name(TABLE)


def library_closes() -> dict[date, time]:
    """Return the time of the market close of every session, in New York, from the library."""
    found = exchange_calendars.get_calendar("XNYS", start=str(CALENDAR_START), end=str(CALENDAR_END))
    closes = found.closes.dt.tz_convert(NEW_YORK)
    return {session.date(): close.time() for session, close in closes.items()}


def library_holidays() -> dict[date, str]:
    """Return the name of every regular holiday, from the library; an unscheduled closure has none."""
    library = exchange_calendars.get_calendar("XNYS", start=str(CALENDAR_START), end=str(CALENDAR_END))
    names = library.regular_holidays.holidays(str(CALENDAR_START), str(CALENDAR_END), return_name=True)
    return {day.date(): name for day, name in names.items()}


def table(closes: dict[date, time], holidays: dict[date, str]) -> str:
    """Return the text of the table."""
    days = (CALENDAR_START + timedelta(days=number) for number in range((CALENDAR_END - CALENDAR_START).days + 1))
    weekdays = [day for day in days if day.weekday() < 5]
    assert closes.keys() <= set(weekdays), "the exchange was open on a weekend; the table cannot contain that"
    special = {day: closes.get(day) for day in weekdays if closes.get(day) != REGULAR_CLOSE}
    return "".join(
        f"{day},{close:%H:%M},\n" if close else f"{day},,{holidays.get(day, '')}\n" for day, close in special.items()
    )


if __name__ == "__main__":
    FILE.write_text(table(library_closes(), library_holidays()), encoding="ascii")
