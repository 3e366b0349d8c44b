"""Import of an earlier pipeline's data on S3 and in the Glue catalog, into both backends."""

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
from stock_assets_tests.support.athena_backends import BUCKET, athena_backend
from stock_assets_tests.support.legacy_account import BARS, TEXT, LegacyAccount
from stock_assets_tests.support.legacy_files import HEADER, SCOPE, firehose, hive_table
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


def run_import(scene: Scene, location: LegacyLocation) -> ImportResult:
    return import_bars(scene, location, SCOPE)


def import_and_compare(scene: Scene, location: LegacyLocation, tmp_path: Path) -> ImportResult:
    """Import, load, compare with an ordinary ingest, and import again."""
    found = run_import(scene, location)
    scene.stage(TWO_WEEKS)
    scene.publish(TWO_WEEKS)
    assert content(scene.backend) == rebuilt(local_backend(tmp_path / "ideal"), scene, TWO_WEEKS)
    assert run_import(scene, location).sessions == ()
    return found


def test_csv_files_of_firehose_in_hourly_folders(scene: Scene, account: LegacyAccount, tmp_path: Path) -> None:
    account.upload(firehose(tmp_path / "old", scene.source, FIVE.symbols, TWO_WEEKS))
    found = import_and_compare(scene, account.at(account.address), tmp_path)
    assert (found.files, found.tally.rows, found.tally.repeated) == (20, 100, 50)


def test_a_hive_table_of_the_catalog(scene: Scene, account: LegacyAccount, tmp_path: Path) -> None:
    columns = dict.fromkeys(BARS, "double") | {"date": TEXT}
    table = account.table_by_symbol(
        hive_table(tmp_path / "old", scene.source, FIVE.symbols, TWO_WEEKS, SCOPE.at), columns
    )
    found = import_and_compare(scene, account.at(table), tmp_path)
    assert (found.files, found.tally.rows, found.tally.repeated) == (5, 100, 50)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["local", "aws"])
def test_the_command_imports_a_table(account: LegacyAccount, tmp_path: Path, backend: str) -> None:
    sessions = sessions_between(date(2013, 2, 25), date(2013, 3, 1))
    source = scripted_from_recording(SYMBOLS, sessions)
    table = account.table_by_symbol(hive_table(tmp_path / "old", source, SYMBOLS, sessions, SCOPE.at))
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
    assert "5 files, 50 rows: 25 repeated" in done.stdout
    assert "Published: published.daily_prices." in done.stdout
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        settings = Settings.from_env()
    usual = local_backend(tmp_path / "usual")
    load_range(usual, RecordedSource(), Pipeline.from_settings(settings).universe, sessions[0], sessions[-1])
    assert published_rows(Pipeline.from_settings(settings).backend) == published_rows(usual)


def test_partitions_may_be_anywhere_and_other_folders_are_not_read(account: LegacyAccount) -> None:
    for folder in ("a", "b", "dropped"):
        account.put(f"{folder}/part-0", b"2012-03-01,1,2,1,2,5\n")
    location = account.at(account.table("t", BARS, keys=["symbol"], partitions={"IBM": "a/", "MSFT": "b"}))
    assert [(file.name.rpartition("/old/")[2].split("/", 1)[1], dict(file.values)) for file in location.files()] == [
        ("a/part-0", {"symbol": "IBM"}),
        ("b/part-0", {"symbol": "MSFT"}),
    ]


def test_the_catalog_defines_the_format_of_text_files(account: LegacyAccount, tmp_path: Path) -> None:
    account.put("f", b"IBM|2012-03-01|1|2|1|2|5\n")
    columns = {"symbol": TEXT, **BARS}
    location = account.at(account.table("t", columns, serde={"field.delim": "|", "serialization.format": "1"}))
    found = run_import(Scene(local_backend(tmp_path / "backend"), wavy_source()), location)
    assert [(row.symbol, row.bars) for row in found.symbols] == [("IBM", 1)]


def test_a_single_object_and_names_with_equal_prefixes(account: LegacyAccount) -> None:
    for name in ("prices/a.csv", "prices_old/b.csv", "prices/_temporary/c.csv", "prices/.hidden"):
        account.put(name, f"{HEADER}\n".encode())
    names = [file.name for file in account.at(f"{account.address}/prices/").files()]
    assert names == [f"{account.address}/prices/a.csv"]
    assert [file.name for file in account.at(f"{account.address}/prices/a.csv").files()] == names
    with account.at(names[0]).open_file(account.at(names[0]).files()[0]) as stream:
        assert stream.read() == f"{HEADER}\n".encode()


def test_unusable_addresses_are_errors_that_name_them(account: LegacyAccount) -> None:
    with pytest.raises(LegacyDataUnusable, match=r"glue:.*nothing: the Glue catalog of us-east-1 has no such table"):
        account.at(f"glue:{account.database}.nothing").files()
    iceberg = account.table("iceberg", COLUMNS, parameters={"table_type": "ICEBERG"})
    with pytest.raises(LegacyDataUnusable, match="files of iceberg cannot be read as rows"):
        account.at(iceberg).files()
    with pytest.raises(LegacyDataUnusable, match="write it as glue:"):
        account.at("glue:nothing").files()
    with pytest.raises(LegacyDataUnusable, match="contains no file with data"):
        account.at(account.address).files()


def test_a_denied_listing_stops_the_import_and_names_the_location(account: LegacyAccount, aws: AwsEmulator) -> None:
    aws.call_faults.append(CallFault(f"GET /{BUCKET}", 403, "AccessDenied"))
    with pytest.raises(AccessRefused, match=rf"listing s3://{BUCKET}/old"):
        account.at(account.address).files()


def test_a_denied_object_stops_the_import_and_stores_nothing(
    account: LegacyAccount, aws: AwsEmulator, tmp_path: Path
) -> None:
    account.put("2012/03/05/21/a", f"{HEADER}\n2012-03-01,IBM,1,2,1,2,5\n".encode())
    scene = Scene(local_backend(tmp_path / "backend"), wavy_source())
    aws.call_faults.append(CallFault("2012/03/05", 403, "AccessDenied", times=9))
    with pytest.raises(AccessRefused, match=rf"reading s3://{BUCKET}/old/.*/2012/03/05/21/a"):
        run_import(scene, account.at(account.address))
    assert scene.backend.objects.keys("raw/") == []


def test_an_object_counts_as_written_when_it_was_stored_or_in_the_hour_of_its_folder(account: LegacyAccount) -> None:
    account.put("2012/03/05/21/a", b"x")
    account.put("b", b"x")
    hourly, other = account.at(account.address).files()
    assert hourly.written_at == datetime(2012, 3, 5, 21, 59, 59, 999999, tzinfo=UTC)
    assert other.written_at.year >= 2025
