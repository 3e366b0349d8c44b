"""Notifications of a bucket about new landing files, from an SQS queue.

Belongs here: calls of SQS, and the keys in messages. Does not belong here: what a message means for a sensor
(`orchestration.sensors.landing_hints`).
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_plus

from stock_assets.backends.lakehouse.aws_session import AwsAccess, typed_errors

_PER_CALL = 10
"""Messages that SQS returns or deletes per call."""
_MOST_CALLS = 100
_WAIT_SECONDS = 1
"""Without a wait, SQS reads some of its servers only, and may return nothing although there are messages."""


@dataclass(frozen=True)
class Notifications:
    """Messages that were received and not deleted yet.

    Attributes:
        keys: keys of objects below the folder, relative to it; a message may name none.
        receipts: one per message, to delete it.
    """

    keys: tuple[str, ...]
    receipts: tuple[str, ...]


@dataclass(frozen=True)
class LandingQueue:
    """The queue of one bucket.

    Attributes:
        access: region, role and endpoint.
        url: address of the queue.
        folder: folder of the pipeline's data in the bucket, without a slash at its end.
    """

    access: AwsAccess
    url: str
    folder: str

    def receive(self) -> Notifications:
        """Receive the messages, up to a thousand; they stay in the queue until `delete`."""
        keys: dict[str, None] = {}
        receipts: list[str] = []
        for _ in range(_MOST_CALLS):
            with typed_errors(f"reading the queue {self.url}"):
                received = self.access.client("sqs").receive_message(
                    QueueUrl=self.url, MaxNumberOfMessages=_PER_CALL, WaitTimeSeconds=_WAIT_SECONDS
                )
            messages = received.get("Messages", [])
            if not messages:
                break
            for message in messages:
                receipts.append(message["ReceiptHandle"])
                keys |= dict.fromkeys(self._keys(message["Body"]))
        return Notifications(tuple(keys), tuple(receipts))

    def delete(self, receipts: Sequence[str]) -> None:
        """Delete messages; one that SQS does not delete is received again."""
        for start in range(0, len(receipts), _PER_CALL):
            entries = [
                {"Id": str(number), "ReceiptHandle": receipt}
                for number, receipt in enumerate(receipts[start : start + _PER_CALL])
            ]
            with typed_errors(f"deleting messages of the queue {self.url}"):
                self.access.client("sqs").delete_message_batch(QueueUrl=self.url, Entries=entries)

    def _keys(self, body: str) -> Iterator[str]:
        """Return the keys in a message; none if it is no notification of S3, such as S3's first test message."""
        try:
            records = json.loads(body)["Records"]
            keys = [unquote_plus(record["s3"]["object"]["key"]) for record in records]
        except (ValueError, KeyError, TypeError):
            return
        start = f"{self.folder}/" if self.folder else ""
        yield from (key.removeprefix(start) for key in keys if key.startswith(start))
