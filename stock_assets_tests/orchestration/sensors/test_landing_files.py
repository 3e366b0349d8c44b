"""Landing files are loaded in few runs or rejected; none is lost or loaded twice."""

import gzip
import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stock_assets.backends.interface import Backend, Fetch, FetchKind, ListedPart, ObjectEntry
from stock_assets.core.calendar import NEW_YORK, closing_time, sessions_between
from stock_assets.core.errors import Outcome
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.coverage.run_specs import RunSpec
from stock_assets.ingest.landing_conversion import LandingScope
from stock_assets.ingest.landing_files import MIN_FILE_AGE, REJECT_AFTER, register_files, scan
from stock_assets.ingest.response_keys import FOLDER
from stock_assets.orchestration.checks.symbols import FILES
from stock_assets.orchestration.jobs.daily_prices import JOB_NAME, daily_job
from stock_assets.orchestration.keys import Names
from stock_assets.orchestration.run_requests import RUN_DELAYS, RunRequests
from stock_assets.orchestration.sensors.landing_files import landing_files_sensor
from stock_assets_tests.fakes.channel import RecordingChannel
from stock_assets_tests.support.dagster_runs import WiredScene, checks, leave_run, pipeline
from stock_assets_tests.support.scenes import FIRST_WEEK, TWO_WEEKS, Scene, content, rebuilt, wavy_source
from stock_assets_tests.support.steps import FIVE, as_pipeline, local_backend, published_rows, read

SNAPSHOT = Path(__file__).parents[2] / "snapshots" / "landing_files.json"
HEADER = "timestamp,open,high,low,close,volume\n"


def in_a_while(minutes: float = 2) -> datetime:
    """Return a timestamp at which files written now are old enough to be read."""
    return datetime.now(UTC) + timedelta(minutes=minutes)


class LandingArea:
    """A scene, its raw area, and the sensor with its own instance."""

    def __init__(self, scene: Scene, folder: Path) -> None:
        self.scene = scene
        self.folder = folder
        self.raw = folder / "backend" / "raw" / "daily_prices"
        self.at = in_a_while()
        self.cursor: str | None = None
        self.channels: list[RecordingChannel] = []
        self.instance = dg.DagsterInstance.ephemeral()

    @cached_property
    def pipeline(self) -> WiredScene:
        """The definitions, wired to the scene; most tests need none."""
        return replace(pipeline(self.scene, self.folder), instance=self.instance)

    def add(self, name: str, text: str | bytes) -> str:
        """Write a landing file; return its key."""
        path = self.raw / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        self.at = in_a_while()
        return f"raw/daily_prices/{name}"

    def tick(self) -> dg.SensorResult:
        """Evaluate the sensor."""
        sensor = landing_files_sensor(
            daily_job(), date(2000, 3, 1), date(2013, 3, 1), channels=self.channels, now=lambda: self.at
        )
        resources = {"pipeline": as_pipeline(self.scene)}
        with dg.build_sensor_context(instance=self.instance, cursor=self.cursor, resources=resources) as context:
            result = sensor(context)
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor
        return result

    def requests(self) -> list[dg.RunRequest]:
        """Return the run requests of a tick."""
        return list(self.tick().run_requests or [])

    def reason(self) -> str:
        """Return the reason why a tick requests no run."""
        reason = self.tick().skip_reason
        assert isinstance(reason, dg.SkipReason)
        return str(reason.skip_message)

    def run(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        """Execute a run request."""
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        job = self.pipeline.definitions.resolve_job_def(JOB_NAME)
        return job.execute_in_process(
            instance=self.instance,
            run_config={**request.run_config, **quiet},
            tags=dict(request.tags),
            raise_on_error=False,
        )


@pytest.fixture
def area(backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LandingArea:
    # The files of a test are too new when its run reads them; the test sets the sensor's clock.
    monkeypatch.setattr("stock_assets.orchestration.assets.raw.utc_now", in_a_while)
    return LandingArea(Scene(backend, wavy_source()), tmp_path)


def vendor_csv(scene: Scene, symbol: str, sessions: Sequence[date]) -> str:
    """Return the vendor's response, reduced to some sessions."""
    lines = scene.source.fetch_prices(symbol, []).decode().splitlines()[1:]
    kept = [line for line in lines if date.fromisoformat(line[:10]) in sessions]
    return HEADER + "".join(f"{line}\n" for line in kept)


def many_csv(scene: Scene, sessions: Sequence[date], symbols: Sequence[str] = FIVE.symbols) -> str:
    """Return a file of an earlier pipeline: many symbols, other column names, every line twice."""
    rows = []
    for symbol in symbols:
        for line in vendor_csv(scene, symbol, sessions).splitlines()[1:]:
            day, opened, high, low, close, volume = line.split(",")
            rows += [f"{day} 00:00:00,{symbol},{opened},{high},{low},{close},{volume}.0"] * 2
    return "\n".join(["Date,Symbol,Open,High,Low,Close,Volume", *rows, ""])


def test_files_of_single_symbols_are_one_run_without_a_call(area: LandingArea, tmp_path: Path) -> None:
    for session in TWO_WEEKS:
        for symbol in FIVE.symbols:
            area.add(f"by_hand/{session}/{symbol}.csv", vendor_csv(area.scene, symbol, [session]))
    asked = len(area.scene.source.requests)

    [request] = area.requests()
    result = area.run(request)

    assert result.success
    assert (request.tags["dagster/asset_partition_range_start"], request.tags["dagster/asset_partition_range_end"]) == (
        TWO_WEEKS[0].isoformat(),
        TWO_WEEKS[-1].isoformat(),
    )
    assert {kind for kind, _ in area.scene.source.requests[asked:]} == {"splits"}
    assert content(area.scene.backend) == rebuilt(local_backend(tmp_path / "ideal"), area.scene, TWO_WEEKS)
    assert area.reason() == "no new files"


def test_files_of_many_symbols_are_split_by_symbol_and_kept(area: LandingArea, tmp_path: Path) -> None:
    keys = [
        area.add(f"ingest_date=2012-03-01/firehose/2012/03/01/21/{session}.csv", many_csv(area.scene, [session]))
        for session in TWO_WEEKS
    ]
    [request] = area.requests()
    assert area.run(request).success
    assert content(area.scene.backend) == rebuilt(local_backend(tmp_path / "ideal"), area.scene, TWO_WEEKS)
    backend = area.scene.backend
    responses = {fetch.response_key for fetch in backend.ledger.fetches(FetchKind.PRICES)}
    notes = {note.response_key for note in backend.ledger.fetches(FetchKind.LANDING_FILES)}
    assert notes == set(keys) | responses
    assert all(backend.objects.get(key) for key in notes)
    assert area.reason() == "no new files"


def test_the_audits_check_contradicting_lines(area: LandingArea) -> None:
    text = many_csv(area.scene, FIRST_WEEK, ["IBM"])
    other = text.splitlines()[-1].replace(",IBM,", ",IBM,1")
    area.add("old.csv", text + other + "\n")
    [file] = scan(area.scene, WINDOW, at=in_a_while()).landing_files
    [response] = file.responses
    assert len(response.body.splitlines()) == 1 + len(FIRST_WEEK) + 1


def test_a_correction_of_a_published_bar_is_published(area: LandingArea) -> None:
    area.scene.run(TWO_WEEKS)
    day = TWO_WEEKS[3]
    area.add("corrections/IBM.csv", f"{HEADER}{day},100,110,90,105,1234\n")
    [request] = area.requests()
    assert area.run(request).success
    where = f"WHERE symbol = 'IBM' AND trade_date = DATE '{day}'"
    found = read(area.scene.backend, f"SELECT close_price, volume FROM published.daily_prices {where}").to_pylist()
    assert found == [{"close_price": 105.0, "volume": 1234}]


def test_only_the_symbols_of_the_files_count_for_coverage(area: LandingArea) -> None:
    area.add("IBM.csv", vendor_csv(area.scene, "IBM", FIRST_WEEK))
    [request] = area.requests()
    assert area.run(request).success
    assert [row["symbol"] for row in published_rows(area.scene.backend)] == ["IBM"] * len(FIRST_WEEK)


def test_files_of_distant_sessions_are_separate_runs(area: LandingArea) -> None:
    far = sessions_between(date(2012, 6, 1), date(2012, 6, 5))
    area.scene.source.set_bars("IBM", dict.fromkeys([*FIRST_WEEK, *far], "100,102,99,101,1000"))
    area.add("a/IBM.csv", vendor_csv(area.scene, "IBM", FIRST_WEEK))
    area.add("b/IBM.csv", vendor_csv(area.scene, "IBM", far))
    assert [request.tags["dagster/asset_partition_range_start"] for request in area.requests()] == [
        "2012-03-01",
        "2012-06-01",
    ]
    area.add("c/IBM.csv", vendor_csv(area.scene, "IBM", [FIRST_WEEK[0], *far]))
    assert len(area.requests()) == 1


def test_a_new_or_truncated_file_waits_and_is_rejected_after_the_wait(area: LandingArea) -> None:
    key = area.add("slow/IBM.csv", HEADER)
    written = datetime.now(UTC)
    for area.at in (written + MIN_FILE_AGE / 2, written + MIN_FILE_AGE * 2, written + REJECT_AFTER * 0.9):
        assert area.reason() == "waiting for 1 new or incomplete file"

    area.at = written + REJECT_AFTER * 1.1
    assert area.reason() == f"rejected {key}"
    [note] = area.scene.backend.ledger.fetches(FetchKind.LANDING_FILES)
    assert (note.outcome, note.response_key) == (Outcome.MALFORMED, key)
    assert note.detail == f"{key}: rejected: the file has no rows"
    assert area.reason() == "no new files"
    assert published_rows(area.scene.backend) == []


def test_a_file_that_is_completed_in_time_is_loaded(area: LandingArea) -> None:
    good = vendor_csv(area.scene, "IBM", FIRST_WEEK)
    area.add("slow/IBM.csv", good[:20])
    assert "waiting" in area.reason()
    area.add("slow/IBM.csv", good)
    assert len(area.requests()) == 1


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("IBM.txt", "x\n", "the first line is neither a header with open and close"),
        ("IBM.csv", "", "the file is empty"),
        ("IBM.csv", "a,b\n1,2\n", "the first line is neither a header with open and close"),
        ("IBM.csv", f"{HEADER}2012-03-01,1,1,1,1\n", "no row can be used; line 2: 5 fields instead of 6"),
        ("prices.csv", f"{HEADER}2012-03-01,1,1,1,1,1\n", "columns are missing: symbol"),
        ("2012/03/01/22/IBM", HEADER.replace("timestamp", "when") + "2012-03-01,1,1,1,1,1\n", "is a time of arrival"),
        ("IBM.csv", f"{HEADER}2012-03-03,1,1,1,1,1\n", "is no trading session"),
        ("TSLA.csv", f"{HEADER}2012-03-01,1,1,1,1,1\n", "no symbol is in the universe: TSLA"),
        (
            "IBM.csv",
            f"{HEADER}1999-03-01,1,1,1,1,1\n",
            "it has no session that can be loaded: it contains 1999-03-01 to",
        ),
        ("IBM.csv", f"{HEADER}2050-03-01,1,1,1,1,1\n", "in the future"),
        ("x.csv", "date,symbol,open,high,low,close\n2012-03-01,IBM,1,1,1,1\n", "columns are missing: volume"),
        ("x.csv", "symbol,open,high,low,close,volume\nIBM,1,1,1,1,1\n", "columns are missing: date"),
        ("x.csv", "date,symbol,open,high,low,close,volume\nsoon,IBM,1,1,1,1,1\n", "'soon' is no date"),
        (
            "x.csv",
            "date,symbol,open,high,low,close,volume\n2012-03-01 12:00,IBM,1,1,1,1,1\n",
            "is no date; write YYYY-MM-DD, or a timestamp at midnight",
        ),
        ("x.csv", "date,symbol,open,high,low,close,volume\n2012-03-01,IBM,1,1,1\n", "5 fields instead of 7"),
        (
            "x.csv",
            "date,symbol,open,high,low,close,volume\n2012-03-01,TSLA,1,1,1,1,1\n",
            "no symbol is in the universe",
        ),
    ],
)
def test_an_unreadable_file_is_rejected_with_name_and_reason(area: LandingArea, name: str, text: str, why: str) -> None:
    key = area.add(name, text)
    area.at = datetime.now(UTC) + REJECT_AFTER * 1.1
    assert area.reason() == f"rejected {key}"
    [note] = area.scene.backend.ledger.fetches(FetchKind.LANDING_FILES)
    assert why in note.detail
    assert key in note.detail


def test_a_check_shows_rejected_files(area: LandingArea) -> None:
    key = area.add("IBM.txt", "x\n")
    area.at = datetime.now(UTC) + REJECT_AFTER * 1.1
    area.tick()
    result = area.pipeline.run(dg.AssetSelection.checks_for_assets("raw/daily_prices"), FIRST_WEEK)
    found = checks(result, dg.AssetKey(["raw", "daily_prices"]))[FILES]
    assert not found.passed
    assert key in str(found.description)


FIELDS = ("date", "symbol", "open", "high", "low", "close", "volume")


def table_of(scene: Scene) -> list[list[str]]:
    return [line.split(",") for line in many_csv(scene, FIRST_WEEK).splitlines()[1::2]]


def as_json(scene: Scene) -> str:
    return "".join(json.dumps(dict(zip(FIELDS, row, strict=True))) for row in table_of(scene))


def as_parquet(scene: Scene) -> bytes:
    day, symbol, *prices, volume = zip(*table_of(scene), strict=True)
    stamps = [datetime.fromisoformat(text).replace(tzinfo=NEW_YORK) for text in day]
    columns = [pa.array(stamps, pa.timestamp("us", tz=str(NEW_YORK))), pa.array(symbol)]
    columns += [pa.array([float(text) for text in values], pa.float64()) for values in (*prices, volume)]
    sink = io.BytesIO()
    pq.write_table(pa.table(columns, names=FIELDS), sink)
    return sink.getvalue()


def zstd(body: bytes) -> bytes:
    compressed: bytes = pa.Codec("zstd").compress(body, asbytes=True)
    return compressed


FILES_OF_OTHERS: dict[str, Callable[[Scene], str | bytes]] = {
    "stocks-1-2012-03-08-22-00-05-0a1b2c3d": as_json,
    "2012/03/08/22/PUT-S3-naxEK-1-2012-03-08-22": lambda scene: gzip.compress(as_json(scene).encode()),
    "array.json": lambda scene: f"[{as_json(scene).replace('}{', '},{')}]",
    "spreadsheet.txt": lambda scene: many_csv(scene, FIRST_WEEK).replace(",", "\t").encode("utf-16"),
    "bom.csv": lambda scene: "\ufeff" + many_csv(scene, FIRST_WEEK).replace("Symbol", '"Symbol"'),
    "no header": lambda scene: many_csv(scene, FIRST_WEEK).split("\n", 1)[1].rstrip(),
    "year=2012/month=03/part-0.snappy.parquet": as_parquet,
    "part-0.zst": lambda scene: zstd(as_parquet(scene)),
}


@pytest.mark.parametrize("name", FILES_OF_OTHERS)
def test_every_format_gives_the_same_responses(area: LandingArea, name: str) -> None:
    body = FILES_OF_OTHERS[name](area.scene)
    area.add(name, body)
    [file] = scan(area.scene, WINDOW, at=in_a_while()).landing_files
    assert (file.sessions, file.problems, file.unknown_symbols) == (tuple(FIRST_WEEK), (), ())
    for response in file.responses:
        lines = response.body.decode().splitlines()
        expected = vendor_csv(area.scene, response.fetch.symbol, FIRST_WEEK).splitlines()
        assert [numbers(line) for line in lines[1:]] == [numbers(line) for line in expected[1:]]
    assert [response.fetch.symbol for response in file.responses] == list(FIVE.symbols)


def numbers(line: str) -> list[object]:
    day, *prices = line.split(",")
    return [day, *map(float, prices)]


def test_a_file_that_begins_and_ends_on_closed_days_is_loaded(area: LandingArea) -> None:
    closed = "".join(f"{day},100,102,99,101,1000\n" for day in ("2012-03-10", "2012-03-04", "2012-02-25"))
    for symbol in FIVE.symbols:
        area.add(f"{symbol}.csv", vendor_csv(area.scene, symbol, FIRST_WEEK) + closed)
    [request] = area.requests()
    assert request.tags["dagster/asset_partition_range_end"] == str(FIRST_WEEK[-1])
    assert area.run(request).success
    assert {row["trade_date"] for row in published_rows(area.scene.backend)} == set(FIRST_WEEK)
    assert area.reason() == "no new files"


def test_sessions_that_have_not_closed_do_not_delay_the_others_and_are_loaded_after_the_close(
    area: LandingArea,
) -> None:
    day, before = FIRST_WEEK[-1], FIRST_WEEK[-2]
    noon = datetime(day.year, day.month, day.day, 17, tzinfo=UTC)
    for name, sessions in (("both/IBM.csv", [before, day]), ("early/AAPL.csv", [day])):
        area.add(name, vendor_csv(area.scene, name[-8:-4].strip("/"), sessions))
        os.utime(area.raw / name, (noon.timestamp(), noon.timestamp()))
    scope = LandingScope(date(2000, 3, 1), day)
    scanned = scan(area.scene, scope, at=noon + timedelta(hours=1))
    assert [file.sessions for file in scanned.landing_files] == [(before,)]
    assert [entry.key for entry in scanned.waiting] == ["raw/daily_prices/early/AAPL.csv"]
    assert register_files(area.scene, scope, [before], at=noon + timedelta(hours=1))
    [file] = scan(area.scene, scope, at=closing_time(day)).landing_files
    assert file.sessions == (day,)


def test_a_response_that_is_copied_from_another_data_folder_keeps_the_time_of_its_request(area: LandingArea) -> None:
    area.add("ingest_date=2012-03-09/20120309T220000000000Z/IBM.csv", vendor_csv(area.scene, "IBM", FIRST_WEEK))
    [file] = scan(area.scene, WINDOW, at=in_a_while()).landing_files
    [response] = file.responses
    assert response.fetch.fetched_at == datetime(2012, 3, 9, 22, tzinfo=UTC)
    assert "/20120309T220000000000Z-" in response.fetch.response_key


def test_a_file_with_a_time_far_in_the_future_is_not_waited_for(area: LandingArea) -> None:
    area.add("IBM.csv", vendor_csv(area.scene, "IBM", FIRST_WEEK))
    area.add("damaged.csv", "x")
    for name in ("IBM.csv", "damaged.csv"):
        os.utime(area.raw / name, (4e9, 4e9))
    scanned = scan(area.scene, WINDOW, at=in_a_while())
    assert scanned.waiting == ()
    assert [file.sessions for file in scanned.landing_files] == [tuple(FIRST_WEEK)]
    assert [file.entry.key for file in scanned.unreadable] == ["raw/daily_prices/damaged.csv"]


def test_a_row_that_cannot_be_loaded_is_reported_and_the_others_are_loaded(area: LandingArea) -> None:
    odd = f"soon,IBM,1,1,1,1,1\n2012-03-01,IBM\n{FIRST_WEEK[0]},CSCO,1\n"
    key = area.add("old.csv", many_csv(area.scene, FIRST_WEEK) + odd)
    [request] = area.requests()
    result = area.run(request)
    assert result.success
    assert len(published_rows(area.scene.backend)) == len(FIRST_WEEK) * len(FIVE.symbols)
    found = checks(result, dg.AssetKey(["raw", "daily_prices"]))[FILES]
    assert not found.passed
    assert found.description == (
        f"not loaded completely: 1 file, the last: {key}: 5 symbols loaded; 3 rows not loaded, the first: line 53: "
        "2 fields instead of 7"
    )


def test_an_alert_names_rejected_files_until_they_are_deleted(area: LandingArea) -> None:
    channel = RecordingChannel()
    area.channels = [channel]
    key = area.add("a.csv", "<html>")
    area.at = datetime.now(UTC) + REJECT_AFTER * 1.1
    area.tick()
    area.tick()
    [message] = channel.sent
    assert message.title == "stock_assets: 1 landing file was rejected"
    assert f"{key}: the file is an HTML page" in message.text
    (area.raw / "a.csv").unlink()
    area.tick()
    assert [resolved.title for resolved in channel.sent[1:]] == [f"Resolved: {message.title}"]


def test_symbols_outside_the_universe_are_named_and_the_others_loaded(area: LandingArea) -> None:
    area.add("old.csv", many_csv(area.scene, FIRST_WEEK).replace("\n2012-03-01 00:00:00,AAPL", "\n2012-03-01,XXXX", 1))
    [request] = area.requests()
    assert area.run(request).success
    note = area.scene.backend.ledger.fetches(FetchKind.LANDING_FILES)[0]
    assert note.outcome is Outcome.OK
    assert "not in the universe and not loaded: XXXX" in note.detail


WINDOW = LandingScope(date(2000, 3, 1), date(2013, 3, 1))
"""All recorded sessions."""


class Killed(BaseException):
    """Not caught by any handler, like SIGKILL."""


@pytest.mark.parametrize("step", range(12))
def test_a_kill_between_any_two_steps_loses_and_repeats_no_file(
    area: LandingArea, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    area.add("old.csv", many_csv(area.scene, FIRST_WEEK, ["AAPL", "IBM"]))
    area.add("by_hand/ORCL.csv", vendor_csv(area.scene, "ORCL", FIRST_WEEK))
    # The clock of the other machine is wrong, so that only the first attempt determines the time of the file.
    os.utime(area.raw / "by_hand/ORCL.csv", (4e9, 4e9))
    backend, left = area.scene.backend, [step]

    def killing(call: Callable[..., None]) -> Callable[..., None]:
        def wrapped(*args: object) -> None:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            call(*args)

        return wrapped

    with monkeypatch.context() as patch:
        patch.setattr(type(backend.objects), "put", killing(type(backend.objects).put))
        patch.setattr(type(backend.ledger), "record", killing(type(backend.ledger).record))
        try:
            register_files(area.scene, WINDOW, FIRST_WEEK, at=in_a_while())
        except Killed:
            pass
        else:
            assert step == 11, "three objects are written and eight ledger entries recorded"
    fresh = local_backend(tmp_path / "backend")
    again = replace(area.scene, backend=fresh)
    register_files(again, WINDOW, FIRST_WEEK, at=in_a_while(3))
    register_files(again, WINDOW, FIRST_WEEK, at=in_a_while(4))

    payloads = [fetch.response_key for fetch in fresh.ledger.fetches(FetchKind.PRICES)]
    assert len(payloads) == len(set(payloads)) == 3
    assert len(fresh.ledger.fetches(FetchKind.LANDING_FILES)) == len(fresh.objects.keys("raw/")) == 5
    assert scan(again, WINDOW, at=in_a_while()).landing_files == ()


def test_a_file_recorded_twice_is_staged_once(area: LandingArea) -> None:
    area.scene.run(FIRST_WEEK)
    newest = area.scene.backend.ledger.fetches(FetchKind.PRICES, symbol="IBM")[0]
    before = content(area.scene.backend)
    area.scene.backend.ledger.record(newest)
    area.scene.stage(FIRST_WEEK)
    area.scene.publish(FIRST_WEEK)
    assert content(area.scene.backend) == before


def test_a_lost_cursor_repeats_no_run_and_no_cursor_skips_an_unknown_file(area: LandingArea) -> None:
    area.add("a/IBM.csv", vendor_csv(area.scene, "IBM", FIRST_WEEK))
    [first] = area.requests()
    assert area.cursor is not None
    assert datetime.fromisoformat(area.cursor) < datetime.now(UTC)
    [again] = area.requests()
    assert again.run_key == first.run_key  # no run has started, so this is the same request

    area.run(first)
    assert area.reason() == "no new files"
    area.cursor = None
    assert area.reason() == "no new files"


def test_all_files_are_compared_once_a_day_and_while_one_is_unknown(
    area: LandingArea, monkeypatch: pytest.MonkeyPatch
) -> None:
    area.add("a/IBM.csv", vendor_csv(area.scene, "IBM", FIRST_WEEK))
    compared: list[datetime | None] = []

    def entries(prefix: str, *, since: datetime | None = None) -> Sequence[ObjectEntry]:
        if prefix == FOLDER:
            compared.append(since)
        return type(objects).entries(objects, prefix, since=since)

    objects = area.scene.backend.objects
    monkeypatch.setattr(objects, "entries", entries)
    [request] = area.requests()
    assert compared == [None]
    assert area.requests()
    assert compared == [None, None]

    area.run(request)
    compared.clear()
    noon = area.at.replace(hour=12)
    for area.at in (noon, noon + timedelta(hours=1), noon + timedelta(hours=11), noon + timedelta(days=1)):
        assert area.reason() == "no new files"
    assert [since is None for since in compared] == [True, False, False, True]
    assert compared[1:3] == [noon - timedelta(minutes=10), noon + timedelta(minutes=50)]


@pytest.fixture
def parts_of_two(area: LandingArea, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """List two files at a time, as S3 lists 50,000; return the names of the files of each part."""
    objects, listed = area.scene.backend.objects, list[list[str]]()

    def entries(prefix: str, *, since: datetime | None = None) -> Sequence[ObjectEntry]:
        found = type(objects).entries(objects, prefix)
        return [entry for entry in found if since is None or "ingest_date=2012" not in entry.key]

    def list_part(prefix: str, *, after: str = "") -> ListedPart:
        found = [entry for entry in entries(prefix) if entry.key > after]
        listed.append([entry.key.rpartition("/")[2] for entry in found[:2]])
        return ListedPart(found[:2], found[1].key if len(found) > 2 else "")

    monkeypatch.setattr(objects, "entries", entries)
    monkeypatch.setattr(objects, "list_part", list_part)
    return listed


def test_a_tick_compares_a_part_of_many_files_and_the_next_one_goes_on(
    area: LandingArea, parts_of_two: list[list[str]]
) -> None:
    """The files of the last part are found, and new files at once, wherever they are in the order."""
    monday, tuesday = FIRST_WEEK[:2]
    for name in ("a", "b", "c"):
        area.scene.backend.ledger.record(known_file(area.add(f"ingest_date=2012-01-02/{name}.csv", HEADER)))
    old = area.add("ingest_date=2012-01-03/IBM.csv", vendor_csv(area.scene, "IBM", [monday]))
    assert area.reason() == "no new files"
    assert parts_of_two == [["a.csv", "b.csv"]]
    area.add("AAPL.csv", vendor_csv(area.scene, "AAPL", [tuesday]))

    both = area.requests()

    assert parts_of_two[1:] == [["c.csv", "IBM.csv"]]
    assert [request.tags["dagster/asset_partition_range_start"] for request in both] == [monday.isoformat()]
    assert area.run(both[0]).success
    assert area.scene.backend.ledger.known_keys([old]) == {old}
    parts_of_two.clear()
    # Two files were unknown, so all are compared again, with the two stored responses.
    while area.cursor is not None and not area.cursor.endswith("complete"):
        assert area.reason() == "no new files"
    assert [len(part) for part in parts_of_two] == [2, 2, 2, 1]
    parts_of_two.clear()
    assert area.reason() == "no new files"
    assert parts_of_two == []


def test_an_incident_of_a_file_stays_open_while_other_parts_are_compared(
    area: LandingArea, parts_of_two: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not every tick sees it."""
    area.channels.append(RecordingChannel())
    for name in ("a", "b", "c"):
        area.scene.backend.ledger.record(known_file(area.add(f"ingest_date=2012-01-02/{name}.csv", HEADER)))
    area.add("ingest_date=2012-01-03/IBM.csv", vendor_csv(area.scene, "IBM", FIRST_WEEK))
    monkeypatch.setattr("stock_assets.orchestration.sensors.landing_files.build_run_requests", given_up)

    for _ in range(6):
        area.tick()

    assert len(parts_of_two) == 6
    assert [message.title for message in area.channels[0].sent] == [
        f"stock_assets: landing_files has stopped starting runs for {FIRST_WEEK[0]} to {FIRST_WEEK[-1]}"
    ]


def known_file(key: str) -> Fetch:
    return Fetch(key, FetchKind.LANDING_FILES, in_a_while(), Outcome.OK, key)


def given_up(
    instance: dg.DagsterInstance, sensor: str, specs: Sequence[RunSpec], at: datetime, names: Names
) -> RunRequests:
    return RunRequests(given_up=[(spec, ["run"]) for spec in specs])


def test_a_run_that_fails_is_retried_with_delays_and_not_forever(area: LandingArea) -> None:
    area.add("a/IBM.csv", vendor_csv(area.scene, "IBM", FIRST_WEEK))
    keys = set()
    for pause in (*RUN_DELAYS, None):
        [request] = area.requests()
        keys.add(request.run_key)
        leave_run(area.instance, dg.DagsterRunStatus.FAILURE, request.tags)
        assert "changed nothing" in area.reason()
        area.at += (pause or timedelta(days=1)) + timedelta(minutes=5)
    assert len(keys) == 4
    assert "4 runs changed nothing" in area.reason()


def test_more_files_than_a_scan_reads_are_loaded_in_few_runs_without_loss(
    area: LandingArea, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stock_assets.ingest.landing_files.MAX_FILES", 100)
    sessions = sessions_between(date(2002, 3, 1), date(2012, 3, 1))[:125]
    for session in sessions:
        area.add(f"{session}/IBM.csv", f"{HEADER}{session},100,102,99,101,1000\n")
    requested = []
    for _ in range(2):
        [request] = area.requests()
        requested.append(request)
        first, last = (request.tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end"))
        taken = sessions_between(date.fromisoformat(first), date.fromisoformat(last))
        register_files(area.scene, WINDOW, taken, at=in_a_while())
    assert area.reason() == "no new files"
    assert [request.tags["dagster/asset_partition_range_start"] for request in requested] == [
        sessions[0].isoformat(),
        sessions[100].isoformat(),
    ]


def test_evaluations_equal_the_snapshot(area: LandingArea) -> None:
    """Delete the snapshot and run this test twice to accept an intended change."""
    seen: list[object] = [area.reason()]
    area.add("a/IBM.csv", vendor_csv(area.scene, "IBM", FIRST_WEEK))
    area.add("b.csv", many_csv(area.scene, TWO_WEEKS))
    area.add("c.csv", "rubbish")
    [request] = area.requests()
    seen.append({"config": request.run_config, "tags": sorted(request.tags), "key": str(request.run_key)[:32]})
    area.run(request)
    seen.append(area.reason())
    area.at = in_a_while(20)
    seen += [area.reason(), area.reason()]
    if not SNAPSHOT.exists():
        SNAPSHOT.write_text(json.dumps(seen, indent=1) + "\n", encoding="utf-8")
        pytest.fail("written anew")
    assert seen == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_252_files_make_one_run_and_it_finishes(area: LandingArea) -> None:
    year = sessions_between(date(2012, 2, 29), date(2013, 3, 1))[:252]
    source = wavy_source(sessions=year)
    area.scene.source._bars = source._bars  # noqa: SLF001 (the same source, with a year of bars)
    for session in year:
        area.add(f"{session}/all.csv", many_csv(area.scene, [session]))
    [request] = area.requests()
    assert area.run(request).success
    assert len(published_rows(area.scene.backend)) == len(year) * len(FIVE.symbols)
    assert area.reason() == "no new files"
    assert len(area.scene.backend.warehouse.history(DAILY_PRICES)) == 1
