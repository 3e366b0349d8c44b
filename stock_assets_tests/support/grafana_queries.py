"""The panels and queries of the committed Grafana dashboards.

No Grafana renders them here: `expanded` replaces macros and variables as a server does.
"""

import json
import re
from datetime import date

import sqlglot
from sqlglot import exp

from infra.grafana.generate import FOLDER
from infra.grafana.queries import ATHENA

FILES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (FOLDER / "dashboards").glob("*.json")}
SHOWN = [(uid, panel) for uid, model in sorted(FILES.items()) for panel in model["panels"] if panel["type"] != "row"]
QUERIES = {
    f"{uid}: {panel['title']}": (panel["title"], panel["targets"][0]["rawSQL"])
    for uid, panel in SHOWN
    if panel["datasource"]["uid"] == ATHENA.uid
}
DECEMBER = (date(2012, 12, 1), date(2012, 12, 31))


def expanded(sql: str, dates: tuple[date, date] = DECEMBER, symbols: tuple[str, ...] = ("AAPL", "IBM")) -> str:
    """Replace macros and variables and add the default database, as Grafana and its Athena data source do."""
    first, last = dates
    text = re.sub(r"\$__dateFilter\((\w+)\)", rf"\1 BETWEEN date '{first}' AND date '{last}'", sql)
    text = text.replace("${symbol:singlequote}", ", ".join(f"'{symbol}'" for symbol in symbols))
    assert "$" not in text
    tree = sqlglot.parse_one(text, read="athena")
    for table in tree.find_all(exp.Table):
        assert not table.db, "the database is the data source's"
        table.set("db", exp.to_identifier("published"))
    return tree.sql("athena")
