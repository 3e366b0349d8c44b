"""Several universes in one deployment: own names, own data, one instance, one quota."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import boto3
import dagster as dg
import pytest
from pydantic import ValidationError

from stock_assets.alerts.incident import Incident
from stock_assets.backends.athena.backend import AthenaBackend
from stock_assets.backends.lakehouse.backend import LakehouseBackend
from stock_assets.backends.lakehouse.rate_limiter import S3RateLimiter
from stock_assets.core.call_limits import CallDenied
from stock_assets.core.errors import SettingsError
from stock_assets.coverage.catch_up import available_calls
from stock_assets.ingest.split_requests import plan_splits
from stock_assets.orchestration.build import build_all_definitions, build_definitions
from stock_assets.orchestration.jobs import daily_prices
from stock_assets.orchestration.jobs.maintenance import delete_old_runs, remove_old_logs
from stock_assets.orchestration.keys import RAW_PRICES, UNIVERSE_TAG, Names
from stock_assets.orchestration.run_requests import run_in_progress
from stock_assets.orchestration.runs import local_instance, run_sessions
from stock_assets.orchestration.sensors.alerts import AlertContext, alert_sensor
from stock_assets.pipeline import Pipeline
from stock_assets.pipeline.services import alert_channels
from stock_assets.settings import BackendName, Settings, SourceName
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.emulators.athena.names import CREDENTIALS, REGION
from stock_assets_tests.fakes.channel import RecordingChannel
from stock_assets_tests.support.dagster_internals import make_new_run_id
from stock_assets_tests.support.shell import Shell
from stock_assets_tests.support.steps import published_rows

BANKS, ENERGY = Names("banks"), Names("energy")
FIRST, LAST = date(2013, 2, 27), date(2013, 3, 1)
SYMBOLS = {"": ("AAPL", "FB", "GOOG", "IBM", "MSFT"), "banks": ("AAPL", "IBM"), "energy": ("MSFT",)}


def universe_file(folder: Path, name: str, symbols: tuple[str, ...]) -> Path:
    """Write a universe of symbols."""
    file = folder / f"{name or 'all'}.csv"
    lines = ("symbol,name,first_session,last_session", *(f"{symbol},,," for symbol in symbols))
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return file


def deployment(folder: Path, symbols: dict[str, tuple[str, ...]] = SYMBOLS, **values: object) -> dict[str, Settings]:
    """Return the settings of each universe of a deployment, by its name."""
    files = {name: universe_file(folder, name, listed) for name, listed in symbols.items()}
    unnamed = files.pop("", None)
    settings = Settings.model_validate(
        {"data_dir": folder / "data", "universe": unnamed, "universes": tuple(files.values()), **values}
    )
    return {each.universe_name: each for each in settings.of_each_universe()}


def live(folder: Path, symbols: dict[str, tuple[str, ...]], **values: object) -> dict[str, Pipeline]:
    """Return the pipelines of a deployment with a free key, by the name of the universe."""
    found = deployment(folder, symbols, source=SourceName.ALPHA_VANTAGE, **values)
    return {name: Pipeline.from_settings(settings) for name, settings in found.items()}


# Names


def test_each_name_of_a_universe_is_the_plain_name_after_the_name_of_the_universe(tmp_path: Path) -> None:
    universes = deployment(tmp_path)
    repository = build_all_definitions(list(universes.values())).get_repository_def()
    plain = build_definitions(universes[""]).get_repository_def()

    def parts(found: dg.RepositoryDefinition) -> dict[str, set[str]]:
        nodes = [node for job in found.get_all_jobs() for node in job.all_node_defs]
        return {
            "jobs": {job.name for job in found.get_all_jobs() if not job.name.startswith("__")},
            "schedules": {schedule.name for schedule in found.schedule_defs},
            "sensors": {sensor.name for sensor in found.sensor_defs},
            "pools": {str(getattr(node, "pool", None)) for node in nodes} - {"None"},
            "resources": set(found.get_top_level_resources()),
        }

    for kind, names in parts(plain).items():
        assert names, kind
        expected = names | {universe.name(name) for universe in (BANKS, ENERGY) for name in names}
        assert parts(repository)[kind] == expected, kind
    keys = plain.asset_graph.get_all_asset_keys()
    assert repository.asset_graph.get_all_asset_keys() == {
        names.key(key) for names in (Names(), BANKS, ENERGY) for key in keys
    }
    for key in repository.asset_graph.get_all_asset_keys():
        assert repository.asset_graph.get(key).group_name == "/".join(key.path[:-1])


def test_the_checks_of_a_universe_are_those_of_its_symbols_and_audits(tmp_path: Path) -> None:
    graph = build_all_definitions(list(deployment(tmp_path).values())).resolve_asset_graph()
    checks = {
        key.name for key in graph.asset_check_keys if key.asset_key == BANKS.key(RAW_PRICES) if "complete" in key.name
    }
    assert checks == {"aapl_complete", "ibm_complete"}


def test_the_last_step_by_name_has_no_partitions(tmp_path: Path) -> None:
    """As for a universe without a name (`test_definitions`)."""
    job = build_definitions(deployment(tmp_path)["banks"]).resolve_job_def("banks_daily_prices")
    assert max(node.name for node in job.nodes) == "banks_views"


@pytest.mark.parametrize("name", ["raw", "alpha_vantage", "Banks", "two words", "published"])
def test_a_name_that_cannot_be_used_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=f"cannot be named '{name}'"):
        deployment(tmp_path, {name: ("AAPL",)})


def test_two_universes_cannot_have_one_name(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    files = [universe_file(folder, "banks", ("AAPL",)) for folder in (tmp_path, tmp_path / "other")]
    with pytest.raises(ValueError, match="two universes are named 'banks'"):
        Settings(universes=tuple(files))


# Runs and data


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Settings]:
    """A deployment whose universes have loaded the same sessions, on one instance."""
    universes = deployment(tmp_path_factory.mktemp("deployment"))
    for settings in universes.values():
        done = run_sessions(settings, Pipeline.from_settings(settings), FIRST, LAST, on_event=lambda _: None)
        assert done.success
        assert done.changed_tables == ("published.daily_prices",)
    return universes


@pytest.mark.slow
def test_each_universe_publishes_its_symbols_as_if_it_were_alone(loaded: dict[str, Settings], tmp_path: Path) -> None:
    for name, settings in loaded.items():
        backend = Pipeline.from_settings(settings).backend
        rows = published_rows(backend)
        assert {row["symbol"] for row in rows} == set(SYMBOLS[name])
        folder = tmp_path / f"alone_{name}"
        alone = Settings(data_dir=folder, universe=settings.universe_file)
        assert run_sessions(alone, Pipeline.from_settings(alone), FIRST, LAST, on_event=lambda _: None).success
        assert rows == published_rows(Pipeline.from_settings(alone).backend)


@pytest.mark.slow
def test_the_runs_are_on_one_instance_and_name_their_universe(loaded: dict[str, Settings]) -> None:
    assert len({settings.instance_dir for settings in loaded.values()}) == 1
    assert len({settings.root for settings in loaded.values()}) == len(loaded)
    with local_instance(loaded["banks"]) as instance:
        runs = {(run.job_name, run.tags.get(UNIVERSE_TAG, "")) for run in instance.get_runs()}
        assert runs == {("daily_prices", ""), ("banks_daily_prices", "banks"), ("energy_daily_prices", "energy")}
        materialized = instance.get_materialized_partitions(dg.AssetKey(["banks", "published", "daily_prices"]))
    assert materialized == {"2013-02-27", "2013-02-28", "2013-03-01"}


# One instance


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance in memory."""
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def leave_run(
    instance: dg.DagsterInstance, names: Names, status: dg.DagsterRunStatus, *keys: dg.AssetKey
) -> dg.DagsterRun:
    """Leave a run of a universe's job, or of selected assets, on the instance."""
    job = "__ASSET_JOB" if keys else names.name(daily_prices.JOB_NAME)
    return instance.add_run(
        dg.DagsterRun(
            job_name=job,
            run_id=make_new_run_id(),
            status=status,
            tags={} if keys else names.tags,
            asset_selection=frozenset(keys) or None,
        )
    )


def test_a_universe_does_not_wait_for_the_runs_of_another(instance: dg.DagsterInstance) -> None:
    at = datetime.now(UTC)
    leave_run(instance, BANKS, dg.DagsterRunStatus.STARTED)
    assert run_in_progress(instance, at, BANKS)
    assert run_in_progress(instance, at, ENERGY) is None
    assert run_in_progress(instance, at) is None
    leave_run(instance, ENERGY, dg.DagsterRunStatus.STARTED, ENERGY.key(RAW_PRICES))
    assert run_in_progress(instance, at, ENERGY)
    assert run_in_progress(instance, at) is None
    leave_run(instance, Names(), dg.DagsterRunStatus.STARTED, RAW_PRICES)
    assert run_in_progress(instance, at)


def test_a_failed_run_sends_the_alert_of_its_universe_alone(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    leave_run(instance, BANKS, dg.DagsterRunStatus.FAILURE)
    last = leave_run(instance, Names(), dg.DagsterRunStatus.SUCCESS)
    universes = deployment(tmp_path)
    sent = {}
    for name, settings in universes.items():
        names, channel = Names(name), RecordingChannel()
        resources = {names.resource: Pipeline.from_settings(settings)}
        sensor = alert_sensor(
            AlertContext([channel], "http://dagster.example", names),
            now=lambda: datetime.now(UTC) + timedelta(hours=1),
        )
        with dg.build_sensor_context(instance=instance, resources=resources) as context:
            result = sensor(context)
        assert isinstance(result, dg.SensorResult)
        sent[name] = [message.title for message in channel.sent]
        # The next tick does not read the runs of other universes again.
        [record] = instance.get_run_records(filters=dg.RunsFilter(run_ids=[last.run_id]))
        assert result.cursor == record.update_timestamp.replace(tzinfo=UTC).isoformat()
    assert sent == {"": [], "banks": ["stock_assets: banks_daily_prices failed"], "energy": []}


def test_a_message_names_its_universe(tmp_path: Path) -> None:
    settings = deployment(tmp_path)["banks"]
    at = datetime(2026, 1, 2, tzinfo=UTC)
    [log] = alert_channels(settings)
    log.send(Incident(kind="run", subject="publish", title="stock_assets: publish failed").message(at))
    text = (settings.root / "alerts.log").read_text(encoding="utf-8")
    assert "banks: stock_assets: publish failed" in text
    assert "[banks-run-" in text


def test_maintenance_deletes_only_runs_of_its_universe(instance: dg.DagsterInstance) -> None:
    success = dg.DagsterRunStatus.SUCCESS
    own = leave_run(instance, BANKS, success)
    others = [
        leave_run(instance, ENERGY, success),
        leave_run(instance, Names(), success),
        leave_run(instance, BANKS, success, BANKS.key(RAW_PRICES), ENERGY.key(RAW_PRICES)),
    ]
    later = datetime.now(UTC) + timedelta(days=1)
    assert delete_old_runs(instance, [], before=later, names=BANKS) == 1
    assert instance.get_run_by_id(own.run_id) is None
    assert {run.run_id for run in instance.get_runs()} == {run.run_id for run in others}
    remove_old_logs(instance, before=later, names=BANKS)


# One quota


def test_universes_share_the_calls_of_the_key(tmp_path: Path) -> None:
    symbols = {"banks": ("A", "B"), "energy": ("C",)}
    banks, energy = live(tmp_path, symbols, calls_per_second=100, calls_per_minute=100).values()
    limits, at = banks.source.terms.limits, datetime(2026, 1, 2, 15, tzinfo=UTC)
    assert limits.per_day == 25

    assert banks.backend.rate_limiter.acquire_up_to(20, banks.source.vendor, limits, lambda: at) == 20
    assert energy.backend.rate_limiter.acquire_up_to(20, energy.source.vendor, limits, lambda: at) == 5
    denied = banks.backend.rate_limiter.acquire_up_to(1, banks.source.vendor, limits, lambda: at)
    assert isinstance(denied, CallDenied)
    assert denied.quota_used_up


def test_universes_with_other_data_folders_do_not_share_them(tmp_path: Path) -> None:
    found = [
        live(tmp_path, {"banks": ("A",)}, data_dir=tmp_path / folder)["banks"].backend.rate_limiter
        for folder in ("one", "two")
    ]
    found[0].block_until("vendor", datetime(2026, 1, 1, 1, tzinfo=UTC))
    assert found[1].blocked_until("vendor", datetime(2026, 1, 1, tzinfo=UTC)) is None


def test_catch_up_leaves_the_calls_that_the_schedule_of_every_universe_needs(tmp_path: Path) -> None:
    banks = live(tmp_path, {"": ("A", "B"), "banks": ("C", "D", "E"), "energy": ("F",)})["banks"]
    calls = available_calls(banks, datetime(2026, 1, 2, 15, tzinfo=UTC))
    assert (calls.available, calls.reserved) == (19, 6)
    alone = replace(banks, others=())
    assert available_calls(alone, datetime(2026, 1, 2, 15, tzinfo=UTC)).reserved == 3


def test_splits_leave_the_calls_that_prices_of_every_universe_need(tmp_path: Path) -> None:
    banks = live(tmp_path, {"banks": ("A", "B"), "energy": ("C",)})["banks"]
    during_a_session = datetime(2026, 1, 2, 15, tzinfo=UTC)
    # Each symbol needs a call for earlier sessions, and one for today's.
    assert plan_splits(banks, at=during_a_session).reserve_calls == 6
    assert plan_splits(replace(banks, others=()), at=during_a_session).reserve_calls == 4


def test_universes_with_more_symbols_than_calls_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"together have 26 symbols, but the plan allows 25.*Remove 2 from the files"
    ):
        live(tmp_path, {"banks": tuple(f"A{n}" for n in range(20)), "energy": tuple(f"B{n}" for n in range(6))})


def test_on_aws_each_universe_has_its_own_folder_and_databases_and_shares_the_calls(tmp_path: Path) -> None:
    found = live(
        tmp_path,
        {"": ("A",), "banks": ("B",)},
        backend=BackendName.AWS,
        aws_bucket="a-bucket",
        aws_region="eu-central-1",
    )
    plain, banks = (pipeline.backend for pipeline in found.values())
    assert isinstance(plain, LakehouseBackend)
    assert isinstance(banks, LakehouseBackend)
    assert (plain.prefix, plain.database) == ("stock_assets/alpha_vantage", "stock_assets_alpha_vantage")
    assert banks.prefix == "stock_assets/alpha_vantage/universes/banks"
    assert banks.database == "stock_assets_alpha_vantage_banks"
    counted = [backend.rate_limiter for backend in (plain, banks)]
    assert all(isinstance(limiter, S3RateLimiter) for limiter in counted)
    folders = {limiter._objects.uri("quota") for limiter in counted if isinstance(limiter, S3RateLimiter)}  # noqa: SLF001 (where it counts)
    assert folders == {"s3://a-bucket/stock_assets/alpha_vantage/quota"}


def test_staging_and_results_of_all_universes_are_where_the_rules_of_the_bucket_delete_them(tmp_path: Path) -> None:
    found = deployment(
        tmp_path,
        {"": ("A",), "banks": ("B",)},
        backend=BackendName.AWS,
        aws_bucket="a-bucket",
        aws_region="eu-central-1",
    )
    plain, banks = (Pipeline.from_settings(settings).backend for settings in found.values())
    assert isinstance(plain, AthenaBackend)
    assert isinstance(banks, AthenaBackend)
    shared = "stock_assets/recorded"
    assert plain.results == banks.results == f"s3://a-bucket/{shared}/results/"
    assert (plain.scratch_prefix, banks.scratch_prefix) == (shared, f"{shared}/scratch/banks")


@pytest.fixture
def in_the_bucket(aws: AwsEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A shell whose settings name universes with files in a bucket."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    bucket = f"universes-{tmp_path.name}".replace("_", "-")[:60].rstrip("-")
    s3 = boto3.client("s3", endpoint_url=aws.endpoint, region_name=REGION)
    s3.create_bucket(Bucket=bucket)
    file = universe_file(tmp_path, "banks", ("AAPL", "IBM"))
    s3.put_object(Bucket=bucket, Key="artifacts/universes/banks.csv", Body=file.read_bytes())
    values = {
        "BACKEND": "aws",
        "AWS_BUCKET": bucket,
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": aws.endpoint,
        "AWS_UNIVERSES": "default,banks",
    }
    variables = {f"STOCK_ASSETS_{name}": value for name, value in values.items()}
    return Shell(tmp_path / "data", **variables, STOCK_ASSETS_UNIVERSE_NAME="")


def test_the_symbols_of_a_universe_in_the_bucket_are_read_and_not_changed_there(in_the_bucket: Shell) -> None:
    listed = in_the_bucket.run("--universe", "banks", "symbols", "list").stdout
    assert "AAPL" in listed
    assert "MSFT" not in listed
    assert "/artifacts/universes/banks.csv" in listed
    assert "MSFT" in in_the_bucket.run("symbols", "list").stdout, "the universe without a name"
    refused = in_the_bucket.run_main("--universe", "banks", "symbols", "remove", "IBM", code=1).stderr
    assert "stock-assets aws deploy --universe banks.csv" in refused
    assert "IBM" in in_the_bucket.run("--universe", "banks", "symbols", "list").stdout


def test_a_universe_without_a_file_in_the_bucket_is_an_error_that_names_it(in_the_bucket: Shell) -> None:
    names = {"STOCK_ASSETS_AWS_UNIVERSES": "banks,energy"}
    missing = in_the_bucket.run_main("--universe", "banks", "symbols", "list", code=1, **names).stderr
    assert "The file of the universe energy is missing: s3://" in missing
    assert "remove energy from STOCK_ASSETS_AWS_UNIVERSES" in missing
    unnamed = in_the_bucket.run_main("symbols", "list", code=1, **names).stderr
    assert "There are several universes. Choose one with --universe: banks, energy." in unnamed


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("banks,banks", "two universes are named 'banks'"),
        ("smoke_recorded", "a universe cannot be named 'smoke_recorded'"),
        ("../banks", "a universe cannot be named '../banks'"),
    ],
)
def test_names_that_would_share_data_are_errors(names: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Settings.model_validate(
            {"backend": "aws", "aws_bucket": "a-bucket", "aws_region": "eu-central-1", "aws_universes": names}
        )


def test_universes_in_a_bucket_need_a_bucket() -> None:
    with pytest.raises(ValidationError, match="STOCK_ASSETS_AWS_UNIVERSES is set, but the backend is local"):
        Settings.model_validate({"aws_universes": "banks"})


# Selection


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Commands in a deployment of two named universes."""
    files = [universe_file(tmp_path, name, SYMBOLS[name]) for name in ("banks", "energy")]
    return Shell(
        tmp_path / "data",
        STOCK_ASSETS_UNIVERSES=",".join(map(str, files)),
        # The option sets it; a variable of the shell is restored after each command.
        STOCK_ASSETS_UNIVERSE_NAME="",
    )


def test_the_option_selects_the_universe(shell: Shell) -> None:
    for name in ("banks", "energy"):
        listed = shell.run("--universe", name, "symbols", "list").stdout
        assert {symbol for symbol in SYMBOLS[""] if symbol in listed} == set(SYMBOLS[name])
        assert f"{name}.csv" in listed
        checked = shell.run("--universe", name, "doctor").stdout
        assert re.search(rf"universe +{len(SYMBOLS[name])} symbols? of .*{name}\.csv", checked)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), r"^There are several universes\. Choose one with --universe: banks, energy\.$"),
        (("--universe", "bank"), r"^No universe is named 'bank'\. Choose one with --universe: banks, energy\.$"),
    ],
)
def test_a_command_without_a_universe_names_the_choices(shell: Shell, arguments: Sequence[str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        shell.invoke(*arguments, "symbols", "list")


def test_a_universe_without_a_name_is_the_default(tmp_path: Path) -> None:
    files = {name: universe_file(tmp_path, name, symbols) for name, symbols in SYMBOLS.items()}
    shell = Shell(tmp_path / "data", STOCK_ASSETS_UNIVERSE=str(files[""]), STOCK_ASSETS_UNIVERSES=f"{files['banks']}")
    assert "GOOG" in shell.run("symbols", "list").stdout


def test_files_of_the_env_file_and_the_data_folder_are_found_from_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("banks", "energy"):
        universe_file(tmp_path, name, SYMBOLS[name])
    (tmp_path / ".env").write_text("STOCK_ASSETS_UNIVERSES=banks.csv, energy.csv\n", encoding="utf-8")
    layout = tmp_path / "data" / "energy" / "recorded" / "layout.json"
    layout.parent.mkdir(parents=True)
    layout.touch()
    below = tmp_path / "notebooks"
    below.mkdir()
    monkeypatch.chdir(below)
    monkeypatch.delenv("STOCK_ASSETS_ENV_FILE")
    found = Settings.all_from_env()
    assert [settings.universe_name for settings in found] == ["banks", "energy"]
    assert [settings.universe_file for settings in found] == [tmp_path / "banks.csv", tmp_path / "energy.csv"]
    assert {settings.data_dir for settings in found} == {tmp_path / "data"}
