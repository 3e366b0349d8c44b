"""The API key in AWS Secrets Manager, read when a run asks for prices.

Belongs here: reading it. Does not belong here: sending it, or keeping it out of what is written (`secret`).
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
from stock_assets.sources.plans import API_KEY_VARIABLE


@dataclass(frozen=True)
class SecretsManagerKey:
    """One secret: the key itself, or a JSON object with the key under the name of the environment variable.

    Attributes:
        access: where and as whom AWS is called.
        secret_id: name or ARN.
    """

    access: AwsAccess
    secret_id: str

    def read(self) -> str:
        """Ask for the secret; nothing of it is in an error, or in a log.

        Raises:
            SettingsError: there is no such secret, or no key in it.
            AccessRefused: it may not be read.
        """
        with typed_errors(f"reading the secret {self.secret_id}"), _unlogged():
            try:
                answer = self.access.client("secretsmanager").get_secret_value(SecretId=self.secret_id)
            except ClientError as error:
                if error_code(error) != "ResourceNotFoundException":
                    raise
                raise SettingsError(
                    f"there is no secret {self.secret_id} in {self.access.region}; "
                    "create it, or mend STOCK_ASSETS_AWS_API_KEY_SECRET"
                ) from error
        key = _key_in(str(answer.get("SecretString", "")).strip())
        if not key:
            raise SettingsError(
                f"the secret {self.secret_id} holds no key: its text is to be the key, "
                f"or a JSON object with {API_KEY_VARIABLE}"
            )
        return key


def _key_in(text: str) -> str:
    if not text.startswith("{"):
        return text
    try:
        key = json.loads(text).get(API_KEY_VARIABLE)
    except ValueError:
        # The error holds the whole text.
        return ""
    return key.strip() if isinstance(key, str) else ""


@contextmanager
def _unlogged() -> Iterator[None]:
    """Keep botocore from logging what is answered, as it does at the level DEBUG."""
    logger, thread = logging.getLogger("botocore.parsers"), threading.get_ident()

    def is_of_others(record: logging.LogRecord) -> bool:
        return record.thread != thread

    logger.addFilter(is_of_others)
    try:
        yield
    finally:
        logger.removeFilter(is_of_others)
