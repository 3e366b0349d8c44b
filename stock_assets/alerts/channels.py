"""The channels that deliver messages: a log file, a webhook, an SNS topic, services of the library apprise.

Belongs here: delivering one message. Does not belong here: remembering which messages were delivered
(`deduplication`), or their content (`incident`).

Channels import the libraries that send messages when they are needed: every load imports this module, and sends none.
"""

import json
import logging
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from stock_assets.alerts.incident import Message
from stock_assets.core.errors import AlertUndelivered, MissingLibrary, StockAssetsError

_TIMEOUT_SECONDS = (5.0, 10.0)
_SUBJECT_LENGTH = 100
"""Number of characters that SNS accepts in a subject; only ASCII is allowed."""
_LOGS_WITH_ADDRESSES = ("apprise", "urllib3.connectionpool", "urllib3.util.retry")
"""Loggers of libraries that write the addresses of requests, which are secrets."""
_hidden: ContextVar[list[logging.LogRecord] | None] = ContextVar("hidden", default=None)
"""Records of these loggers that are hidden now; apprise sends in threads, which copy the context."""
_HTTP_STATUS = re.compile(r"\berror=(\d{3})\b")


class Channel(ABC):
    """A destination of messages."""

    name: str
    """Short and stable: the stored records of deliveries contain this name."""

    @abstractmethod
    def send(self, message: Message) -> None:
        """Deliver one message.

        Raises:
            AlertUndelivered: the message was not delivered; it may be sent again. The error contains no secret.
        """


class ChannelOfUniverse(Channel):
    """A channel that several universes share: each message begins with the name of its universe."""

    def __init__(self, channel: Channel, universe: str) -> None:
        self.name = channel.name
        self._channel, self._universe = channel, universe

    def send(self, message: Message) -> None:
        """Deliver the message with the name; its reference too is unique among the universes."""
        self._channel.send(
            replace(
                message,
                reference=f"{self._universe}-{message.reference}",
                title=f"{self._universe}: {message.title}",
                text=f"{self._universe}: {message.text}",
                fields={"universe": self._universe, **message.fields},
            )
        )


def try_to_send(channel: Channel, message: Message) -> str:
    """Deliver a message; return the reason if that failed, otherwise an empty text. No error of a channel is raised."""
    try:
        channel.send(message)
    except StockAssetsError as error:
        return f"{channel.name}: {error}"
    except Exception as error:  # noqa: BLE001 (any error of one channel must not stop the others)
        # The error's text is not shown: it may contain the channel's URL, which is a secret.
        return f"{channel.name}: unexpected error {type(error).__name__}"
    return ""


class LogFile(Channel):
    """A text file with one block per message; a message that the file already contains is not written again."""

    name = "log"

    def __init__(self, path: Path) -> None:
        self._path = path

    def send(self, message: Message) -> None:
        """Append the block in one write; handle the file as bytes, since other programs may write anything to it."""
        mark = f"[{message.reference}]"
        block = f"{message.sent_at:%Y-%m-%d %H:%M:%S} UTC {mark}\n{message.text}\n\n"
        try:
            if self._path.exists() and mark.encode() in self._path.read_bytes():
                return
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                file.write(block.encode(errors="backslashreplace"))
        except OSError as error:
            raise AlertUndelivered(
                f"{self._path} cannot be written ({error.strerror}); check its permissions and the free disk space"
            ) from error


class Webhook(Channel):
    """A URL that accepts JSON with a field `text`, as Slack, Mattermost and many others do."""

    name = "webhook"

    def __init__(self, url: str) -> None:
        self._url = url

    def send(self, message: Message) -> None:
        """Post the message; retry after a pause if the server fails."""
        import requests  # noqa: PLC0415 (slow, see above)
        from requests.adapters import HTTPAdapter  # noqa: PLC0415 (as above)
        from urllib3.util import Retry  # noqa: PLC0415 (as above)

        body = {"text": message.text, "title": message.title, "reference": message.reference, **message.fields}
        with _secret_addresses(), requests.Session() as session:
            retry = Retry(total=2, backoff_factor=0.2, status_forcelist=range(500, 600), allowed_methods=["POST"])
            session.mount("https://", HTTPAdapter(max_retries=retry))
            session.mount("http://", HTTPAdapter(max_retries=retry))
            try:
                response = session.post(self._url, json=body, timeout=_TIMEOUT_SECONDS)
            except requests.RequestException as error:
                # The text of the error, and its causes, contain the URL, which is a secret.
                raise AlertUndelivered(
                    f"the webhook cannot be reached ({type(error).__name__}); check STOCK_ASSETS_ALERT_WEBHOOK_URL"
                ) from None
        if not response.ok:
            raise AlertUndelivered(
                f"the webhook returned status {response.status_code}; check STOCK_ASSETS_ALERT_WEBHOOK_URL"
            )


class SnsTopic(Channel):
    """An SNS topic, reached like the aws backend: with the same role, if one is set."""

    name = "sns"

    def __init__(self, arn: str, *, role_arn: str = "", endpoint_url: str = "") -> None:
        from stock_assets.backends.lakehouse.aws_session import AwsAccess  # noqa: PLC0415 (as above)

        self._arn = arn
        self._access = AwsAccess(region=arn.split(":")[3], role_arn=role_arn, endpoint_url=endpoint_url)

    def send(self, message: Message) -> None:
        """Publish the text, followed by the fields as JSON."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 (as above)

        subject = message.title.encode("ascii", "replace").decode().replace("\n", " ")[:_SUBJECT_LENGTH]
        text = f"{message.text}\n\n{json.dumps({'reference': message.reference, **message.fields}, default=str)}"
        try:
            self._access.client("sns").publish(TopicArn=self._arn, Subject=subject, Message=text)
        except (BotoCoreError, ClientError) as error:
            raise AlertUndelivered(f"SNS topic {self._arn}: {error}; check STOCK_ASSETS_ALERT_TOPIC_ARN") from error


class AppriseService(Channel):
    """A service of the library apprise: Slack, Teams, e-mail, PagerDuty, Telegram and others, described by one URL."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self._url = url

    def send(self, message: Message) -> None:
        """Send title and text; log nothing, since apprise and the libraries below it log parts of the URL."""
        from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType  # noqa: PLC0415 (as above)

        kind = NotifyType.SUCCESS if message.reference.endswith("-resolved") else NotifyType.WARNING
        text = message.text.removeprefix(message.title).lstrip("\n") or message.title
        with _secret_addresses() as log:
            # Without a storage path, apprise writes nothing to the disk.
            services = Apprise(asset=AppriseAsset(async_mode=False))
            if not services.add(self._url):
                raise AlertUndelivered(
                    "apprise does not accept the URL; compare it with the format of the service on "
                    "https://appriseit.com/services, and correct STOCK_ASSETS_ALERT_URLS"
                )
            sent = services.notify(text, title=message.title, notify_type=kind, body_format=NotifyFormat.TEXT)
        if not sent:
            status = [found[1] for record in log if (found := _HTTP_STATUS.search(record.getMessage()))]
            why = f"returned status {status[-1]}" if status else "cannot be reached, or rejects the message"
            raise AlertUndelivered(
                f"the service {why}; check STOCK_ASSETS_ALERT_URLS. Details: apprise -vvv --body=test URL"
            )


def apprise_services(urls: Sequence[str]) -> list[AppriseService]:
    """Return one channel per URL, named by its scheme and its number among the URLs of this scheme.

    Raises:
        MissingLibrary: apprise is not installed.
    """
    if urls and find_spec("apprise") is None:
        raise MissingLibrary(
            "STOCK_ASSETS_ALERT_URLS is set, but the library apprise is not installed: pip install "
            "'stock-assets[alerts]', or unset it."
        )
    channels, seen = [], Counter[str]()
    for url in urls:
        scheme = url.partition("://")[0].lower()
        seen[scheme] += 1
        channels.append(AppriseService(f"apprise-{scheme}-{seen[scheme]}", url))
    return channels


@contextmanager
def _secret_addresses() -> Iterator[list[logging.LogRecord]]:
    """Hide the log records of this context that may contain an address, and return them instead."""
    for name in _LOGS_WITH_ADDRESSES:
        logging.getLogger(name).addFilter(_is_shown)
    records: list[logging.LogRecord] = []
    token = _hidden.set(records)
    try:
        yield records
    finally:
        _hidden.reset(token)


def _is_shown(record: logging.LogRecord) -> bool:
    records = _hidden.get()
    if records is None:
        return True
    records.append(record)
    return False
