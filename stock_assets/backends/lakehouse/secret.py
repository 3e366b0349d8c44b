"""Read an API key from AWS Secrets Manager, when a request needs it.

Belongs here: reading the secret. Does not belong here: sending the key, or keeping it out of texts
(`sources`).
"""

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from botocore.exceptions import ClientError

from stock_assets.backends.lakehouse.aws_session import AwsAccess, error_code, typed_errors
from stock_assets.core.errors import SettingsError


@dataclass(frozen=True)
class SecretsManagerKey:
    """One secret: the key itself, or a JSON object with the key under a name.

    Attributes:
        access: region, role and endpoint of the calls of AWS.
        secret_id: name or ARN.
        name: name of the key in a JSON object.
    """

    access: AwsAccess
    secret_id: str
    name: str

    def read(self) -> str:
        """Return the key; no part of the secret gets into an error or a log.

        Raises:
            SettingsError: the secret does not exist, or contains no key.
            AccessRefused: the credentials do not allow reading the secret.
        """
        with typed_errors(f"reading the secret {self.secret_id}"), _unlogged():
            try:
                response = self.access.client("secretsmanager").get_secret_value(SecretId=self.secret_id)
            except ClientError as error:
                if error_code(error) != "ResourceNotFoundException":
                    raise
                raise SettingsError(
                    f"There is no secret {self.secret_id} in {self.access.region}. "
                    "Create it, or correct STOCK_ASSETS_AWS_API_KEY_SECRET."
                ) from error
        key = _key_in(str(response.get("SecretString", "")).strip(), self.name)
        if not key:
            raise SettingsError(
                f"The secret {self.secret_id} contains no API key. Set its text to the key, "
                f"or to a JSON object with {self.name}."
            )
        return key


def _key_in(text: str, name: str) -> str:
    if not text.startswith("{"):
        return text
    try:
        key = json.loads(text).get(name)
    except ValueError:
        # The error contains the whole text, so it is dropped.
        return ""
    return key.strip() if isinstance(key, str) else ""


@contextmanager
def _unlogged() -> Iterator[None]:
    """Suppress botocore's log of the response, which it writes at the level DEBUG."""
    logger, thread = logging.getLogger("botocore.parsers"), threading.get_ident()

    def is_of_another_thread(record: logging.LogRecord) -> bool:
        return record.thread != thread

    logger.addFilter(is_of_another_thread)
    try:
        yield
    finally:
        logger.removeFilter(is_of_another_thread)
