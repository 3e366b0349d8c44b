"""The queue with notifications about landing files is a hint: lost, repeated and late messages change nothing."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus
from uuid import uuid4

import boto3
import pytest

from stock_assets.backends.lakehouse.aws_session import AwsAccess
from stock_assets.backends.lakehouse.landing_queue import LandingQueue
from stock_assets.orchestration.sensors.landing_hints import OVERLAP, LandingCursor, LandingHints, Listing
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.emulators.athena.names import REGION

AT = datetime(2026, 3, 4, 12, tzinfo=UTC)
LISTED = AT - timedelta(minutes=30)
COMPLETE = str(LandingCursor(LISTED, "2026-03-04", complete=True))
INCOMPLETE = str(LandingCursor(LISTED, "2026-03-04", complete=False))
SINCE = Listing(LISTED)
ALL = Listing(LISTED, "")
NEW = "raw/daily_prices/ingest_date=2026-03-04/vendor file+1.csv"


class Queue:
    """A queue in the emulator, and the hints of one process."""

    def __init__(self, endpoint: str) -> None:
        self.sqs: Any = boto3.client("sqs", region_name=REGION, endpoint_url=endpoint)
        url = self.sqs.create_queue(QueueName=uuid4().hex, Attributes={"VisibilityTimeout": "30"})["QueueUrl"]
        self.queue = LandingQueue(AwsAccess(region=REGION, endpoint_url=endpoint), url, "prices/alpha_vantage")
        self.hints = LandingHints(self.queue)
        self.warnings: list[str] = []

    def send(self, key: str, folder: str = "prices/alpha_vantage/") -> None:
        """Send a notification as S3 does; S3 encodes keys."""
        record = {"eventName": "ObjectCreated:Put", "s3": {"object": {"key": quote_plus(f"{folder}{key}")}}}
        self.send_text(json.dumps({"Records": [record]}))

    def send_text(self, body: str) -> None:
        self.sqs.send_message(QueueUrl=self.queue.url, MessageBody=body)

    def listing(self, stored: str | None, at: datetime = AT) -> Listing | None:
        """Return what a tick lists."""
        return self.hints.listing(stored, at, self.warnings.append)

    def show_again(self) -> None:
        """Make received messages visible, as the queue does after its visibility timeout."""
        for receipt in self.hints._receipts:  # noqa: SLF001 (the wait would take half a minute)
            self.sqs.change_message_visibility(QueueUrl=self.queue.url, ReceiptHandle=receipt, VisibilityTimeout=0)

    def count(self) -> int:
        """Return the number of messages, received ones included."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.queue.url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)


@pytest.fixture
def queue(aws: AwsEmulator, monkeypatch: pytest.MonkeyPatch) -> Queue:
    # The emulator needs no long polling.
    monkeypatch.setattr("stock_assets.backends.lakehouse.landing_queue._WAIT_SECONDS", 0)
    return Queue(aws.endpoint)


def test_without_a_queue_every_tick_lists() -> None:
    hints = LandingHints()
    assert hints.listing(COMPLETE, AT, pytest.fail) == SINCE
    assert hints.listing(None, AT, pytest.fail) == Listing(AT - OVERLAP, "")
    assert hints.listing(str(LandingCursor(LISTED, "2026-03-03", complete=True)), AT, pytest.fail) == ALL


def test_a_tick_lists_after_a_message_and_once_a_day(queue: Queue) -> None:
    assert queue.listing(None) == Listing(AT - OVERLAP, "")
    assert queue.listing(COMPLETE) is None
    assert queue.listing(INCOMPLETE) == SINCE
    queue.send(NEW)
    assert queue.listing(COMPLETE) == SINCE
    assert queue.listing(COMPLETE, AT + timedelta(days=1)) == ALL
    assert queue.warnings == []


@pytest.mark.parametrize(
    "cursor",
    [
        LandingCursor(LISTED, "", complete=False),
        LandingCursor(LISTED, "2026-03-04", complete=True),
        LandingCursor(LISTED, "2026-03-04", complete=False),
        LandingCursor(LISTED, "", complete=False, after="raw/daily_prices/ingest_date=2026-03-04/a.csv", again=True),
        LandingCursor(LISTED, "", complete=False, after="raw/daily_prices/complete again 2026-03-04\n%41 ä=/b"),
    ],
)
def test_a_cursor_is_read_as_it_was_written(cursor: LandingCursor) -> None:
    assert LandingCursor.parse(str(cursor)) == cursor


def test_a_comparison_goes_on_where_the_last_tick_ended(queue: Queue) -> None:
    """Without a message too; a message about a folder that may be behind it lets it begin again after its end."""
    stored = str(LandingCursor(LISTED, "", complete=False, after="raw/x"))
    assert queue.listing(stored) == Listing(LISTED, "raw/x")
    queue.send(NEW)
    assert queue.listing(stored) == Listing(LISTED, "raw/x")
    queue.send("raw/daily_prices/ingest_date=2012-03-01/late.csv")
    assert queue.listing(stored) == Listing(LISTED, "raw/x", again=True)


def test_messages_are_deleted_when_the_cursor_is_stored(queue: Queue) -> None:
    after = str(LandingCursor(AT, "2026-03-04", complete=True))
    for _ in range(3):
        queue.send(NEW)
    assert queue.listing(COMPLETE) == SINCE
    queue.hints.stored_with(after)
    assert queue.count() == 3
    assert queue.listing(after) is None
    assert queue.count() == 0


def test_a_message_is_received_again_if_the_process_was_killed_before_the_cursor_was_stored(queue: Queue) -> None:
    queue.send(NEW)
    assert queue.listing(COMPLETE) == SINCE
    queue.hints.stored_with(str(LandingCursor(AT, "2026-03-04", complete=True)))

    # The same process after Dagster could not store the result, then another process: the cursor is the old one.
    queue.show_again()
    assert queue.listing(COMPLETE) == SINCE
    queue.show_again()
    queue.hints = LandingHints(queue.queue)
    assert queue.listing(COMPLETE) == SINCE


def test_a_late_message_finds_a_file_that_was_written_before_the_last_ticks(queue: Queue) -> None:
    """Ticks that list nothing leave the cursor where it is."""
    for minutes in range(60):
        assert queue.listing(COMPLETE, AT + timedelta(minutes=minutes)) is None
    queue.send(NEW)
    assert queue.listing(COMPLETE, AT + timedelta(hours=1)) == SINCE


@pytest.mark.parametrize(
    ("send", "expected"),
    [
        (lambda queue: queue.send("raw/daily_prices/ingest_date=2012-03-01/late.csv"), ALL),
        (lambda queue: queue.send("raw/daily_prices/firehose/2012/03/01/21/part-1"), SINCE),
        (lambda queue: queue.send("raw/daily_prices/ingest_date=2012-03-01/of another pipeline.csv", "other/"), SINCE),
        (lambda queue: queue.send_text(json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent"})), SINCE),
        (lambda queue: queue.send_text("not JSON"), SINCE),
        (lambda queue: queue.send_text(json.dumps({"Records": [{"s3": None}]})), SINCE),
    ],
    ids=["folder of an earlier day", "folder without a day", "other folder", "test event", "text", "other record"],
)
def test_every_message_makes_a_tick_list(queue: Queue, send: Callable[[Queue], None], expected: Listing) -> None:
    send(queue)
    assert queue.listing(COMPLETE) == expected


def test_more_messages_than_one_call_returns_are_received(queue: Queue) -> None:
    for number in range(25):
        queue.send(f"raw/daily_prices/ingest_date=2026-03-04/{number}.csv")
    assert queue.listing(COMPLETE) == SINCE
    queue.hints.stored_with(INCOMPLETE)
    assert queue.listing(INCOMPLETE) == SINCE
    assert queue.count() == 0


def test_files_are_listed_if_the_queue_cannot_be_read(queue: Queue, tmp_path: Path) -> None:
    queue.sqs.delete_queue(QueueUrl=queue.queue.url)
    assert queue.listing(COMPLETE) == SINCE
    assert "the files are listed, because the queue cannot be read" in queue.warnings[0]
    assert queue.queue.url in queue.warnings[0]
