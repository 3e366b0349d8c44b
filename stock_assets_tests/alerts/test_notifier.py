"""Each incident is told once on every channel, and once more when it is over, whatever happens in between."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from stock_assets.alerts.channels import Channel, LogFile, SnsTopic, Webhook
from stock_assets.alerts.incident import MOST_LINES, Incident, Message
from stock_assets.alerts.notifier import Notifier
from stock_assets.backends.interface import Backend
from stock_assets.core.errors import AlertUndelivered
from stock_assets_tests.fakes.channel import RecordingChannel
from stock_assets_tests.fakes.webhook import WebhookServer, webhook
from stock_assets_tests.support.live_source import utc

AT = utc("2024-03-01 22:05")
DAYS = (date(2024, 2, 29), date(2024, 3, 1), date(2024, 3, 4))
INCIDENT = Incident(
    kind="run",
    subject="publish, LoadRejected",
    title="stock_assets: publish failed",
    sessions=DAYS,
    steps=("publish",),
    facts={"job": "daily_prices", "failed audits": ["one", "two"]},
    link="http://localhost:3000/runs/1",
)


@pytest.fixture
def ear() -> RecordingChannel:
    return RecordingChannel()


@pytest.fixture
def notifier(backend: Backend, ear: RecordingChannel) -> Notifier:
    return Notifier(backend, [ear])


def test_an_incident_is_told_once(notifier: Notifier, ear: RecordingChannel) -> None:
    for hour in range(3):
        assert notifier.report(INCIDENT, AT + timedelta(hours=hour)) == []
    [message] = ear.sent
    assert message.text.splitlines() == [
        "stock_assets: publish failed",
        "job: daily_prices",
        "failed audits:",
        "  one",
        "  two",
        "http://localhost:3000/runs/1",
    ]
    assert message.fields["sessions"] == "2024-02-29 to 2024-03-04"


def test_other_facts_are_the_same_incident_and_another_subject_or_session_is_another() -> None:
    assert replace(INCIDENT, facts={"run": "2"}, title="x", link="").reference == INCIDENT.reference
    assert replace(INCIDENT, subject="raw").reference != INCIDENT.reference
    assert replace(INCIDENT, sessions=DAYS[:1]).reference != INCIDENT.reference


def test_an_end_is_told_once_and_the_next_time_is_new(notifier: Notifier, ear: RecordingChannel) -> None:
    notifier.report(INCIDENT, AT)
    for _ in range(2):
        assert notifier.resolve(INCIDENT.reference, AT, "run 2 has succeeded") == []
    assert [message.title for message in ear.sent] == [INCIDENT.title, f"Resolved: {INCIDENT.title}"]
    assert notifier.open_incidents() == []

    notifier.report(INCIDENT, AT + timedelta(days=1))
    assert len(ear.sent) == 3
    assert len({message.reference for message in ear.sent}) == 3


def test_success_of_the_same_steps_and_sessions_ends_it_also_in_parts(
    notifier: Notifier, ear: RecordingChannel
) -> None:
    notifier.report(INCIDENT, AT)
    notifier.succeeded(DAYS, {"staged"}, AT, "another step")
    notifier.succeeded(DAYS[:2], {"publish"}, AT, "two of three")
    notifier.succeeded(DAYS[:2], {"publish"}, AT, "the same two again")
    assert notifier.open_incidents() == [INCIDENT]
    notifier.succeeded(DAYS[2:], {"publish", "views"}, AT, "the third")
    assert notifier.open_incidents() == []
    assert ear.sent[-1].text.endswith("the third")


def test_what_did_not_get_through_is_sent_by_the_next_look(notifier: Notifier, ear: RecordingChannel) -> None:
    ear.broken = True
    assert notifier.report(INCIDENT, AT) == ["recorder: the channel is broken"]
    assert notifier.catch_up(AT) == ["recorder: the channel is broken"]
    ear.broken = False
    assert notifier.catch_up(AT) == []
    assert notifier.catch_up(AT) == []
    assert len(ear.sent) == 1

    ear.broken = True
    assert notifier.resolve(INCIDENT.reference, AT, "over") == ["recorder: the channel is broken"]
    ear.broken = False
    assert notifier.catch_up(AT) == []
    assert [message.title for message in ear.sent] == [INCIDENT.title, f"Resolved: {INCIDENT.title}"]
    assert notifier.open_incidents() == []


def test_one_deaf_channel_does_not_make_the_others_hear_twice(
    backend: Backend, ear: RecordingChannel, tmp_path: Path
) -> None:
    notifier = Notifier(backend, [LogFile(tmp_path / "alerts.log"), ear])
    ear.broken = True
    for _ in range(3):
        notifier.report(INCIDENT, AT)
    ear.broken = False
    notifier.catch_up(AT)
    assert (tmp_path / "alerts.log").read_text(encoding="utf-8").count(INCIDENT.title) == 1
    assert len(ear.sent) == 1


class Broken(Channel):
    """Fails in a way that no channel promises."""

    name = "broken"

    def send(self, message: Message) -> None:
        raise RuntimeError("https://hooks.example/T0P-SECRET")


def test_a_channel_that_fails_in_any_way_keeps_nothing_from_the_others(
    backend: Backend, ear: RecordingChannel, tmp_path: Path, hook: WebhookServer
) -> None:
    """First in line, each of them; what is left to send goes to those that failed alone."""
    hook.status = 404
    (tmp_path / "file").touch()
    a_folder, below_a_file = LogFile(tmp_path), LogFile(tmp_path / "file" / "alerts.log")
    channels = [Broken(), a_folder, below_a_file, Webhook(hook.url), ear]
    notifier = Notifier(backend, channels)
    steps = (partial(notifier.report, INCIDENT, AT), partial(notifier.resolve, INCIDENT.reference, AT, "over"))
    for step in steps:
        undelivered = step()
        assert [line.partition(":")[0] for line in undelivered] == ["broken", "log", "log", "webhook"]
        assert "T0P-SECRET" not in "".join(undelivered)
        assert step() == undelivered
    assert [message.title for message in ear.sent] == [INCIDENT.title, f"Resolved: {INCIDENT.title}"]

    hook.status = 200
    assert Notifier(backend, [LogFile(tmp_path / "log"), Webhook(hook.url), ear]).catch_up(AT) == []
    assert len(ear.sent) == 2
    assert [body["title"] for body in hook.accepted] == [f"Resolved: {INCIDENT.title}"]


def test_a_log_with_an_invalid_byte_and_a_text_that_is_no_unicode_are_written_all_the_same(
    backend: Backend, tmp_path: Path
) -> None:
    path = tmp_path / "alerts.log"
    path.write_bytes(b"\xff\n")
    notifier = Notifier(backend, [LogFile(path)])
    assert notifier.report(replace(INCIDENT, facts={"error": "\udcff"}), AT) == []
    assert path.read_bytes().startswith(b"\xff\n2024-03-01 22:05:00 UTC [run-")
    assert rb"error: \udcff" in path.read_bytes()


SPOILT = [
    b"\xff",
    b"{",
    b"[]",
    b"{}",
    b'{"opened_at": "2024-03-01T22:05:00+00:00", "kind": "run", "subject": "x", "title": "x", "facts": "none"}',
    b'{"opened_at": "2024-03-01T22:05:00+00:00", "kind": "run", "subject": "another", "title": "x"}',
]


@pytest.mark.parametrize("note", SPOILT)
def test_an_incident_that_cannot_be_read_keeps_no_other_from_being_told(
    backend: Backend, notifier: Notifier, ear: RecordingChannel, note: bytes
) -> None:
    other = replace(INCIDENT, subject="another, unspoilt")
    ear.broken = True
    notifier.report(other, AT)
    ear.broken = False
    spoilt = f"alerts/open/{INCIDENT.reference}/incident.json"
    backend.objects.put(spoilt, note)

    [said] = notifier.catch_up(AT)

    assert spoilt in said
    assert [message.title for message in ear.sent] == [other.title]
    assert notifier.open_incidents() == [other]
    assert notifier.succeeded(DAYS, {"publish"}, AT, "over") == []
    assert notifier.open_incidents() == []


def test_an_incident_that_cannot_be_read_is_told_anew_when_it_happens_again(
    backend: Backend, notifier: Notifier, ear: RecordingChannel
) -> None:
    notifier.report(INCIDENT, AT)
    spoilt = f"alerts/open/{INCIDENT.reference}/incident.json"
    backend.objects.delete(spoilt)
    backend.objects.put(spoilt, b"{")

    assert notifier.report(INCIDENT, AT + timedelta(hours=1)) == []

    assert len(ear.sent) == 2
    assert notifier.open_incidents() == [INCIDENT]
    backend.objects.delete(spoilt)
    backend.objects.put(spoilt, b"{")
    assert notifier.resolve(INCIDENT.reference, AT, "over") == []
    assert backend.objects.list("alerts/open/") == []


def test_a_kill_after_writing_the_log_does_not_write_it_twice(backend: Backend, tmp_path: Path) -> None:
    log = LogFile(tmp_path / "deep" / "alerts.log")
    Notifier(backend, [log]).report(INCIDENT, AT)
    for key in backend.objects.list("alerts/open/"):
        if key.endswith("told-log"):
            backend.objects.delete(key)
    Notifier(backend, [log]).catch_up(AT + timedelta(hours=1))
    assert (tmp_path / "deep" / "alerts.log").read_text(encoding="utf-8").count(INCIDENT.title) == 1


def test_long_lists_are_cut(notifier: Notifier, ear: RecordingChannel) -> None:
    notifier.report(replace(INCIDENT, facts={"symbols missing": [f"S{number}" for number in range(50)]}), AT)
    lines = ear.sent[0].text.splitlines()
    assert lines[-2] == f"  and {50 - MOST_LINES} more"
    assert len(lines) == MOST_LINES + 4


@pytest.fixture
def hook() -> Iterator[WebhookServer]:
    with webhook() as server:
        yield server


def test_a_webhook_gets_text_and_fields(backend: Backend, hook: WebhookServer) -> None:
    assert Notifier(backend, [Webhook(hook.url)]).report(INCIDENT, AT) == []
    [body] = hook.accepted
    assert body["text"].startswith("stock_assets: publish failed\njob: daily_prices")
    assert body["reference"].startswith(INCIDENT.reference)
    assert body["sessions"] == "2024-02-29 to 2024-03-04"


def test_a_failing_webhook_is_asked_again_and_its_address_is_told_to_nobody(
    backend: Backend, hook: WebhookServer
) -> None:
    notifier = Notifier(backend, [Webhook(hook.url)])
    hook.status = 503
    [why] = notifier.report(INCIDENT, AT)
    assert hook.posts == 3
    hook.status = 200
    assert notifier.catch_up(AT) == []
    assert len(hook.accepted) == 1
    hook.status = 404
    [lost] = notifier.resolve(INCIDENT.reference, AT, "over")
    assert "404" in lost
    for line in (why, lost):
        assert "T0P-SECRET" not in line


def test_a_webhook_that_is_gone_is_an_error_without_its_address() -> None:
    with webhook() as server:
        url = server.url
    with pytest.raises(AlertUndelivered) as caught:
        Webhook(url).send(INCIDENT.message(AT))
    assert "T0P-SECRET" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_topic_gets_subject_and_text(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        sns, sqs = (boto3.client(service, region_name="eu-west-1") for service in ("sns", "sqs"))
        arn = sns.create_topic(Name="alerts")["TopicArn"]
        queue = sqs.create_queue(QueueName="ears")["QueueUrl"]
        queue_arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue_arn)

        SnsTopic(arn).send(replace(INCIDENT, title="publish failed \u2013 " + "x" * 200).message(AT))

        [received] = sqs.receive_message(QueueUrl=queue)["Messages"]
        body = json.loads(received["Body"])
        assert len(body["Subject"]) == 100
        assert body["Subject"].startswith("publish failed ? xxx")
        assert "http://localhost:3000/runs/1" in body["Message"]
        assert json.loads(body["Message"].splitlines()[-1])["job"] == "daily_prices"

        with pytest.raises(AlertUndelivered, match="STOCK_ASSETS_ALERT_TOPIC_ARN"):
            SnsTopic(arn + "2").send(INCIDENT.message(AT))
