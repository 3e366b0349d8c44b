"""A process lists the open incidents once, and sees what another process has written when it matters."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from stock_assets.alerts.deduplication import Notifier
from stock_assets.backends.lakehouse.backend import LakehouseBackend
from stock_assets.backends.lakehouse.objects import BucketFolder
from stock_assets.backends.lakehouse.remembered_objects import REMEMBERED_FOR_SECONDS, RememberedObjects
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.fakes.channel import RecordingChannel
from stock_assets_tests.support.athena_backends import BUCKET, athena_backend
from stock_assets_tests.support.incidents import AT, INCIDENT


@pytest.fixture
def process(tmp_path: Path, aws: AwsEmulator) -> LakehouseBackend:
    return athena_backend(aws.endpoint, tmp_path)


def _requests(aws: AwsEmulator) -> int:
    found = sum(call.service == "s3" for call in aws.calls)
    aws.calls.clear()
    return found


def test_open_incidents_are_listed_and_read_once(process: LakehouseBackend, aws: AwsEmulator) -> None:
    Notifier(replace(process), []).notify(INCIDENT, AT)
    notifier = Notifier(process, [])
    assert notifier.open_incidents() == [INCIDENT]
    _requests(aws)
    for _ in range(3):
        assert notifier.open_incidents() == [INCIDENT]
        assert notifier.deliver_pending(AT) == []
        assert notifier.resolve("freshness-unknown", AT, "it is fresh") == []
    assert _requests(aws) == 0


def test_its_own_writes_are_remembered(process: LakehouseBackend, aws: AwsEmulator) -> None:
    notifier, channel = Notifier(process, []), RecordingChannel()
    assert notifier.open_incidents() == []
    notifier.notify(INCIDENT, AT)
    assert notifier.open_incidents() == [INCIDENT]
    assert Notifier(process, [channel]).deliver_pending(AT) == []
    assert len(channel.sent) == 1
    _requests(aws)
    assert Notifier(process, [channel]).deliver_pending(AT) == []
    assert (len(channel.sent), _requests(aws)) == (1, 0)
    notifier.resolve(INCIDENT.reference, AT, "run 2 has succeeded")
    assert notifier.open_incidents() == []
    assert process.objects.keys("alerts/open/") == replace(process).objects.keys("alerts/open/") == []


def test_an_incident_that_another_process_has_just_opened_is_sent_once(process: LakehouseBackend) -> None:
    notifier = Notifier(process, [channel := RecordingChannel()])
    assert notifier.open_incidents() == []
    Notifier(replace(process), [channel]).notify(INCIDENT, AT)
    assert notifier.notify(INCIDENT, AT + timedelta(minutes=1)) == []
    assert len(channel.sent) == 1
    # The next message refers to the timestamp at which the other process opened the incident.
    notifier.resolve(INCIDENT.reference, AT + timedelta(hours=1), "run 2 has succeeded")
    assert channel.sent[1].reference == f"{channel.sent[0].reference}-resolved"


def test_incidents_are_listed_again_after_a_while(process: LakehouseBackend) -> None:
    clock = [0.0]
    folder = BucketFolder(BUCKET, process.prefix)
    objects = RememberedObjects(process.access, folder, clock=lambda: clock[0])
    other = Notifier(process, [])
    assert objects.keys("alerts/open/") == []
    other.notify(INCIDENT, AT)
    clock[0] = REMEMBERED_FOR_SECONDS - 1
    assert objects.keys("alerts/open/") == []
    clock[0] = REMEMBERED_FOR_SECONDS
    [key] = objects.keys("alerts/open/")
    assert objects.get(key) == process.objects.get(key)
    other.resolve(INCIDENT.reference, AT, "run 2 has succeeded")
    clock[0] = 2 * REMEMBERED_FOR_SECONDS
    with pytest.raises(KeyError):
        objects.get(key)


def test_a_write_that_returns_the_etag_is_remembered_too(process: LakehouseBackend, aws: AwsEmulator) -> None:
    objects = process.objects
    assert isinstance(objects, RememberedObjects)
    assert objects.keys("alerts/open/") == []
    etag = objects.put_version("alerts/open/a/incident.json", b"body", etag=None)
    _requests(aws)
    assert objects.keys("alerts/open/") == ["alerts/open/a/incident.json"]
    assert _requests(aws) == 0
    assert objects.get_version("alerts/open/a/incident.json") == (b"body", etag)


def test_a_write_whose_end_is_not_known_is_looked_up(
    process: LakehouseBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    notifier = Notifier(process, [])
    assert notifier.open_incidents() == []
    stored = RememberedObjects.__mro__[1].put_version  # type: ignore[attr-defined]  # the method that writes

    def lost(*arguments: object, **more: object) -> bool:
        stored(*arguments, **more)
        raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr(RememberedObjects.__mro__[1], "put_version", lost)
        [problem] = notifier.notify(INCIDENT, AT)
        assert "cannot be stored" in problem
    assert notifier.open_incidents() == [INCIDENT]
