"""Where messages go: a log file, a webhook, an SNS topic.

Belongs here: delivering one message. Does not belong here: whether it has been delivered before (`notifier`), or what is
in it (`incident`).
"""

import json
from abc import ABC, abstractmethod
from pathlib import Path

import requests
from botocore.exceptions import BotoCoreError, ClientError
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from stock_assets.alerts.incident import Message
from stock_assets.backends.lakehouse.aws_session import AwsAccess
from stock_assets.core.errors import AlertUndelivered

_TIMEOUT_SECONDS = (5.0, 10.0)
_SUBJECT_LENGTH = 100
"""Characters that SNS takes in a subject; ASCII only."""


class Channel(ABC):
    """One place that messages go to."""

    name: str
    """Short, stable, for notes of what was delivered."""

    @abstractmethod
    def send(self, message: Message) -> None:
        """Deliver one message.

        Raises:
            AlertUndelivered: it did not get there; it may be sent again. The error holds no secret.
        """


class LogFile(Channel):
    """One text file, a block per message; one that stands there already is not written again."""

    name = "log"

    def __init__(self, path: Path) -> None:
        self._path = path

    def send(self, message: Message) -> None:
        """Append the block in one write; the file is bytes to us, since others may have written anything into it."""
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
    """An address that takes JSON with a `text`, as Slack, Mattermost and many others do."""

    name = "webhook"

    def __init__(self, url: str) -> None:
        self._url = url

    def send(self, message: Message) -> None:
        """Post it; again after a pause if the other side fails."""
        body = {"text": message.text, "title": message.title, "reference": message.reference, **message.fields}
        with requests.Session() as session:
            retry = Retry(total=2, backoff_factor=0.2, status_forcelist=range(500, 600), allowed_methods=["POST"])
            session.mount("https://", HTTPAdapter(max_retries=retry))
            session.mount("http://", HTTPAdapter(max_retries=retry))
            try:
                answer = session.post(self._url, json=body, timeout=_TIMEOUT_SECONDS)
            except requests.RequestException as error:
                # The text of the error, and its causes, hold the address, which is a secret.
                raise AlertUndelivered(f"the webhook does not answer ({type(error).__name__})") from None
        if not answer.ok:
            raise AlertUndelivered(f"the webhook answered {answer.status_code}; check STOCK_ASSETS_ALERT_WEBHOOK_URL")


class SnsTopic(Channel):
    """An SNS topic, reached as the aws backend is: with the same role, if there is one."""

    name = "sns"

    def __init__(self, arn: str, *, role_arn: str = "", endpoint_url: str = "") -> None:
        self._arn = arn
        self._access = AwsAccess(region=arn.split(":")[3], role_arn=role_arn, endpoint_url=endpoint_url)

    def send(self, message: Message) -> None:
        """Publish the text, with the fields as JSON beneath it."""
        subject = message.title.encode("ascii", "replace").decode().replace("\n", " ")[:_SUBJECT_LENGTH]
        text = f"{message.text}\n\n{json.dumps({'reference': message.reference, **message.fields}, default=str)}"
        try:
            self._access.client("sns").publish(TopicArn=self._arn, Subject=subject, Message=text)
        except (BotoCoreError, ClientError) as error:
            raise AlertUndelivered(f"SNS topic {self._arn}: {error}; check STOCK_ASSETS_ALERT_TOPIC_ARN") from error
