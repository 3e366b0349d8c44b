"""Alerts through apprise, on a real HTTP server; no URL is in an error, a log or a setting's text."""

import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from stock_assets.alerts.channels import AppriseService, Webhook, apprise_services
from stock_assets.alerts.deduplication import Notifier
from stock_assets.backends.interface import Backend
from stock_assets.core.errors import AlertUndelivered, MissingLibrary, SettingsError
from stock_assets.pipeline.services import alert_channels
from stock_assets.settings import BackendName, Settings
from stock_assets_tests.fakes.webhook import WebhookServer, webhook
from stock_assets_tests.support.incidents import AT, INCIDENT
from stock_assets_tests.support.shell import Shell

SECRET = "T0P-SECRET"  # noqa: S105 (a part of the address of the fake server)
MESSAGE = INCIDENT.message(AT)


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebhookServer]:
    # apprise waits for 4 s; the server is in this process, and a busy machine may stop the process for longer.
    monkeypatch.setattr("apprise.url.URLBase.socket_read_timeout", 60.0)
    with webhook() as server:
        yield server


def json_url(server: WebhookServer) -> str:
    """Return the address of the server as a URL of apprise."""
    return server.url.replace("http://", "json://")


def test_a_service_receives_title_text_and_state(backend: Backend, hook: WebhookServer) -> None:
    notifier = Notifier(backend, apprise_services([json_url(hook)]))
    assert notifier.notify(INCIDENT, AT) == []
    assert notifier.resolve(INCIDENT.reference, AT, "run 2 has succeeded") == []
    opened, resolved = hook.accepted
    assert opened["title"] == "stock_assets: publish failed"
    assert opened["message"].startswith("job: daily_prices\nfailed audits:\n  one\n  two\nhttp://localhost:3000/runs/1")
    assert (resolved["title"], resolved["message"]) == (
        "Resolved: stock_assets: publish failed",
        "run 2 has succeeded",
    )
    assert [opened["type"], resolved["type"]] == ["warning", "success"]


def test_a_failing_service_does_not_prevent_the_others_and_gets_the_alert_later(
    backend: Backend, hook: WebhookServer
) -> None:
    with webhook() as other:
        notifier = Notifier(backend, apprise_services([json_url(hook), json_url(other)]))
        hook.status = 404
        [failed] = notifier.notify(INCIDENT, AT)
        assert failed.startswith("apprise-json-1: the service returned status 404; check STOCK_ASSETS_ALERT_URLS")
        hook.status = 200
        assert notifier.deliver_pending(AT) == []
        assert (len(hook.accepted), len(other.accepted)) == (1, 1)


def unreachable() -> str:
    """Return the address of a server that has ended."""
    with webhook() as server:
        return server.url


@pytest.mark.parametrize("channel", ["apprise", "webhook"])
def test_no_address_is_logged_or_in_an_error(
    hook: WebhookServer, caplog: pytest.LogCaptureFixture, channel: str
) -> None:
    hook.status = 404
    with caplog.at_level(logging.DEBUG):
        for url in (hook.url, unreachable()):
            made = Webhook(url) if channel == "webhook" else AppriseService(channel, url.replace("http:", "json:"))
            with pytest.raises(AlertUndelivered) as caught:
                made.send(MESSAGE)
            assert SECRET not in str(caught.value)
            assert caught.value.__cause__ is None
        # A later request of the same libraries, and one of another thread at the same time, are logged again.
        logging.getLogger("urllib3.connectionpool").debug("later")
    assert SECRET not in caplog.text
    assert "later" in caplog.text


def test_other_threads_keep_their_logs(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    def reply(*_: object) -> bool:
        other = threading.Thread(target=logging.getLogger("apprise").warning, args=("of another thread",))
        other.start()
        other.join()
        return False

    monkeypatch.setattr("apprise.Apprise.notify", lambda *_, **__: reply())
    with pytest.raises(AlertUndelivered):
        AppriseService("x", "json://localhost/x").send(MESSAGE)
    assert "of another thread" in caplog.text


def test_a_url_that_apprise_rejects_is_an_error_without_the_url(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(AlertUndelivered, match="apprise does not accept the URL") as caught:
        AppriseService("x", f"slack://{SECRET}").send(MESSAGE)
    assert SECRET not in str(caught.value) + caplog.text


def test_urls_are_a_secret_and_separated_by_blanks(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, alert_urls=f"json://a/{SECRET}\n slack://b,c json://d")
    assert [channel.name for channel in alert_channels(settings)] == [
        "log",
        "apprise-json-1",
        "apprise-slack-1",
        "apprise-json-2",
    ]
    assert SECRET not in repr(settings) + str(settings) + settings.model_dump_json()


def test_on_aws_no_channel_writes_below_the_local_root(tmp_path: Path, backend: Backend, hook: WebhookServer) -> None:
    root = tmp_path / "data"
    settings = Settings(
        data_dir=root,
        backend=BackendName.AWS,
        aws_bucket="a-bucket",
        aws_region="eu-central-1",
        alert_webhook_url=SecretStr(hook.url),
    )
    channels = alert_channels(settings)
    assert [channel.name for channel in channels] == ["webhook"]

    assert Notifier(backend, channels).notify(INCIDENT, AT) == []

    assert len(hook.accepted) == 1
    assert not root.exists()


def test_a_url_without_a_scheme_is_named_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOCK_ASSETS_ALERT_URLS", f"json://a {SECRET}")
    with pytest.raises(SettingsError, match=r"STOCK_ASSETS_ALERT_URLS: .*URL 2 has no scheme") as caught:
        Settings.from_env()
    assert SECRET not in str(caught.value)


def test_a_missing_library_is_an_error_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    assert [channel.name for channel in alert_channels(Settings(data_dir=tmp_path))] == ["log"]
    with pytest.raises(MissingLibrary, match=r"pip install 'stock-assets\[alerts\]'"):
        alert_channels(Settings(data_dir=tmp_path, alert_urls="json://a"))


def test_alert_test_prints_the_result_of_each_channel(tmp_path: Path, hook: WebhookServer) -> None:
    settings = {
        "STOCK_ASSETS_ALERT_URLS": json_url(hook),
        "STOCK_ASSETS_UI_URL": "https://dagster.example/stocks",
    }
    failing = Shell(tmp_path, STOCK_ASSETS_ALERT_WEBHOOK_URL=unreachable(), **settings)
    out = failing.run_main("alert-test", code=1)
    assert out.stdout.splitlines() == ["log: sent", "apprise-json-1: sent"]
    assert out.stderr.startswith("webhook: the webhook cannot be reached")
    assert "1 channel of 3 did not receive the alert." in out.stderr
    assert SECRET not in out.stdout + out.stderr
    [message] = hook.accepted
    assert "https://dagster.example/stocks" in message["message"]

    shell = Shell(tmp_path, **settings)
    assert shell.run_main("alert-test").stderr == ""
    assert (shell.settings.root / "alerts.log").read_text().count("stock_assets: test alert") == 2
    assert list(shell.settings.root.iterdir()) == [shell.settings.root / "alerts.log"], "no incident is stored"


def test_alert_test_without_a_channel_names_the_settings(tmp_path: Path) -> None:
    bucket = {"BACKEND": "aws", "AWS_BUCKET": "a-bucket", "AWS_REGION": "eu-central-1"}
    settings = {f"STOCK_ASSETS_{name}": value for name, value in bucket.items()}
    assert "set STOCK_ASSETS_ALERT_URLS" in Shell(tmp_path, **settings).run_main("alert-test", code=1).stderr
