"""Files that others bring: found, loaded in few runs, or set aside; never lost, never twice."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from stock_assets.backends.interface import Backend, FetchKind
from stock_assets.core.calendar import sessions_between
from stock_assets.core.errors import Outcome
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.ingest.landing_files import MOST_FILES, PATIENCE, SETTLES_AFTER, LandingScope, register_files, scan
from stock_assets.orchestration.checks.symbols import FILES
from stock_assets.orchestration.jobs.daily_prices import JOB_NAME, daily_job
from stock_assets.orchestration.run_requests import RUN_PAUSES
from stock_assets.orchestration.sensors.landing_files import landing_files_sensor
from stock_assets_tests.support.dagster_runs import WiredScene, checks, leave_run, pipeline
from stock_assets_tests.support.scenes import FIRST_WEEK, TWO_WEEKS, Scene, content, rebuilt, wavy_source
from stock_assets_tests.support.steps import FIVE, as_pipeline, local_backend, published_rows, read

SNAPSHOT = Path(__file__).parents[2] / "snapshots" / "landing_files.json"
HEADER = "timestamp,open,high,low,close,volume\n"


def in_a_while(minutes: float = 2) -> datetime:
    """When files written now have settled."""
    return datetime.now(UTC) + timedelta(minutes=minutes)


class Dock:
    """A scene, its raw area, and the sensor on an instance of its own."""

    def __init__(self, scene: Scene, folder: Path) -> None:
        self.scene = scene
        self.folder = folder
        self.raw = folder / "backend" / "raw" / "daily_prices"
        self.at = in_a_while()
        self.cursor: str | None = None
        self.pipeline: WiredScene = pipeline(scene, folder)
        self.instance = self.pipeline.instance

    def bring(self, name: str, text: str) -> str:
        """Write a file as somebody else would; give its key."""
        path = self.raw / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        self.at = in_a_while()
        return f"raw/daily_prices/{name}"

    def tick(self) -> dg.SensorResult:
        """Evaluate the sensor."""
        sensor = landing_files_sensor(daily_job(), date(2000, 3, 1), date(2013, 3, 1), now=lambda: self.at)
        resources = {"pipeline": as_pipeline(self.scene)}
        with dg.build_sensor_context(instance=self.instance, cursor=self.cursor, resources=resources) as context:
            result = sensor(context)
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor
        return result

    def requests(self) -> list[dg.RunRequest]:
        """What is requested."""
        return list(self.tick().run_requests or [])

    def reason(self) -> str:
        """Why nothing is."""
        reason = self.tick().skip_reason
        assert isinstance(reason, dg.SkipReason)
        return str(reason.skip_message)

    def run(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        """Execute a request, as if the files had settled."""
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        job = self.pipeline.definitions.resolve_job_def(JOB_NAME)
        return job.execute_in_process(
            instance=self.instance,
            run_config={**request.run_config, **quiet},
            tags=dict(request.tags),
            raise_on_error=False,
        )


@pytest.fixture
def dock(backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dock:
    # The files of a test have not settled when its run looks at them; the sensor's clock is set by the test.
    monkeypatch.setattr("stock_assets.orchestration.assets.raw.utc_now", in_a_while)
    return Dock(Scene(backend, wavy_source()), tmp_path)


def vendor_csv(scene: Scene, symbol: str, sessions: Sequence[date]) -> str:
    """The vendor's answer, cut down to some sessions."""
    lines = scene.source.fetch_prices(symbol, []).decode().splitlines()[1:]
    kept = [line for line in lines if date.fromisoformat(line[:10]) in sessions]
    return HEADER + "".join(f"{line}\n" for line in kept)


def many_csv(scene: Scene, sessions: Sequence[date], symbols: Sequence[str] = FIVE.symbols) -> str:
    """A file of the previous pipeline: many symbols, its own columns, some lines twice."""
    rows = []
    for symbol in symbols:
        for line in vendor_csv(scene, symbol, sessions).splitlines()[1:]:
            day, opened, high, low, close, volume = line.split(",")
            rows += [f"{day} 00:00:00,{symbol},{opened},{high},{low},{close},{volume}.0"] * 2
    return "\n".join(["Date,Symbol,Open,High,Low,Close,Volume", *rows, ""])


def test_files_of_single_symbols_are_one_run_without_a_call(dock: Dock, tmp_path: Path) -> None:
    for session in TWO_WEEKS:
        for symbol in FIVE.symbols:
            dock.bring(f"by_hand/{session}/{symbol}.csv", vendor_csv(dock.scene, symbol, [session]))
    asked = len(dock.scene.source.asked)

    [request] = dock.requests()
    result = dock.run(request)

    assert result.success
    assert (request.tags["dagster/asset_partition_range_start"], request.tags["dagster/asset_partition_range_end"]) == (
        TWO_WEEKS[0].isoformat(),
        TWO_WEEKS[-1].isoformat(),
    )
    assert {kind for kind, _ in dock.scene.source.asked[asked:]} == {"splits"}
    assert content(dock.scene.backend) == rebuilt(local_backend(tmp_path / "ideal"), dock.scene, TWO_WEEKS)
    assert dock.reason() == "no new files"


def test_files_of_many_symbols_are_written_out_and_kept(dock: Dock, tmp_path: Path) -> None:
    keys = [dock.bring(f"firehose/{session}.csv", many_csv(dock.scene, [session])) for session in TWO_WEEKS]
    [request] = dock.requests()
    assert dock.run(request).success
    assert content(dock.scene.backend) == rebuilt(local_backend(tmp_path / "ideal"), dock.scene, TWO_WEEKS)
    assert {note.response_key for note in dock.scene.backend.ledger.fetches(FetchKind.LANDING_FILES)} == set(keys)
    assert all(dock.scene.backend.objects.get(key) for key in keys)
    assert dock.reason() == "no new files"


def test_contradicting_lines_are_left_to_the_audits(dock: Dock) -> None:
    text = many_csv(dock.scene, FIRST_WEEK, ["IBM"])
    other = text.splitlines()[-1].replace(",IBM,", ",IBM,1")
    dock.bring("old.csv", text + other + "\n")
    [arrival] = scan(dock.scene, WINDOW, at=in_a_while()).landing_files
    [(_, body)] = arrival.answers
    assert len(body.splitlines()) == 1 + len(FIRST_WEEK) + 1


def test_a_correction_of_a_published_bar_is_published(dock: Dock) -> None:
    dock.scene.run(TWO_WEEKS)
    day = TWO_WEEKS[3]
    dock.bring("corrections/IBM.csv", f"{HEADER}{day},100,110,90,105,1234\n")
    [request] = dock.requests()
    assert dock.run(request).success
    where = f"WHERE symbol = 'IBM' AND trade_date = DATE '{day}'"
    found = read(dock.scene.backend, f"SELECT close_price, volume FROM published.daily_prices {where}").to_pylist()
    assert found == [{"close_price": 105.0, "volume": 1234}]


def test_far_apart_files_are_runs_of_their_own(dock: Dock) -> None:
    far = sessions_between(date(2012, 6, 1), date(2012, 6, 5))
    dock.scene.source.set_bars("IBM", dict.fromkeys([*FIRST_WEEK, *far], "100,102,99,101,1000"))
    dock.bring("a/IBM.csv", vendor_csv(dock.scene, "IBM", FIRST_WEEK))
    dock.bring("b/IBM.csv", vendor_csv(dock.scene, "IBM", far))
    assert [request.tags["dagster/asset_partition_range_start"] for request in dock.requests()] == [
        "2012-03-01",
        "2012-06-01",
    ]
    dock.bring("c/IBM.csv", vendor_csv(dock.scene, "IBM", [FIRST_WEEK[0], *far]))
    assert len(dock.requests()) == 1


def test_a_young_or_cut_off_file_waits_and_is_set_aside_at_last(dock: Dock) -> None:
    good = vendor_csv(dock.scene, "IBM", FIRST_WEEK)
    key = dock.bring("slow/IBM.csv", good[:-3])
    written = datetime.now(UTC)
    for dock.at in (written + SETTLES_AFTER / 2, written + SETTLES_AFTER * 2, written + PATIENCE * 0.9):
        assert dock.reason() == "waiting for 1 young or unfinished files"

    dock.at = written + PATIENCE * 1.1
    assert dock.reason() == f"set aside {key}"
    [note] = dock.scene.backend.ledger.fetches(FetchKind.LANDING_FILES)
    assert (note.outcome, note.response_key) == (Outcome.MALFORMED, key)
    assert "cut off" in note.detail
    assert dock.reason() == "no new files"
    assert published_rows(dock.scene.backend) == []


def test_a_file_that_is_finished_in_time_is_loaded(dock: Dock) -> None:
    good = vendor_csv(dock.scene, "IBM", FIRST_WEEK)
    dock.bring("slow/IBM.csv", good[:50])
    assert "waiting" in dock.reason()
    dock.bring("slow/IBM.csv", good)
    assert len(dock.requests()) == 1


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("IBM.txt", "x\n", "not a .csv file"),
        ("IBM.csv", "", "cut off"),
        ("IBM.csv", "a,b\n1,2\n", "the header is 'a,b'"),
        ("IBM.csv", f"{HEADER}2012-03-01,1,1,1,1\n", "line 2 has 5 fields"),
        ("TSLA.csv", f"{HEADER}2012-03-01,1,1,1,1,1\n", "no symbol of the universe: TSLA"),
        ("IBM.csv", f"{HEADER}1999-03-01,1,1,1,1,1\n", "no session from 2000-03-01 to 2013-03-01"),
        ("IBM.csv", f"{HEADER}2100-03-01,1,1,1,1,1\n", "a day to come"),
        ("x.csv", "date,symbol,open,high,low,close\n2012-03-01,IBM,1,1,1,1\n", "columns are missing: volume"),
        ("x.csv", "symbol,open,high,low,close,volume\nIBM,1,1,1,1,1\n", "columns are missing: date"),
        ("x.csv", "date,symbol,open,high,low,close,volume\nsoon,IBM,1,1,1,1,1\n", "'soon' is not a date"),
        ("x.csv", "date,symbol,open,high,low,close,volume\n2012-03-01 12:00,IBM,1,1,1,1,1\n", "a moment, not a date"),
        ("x.csv", "date,symbol,open,high,low,close,volume\n2012-03-01,IBM,1,1,1\n", "another number of fields"),
        ("x.csv", "date,symbol,open,high,low,close,volume\n2012-03-01,TSLA,1,1,1,1,1\n", "no symbol of the universe"),
    ],
)
def test_what_cannot_be_read_is_set_aside_with_its_name(dock: Dock, name: str, text: str, why: str) -> None:
    key = dock.bring(name, text)
    dock.at = datetime.now(UTC) + PATIENCE * 1.1
    assert dock.reason() == f"set aside {key}"
    [note] = dock.scene.backend.ledger.fetches(FetchKind.LANDING_FILES)
    assert why in note.detail
    assert key in note.detail


def test_a_check_shows_what_was_set_aside(dock: Dock) -> None:
    key = dock.bring("IBM.txt", "x\n")
    dock.at = datetime.now(UTC) + PATIENCE * 1.1
    dock.tick()
    result = dock.pipeline.run(dg.AssetSelection.checks_for_assets("raw/daily_prices"), FIRST_WEEK)
    found = checks(result, dg.AssetKey(["raw", "daily_prices"]))[FILES]
    assert not found.passed
    assert key in str(found.description)


def test_symbols_that_nobody_wants_are_named_and_the_others_loaded(dock: Dock) -> None:
    dock.bring(
        "old.csv", many_csv(dock.scene, FIRST_WEEK).replace("\n2012-03-01 00:00:00,AAPL", "\n2012-03-01,XXXX", 1)
    )
    [request] = dock.requests()
    assert dock.run(request).success
    [note] = dock.scene.backend.ledger.fetches(FetchKind.LANDING_FILES)
    assert note.outcome is Outcome.OK
    assert "not in the universe: XXXX" in note.detail


WINDOW = LandingScope(date(2000, 3, 1), date(2013, 3, 1))
"""All recorded sessions."""


class Killed(BaseException):
    """Nobody catches it, as nobody catches SIGKILL."""


@pytest.mark.parametrize("step", range(8))
def test_a_kill_between_any_two_steps_loses_and_repeats_nothing(
    dock: Dock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    dock.bring("old.csv", many_csv(dock.scene, FIRST_WEEK, ["AAPL", "IBM"]))
    dock.bring("by_hand/ORCL.csv", vendor_csv(dock.scene, "ORCL", FIRST_WEEK))
    backend, left = dock.scene.backend, [step]

    def dying(call: Callable[..., None]) -> Callable[..., None]:
        def wrapped(*args: object) -> None:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            call(*args)

        return wrapped

    with monkeypatch.context() as patch:
        patch.setattr(type(backend.objects), "put", dying(type(backend.objects).put))
        patch.setattr(type(backend.ledger), "record", dying(type(backend.ledger).record))
        try:
            register_files(dock.scene, WINDOW, FIRST_WEEK, at=in_a_while())
        except Killed:
            pass
        else:
            assert step > 5, "there are two objects to write and four notes to take"
    fresh = local_backend(tmp_path / "backend")
    again = replace(dock.scene, backend=fresh)
    register_files(again, WINDOW, FIRST_WEEK, at=in_a_while())
    register_files(again, WINDOW, FIRST_WEEK, at=in_a_while())

    payloads = [fetch.response_key for fetch in fresh.ledger.fetches(FetchKind.PRICES)]
    assert len(payloads) == len(set(payloads)) == 3
    assert len(fresh.ledger.fetches(FetchKind.LANDING_FILES)) == 1
    assert scan(again, WINDOW, at=in_a_while()).landing_files == ()


def test_two_notes_of_one_file_stage_it_once(dock: Dock) -> None:
    dock.scene.run(FIRST_WEEK)
    newest = dock.scene.backend.ledger.fetches(FetchKind.PRICES, symbol="IBM")[0]
    before = content(dock.scene.backend)
    dock.scene.backend.ledger.record(newest)
    dock.scene.stage(FIRST_WEEK)
    dock.scene.publish(FIRST_WEEK)
    assert content(dock.scene.backend) == before


def test_a_lost_cursor_repeats_nothing_and_no_cursor_passes_an_unknown_file(dock: Dock) -> None:
    dock.bring("a/IBM.csv", vendor_csv(dock.scene, "IBM", FIRST_WEEK))
    [first] = dock.requests()
    assert dock.cursor is not None
    assert datetime.fromisoformat(dock.cursor) < datetime.now(UTC)
    [again] = dock.requests()
    assert again.run_key == first.run_key  # nothing has happened, so this is the same request

    dock.run(first)
    assert dock.reason() == "no new files"
    dock.cursor = None
    assert dock.reason() == "no new files"


def test_a_run_that_fails_is_repeated_rarely_and_not_for_ever(dock: Dock) -> None:
    dock.bring("a/IBM.csv", vendor_csv(dock.scene, "IBM", FIRST_WEEK))
    keys = set()
    for pause in (*RUN_PAUSES, None):
        [request] = dock.requests()
        keys.add(request.run_key)
        leave_run(dock.instance, dg.DagsterRunStatus.FAILURE, request.tags)
        assert "changed nothing" in dock.reason()
        dock.at += (pause or timedelta(days=1)) + timedelta(minutes=5)
    assert len(keys) == 4
    assert "4 runs have changed nothing" in dock.reason()


def test_no_file_is_lost_among_thousands_and_they_make_few_runs(dock: Dock) -> None:
    sessions = sessions_between(date(2002, 3, 1), date(2012, 3, 1))[: MOST_FILES + 500]
    for session in sessions:
        dock.bring(f"{session}/IBM.csv", f"{HEADER}{session},100,102,99,101,1000\n")
    requested = []
    for _ in range(2):
        [request] = dock.requests()
        requested.append(request)
        first, last = (request.tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end"))
        taken = sessions_between(date.fromisoformat(first), date.fromisoformat(last))
        register_files(dock.scene, WINDOW, taken, at=in_a_while())
    assert dock.reason() == "no new files"
    assert [request.tags["dagster/asset_partition_range_start"] for request in requested] == [
        sessions[0].isoformat(),
        sessions[MOST_FILES].isoformat(),
    ]


def test_the_evaluations_are_as_they_were(dock: Dock) -> None:
    """Delete the snapshot and run this test twice to accept a wanted change."""
    seen: list[object] = [dock.reason()]
    dock.bring("a/IBM.csv", vendor_csv(dock.scene, "IBM", FIRST_WEEK))
    dock.bring("b.csv", many_csv(dock.scene, TWO_WEEKS))
    dock.bring("c.csv", "rubbish")
    [request] = dock.requests()
    seen.append({"config": request.run_config, "tags": sorted(request.tags), "key": str(request.run_key)[:32]})
    dock.run(request)
    seen.append(dock.reason())
    dock.at = in_a_while(20)
    seen += [dock.reason(), dock.reason()]
    if not SNAPSHOT.exists():
        SNAPSHOT.write_text(json.dumps(seen, indent=1) + "\n", encoding="utf-8")
        pytest.fail("written anew")
    assert seen == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_252_files_make_one_run_and_it_finishes(dock: Dock) -> None:
    year = sessions_between(date(2012, 2, 29), date(2013, 3, 1))[:252]
    source = wavy_source(sessions=year)
    dock.scene.source._bars = source._bars  # noqa: SLF001 (the same source, with a year of bars)
    for session in year:
        dock.bring(f"{session}/all.csv", many_csv(dock.scene, [session]))
    [request] = dock.requests()
    assert dock.run(request).success
    assert len(published_rows(dock.scene.backend)) == len(year) * len(FIVE.symbols)
    assert dock.reason() == "no new files"
    assert len(dock.scene.backend.warehouse.history(DAILY_PRICES)) == 1
