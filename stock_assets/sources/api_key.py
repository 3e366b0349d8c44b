"""The API key in AWS Secrets Manager, read when a run asks for prices.

Belongs here: reading it. Does not belong here: sending it, or keeping it out of what is written (`secret`).
"""

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from botocore.exceptions import ClientError
from dagster_aws.secretsmanager import SecretsManagerResource

from stock_assets.backends.lakehouse.aws_session import AwsAccess, code_of, typed_errors
from stock_assets.core.errors import SettingsError
from stock_assets.sources.alpha_vantage import AlphaVantageSource
from stock_assets.sources.plans import API_KEY_VARIABLE


class SecretsManagerKey(SecretsManagerResource):
    """One secret: the key itself, or a JSON object with the key under the name of the environment variable.

    Attributes:
        secret_id: name or ARN.
        role_arn: role to assume; empty for none.
    """

    secret_id: str
    role_arn: str = ""

    def get_client(self) -> Any:  # noqa: ANN401 (boto3 makes its clients' classes at run time)
        """Give the client that every other service gets too, the role included."""
        access = AwsAccess(region=self.region_name or "", role_arn=self.role_arn, endpoint_url=self.endpoint_url or "")
        return access.client("secretsmanager")

    def read(self) -> str:
        """Ask for the secret; nothing of it is in an error, or in a log.

        Raises:
            SettingsError: there is no such secret, or no key in it.
            AccessRefused: it may not be read.
        """
        with typed_errors(f"reading the secret {self.secret_id}"), _unlogged():
            try:
                answer = self.get_client().get_secret_value(SecretId=self.secret_id)
            except ClientError as error:
                if code_of(error) != "ResourceNotFoundException":
                    raise
                raise SettingsError(
                    f"there is no secret {self.secret_id} in {self.region_name}; "
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


class AlphaVantageWithSecret(AlphaVantageSource):
    """The live source, with its key from a secret.

    Attributes:
        vault: where the key is.
    """

    vault: SecretsManagerKey

    def _key(self) -> str:
        return self._from_vault

    @cached_property
    def _from_vault(self) -> str:
        return self.vault.read()
