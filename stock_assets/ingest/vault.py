"""The API key in AWS Secrets Manager, read when a run asks for prices.

Belongs here: reading it. Does not belong here: sending it, or keeping it out of what is written (`secret`).
"""

import json
from functools import cached_property
from typing import Any

from dagster_aws.secretsmanager import SecretsManagerResource

from stock_assets.homes.aws.access import AwsAccess, typed_errors
from stock_assets.ingest.alpha_vantage import AlphaVantageSource
from stock_assets.ingest.plans import API_KEY_VARIABLE


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
        """Ask for the secret; nothing of it is in an error."""
        with typed_errors(f"reading the secret {self.secret_id}"):
            text = str(self.get_client().get_secret_value(SecretId=self.secret_id)["SecretString"]).strip()
        if not text.startswith("{"):
            return text
        return str(json.loads(text).get(API_KEY_VARIABLE, ""))


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
