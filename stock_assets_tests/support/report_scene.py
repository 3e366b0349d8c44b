"""Dates and texts of the report with gaps, which its fixtures write and its tests expect."""

from datetime import UTC, date, datetime

from stock_assets.core.calendar import sessions_between

RENDERED_AT = datetime(2013, 3, 2, 1, 2, tzinfo=UTC)
SESSIONS = sessions_between(date(2012, 1, 3), date(2012, 6, 29))
MISSING, BAD, EX_DATE = date(2012, 5, 9), date(2012, 5, 16), date(2012, 6, 5)
SCRIPT = "<script>alert(1)</script>"
