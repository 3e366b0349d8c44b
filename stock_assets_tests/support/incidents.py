"""An incident that tests of alerts share, and the timestamp at which it opens."""

from datetime import date

from stock_assets.alerts.incident import Incident
from stock_assets_tests.support.live_source import utc

AT = utc("2024-03-01 22:05")
DAYS = (date(2024, 2, 29), date(2024, 3, 1), date(2024, 3, 4))
INCIDENT = Incident(
    kind="run",
    subject="publish, LoadRejected",
    title="stock_assets: publish failed",
    sessions=DAYS,
    steps=("publish",),
    facts={"job": "daily_prices", "failed audits": ["one", "two"]},
    link="http://localhost:3000/runs/1",
)
