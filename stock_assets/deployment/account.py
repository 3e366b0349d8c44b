"""The API key in its secret, and who receives alerts.

Belongs here: calls of Secrets Manager and SNS. Does not belong here: reading the key from a person (`cli.aws`).
"""

from collections.abc import Callable

from stock_assets.backends.lakehouse.aws_session import AwsAccess, typed_errors
from stock_assets.core.errors import DeploymentFailed

_NOT_CONFIRMED = "PendingConfirmation"


def has_key(access: AwsAccess, secret: str) -> bool:
    """Return whether a secret has a value; the value is not read."""
    with typed_errors(f"reading the state of the secret {secret}"):
        stages = access.client("secretsmanager").describe_secret(SecretId=secret).get("VersionIdsToStages") or {}
    return any("AWSCURRENT" in names for names in stages.values())


def store_key(access: AwsAccess, secret: str, read: Callable[[], str]) -> None:
    """Read the API key and put it into a secret.

    Raises:
        DeploymentFailed: no key was entered, or it is no key.
    """
    key = read().strip()
    if not key or any(character.isspace() or not character.isprintable() for character in key):
        # The text is not repeated: it may be the key.
        raise DeploymentFailed(
            "Standard input contains no API key: it is empty, or has spaces inside. Enter the key at the prompt, or "
            "send it: `stock-assets aws deploy --yes < key.txt`."
        )
    with typed_errors(f"storing the API key in the secret {secret}"):
        access.client("secretsmanager").put_secret_value(SecretId=secret, SecretString=key)


def subscriptions(access: AwsAccess, topic: str) -> list[tuple[str, bool]]:
    """Return the addresses that receive the alerts of a topic, and whether their owners have confirmed."""
    with typed_errors(f"listing the subscriptions of {topic}"):
        pages = access.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
        found = [entry for page in pages for entry in page["Subscriptions"]]
    return [(entry["Endpoint"], entry["SubscriptionArn"] != _NOT_CONFIRMED) for entry in found]
