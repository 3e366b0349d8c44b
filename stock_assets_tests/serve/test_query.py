"""Queries, adjusted prices and the summary, compared with values computed by hand for a small table."""

import re
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from stock_assets.backends.interface import Backend
from stock_assets.core.calendar import sessions_between
from stock_assets.core.errors import InvalidQuery, NoData, QueryFailed
from stock_assets.core.tables import PUBLISHED_TABLES, STAGED_PRICES
from stock_assets.core.universe import Listing, Universe
from stock_assets.serve.query import SymbolSummary, most_traded, only_symbols, relations, run_query, summary
from stock_assets.serve.views import VIEWS
from stock_assets_tests.fakes.source import ScriptedSource
from stock_assets_tests.support.scenes import BAD_BAR, FIRST_WEEK, Scene
from stock_assets_tests.support.steps import LIMITS, local_backend

LAST = date(2012, 6, 26)
# 89 and 90 calendar days before LAST: the first of its last 90 days, and the session before.
INSIDE, OUTSIDE = date(2012, 3, 29), date(2012, 3, 28)
EX_DATE = date(2012, 5, 1)
BEFORE_EX_DATE = date(2012, 4, 30)
SESSIONS = sessions_between(OUTSIDE, LAST)
LISTED = Universe((Listing("DOG", ""), Listing("SPLIT", "")))


def flat(price: float, volume: int) -> str:
    """Return a bar with four equal prices, so that its average is the price."""
    return f"{price},{price},{price},{price},{volume}"


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    """SPLIT costs 1000 on its first session, then 90, and 30 from its 3:1 split on; DOG has only a bad bar."""
    source = ScriptedSource()
    prices = {day: flat(90, 300) if day < EX_DATE else flat(30, 900) for day in SESSIONS}
    source.set_bars("SPLIT", prices | {OUTSIDE: flat(1000, 300), LAST: "30,36,24,33,900", BEFORE_EX_DATE: BAD_BAR})
    source.set_splits("SPLIT", {EX_DATE: "3.0000"})
    source.set_bars("DOG", {LAST: "100,102,99,-101,-5"})
    backend = local_backend(tmp_path_factory.mktemp("backend"))
    Scene(backend, source, LISTED, replace(LIMITS, max_quarantined_share=1.0)).run(SESSIONS)
    return backend


def test_a_query_uses_asset_names_and_returns_typed_columns(backend: Backend) -> None:
    rows = run_query(
        backend,
        "SELECT symbol, trade_date, close_price, volume, is_market_up, prev_close FROM published.daily_prices "
        f"WHERE trade_date IN (DATE '{LAST}', DATE '{OUTSIDE}') ORDER BY trade_date",
    )

    assert rows.schema.types == [pa.string(), pa.date32(), pa.float64(), pa.int64(), pa.bool_(), pa.float64()]
    assert [tuple(row.values()) for row in rows.to_pylist()] == [
        ("SPLIT", OUTSIDE, 1000.0, 300, False, None),
        ("SPLIT", LAST, 33.0, 900, True, 30.0),
    ]


def test_a_query_in_the_athena_dialect_joins_tables_and_views(backend: Backend) -> None:
    [row] = run_query(
        backend,
        "SELECT COUNT(*) AS n, MAX(DATE_DIFF('day', p.trade_date, a.trade_date)) AS days "
        "FROM published.daily_prices AS p "
        "JOIN published.adjusted_prices AS a ON a.symbol = p.symbol AND a.trade_date = p.trade_date",
    ).to_pylist()

    assert row == {"n": len(SESSIONS) - 1, "days": 0}


@pytest.mark.parametrize("select", ["SELECT nothing FROM published.daily_prices", "SELECT * FROM staged.daily_prices"])
def test_unpublished_tables_and_unknown_columns_cannot_be_queried(backend: Backend, select: str) -> None:
    with pytest.raises(QueryFailed):
        run_query(backend, select)


@pytest.mark.parametrize(
    "outside",
    [
        "read_csv('{file}')",
        "read_text('{file}')",
        "read_blob('{file}')",
        "read_blob('{folder}/*.csv')",
        '"{file}"',
        "read_csv('{published}/../secret.csv')",
        "read_text('.tmp/left_by_others.txt')",
        "read_json('{file}')",
        "read_ndjson_objects('{file}')",
        "sniff_csv('{file}')",
        "parquet_metadata('{file}')",
        "read_csv('https://example.com/a.csv')",
        "read_text('/proc/self/environ')",
        "query('SELECT * FROM read_text(''{file}'')')",
        "duckdb_secrets()",
    ],
)
def test_a_query_reads_only_published_data(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outside: str
) -> None:
    file = tmp_path / "secret.csv"
    file.write_text("a\n1\n", encoding="utf-8")
    (tmp_path / ".tmp").mkdir()
    (tmp_path / ".tmp" / "left_by_others.txt").write_text("a", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    source = outside.format(file=file, folder=tmp_path, published=backend.warehouse.location(PUBLISHED_TABLES[0]))

    with pytest.raises(QueryFailed, match="Permission Error"):
        run_query(backend, f"SELECT * FROM {source}")


def test_a_query_reads_no_staged_files(backend: Backend) -> None:
    root = Path(backend.warehouse.location(PUBLISHED_TABLES[0])).parent.parent
    [staged, *_] = root.glob("staged/tables/*/*.parquet")
    with pytest.raises(QueryFailed, match="Permission Error"):
        run_query(backend, f"SELECT * FROM read_parquet('{staged}')")


def test_a_restricted_session_writes_nothing_and_stays_restricted(backend: Backend) -> None:
    with backend.warehouse.connect("load_1") as sql:
        sql.restrict()
        with pytest.raises(QueryFailed, match="Permission Error"):
            sql.stage(STAGED_PRICES, "SELECT 1 AS a")
        with pytest.raises(QueryFailed, match="locked"):
            sql.restrict()


def test_a_query_does_not_read_the_environment(backend: Backend) -> None:
    with pytest.raises(QueryFailed):
        run_query(backend, "SELECT GETENV('HOME') AS x")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("enable_external_access", "false"),
        ("lock_configuration", "true"),
        ("autoload_known_extensions", "false"),
        ("autoinstall_known_extensions", "false"),
        ("allow_community_extensions", "false"),
    ],
)
def test_a_restricted_session_loads_no_extension(backend: Backend, setting: str, value: str) -> None:
    [row] = run_query(backend, f"SELECT CURRENT_SETTING('{setting}') AS x").to_pylist()
    assert str(row["x"]).lower() == value


def test_a_query_has_a_memory_limit(backend: Backend) -> None:
    [row] = run_query(backend, "SELECT CURRENT_SETTING('memory_limit') AS x").to_pylist()
    assert row["x"] == "953.6 MiB"


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP VIEW published.daily_prices",
        "COPY (SELECT 1) TO 'out.csv'",
        "ATTACH 'out.db'",
        "SET threads = 1",
        "RESET threads",
        "SELECT * FROM glob('/etc/*')",
        "INSTALL httpfs",
        "LOAD httpfs",
        "CALL pragma_version()",
        "EXPORT DATABASE 'out'",
        "VACUUM",
        "CHECKPOINT",
        "SELECT 1 /* ; */ ; COPY (SELECT 1) TO 'out.csv'",
        "SELECT 1 -- ;\n; DROP TABLE a",
        "WITH a AS (DELETE FROM b RETURNING *) SELECT * FROM a",
        "WITH a AS (UPDATE b SET c = 1 RETURNING *) SELECT * FROM a",
        "SELECT * FROM (INSERT INTO b VALUES (1)) AS a",
        "MERGE INTO a USING b ON TRUE WHEN MATCHED THEN DELETE",
        "UNLOAD (SELECT 1) TO 'out'",
        "PRAGMA database_list",
        "INSERT INTO published.daily_prices SELECT * FROM published.daily_prices",
        "CREATE TABLE out AS SELECT 1 AS a",
        "SELECT 1 AS a INTO out",
        "WITH a AS (INSERT INTO b VALUES (1)) SELECT * FROM a",
        "EXPLAIN SELECT 1",
        "SELECT 'open",
    ],
)
def test_a_query_is_a_single_select(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidQuery, match=r"^The query was not run: it .*\. "):
        run_query(backend, text)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "  \n", "-- a comment", "/* another */", ";", " ; -- nothing"])
def test_an_empty_query_is_rejected_with_an_example(backend: Backend, text: str) -> None:
    with pytest.raises(InvalidQuery, match=r"it is empty\. Write a SELECT, such as: SELECT"):
        run_query(backend, text)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1 AS a",
        "-- first\nSELECT 1 AS a; -- last */",
        "WITH one AS (SELECT 1 AS a) SELECT a FROM one;",
        "(SELECT 1 AS a)",
        "SELECT 1 AS a UNION SELECT 1",
    ],
)
def test_every_form_of_a_select_is_accepted(backend: Backend, text: str) -> None:
    assert run_query(backend, text).to_pylist() == [{"a": 1}]


def test_adjusted_prices_are_split_adjusted_and_published_prices_are_as_traded(backend: Backend) -> None:
    days = (INSIDE, EX_DATE, LAST)
    listed = ", ".join(f"DATE '{day}'" for day in days)
    columns = "trade_date, open_price, high_price, low_price, close_price, volume"
    select = f"SELECT {columns} FROM {{}} WHERE trade_date IN ({listed}) ORDER BY trade_date"

    adjusted = run_query(backend, select.format("published.adjusted_prices")).to_pylist()
    as_traded = run_query(backend, select.format("published.daily_prices")).to_pylist()

    assert [tuple(row.values())[1:] for row in adjusted] == [
        (30.0, 30.0, 30.0, 30.0, 900.0),
        (30.0, 30.0, 30.0, 30.0, 900.0),
        (30.0, 36.0, 24.0, 33.0, 900.0),
    ]
    assert [tuple(row.values())[1:] for row in as_traded] == [
        (90.0, 90.0, 90.0, 90.0, 300),
        (30.0, 30.0, 30.0, 30.0, 900),
        (30.0, 36.0, 24.0, 33.0, 900),
    ]


def test_summary_counts_bars_and_averages_split_adjusted_prices(backend: Backend) -> None:
    dog, split = summary(backend)

    # 1000 is 90 days old and not included; 90 before the split counts as 30; the last session's average is 30.75.
    inside = [day for day in SESSIONS if day >= INSIDE and day != BEFORE_EX_DATE]
    assert split.avg_price_90d == pytest.approx((30.0 * (len(inside) - 1) + 30.75) / len(inside), rel=1e-12)
    assert split == SymbolSummary(
        symbol="SPLIT",
        row_count=len(SESSIONS) - 1,
        first_session=OUTSIDE,
        last_session=LAST,
        quarantined=1,
        last_close=33.0,
        avg_price_90d=split.avg_price_90d,
        last_volume=split.last_volume,
    )
    assert split.last_volume == 900, "as traded"
    # One quarantined session, although its bar failed three audits; DOG has no published bar.
    assert dog == SymbolSummary("DOG", 0, None, None, 1, None, None, None)


def of_last_session(symbol: str, day: date | None, close: float | None, volume: int | None) -> SymbolSummary:
    """Return a summary with what its place in a short list depends on."""
    return SymbolSummary(symbol, 1, day, day, 0, close, None, volume)


def test_a_short_list_has_the_most_traded_symbols_first_and_delisted_ones_last() -> None:
    rows = [
        of_last_session("DELISTED", LAST - timedelta(days=31), 9e9, 9_000_000),
        of_last_session("QUARANTINED", None, None, None),
        of_last_session("SMALL", LAST, 500.0, 10),
        of_last_session("LARGE", LAST - timedelta(days=30), 20.0, 1_000),
    ]
    assert most_traded(rows, 4) == rows, "a list that is short enough stays as it is"
    assert [row.symbol for row in most_traded(rows, 3)] == ["LARGE", "SMALL", "DELISTED"]
    without_bars = [of_last_session(symbol, None, None, None) for symbol in ("A", "B")]
    assert most_traded(without_bars, 1) == without_bars[:1]


def test_a_large_symbol_without_a_bar_of_the_latest_session_stays_first(tmp_path: Path) -> None:
    prices = {"LARGE": 10_000.0, "SMALL": 100.0, "TINY": 1.0}
    source = ScriptedSource()
    for symbol, price in prices.items():
        source.set_bars(symbol, {day: flat(price, 1000 + number) for number, day in enumerate(FIRST_WEEK)})
    source.set_bar("LARGE", FIRST_WEEK[-1], BAD_BAR)
    backend = local_backend(tmp_path)
    universe = Universe(tuple(Listing(symbol, "") for symbol in prices))
    Scene(backend, source, universe, replace(LIMITS, max_quarantined_share=1.0)).run(FIRST_WEEK)
    rows = summary(backend)
    assert [row.last_session for row in rows] == [FIRST_WEEK[-2], FIRST_WEEK[-1], FIRST_WEEK[-1]]
    assert [row.symbol for row in most_traded(rows, 2)] == ["LARGE", "SMALL"]


def test_symbols_can_be_selected_and_unknown_ones_are_named() -> None:
    rows = [of_last_session(symbol, LAST, 1.0, 1) for symbol in ("AAPL", "IBM", "MSFT")]
    assert [row.symbol for row in only_symbols(rows, [" msft", "AAPL"])] == ["AAPL", "MSFT"]
    what_to_do = "Published symbols: stock-assets summary --all. To load it: stock-assets backfill FIRST LAST"
    for name, message in (
        ("IBN", f"IBN has no published bar. Did you mean IBM? {what_to_do}"),
        ("NVDA", f"NVDA has no published bar. {what_to_do}"),
    ):
        with pytest.raises(NoData, match=f"^{re.escape(message)}$"):
            only_symbols(rows, [name])


def test_summary_and_board_have_the_same_90_day_average(backend: Backend) -> None:
    [board] = run_query(backend, "SELECT avg_price_90d FROM published.latest_board").to_pylist()
    assert summary(backend)[1].avg_price_90d == pytest.approx(board["avg_price_90d"], rel=1e-12)


def test_summary_has_no_90_day_average_without_90_days_of_history(tmp_path: Path) -> None:
    source = ScriptedSource()
    source.set_bars("SPLIT", {day: flat(30, 900) for day in SESSIONS[2:]})
    short = local_backend(tmp_path / "backend")
    Scene(short, source, LISTED, replace(LIMITS, min_coverage=0.0)).run(SESSIONS[2:])
    [split] = summary(short)
    assert (split.first_session, split.avg_price_90d) == (SESSIONS[2], None)


def test_relations_are_the_published_tables_and_the_views(backend: Backend) -> None:
    found = {relation.name: relation for relation in relations(backend)}

    assert list(found) == [*(table.full_name for table in PUBLISHED_TABLES), *(v.full_name for v in VIEWS.values())]
    assert {name: (found[name].kind, found[name].rows) for name in list(found)[:3]} == {
        "published.daily_prices": ("table", len(SESSIONS) - 1),
        "published.quarantined_prices": ("table", 4),
        "published.adjusted_prices": ("view", len(SESSIONS) - 1),
    }
    contracts = {one.full_name: one.columns for one in PUBLISHED_TABLES} | {
        view.full_name: view.columns for view in VIEWS.values()
    }
    for name, columns in contracts.items():
        assert [column.name for column in found[name].columns] == [column.name for column in columns]
        assert found[name].description
