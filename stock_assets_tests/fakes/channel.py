"""A fake alert channel that records the messages."""

from stock_assets.alerts.channels import Channel
from stock_assets.alerts.incident import Message
from stock_assets.core.errors import AlertUndelivered


class RecordingChannel(Channel):
    """Records every message, or fails while `broken` is set."""

    name = "recorder"

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.broken = False

    def send(self, message: Message) -> None:
        if self.broken:
            raise AlertUndelivered("the channel is broken")
        self.sent.append(message)
