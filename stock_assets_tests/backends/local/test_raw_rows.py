"""The rows of a load: each response is read once, compared with the ledger, and read from one Parquet file later."""

import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from stock_assets.audit.gate import audit_load
from stock_assets.backends.interface import Backend, FetchKind
from stock_assets.backends.local import raw_rows
from stock_assets.backends.local.backend import LocalBackend
from stock_assets.backends.local.data_folder import DataFolder
from stock_assets.backends.local.objects import FolderObjects
from stock_assets.core.calendar import sessions_between
from stock_assets.core.errors import DamagedResponses
from stock_assets.core.universe import Universe
from stock_assets.ingest.price_requests import RequestRules, fetch_prices
from stock_assets.sources.interface import Terms
from stock_assets_tests.fakes.source import ScriptedSource
from stock_assets_tests.support.audit_mutations import root_of
from stock_assets_tests.support.bars import EVERY_DAY, deliver, rows_of, stored_response
from stock_assets_tests.support.published_week import Restored
from stock_assets_tests.support.scenes import (
    FIRST_WEEK,
    SECOND_WEEK,
    TWO_WEEKS,
    Scene,
    calm_bar,
    calm_source,
    content,
    rebuilt,
    state,
)
from stock_assets_tests.support.steps import FIVE, local_backend

SYMBOLS = FIVE.symbols


@pytest.fixture
def scene(restored: Restored, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A backend with two published weeks, from a vendor whose responses are compared with the stored ones."""
    monkeypatch.setattr(ScriptedSource, "terms", Terms(distinct_responses=True))
    backend = restored("calm two weeks", lambda backend: Scene(backend, calm_source()).run(TWO_WEEKS))
    return Scene(backend, calm_source())


def files_of(backend: Backend) -> dict[str, Path]:
    """Return the file of the newest response for each symbol."""
    fetches = {symbol: backend.ledger.fetches(FetchKind.PRICES, symbol=symbol)[0] for symbol in SYMBOLS}
    return {symbol: Path(backend.objects.uri(fetch.response_key)) for symbol, fetch in fetches.items()}


def change_a_price(files: dict[str, Path]) -> set[str]:
    """Change one digit of a price."""
    file = files["IBM"]
    bar = calm_bar("IBM", SECOND_WEEK[0])
    changed = file.read_bytes().replace(bar.encode(), bar.replace(bar[0], "2", 1).encode())
    assert changed != file.read_bytes()
    file.write_bytes(changed)
    return {"IBM"}


def swap_two(files: dict[str, Path]) -> set[str]:
    """Swap the responses of two symbols."""
    bodies = files["AAPL"].read_bytes(), files["MSFT"].read_bytes()
    files["MSFT"].write_bytes(bodies[0])
    files["AAPL"].write_bytes(bodies[1])
    return {"AAPL", "MSFT"}


def empty(files: dict[str, Path]) -> set[str]:
    """Empty a file."""
    files["IBM"].write_bytes(b"")
    return {"IBM"}


def remove_a_line(files: dict[str, Path]) -> set[str]:
    """Remove one line."""
    lines = files["IBM"].read_bytes().split(b"\r\n")
    files["IBM"].write_bytes(b"\r\n".join([*lines[:2], *lines[3:]]))
    return {"IBM"}


def delete(files: dict[str, Path]) -> set[str]:
    """Delete two files."""
    for symbol in ("AAPL", "CSCO"):
        files[symbol].unlink()
    return {"AAPL", "CSCO"}


@pytest.mark.parametrize(
    "damage",
    # The others are found by the same comparison of checksums.
    [change_a_price, delete, *(pytest.param(one, marks=pytest.mark.slow) for one in (swap_two, empty, remove_a_line))],
)
def test_damaged_responses_are_not_published_and_the_named_command_repairs_them(
    scene: Scene, tmp_path: Path, damage: Callable[[dict[str, Path]], set[str]]
) -> None:
    files, before = files_of(scene.backend), state(scene.backend)
    damaged = damage(files)

    with pytest.raises(DamagedResponses) as raised:
        scene.stage(SECOND_WEEK)

    message = str(raised.value)
    assert state(scene.backend) == before
    assert set(raised.value.damage) == {
        file.relative_to(root_of(scene.backend)).as_posix() for symbol, file in files.items() if symbol in damaged
    }
    assert all(key in message for key in raised.value.damage)
    found = re.search(r"stock-assets backfill (\S+) (\S+) --again((?: --symbol [A-Z]+)+)\.", message)
    assert found is not None
    sessions = sessions_between(*map(date.fromisoformat, found.groups()[:2]))
    symbols = found[3].split(" --symbol ")[1:]
    assert set(symbols) == damaged
    assert set(SECOND_WEEK) <= set(sessions)

    results = fetch_prices(scene, sessions, rules=RequestRules(frozenset(symbols), again=frozenset(symbols)))
    assert {result.symbol: str(result.outcome) for result in results} == dict.fromkeys(SYMBOLS, "ok")
    scene.stage(sessions)
    scene.publish(sessions)
    scene.stage(SECOND_WEEK)
    assert content(scene.backend) == rebuilt(local_backend(tmp_path / "rebuilt"), scene, TWO_WEEKS)


def test_the_remedy_includes_the_sessions_around_closed_days(scene: Scene) -> None:
    monday, friday = date(2012, 3, 5), date(2012, 3, 2)
    lines = "".join(f"{day},{calm_bar('IBM', day)}\r\n" for day in reversed(TWO_WEEKS) if day <= friday)
    key = deliver(scene.backend, "IBM", f"timestamp,open,high,low,close,volume\r\n{lines}".encode())
    Path(scene.backend.objects.uri(key)).write_bytes(b"")

    with pytest.raises(DamagedResponses, match=rf"backfill {friday} {friday} --again --symbol IBM"):
        scene.stage([monday])

    assert scene.stage([date(2012, 3, 6)]).rows > 0, "a load that does not need the response is not affected"


def test_a_symbol_that_left_the_universe_cannot_be_requested_again(scene: Scene) -> None:
    files_of(scene.backend)["IBM"].write_bytes(b"")
    scene.change(universe=Universe(tuple(one for one in FIVE.listings if one.symbol != "IBM")))

    with pytest.raises(DamagedResponses, match="Restore the files from a backup") as raised:
        scene.stage(SECOND_WEEK)
    assert "--again" not in str(raised.value)


class CountedReads(FolderObjects):
    """Counts how often each raw response is read."""

    def __init__(self, folder: DataFolder) -> None:
        super().__init__(folder)
        self.reads: Counter[str] = Counter()

    def get(self, key: str) -> bytes:
        """Count and read."""
        if key.startswith("raw/daily_prices/"):
            self.reads[key] += 1
        return super().get(key)


def test_a_load_reads_each_response_once(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path / "data")
    counted = CountedReads(DataFolder(tmp_path / "data"))
    backend.__dict__["objects"] = counted
    scene = Scene(backend, calm_source())
    scene.fetch(FIRST_WEEK)
    counted.reads.clear()

    audit_load(scene, scene.stage(FIRST_WEEK))
    scene.publish(FIRST_WEEK)

    assert list(counted.reads.values()) == [1] * len(SYMBOLS)


@pytest.mark.parametrize("harm", [Path.unlink, lambda file: file.write_bytes(file.read_bytes()[:-9] + b"123456789")])
def test_a_lost_or_damaged_file_of_rows_is_written_again(scene: Scene, harm: Callable[[Path], object]) -> None:
    load = scene.stage(SECOND_WEEK)
    [file] = (root_of(scene.backend) / "staged/tables" / load.load_id).glob("raw_rows_*")
    intact = file.read_bytes()
    harm(file)

    verdicts = audit_load(scene, load)

    assert [verdict.audit.name for verdict in verdicts if verdict.bad_rows] == []
    assert file.read_bytes() == intact


def test_plain_and_other_lines_are_read_in_one_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_rows, "_BATCH_BYTES", 150)
    backend = local_backend(tmp_path / "data")
    fields = {
        "A": ["2012-03-01,1,2,3,4,5", "2012-03-02,1,2,3,4,5"],
        "B": ["2012-03-01,1,2,3,4", "2012-03-02,1,2,3,4,5,6"],
        "C": ["2012-03-01,\u0661,2,3,4,5"],
        "D": ["2012-03-05,1,2,3,4,5"] * 9,
        "E": ["2012-03-01,1,2,3,\r4,5"],
    }
    for symbol, lines in fields.items():
        body = "\n".join(["timestamp,open,high,low,close,volume", *lines, ""])
        backend.objects.put(f"raw/daily_prices/{symbol}.csv", body.encode())
    responses = [stored_response(backend, f"raw/daily_prices/{symbol}.csv", symbol) for symbol in fields]

    with backend.warehouse.connect("load_1") as sql:
        name = sql.register_responses(responses, **EVERY_DAY).value
        found = sql.query(f'SELECT * FROM {name} ORDER BY "$path", trade_date').to_pylist()

    for response, lines in zip(responses, fields.values(), strict=True):
        path = backend.objects.uri(response.response_key)
        of_path = [
            {key: value for key, value in row.items() if key != "$path"} for row in found if row["$path"] == path
        ]
        assert of_path == rows_of(lines, of_path)
    assert sum(row["bar_text"] is None for row in found) == 2, "only the text of the plain response is left out"


PLAIN = "1.5,2,1,1.25,10"
ODD_BARS = [
    "5.,2,1,1,5",
    "1,.5,1,1,5",
    "1,2,1.,1,5",
    "1,2,1,1,5.",
    "1,2,1,1,5.0",
    "1.2.3,2,1,1,5",
    "1..2,2,1,1,5",
    "1234567890123,2,1,1,5",
    "0000000000001,2,1,1,5",
    "123456789012.5,2,1,1,5",
    "1.00000000000000000001,2,1,1,5",
    "1.000000000000000000001,2,1,1,5",
    "-1,2,1,1,5",
    "1,-0.0,1,1,-0",
    "+1,2,1,1,5",
    "1-2,2,1,1,5",
    ",2,1,1,5",
    "1,2,1,1,",
    "007.50,2,1,1,05",
    "1,2,1,1,123456789012",
    "1,2,1,1,9223372036854775807",
    "1,2,1,1,9223372036854775808",
    " 1,2,1,1,5",
    "1,2,1,1,5 ",
    "1e2,2,1,1,5",
    "1,2,1,1",
    "1,2,1,1,5,6",
    "inf,2,1,nan,5",
    "0x1,2,1,1,5",
    "-,2,1,1,5",
]
ODD_DAYS = (
    "2012-02-30",
    "2012-2-030",
    "20120-3-01",
    "-2012-0301",
    "2012-03-011",
    "1998-12-31",
    "2099-01-05",
    "2012-03-06",
)


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_plain_lines_are_read_as_the_shared_sql_reads_them(tmp_path: Path, line_end: str) -> None:
    """Each odd line stands among plain ones, in a response of its own, and all are read together."""
    backend = local_backend(tmp_path / "data")
    odd = [f"2012-03-01,{bar}" for bar in ODD_BARS] + [f"{day},{PLAIN}" for day in ODD_DAYS]
    bodies = {f"S{number}": [f"2012-03-06,{PLAIN}", line, f"2012-02-01,{PLAIN}"] for number, line in enumerate(odd)}
    bodies["PLAIN"] = [f"2012-03-06,{PLAIN}", f"2012-02-01,{PLAIN}"]
    for symbol, lines in bodies.items():
        body = line_end.join(["timestamp,open,high,low,close,volume", *lines, ""])
        backend.objects.put(f"raw/daily_prices/{symbol}.csv", body.encode())
    responses = [stored_response(backend, f"raw/daily_prices/{symbol}.csv", symbol) for symbol in bodies]

    with backend.warehouse.connect("load_1") as sql:
        found = sql.query(f"SELECT * FROM {sql.register_responses(responses, **EVERY_DAY).value}").to_pylist()

    for response, lines in zip(responses, bodies.values(), strict=True):
        path = backend.objects.uri(response.response_key)
        of_path = [
            {key: value for key, value in row.items() if key != "$path"} for row in found if row["$path"] == path
        ]
        assert sorted(map(str, of_path)) == sorted(map(str, rows_of(lines, of_path))), lines
    assert sum(row["bar_text"] is None for row in found) >= 2


def test_rows_of_other_days_are_left_out_except_those_that_an_audit_reports(tmp_path: Path) -> None:
    backend = local_backend(tmp_path / "data")
    days = ["2012-03-01", "2012-03-02", "2012-03-05", "2012-03-06", "1998-12-31", "1999-01-01", "2012-02-30"]
    days += ["2999-01-04", " 2012-03-01", "20120301", "2012-W10-1", ""]
    body = "\n".join(["timestamp,open,high,low,close,volume", *(f"{day},1,2,1,2,5" for day in days), ""])
    backend.objects.put("raw/daily_prices/IBM.csv", body.encode())
    response = stored_response(backend, "raw/daily_prices/IBM.csv")

    def found(first: date, last: date) -> set[str]:
        with backend.warehouse.connect("load_1") as sql:
            name = sql.register_responses([response], first=first, last=last).value
            return {row["date_text"] for row in sql.query(f"SELECT date_text FROM {name}").to_pylist()}

    assert found(date.min, date.max) == set(days)
    others = {"2012-03-01", " 2012-03-01", "2012-03-06", "1999-01-01"}
    assert found(date(2012, 3, 2), date(2012, 3, 5)) == set(days) - others


def test_rows_of_other_days_are_left_out_of_plain_responses(tmp_path: Path) -> None:
    backend = local_backend(tmp_path / "data")
    lines = "".join(f"2012-03-0{day},1,2,1,2,{day}\n" for day in (1, 2, 5, 6))
    backend.objects.put("raw/daily_prices/IBM.csv", f"timestamp,open,high,low,close,volume\n{lines}".encode())
    response = stored_response(backend, "raw/daily_prices/IBM.csv")

    with backend.warehouse.connect("load_1") as sql:
        name = sql.register_responses([response], first=date(2012, 3, 2), last=date(2012, 3, 5)).value
        rows = sql.query(f"SELECT * FROM {name} ORDER BY trade_date").to_pylist()

    assert [(row["volume"], row["bar_text"]) for row in rows] == [(2, None), (5, None)]


def test_an_old_response_may_have_rows_after_its_request_in_one_batch_with_newer_ones(tmp_path: Path) -> None:
    backend = local_backend(tmp_path / "data")
    body = b"timestamp,open,high,low,close,volume\n2012-03-09,1,2,1,2,5\n"
    responses = []
    for number, fetched_at in enumerate((datetime(2012, 3, 2, tzinfo=UTC), datetime(2012, 3, 12, tzinfo=UTC))):
        backend.objects.put(f"raw/daily_prices/{number}.csv", body)
        stored = stored_response(backend, f"raw/daily_prices/{number}.csv", str(number))
        responses.append(stored._replace(fetched_at=fetched_at))

    with backend.warehouse.connect("load_1") as sql:
        name = sql.register_responses(responses, first=date(2012, 3, 1), last=date(2012, 3, 2)).value
        rows = sql.query(f'SELECT "$path" FROM {name}').to_pylist()

    assert {"$path": backend.objects.uri(responses[0].response_key)} in rows
