"""Every channel gets one message when an incident opens and one when it is resolved, whatever happens in between."""

import errno
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import boto3
import pytest

from stock_assets.alerts.channels import Channel, LogFile, SnsTopic, Webhook
from stock_assets.alerts.deduplication import Notifier
from stock_assets.alerts.incident import MAX_LINES, Message
from stock_assets.backends.interface import Backend
from stock_assets.core.errors import AlertUndelivered
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.emulators.athena.names import CREDENTIALS, REGION
from stock_assets_tests.fakes.channel import RecordingChannel
from stock_assets_tests.fakes.webhook import WebhookServer, webhook
from stock_assets_tests.support.incidents import AT, DAYS, INCIDENT


@pytest.fixture
def channel() -> RecordingChannel:
    return RecordingChannel()


@pytest.fixture
def notifier(backend: Backend, channel: RecordingChannel) -> Notifier:
    return Notifier(backend, [channel])


def test_an_incident_is_sent_once(notifier: Notifier, channel: RecordingChannel) -> None:
    for hour in range(3):
        assert notifier.notify(INCIDENT, AT + timedelta(hours=hour)) == []
    [message] = channel.sent
    assert message.text.splitlines() == [
        "stock_assets: publish failed",
        "job: daily_prices",
        "failed audits:",
        "  one",
        "  two",
        "http://localhost:3000/runs/1",
    ]
    assert message.fields["sessions"] == "2024-02-29 to 2024-03-04"


def test_kind_subject_and_sessions_identify_an_incident_and_its_facts_do_not() -> None:
    assert replace(INCIDENT, facts={"run": "2"}, title="x", link="").reference == INCIDENT.reference
    assert replace(INCIDENT, subject="raw").reference != INCIDENT.reference
    assert replace(INCIDENT, sessions=DAYS[:1]).reference != INCIDENT.reference


def test_a_resolution_is_sent_once_and_the_next_incident_is_new(notifier: Notifier, channel: RecordingChannel) -> None:
    notifier.notify(INCIDENT, AT)
    for _ in range(2):
        assert notifier.resolve(INCIDENT.reference, AT, "run 2 has succeeded") == []
    assert [message.title for message in channel.sent] == [INCIDENT.title, f"Resolved: {INCIDENT.title}"]
    assert notifier.open_incidents() == []

    notifier.notify(INCIDENT, AT + timedelta(days=1))
    assert len(channel.sent) == 3
    assert len({message.reference for message in channel.sent}) == 3


def test_success_of_the_same_steps_and_sessions_resolves_an_incident_also_in_parts(
    notifier: Notifier, channel: RecordingChannel
) -> None:
    notifier.notify(INCIDENT, AT)
    notifier.record_success(DAYS, {"staged"}, AT, "another step")
    notifier.record_success(DAYS[:2], {"publish"}, AT, "two of three")
    notifier.record_success(DAYS[:2], {"publish"}, AT, "the same two again")
    assert notifier.open_incidents() == [INCIDENT]
    notifier.record_success(DAYS[2:], {"publish", "views"}, AT, "the third")
    assert notifier.open_incidents() == []
    assert channel.sent[-1].text.endswith("the third")


def test_an_undelivered_message_is_sent_by_the_next_evaluation(notifier: Notifier, channel: RecordingChannel) -> None:
    channel.broken = True
    assert notifier.notify(INCIDENT, AT) == ["recorder: the channel is broken"]
    assert notifier.deliver_pending(AT) == ["recorder: the channel is broken"]
    channel.broken = False
    assert notifier.deliver_pending(AT) == []
    assert notifier.deliver_pending(AT) == []
    assert len(channel.sent) == 1

    channel.broken = True
    assert notifier.resolve(INCIDENT.reference, AT, "over") == ["recorder: the channel is broken"]
    channel.broken = False
    assert notifier.deliver_pending(AT) == []
    assert [message.title for message in channel.sent] == [INCIDENT.title, f"Resolved: {INCIDENT.title}"]
    assert notifier.open_incidents() == []


def test_a_failing_channel_does_not_cause_second_messages_on_the_others(
    backend: Backend, channel: RecordingChannel, tmp_path: Path
) -> None:
    notifier = Notifier(backend, [LogFile(tmp_path / "alerts.log"), channel])
    channel.broken = True
    for _ in range(3):
        notifier.notify(INCIDENT, AT)
    channel.broken = False
    notifier.deliver_pending(AT)
    assert (tmp_path / "alerts.log").read_text(encoding="utf-8").count(INCIDENT.title) == 1
    assert len(channel.sent) == 1


class Broken(Channel):
    """A channel that raises an error that no channel declares."""

    name = "broken"

    def send(self, message: Message) -> None:
        raise RuntimeError("https://hooks.example/T0P-SECRET")


def test_no_failure_of_a_channel_prevents_delivery_through_the_others(
    backend: Backend, channel: RecordingChannel, tmp_path: Path, hook: WebhookServer
) -> None:
    """The failing channels come first; later attempts use only the channels that failed."""
    hook.status = 404
    (tmp_path / "file").touch()
    a_folder, below_a_file = LogFile(tmp_path), LogFile(tmp_path / "file" / "alerts.log")
    channels = [Broken(), a_folder, below_a_file, Webhook(hook.url), channel]
    notifier = Notifier(backend, channels)
    steps = (partial(notifier.notify, INCIDENT, AT), partial(notifier.resolve, INCIDENT.reference, AT, "over"))
    for step in steps:
        undelivered = step()
        assert [line.partition(":")[0] for line in undelivered] == ["broken", "log", "log", "webhook"]
        assert "T0P-SECRET" not in "".join(undelivered)
        assert step() == undelivered
    assert [message.title for message in channel.sent] == [INCIDENT.title, f"Resolved: {INCIDENT.title}"]

    hook.status = 200
    assert Notifier(backend, [LogFile(tmp_path / "log"), Webhook(hook.url), channel]).deliver_pending(AT) == []
    assert len(channel.sent) == 2
    assert [body["title"] for body in hook.accepted] == [f"Resolved: {INCIDENT.title}"]


def test_the_log_file_accepts_invalid_bytes_and_texts_that_are_not_unicode(backend: Backend, tmp_path: Path) -> None:
    path = tmp_path / "alerts.log"
    path.write_bytes(b"\xff\n")
    notifier = Notifier(backend, [LogFile(path)])
    assert notifier.notify(replace(INCIDENT, facts={"error": "\udcff"}), AT) == []
    assert path.read_bytes().startswith(b"\xff\n2024-03-01 22:05:00 UTC [run-")
    assert rb"error: \udcff" in path.read_bytes()


UNREADABLE = [
    b"\xff",
    b"{",
    b"[]",
    b"{}",
    b'{"opened_at": "2024-03-01T22:05:00+00:00", "kind": "run", "subject": "x", "title": "x", "facts": "none"}',
    b'{"opened_at": "2024-03-01T22:05:00+00:00", "kind": "run", "subject": "another", "title": "x"}',
]


@pytest.mark.parametrize("note", UNREADABLE)
def test_an_unreadable_incident_does_not_prevent_notifications_of_the_others(
    backend: Backend, notifier: Notifier, channel: RecordingChannel, note: bytes
) -> None:
    other = replace(INCIDENT, subject="another, ununreadable")
    channel.broken = True
    notifier.notify(other, AT)
    channel.broken = False
    unreadable = f"alerts/open/{INCIDENT.reference}/incident.json"
    backend.objects.put(unreadable, note)

    [line] = notifier.deliver_pending(AT)

    [moved] = backend.objects.keys("alerts/unreadable/")
    assert line.startswith(f"{unreadable} ")
    assert line.endswith(f". It was moved to {moved}")
    assert backend.objects.get(moved) == note
    assert [message.title for message in channel.sent] == [
        "stock_assets: an open incident cannot be read; see the Dagster UI for what is wrong",
        other.title,
    ]
    assert line in channel.sent[0].text
    assert notifier.deliver_pending(AT) == []
    assert notifier.open_incidents() == [other]
    assert notifier.record_success(DAYS, {"publish"}, AT, "over") == []
    assert notifier.open_incidents() == []


def test_an_unreadable_incident_is_sent_again_when_it_happens_again(
    backend: Backend, notifier: Notifier, channel: RecordingChannel
) -> None:
    notifier.notify(INCIDENT, AT)
    unreadable = f"alerts/open/{INCIDENT.reference}/incident.json"
    backend.objects.delete(unreadable)
    backend.objects.put(unreadable, b"{")

    [line] = notifier.notify(INCIDENT, AT + timedelta(hours=1))

    assert "It was moved to alerts/unreadable/" in line
    assert len(channel.sent) == 2
    assert notifier.open_incidents() == [INCIDENT]
    backend.objects.delete(unreadable)
    backend.objects.put(unreadable, b"{")
    [line] = notifier.resolve(INCIDENT.reference, AT, "over")
    assert "It was moved to alerts/unreadable/" in line
    assert backend.objects.keys("alerts/open/") == []


def test_an_incident_that_cannot_be_opened_is_named_and_does_not_stop_the_others(
    tmp_path: Path, backend: Backend, notifier: Notifier, channel: RecordingChannel
) -> None:
    notifier.notify(INCIDENT, AT)
    path = tmp_path / "backend" / "alerts" / "open" / INCIDENT.reference / "incident.json"
    path.unlink()
    path.symlink_to(tmp_path)
    other = replace(INCIDENT, subject="another")

    assert notifier.notify(other, AT) == []
    [line] = notifier.notify(INCIDENT, AT)

    assert "cannot be read (Is a directory). It cannot be moved either" in line
    assert [message.title for message in channel.sent] == [INCIDENT.title, other.title]
    assert notifier.deliver_pending(AT) == []


def test_a_message_is_sent_once_also_if_nothing_can_be_stored(
    backend: Backend, channel: RecordingChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(type(backend.objects), "put", full)
        failures = [Notifier(backend, [channel]).notify(INCIDENT, AT + timedelta(minutes=at)) for at in range(3)]
    assert [len(lines) for lines in failures] == [2, 1, 1]
    assert all("No space left on device" in line for lines in failures for line in lines)
    assert [message.title for message in channel.sent] == [INCIDENT.title]

    notifier = Notifier(backend, [channel])
    notifier.resolve(INCIDENT.reference, AT, "over")
    assert notifier.notify(INCIDENT, AT) == []
    assert [message.title for message in channel.sent] == [INCIDENT.title] * 2


def test_a_process_killed_after_writing_the_log_file_does_not_write_twice(backend: Backend, tmp_path: Path) -> None:
    log = LogFile(tmp_path / "deep" / "alerts.log")
    Notifier(backend, [log]).notify(INCIDENT, AT)
    for key in backend.objects.keys("alerts/open/"):
        if key.endswith("opened-log"):
            backend.objects.delete(key)
    Notifier(backend, [log]).deliver_pending(AT + timedelta(hours=1))
    assert (tmp_path / "deep" / "alerts.log").read_text(encoding="utf-8").count(INCIDENT.title) == 1


def test_long_lists_are_shortened_in_messages_and_in_stored_incidents(
    notifier: Notifier, channel: RecordingChannel
) -> None:
    names = [f"S{number}" for number in range(10_000)]
    notifier.notify(replace(INCIDENT, facts={"symbols missing": names}), AT)
    lines = channel.sent[0].text.splitlines()
    assert lines[2:-1] == [*(f"  {name}" for name in names[: MAX_LINES - 1]), "  and 9,981 more"]
    assert len(notifier.backend.objects.get(f"alerts/open/{INCIDENT.reference}/incident.json")) < 1_000
    [stored] = notifier.open_incidents()
    # The next message is the same: what is short enough is not shortened again.
    assert stored.message(AT) == replace(INCIDENT, facts={"symbols missing": names}).message(AT)
    assert replace(INCIDENT, facts={"symbols missing": names[:MAX_LINES]}).facts == {
        "symbols missing": names[:MAX_LINES]
    }


@pytest.fixture
def hook() -> Iterator[WebhookServer]:
    with webhook() as server:
        yield server


def test_a_webhook_gets_text_and_fields(backend: Backend, hook: WebhookServer) -> None:
    assert Notifier(backend, [Webhook(hook.url)]).notify(INCIDENT, AT) == []
    [body] = hook.accepted
    assert body["text"].startswith("stock_assets: publish failed\njob: daily_prices")
    assert body["reference"].startswith(INCIDENT.reference)
    assert body["sessions"] == "2024-02-29 to 2024-03-04"


def test_a_failing_webhook_is_retried_and_its_url_is_not_shown(backend: Backend, hook: WebhookServer) -> None:
    notifier = Notifier(backend, [Webhook(hook.url)])
    hook.status = 503
    [why] = notifier.notify(INCIDENT, AT)
    assert hook.posts == 3
    hook.status = 200
    assert notifier.deliver_pending(AT) == []
    assert len(hook.accepted) == 1
    hook.status = 404
    [lost] = notifier.resolve(INCIDENT.reference, AT, "over")
    assert "404" in lost
    for line in (why, lost):
        assert "T0P-SECRET" not in line


def test_an_unreachable_webhook_is_an_error_without_its_url() -> None:
    with webhook() as server:
        url = server.url
    with pytest.raises(AlertUndelivered) as caught:
        Webhook(url).send(INCIDENT.message(AT))
    assert "T0P-SECRET" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_topic_gets_subject_and_text(aws: AwsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    sns, sqs = (boto3.client(service, region_name=REGION, endpoint_url=aws.endpoint) for service in ("sns", "sqs"))
    arn = sns.create_topic(Name="alerts")["TopicArn"]
    queue = sqs.create_queue(QueueName="alerts")["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue_arn)

    SnsTopic(arn, endpoint_url=aws.endpoint).send(
        replace(INCIDENT, title="publish failed \u2013 " + "x" * 200).message(AT)
    )

    [received] = sqs.receive_message(QueueUrl=queue)["Messages"]
    body = json.loads(received["Body"])
    assert len(body["Subject"]) == 100
    assert body["Subject"].startswith("publish failed ? xxx")
    assert "http://localhost:3000/runs/1" in body["Message"]
    assert json.loads(body["Message"].splitlines()[-1])["job"] == "daily_prices"

    with pytest.raises(AlertUndelivered, match="STOCK_ASSETS_ALERT_TOPIC_ARN"):
        SnsTopic(arn + "2", endpoint_url=aws.endpoint).send(INCIDENT.message(AT))
