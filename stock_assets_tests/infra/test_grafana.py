"""Dashboards and provisioning files: equal to the generated ones, consistent, and every query runs on a real engine.

No Grafana renders them here: `expanded` replaces macros and variables as a server does.
"""

import json
import re
from datetime import date, datetime
from math import log, sqrt
from pathlib import Path
from typing import Any

import jsonschema
import pandas as pd
import pytest
import sqlglot
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard as Model
from sqlglot import exp

from infra.grafana.generate import FOLDER, generated
from infra.grafana.panels import BLUE, ORANGE, SKY, VERMILION
from infra.grafana.queries import ATHENA, CLOUDWATCH
from stock_assets.backends.interface import Backend
from stock_assets.orchestration.assets.dashboards import dashboard_specs
from stock_assets.serve.dashboards import DASHBOARDS
from stock_assets.serve.panels import PANELS
from stock_assets.serve.query import run_query
from stock_assets.settings import Settings, SourceName
from stock_assets_tests.infra.schemas import ALERT_RULES, DASHBOARD_PROVIDERS, DATA_SOURCES
from stock_assets_tests.support.grafana_queries import DECEMBER, FILES, QUERIES, SHOWN, expanded
from stock_assets_tests.support.scenes import TWO_WEEKS, Scene, wavy_source

BY_TITLE = {panel.title: panel for panel in PANELS.values()}
UNITS = {"currencyUSD", "percent", "short", "bytes", "suffix:x"}
ACCOUNT = re.compile(r"\b\d{12}\b|arn:aws|s3://|AKIA|us-east|eu-west|amazonaws")


def panels_named() -> dict[str, Any]:
    return {f"{uid}: {panel['title']}": panel for uid, panel in SHOWN}


@pytest.mark.parametrize("file", generated(), ids=lambda path: path.name)
def test_committed_files_equal_the_generated_ones(file: Path) -> None:
    assert file.read_text(encoding="utf-8") == generated()[file], "run `make dashboards`"


@pytest.mark.parametrize("uid", FILES)
def test_a_dashboard_can_be_read_by_the_sdk(uid: str) -> None:
    register_default_plugins()
    model = Model.from_json(FILES[uid])
    # The SDK knows only the annotations of Grafana's own data source.
    assert {**json.loads(json.dumps(model, cls=JSONEncoder)), "annotations": None} == {
        **FILES[uid],
        "annotations": None,
    }


@pytest.mark.parametrize("name", panels_named())
def test_a_panel_has_description_unit_link_and_known_colours(name: str) -> None:
    panel = panels_named()[name]
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert len(panel["description"]) > 40
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["unit"] in UNITS
    assert defaults["links"], "a data link leads on"
    for source in (panel["datasource"], panel["targets"][0]["datasource"]):
        assert source["uid"] in {ATHENA.uid, CLOUDWATCH.uid}
    colours = set(re.findall(r"#[0-9A-Fa-f]{6}", json.dumps(panel)))
    assert colours <= {BLUE, ORANGE, VERMILION, SKY}
    palettes = re.findall(r'"mode": "(palette[^"]*|continuous[^"]*)"', json.dumps(panel))
    assert palettes == (["palette-classic-by-name"] if panel["title"] == "Comparison" else []), "only the colours above"


def test_each_bar_coloured_by_thresholds_has_the_colour_of_its_own_value() -> None:
    """Grafana colours a whole series by its last value, unless the gradient mode is `scheme`."""
    gradients = {
        panel["title"]: panel["fieldConfig"]["defaults"].get("custom", {}).get("gradientMode")
        for _, panel in SHOWN
        if panel["fieldConfig"]["defaults"].get("color", {}).get("mode") == "thresholds" and panel["type"] != "stat"
    }
    assert gradients == {"Daily return": "scheme", "Movers": "scheme"}


def test_a_mover_has_its_change_at_its_bar_and_the_session_in_its_tooltip() -> None:
    [movers] = [panel for _, panel in SHOWN if panel["title"] == "Movers"]
    assert movers["options"]["showValue"] == "always"
    [hidden] = movers["fieldConfig"]["overrides"]
    assert hidden["matcher"]["options"] == "/^(close_price|trade_date)$/"
    assert hidden["properties"][0]["value"]["tooltip"] is False, "not hidden there"


@pytest.mark.parametrize("uid", FILES)
def test_a_dashboard_is_read_only_in_utc_without_an_account(uid: str) -> None:
    model = FILES[uid]
    assert (model["uid"], model["timezone"], model["editable"]) == (uid, "utc", False)
    assert model["title"]
    assert model["description"]
    assert model.get("refresh", "") == "", "each refresh sends the queries to Athena again"
    assert not ACCOUNT.search(json.dumps(model))
    ids = [panel["id"] for panel in model["panels"]]
    assert ids == list(range(1, len(ids) + 1))
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in model["panels"] if panel["type"] != "row")
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells)), "panels lie upon each other"
    assert max(x for x, _ in cells) < 24
    uids = {dashboard.uid for dashboard in DASHBOARDS}
    assert set(re.findall(r'"/d/([a-z-]+)', json.dumps(model))) <= uids
    used = set(re.findall(r"\$\{(\w+)[:}]", json.dumps(model))) - {"__url_time_range", "__data", "__field"}
    assert used == {variable["name"] for variable in model["templating"]["list"]}


def test_every_dashboard_is_an_asset() -> None:
    assert set(FILES) == {dashboard.uid for dashboard in DASHBOARDS}
    for dashboard in DASHBOARDS:
        titles = {panel["title"] for panel in FILES[dashboard.uid]["panels"] if panel["type"] != "row"}
        assert titles - {"Bytes scanned"} == {PANELS[name].title for name in dashboard.panels}


def test_dashboards_are_assets_with_lineage_and_links() -> None:
    without = {spec.key.to_user_string(): spec for spec in dashboard_specs(None, owners=["team:a"])}
    assert sorted(dep.asset_key.to_user_string() for dep in without["grafana/operations_dashboard"].deps) == [
        "published/coverage",
        "published/freshness",
        "published/quarantine_by_audit",
        "published/quarantined_prices",
    ]
    assert "published/price_trends" in {
        dep.asset_key.to_user_string() for dep in without["grafana/prices_dashboard"].deps
    }
    assert "dashboard" not in without["grafana/prices_dashboard"].metadata
    settings = Settings.model_validate({"grafana_url": "https://grafana.example.org/"})
    [prices, _] = dashboard_specs(settings.grafana_url, owners=["team:a"])
    assert prices.metadata["dashboard"].value == "https://grafana.example.org/d/stock-assets-prices"
    for spec in without.values():
        assert (FOLDER.parent.parent / spec.metadata["json"]).is_file()


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_returns_the_declared_columns(recorded_backend: Backend, name: str) -> None:
    title, sql = QUERIES[name]
    panel = BY_TITLE[title]
    rows = run_query(recorded_backend, expanded(sql))
    assert rows.column_names == list(panel.columns)
    assert rows.num_rows or panel.name in {"audit_failures", "quarantined_bars", "incomplete_sessions"}
    if "$__dateFilter" in sql:
        assert "trade_date" in sql
        [column] = {"time", "trade_date"} & set(rows.column_names)
        values = rows.column(column).to_pylist()
        days = [value.date() if isinstance(value, datetime) else value for value in values]
        assert all(DECEMBER[0] <= day <= DECEMBER[1] for day in days)
    if "${symbol" in sql:
        assert set(rows.column("symbol").to_pylist()) == {"AAPL", "IBM"}


@pytest.mark.parametrize("name", QUERIES)
def test_no_query_but_the_comparison_contains_a_window_function(name: str) -> None:
    """A condition on dates would cut the left edge of the window; windows belong in the views."""
    title, sql = QUERIES[name]
    tree = sqlglot.parse_one(expanded(sql), read="athena")
    assert bool(list(tree.find_all(exp.Window))) == (title == "Comparison")


def test_the_comparison_begins_at_100_at_the_left_edge_of_any_range(recorded_backend: Backend) -> None:
    [sql] = [sql for title, sql in QUERIES.values() if title == "Comparison"]
    for first in (date(2012, 12, 3), date(2005, 2, 25)):
        rows = run_query(recorded_backend, expanded(sql, (first, date(first.year, 12, 31)))).to_pylist()
        begin = {row["symbol"]: row["close_rebased"] for row in rows if row["time"].date() == first}
        assert begin == {"AAPL": 100.0, "IBM": 100.0}
    # 88.99 and 44.86 as traded, around a 2:1 split: a gain of 0.8%.
    [after] = [row for row in rows if row["symbol"] == "AAPL" and row["time"].date() == date(2005, 2, 28)]
    assert after["close_rebased"] == pytest.approx(44.86 / (88.99 / 2) * 100)


def test_splits_are_annotations(recorded_backend: Backend) -> None:
    [splits] = FILES["stock-assets-prices"]["annotations"]["list"]
    sql = expanded(splits["target"]["rawSQL"], (date(2005, 1, 1), date(2005, 12, 31)))
    fields = [splits["mappings"][name]["value"] for name in ("time", "title", "text")]
    [row] = run_query(recorded_backend, sql).to_pylist()
    assert [row[field] for field in fields] == [datetime(2005, 2, 28), "AAPL", 2.0]  # noqa: DTZ001 (as Athena returns it)


def one_day(backend: Backend, title: str, day: date, symbol: str = "AAPL") -> list[tuple[object, ...]]:
    [sql] = [sql for found, sql in QUERIES.values() if found == title]
    rows = run_query(backend, expanded(sql, (day, day), (symbol,))).to_pylist()
    return [tuple(row.values())[1:] for row in rows]


def test_queries_return_known_values(recorded_backend: Backend, recorded_bars: pd.DataFrame) -> None:
    day, before_split = date(2013, 3, 1), date(2005, 2, 25)
    assert one_day(recorded_backend, "Close and 5-day average", day)[0][:2] == ("AAPL", 430.47)
    # The mean of the last five closes, from the vendor's response.
    closes = recorded_bars.loc["AAPL"]["close"].iloc[-5:]
    assert one_day(recorded_backend, "Close and 5-day average", day)[0][2] == pytest.approx(closes.mean(), rel=1e-12)
    assert one_day(recorded_backend, "Average price, 90 days", day)[0][1] == pytest.approx(495.99, abs=0.005)
    assert one_day(recorded_backend, "Daily return", day)[0][1] == pytest.approx(430.47 - 438.0)
    assert one_day(recorded_backend, "Candlesticks", day)[0] == ("AAPL", 438.0, 438.1799, 429.98, 430.47)
    # 88.99 as traded, one session before a 2:1 split. A time range of one day has the complete average.
    [(_, close, five)] = one_day(recorded_backend, "Close and 5-day average", before_split)
    assert close == pytest.approx(88.99 / 2)
    assert five is not None
    assert one_day(recorded_backend, "Volume and surges", day)[0][1] == 19730300.0
    assert one_day(recorded_backend, "Market breadth", day) == [(80.0, 4, 5)]
    assert one_day(recorded_backend, "Coverage by session", day) == [(100.0, 5, 5)]
    volatility = garman_klass(438.0, 438.1799, 429.98, 430.47)
    assert one_day(recorded_backend, "Volatility", day)[0][1] == pytest.approx(volatility, rel=1e-9)


def garman_klass(open_: float, high: float, low: float, close: float) -> float:
    """Return the volatility in percent a day, by its definition."""
    return 100 * sqrt(0.5 * log(high / low) ** 2 - (2 * log(2) - 1) * log(close / open_) ** 2)


def test_a_shorter_time_range_changes_no_value(recorded_backend: Backend) -> None:
    """A filtered window would change values at the left edge."""
    for title in ("Average price, 90 days", "Close and 5-day average", "Volatility"):
        [sql] = [sql for found, sql in QUERIES.values() if found == title]
        wide = run_query(recorded_backend, expanded(sql, (date(2012, 1, 1), DECEMBER[1]))).to_pylist()
        narrow = run_query(recorded_backend, expanded(sql)).to_pylist()
        assert narrow
        assert narrow == [row for row in wide if row["time"].date() >= DECEMBER[0]]
        assert all(value is not None for row in narrow for value in row.values())


def test_the_variable_lists_all_symbols(recorded_backend: Backend) -> None:
    [_, variable] = FILES["stock-assets-prices"]["templating"]["list"]
    rows = run_query(recorded_backend, expanded(variable["query"]["rawSQL"])).to_pylist()
    assert [row["symbol"] for row in rows] == ["AAPL", "FB", "GOOG", "IBM", "MSFT"]


PROVISIONED = {
    "datasources/athena.yaml": DATA_SOURCES,
    "dashboards/stock_assets.yaml": DASHBOARD_PROVIDERS,
    "alerting/rules.yaml": ALERT_RULES,
}


def provisioned(name: str) -> Any:  # noqa: ANN401 (what YAML holds)
    return yaml.safe_load((FOLDER / "provisioning" / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", PROVISIONED)
def test_a_provisioning_file_matches_its_schema(name: str) -> None:
    jsonschema.validate(provisioned(name), PROVISIONED[name], cls=jsonschema.Draft202012Validator)
    text = (FOLDER / "provisioning" / name).read_text(encoding="utf-8")
    assert not ACCOUNT.search(text)
    assert not re.search("secret|password|accessKey", text, re.IGNORECASE)


def test_the_contact_point_of_the_docs_receives_all_alerts_and_contains_no_address() -> None:
    page = (FOLDER.parents[1] / "docs" / "dashboards.md").read_text(encoding="utf-8")
    [text] = re.findall(r"^  ```yaml\n(.*?)^  ```", page, re.MULTILINE | re.DOTALL)
    example = yaml.safe_load(text)
    assert example["apiVersion"] == 1
    [contact], [policy] = example["contactPoints"], example["policies"]
    assert policy["receiver"] == contact["name"]
    assert "object_matchers" not in policy, "the policy is the root of all others"
    assert [receiver["settings"] for receiver in contact["receivers"]] == [{"url": "$SLACK_WEBHOOK_URL"}]


def test_every_provisioning_file_has_a_schema() -> None:
    found = {str(path.relative_to(FOLDER / "provisioning")) for path in (FOLDER / "provisioning").rglob("*.yaml")}
    assert found == set(PROVISIONED)


def test_the_schemas_reject_credentials() -> None:
    sources = provisioned("datasources/athena.yaml")
    sources["datasources"][0]["secureJsonData"] = {"accessKey": "x"}
    with pytest.raises(jsonschema.ValidationError, match="secureJsonData"):
        jsonschema.validate(sources, DATA_SOURCES)
    sources = provisioned("datasources/athena.yaml")
    sources["datasources"][0]["jsonData"]["authType"] = "keys"
    with pytest.raises(jsonschema.ValidationError, match="default"):
        jsonschema.validate(sources, DATA_SOURCES)


def test_dashboards_have_a_variable_for_each_data_source_and_rules_use_the_provisioned_one() -> None:
    found = {one["type"]: one["uid"] for one in provisioned("datasources/athena.yaml")["datasources"]}
    for uid, sources in (("stock-assets-prices", [ATHENA]), ("stock-assets-operations", [ATHENA, CLOUDWATCH])):
        kinds = {
            f"${{{one['name']}}}": one["query"]
            for one in FILES[uid]["templating"]["list"]
            if one["type"] == "datasource"
        }
        assert kinds == {str(source.uid): str(source.type_val) for source in sources}
        assert set(kinds.values()) <= set(found)
    for rule in provisioned("alerting/rules.yaml")["groups"][0]["rules"]:
        assert rule["data"][0]["datasourceUid"] == found["grafana-athena-datasource"]


def _queries(node: object) -> list[dict[str, Any]]:
    """Return the queries to Athena below a node."""
    if isinstance(node, dict):
        return [node] if "rawSQL" in node else [query for child in node.values() for query in _queries(child)]
    return [query for child in node for query in _queries(child)] if isinstance(node, list) else []


def test_panels_reuse_results_and_rules_never_do() -> None:
    assert len(_queries(FILES["stock-assets-prices"]["templating"])) == 1
    assert len(_queries(FILES["stock-assets-prices"]["annotations"])) == 1
    for uid, panel in SHOWN:
        if panel["datasource"]["uid"] == ATHENA.uid:
            arguments = panel["targets"][0]["connectionArgs"]
            assert (arguments["resultReuseEnabled"], arguments["resultReuseMaxAgeInMinutes"]) == (True, 60), uid
        for query in _queries(FILES[uid]["templating"]) + _queries(FILES[uid]["annotations"]):
            assert query["connectionArgs"]["resultReuseEnabled"], "also those of variables and annotations"
    assert "resultReuse" not in (FOLDER / "provisioning" / "alerting" / "rules.yaml").read_text(encoding="utf-8")


def test_a_rule_leads_to_the_panel_with_its_number() -> None:
    for rule in provisioned("alerting/rules.yaml")["groups"][0]["rules"]:
        where = rule["annotations"]
        [panel] = [one for one in FILES[where["__dashboardUid__"]]["panels"] if str(one["id"]) == where["__panelId__"]]
        query = rule["data"][0]["model"]["rawSQL"]
        assert panel["targets"][0]["rawSQL"].partition("FROM")[2].split()[0] in query
        assert panel["title"] in {"Freshness", "Coverage of the latest session"}


TRINO = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (FOLDER / "trino").rglob("*.json")}


def queries_of(node: object) -> list[str]:
    """Return every query in a part of a dashboard, in order."""
    if isinstance(node, dict):
        own = [node["rawSQL"]] if "rawSQL" in node else []
        return own + [sql for child in node.values() for sql in queries_of(child)]
    return [sql for child in node for sql in queries_of(child)] if isinstance(node, list) else []


@pytest.mark.parametrize("uid", TRINO)
def test_a_dashboard_for_trino_sends_the_queries_of_athena_with_every_table_named_by_schema(uid: str) -> None:
    model, original = TRINO[uid], FILES[uid.removesuffix("-trino")]
    sent = queries_of(model)
    assert [sql.replace("${schema}.", "") for sql in sent] == queries_of(original)
    for sql in sent:
        tree = sqlglot.parse_one(
            sql.replace("${schema}", "catalog.published")
            .replace("${symbol:singlequote}", "'IBM'")
            .replace("$__dateFilter(trade_date)", "1 = 1"),
            read="trino",
        )
        tables = list(tree.find_all(exp.Table))
        assert tables
        assert all((table.catalog, table.db) == ("catalog", "published") for table in tables)
    text = json.dumps(model)
    assert not re.search("athena|cloudwatch|connectionArgs", text, re.IGNORECASE)
    used = set(re.findall(r"\$\{(\w+)[:}]", text)) - {"__url_time_range", "__data", "__field"}
    assert used == {variable["name"] for variable in model["templating"]["list"]}
    assert set(re.findall(r'"/d/([a-z-]+)', text)) <= set(TRINO)
    assert {panel["gridPos"]["x"] + panel["gridPos"]["w"] for panel in model["panels"]} <= {6, 8, 12, 16, 24}


@pytest.mark.parametrize("uid", TRINO)
def test_the_schema_of_a_dashboard_for_trino_is_by_default_the_one_of_live_prices(uid: str) -> None:
    [schema] = [one for one in TRINO[uid]["templating"]["list"] if one["name"] == "schema"]
    default = Settings()
    assert schema["query"] == f"{default.trino_catalog}.{default.aws_database}_{SourceName.ALPHA_VANTAGE}_published"


def fires(backend: Backend, title: str) -> bool:
    """Evaluate an alert rule as Grafana does: compare the single number of its query with its threshold."""
    [group] = provisioned("alerting/rules.yaml")["groups"]
    [rule] = [rule for rule in group["rules"] if rule["title"] == title]
    query, threshold = (step["model"] for step in rule["data"])
    assert (rule["condition"], threshold["expression"]) == (threshold["refId"], query["refId"])
    assert "$" not in query["rawSQL"], "Grafana reads it as a variable"
    [row] = run_query(backend, expanded(query["rawSQL"])).to_pylist()
    [value] = row.values()
    [condition] = threshold["conditions"]
    [level] = condition["evaluator"]["params"]
    return bool(value > level if condition["evaluator"]["type"] == "gt" else value < level)


def test_alert_rules_fire_for_late_data_only(recorded_backend: Backend) -> None:
    # The recorded sample ended years ago and is complete.
    assert fires(recorded_backend, "Prices are late")
    assert not fires(recorded_backend, "Symbols are missing")


def test_an_alert_fires_if_a_symbol_is_missing_from_the_latest_session(backend: Backend) -> None:
    source = wavy_source()
    source.drop_bar("IBM", TWO_WEEKS[-1])
    Scene(backend, source).run(TWO_WEEKS)
    assert fires(backend, "Symbols are missing")


def test_grafana_on_trino_is_provisioned_with_pinned_versions_and_without_a_secret() -> None:
    folder = FOLDER / "trino"
    grafana = yaml.safe_load((folder / "compose.yaml").read_text(encoding="utf-8"))["services"]["grafana"]
    assert re.fullmatch(r"grafana/grafana:11\.6\.\d+", grafana["image"])
    assert re.fullmatch(r"trino-datasource@\d+\.\d+\.\d+", grafana["environment"]["GF_PLUGINS_PREINSTALL"])
    assert grafana["environment"]["GF_PLUGINS_PREINSTALL_ASYNC"] == "false"
    assert all(port.startswith("127.0.0.1:") for port in grafana["ports"])
    [source] = yaml.safe_load((folder / "provisioning/datasources/trino.yaml").read_text())["datasources"]
    assert source == {
        "name": "Trino",
        "uid": "stock-assets-trino",
        "type": "trino-datasource",
        "access": "proxy",
        "url": "$TRINO_URL",
        "editable": True,
        "jsonData": {},
    }
    jsonschema.validate(
        yaml.safe_load((folder / "provisioning/dashboards/stock_assets.yaml").read_text()), DASHBOARD_PROVIDERS
    )


def test_the_compose_file_mounts_existing_folders_and_contains_no_secret() -> None:
    grafana = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))["services"]["grafana"]
    assert re.fullmatch(r"grafana/grafana:11\.6\.\d+", grafana["image"])
    assert re.fullmatch(r"grafana-athena-datasource@\d+\.\d+\.\d+", grafana["environment"]["GF_PLUGINS_PREINSTALL"])
    assert grafana["environment"]["GF_PLUGINS_PREINSTALL_ASYNC"] == "false"
    assert all(port.startswith("127.0.0.1:") for port in grafana["ports"])
    folders = {line.split(":")[1]: line.split(":")[0] for line in grafana["volumes"]}
    assert (FOLDER / folders["/etc/grafana/provisioning"]).is_dir()
    [provider] = provisioned("dashboards/stock_assets.yaml")["providers"]
    assert (FOLDER / folders[provider["options"]["path"]]).is_dir()
    assert grafana["environment"]["GF_SECURITY_ADMIN_PASSWORD"].startswith("${")
    needed = set(re.findall(r"\$([A-Z_]+)", (FOLDER / "provisioning/datasources/athena.yaml").read_text()))
    assert needed <= set(grafana["environment"])


def test_every_panel_is_on_a_dashboard_or_only_in_the_report() -> None:
    shown = {name for dashboard in DASHBOARDS for name in dashboard.panels}
    annotations_and_variables = {"symbols", "splits"}
    of_the_report = {"price_history", "board", "correlations"}
    assert set(PANELS) - shown == annotations_and_variables | of_the_report
