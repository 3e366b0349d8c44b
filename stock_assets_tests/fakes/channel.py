"""A channel for messages that keeps what it is told."""

from stock_assets.alerts.channels import Channel
from stock_assets.alerts.incident import Message
from stock_assets.core.errors import AlertUndelivered


class RecordingChannel(Channel):
    """Hears everything, or refuses while it is deaf."""

    name = "ear"

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.deaf = False

    def send(self, message: Message) -> None:
        if self.deaf:
            raise AlertUndelivered("nobody listens")
        self.heard.append(message)
