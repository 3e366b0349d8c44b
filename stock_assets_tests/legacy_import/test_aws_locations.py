"""An earlier pipeline's data on S3 and in the Glue catalog, taken over by either backend."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stock_assets.backends.interface import Backend
from stock_assets.cli.app import app
from stock_assets.core.calendar import sessions_between
from stock_assets.core.errors import AccessRefused, LegacyDataUnusable
from stock_assets.legacy_import.importer import ImportResult, import_bars
from stock_assets.legacy_import.locations import LegacyLocation
from stock_assets.pipeline import Pipeline
from stock_assets.settings import Settings
from stock_assets.sources.recorded import SYMBOLS, RecordedSource
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.emulators.athena.faults import CallFault
from stock_assets_tests.emulators.athena.names import REGION
from stock_assets_tests.fakes.source import scripted_from_recording
from stock_assets_tests.legacy_import.test_importer import BOUNDS
from stock_assets_tests.support.athena_backends import BUCKET, athena_backend
from stock_assets_tests.support.legacy_account import BARS, TEXT, LegacyAccount
from stock_assets_tests.support.legacy_files import HEADER, firehose, hive_table
from stock_assets_tests.support.scenes import TWO_WEEKS, Scene, content, rebuilt, wavy_source
from stock_assets_tests.support.steps import FIVE, load_range, local_backend, published_rows

COLUMNS = dict.fromkeys(HEADER.split(","), TEXT)


@pytest.fixture
def account(aws: AwsEmulator, tmp_path: Path) -> LegacyAccount:
    athena_backend(aws.endpoint, tmp_path)  # sets the credentials
    return LegacyAccount(aws.endpoint, tmp_path)


@pytest.fixture(params=["local", pytest.param("aws", marks=pytest.mark.slow)])
def scene(request: pytest.FixtureRequest, aws: AwsEmulator, tmp_path: Path) -> Scene:
    folder = tmp_path / "backend"
    backend: Backend = local_backend(folder) if request.param == "local" else athena_backend(aws.endpoint, folder)
    return Scene(backend, wavy_source())


def take(scene: Scene, place: LegacyLocation) -> ImportResult:
    return import_bars(scene, place, BOUNDS)


def published_as_usual(scene: Scene, place: LegacyLocation, tmp_path: Path) -> ImportResult:
    """Take over, load, compare with a normal ingest, and take over again."""
    found = take(scene, place)
    scene.stage(TWO_WEEKS)
    scene.publish(TWO_WEEKS)
    assert content(scene.backend) == rebuilt(local_backend(tmp_path / "ideal"), scene, TWO_WEEKS)
    assert take(scene, place).sessions == ()
    return found


def test_firehose_left_csv_by_the_hour(scene: Scene, account: LegacyAccount, tmp_path: Path) -> None:
    account.upload(firehose(tmp_path / "old", scene.source, FIVE.symbols, TWO_WEEKS))
    found = published_as_usual(scene, account.at(account.address), tmp_path)
    assert (found.files, found.tally.rows, found.tally.repeated) == (20, 100, 50)


def test_a_hive_table_of_the_catalog(scene: Scene, account: LegacyAccount, tmp_path: Path) -> None:
    columns = dict.fromkeys(BARS, "double") | {"date": TEXT}
    table = account.table_by_symbol(
        hive_table(tmp_path / "old", scene.source, FIVE.symbols, TWO_WEEKS, BOUNDS.at), columns
    )
    found = published_as_usual(scene, account.at(table), tmp_path)
    assert (found.files, found.tally.rows, found.tally.repeated) == (5, 100, 50)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["local", "aws"])
def test_the_command_takes_a_table_over(account: LegacyAccount, tmp_path: Path, backend: str) -> None:
    sessions = sessions_between(date(2013, 2, 25), date(2013, 3, 1))
    source = scripted_from_recording(SYMBOLS, sessions)
    table = account.table_by_symbol(hive_table(tmp_path / "old", source, SYMBOLS, sessions, BOUNDS.at))
    set_of_aws = {
        "STOCK_ASSETS_BACKEND": "aws",
        "STOCK_ASSETS_AWS_BUCKET": BUCKET,
        "STOCK_ASSETS_AWS_PREFIX": f"cli/{account.name}",
        "STOCK_ASSETS_AWS_DATABASE": f"cli_{account.name}"[:40],
    }
    environment = {
        "STOCK_ASSETS_DATA_DIR": str(tmp_path / "data"),
        "STOCK_ASSETS_AWS_REGION": REGION,
        "STOCK_ASSETS_AWS_ENDPOINT_URL": account.access.endpoint_url,
        **(set_of_aws if backend == "aws" else {}),
    }
    done = CliRunner().invoke(app, ["import", table], env=environment)
    assert done.exit_code == 0, f"{done.output}{done.exception!r}"
    assert "5 files, 50 rows; 25 repeat another" in done.stdout
    assert "Published: published.daily_prices." in done.stdout
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        settings = Settings.from_env()
    usual = local_backend(tmp_path / "usual")
    load_range(usual, RecordedSource(), Pipeline.from_settings(settings).universe, sessions[0], sessions[-1])
    assert published_rows(Pipeline.from_settings(settings).backend) == published_rows(usual)


def test_partitions_may_lie_anywhere_and_others_are_no_part_of_the_table(account: LegacyAccount) -> None:
    for folder in ("a", "b", "dropped"):
        account.put(f"{folder}/part-0", b"2012-03-01,1,2,1,2,5\n")
    place = account.at(account.table("t", BARS, keys=["symbol"], partitions={"IBM": "a/", "MSFT": "b"}))
    assert [(file.name.rpartition("/old/")[2].split("/", 1)[1], dict(file.values)) for file in place.files()] == [
        ("a/part-0", {"symbol": "IBM"}),
        ("b/part-0", {"symbol": "MSFT"}),
    ]


def test_the_catalog_says_how_text_is_written(account: LegacyAccount, tmp_path: Path) -> None:
    account.put("f", b"IBM|2012-03-01|1|2|1|2|5\n")
    columns = {"symbol": TEXT, **BARS}
    place = account.at(account.table("t", columns, serde={"field.delim": "|", "serialization.format": "1"}))
    found = take(Scene(local_backend(tmp_path / "backend"), wavy_source()), place)
    assert [(row.symbol, row.bars) for row in found.symbols] == [("IBM", 1)]


def test_one_object_and_names_that_begin_alike(account: LegacyAccount) -> None:
    for name in ("prices/a.csv", "prices_old/b.csv", "prices/_temporary/c.csv", "prices/.hidden"):
        account.put(name, f"{HEADER}\n".encode())
    names = [file.name for file in account.at(f"{account.address}/prices/").files()]
    assert names == [f"{account.address}/prices/a.csv"]
    assert [file.name for file in account.at(f"{account.address}/prices/a.csv").files()] == names
    with account.at(names[0]).open(account.at(names[0]).files()[0]) as stream:
        assert stream.read() == f"{HEADER}\n".encode()


def test_what_is_there_no_table_is_said(account: LegacyAccount) -> None:
    with pytest.raises(LegacyDataUnusable, match=r"glue:.*nothing: the Glue catalog of us-east-1 has no such table"):
        account.at(f"glue:{account.database}.nothing").files()
    iceberg = account.table("iceberg", COLUMNS, parameters={"table_type": "ICEBERG"})
    with pytest.raises(LegacyDataUnusable, match="iceberg, whose files are not its rows"):
        account.at(iceberg).files()
    with pytest.raises(LegacyDataUnusable, match="write it as glue:"):
        account.at("glue:nothing").files()
    with pytest.raises(LegacyDataUnusable, match="no file with anything in it"):
        account.at(account.address).files()


def test_a_refused_listing_ends_it_and_names_the_place(account: LegacyAccount, aws: AwsEmulator) -> None:
    aws.call_faults.append(CallFault(f"GET /{BUCKET}", 403, "AccessDenied"))
    with pytest.raises(AccessRefused, match=rf"listing s3://{BUCKET}/old"):
        account.at(account.address).files()


def test_a_refused_object_ends_it_and_stores_nothing(account: LegacyAccount, aws: AwsEmulator, tmp_path: Path) -> None:
    account.put("2012/03/05/21/a", f"{HEADER}\n2012-03-01,IBM,1,2,1,2,5\n".encode())
    scene = Scene(local_backend(tmp_path / "backend"), wavy_source())
    aws.call_faults.append(CallFault("2012/03/05", 403, "AccessDenied", times=9))
    with pytest.raises(AccessRefused, match=rf"reading s3://{BUCKET}/old/.*/2012/03/05/21/a"):
        take(scene, account.at(account.address))
    assert scene.backend.objects.list("raw/") == []


def test_an_object_counts_as_written_when_it_was_put_or_in_its_hour(account: LegacyAccount) -> None:
    account.put("2012/03/05/21/a", b"x")
    account.put("b", b"x")
    hourly, other = account.at(account.address).files()
    assert hourly.written_at == datetime(2012, 3, 5, 21, 59, 59, 999999, tzinfo=UTC)
    assert other.written_at.year >= 2025
