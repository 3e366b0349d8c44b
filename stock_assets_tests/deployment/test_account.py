"""The API key in its secret, and who receives alerts."""

import pytest

from stock_assets.backends.lakehouse.aws_session import AwsAccess
from stock_assets.core.errors import DeploymentFailed
from stock_assets.deployment.account import has_key, store_key, subscriptions
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.emulators.athena.names import REGION
from stock_assets_tests.support.live_source import KEY


@pytest.fixture
def access(aws: AwsEmulator) -> AwsAccess:
    return AwsAccess(region=REGION, endpoint_url=aws.endpoint)


def test_a_secret_gets_the_key_once(access: AwsAccess) -> None:
    secrets = access.client("secretsmanager")
    arn = secrets.create_secret(Name="deployment-key")["ARN"]
    assert not has_key(access, arn)
    store_key(access, arn, lambda: f"{KEY}\n")
    assert has_key(access, arn)
    assert secrets.get_secret_value(SecretId=arn)["SecretString"] == KEY


@pytest.mark.parametrize("text", ["", "\n", "two words", "a\x1bkey"])
def test_what_is_no_key_is_not_stored_and_not_repeated(access: AwsAccess, text: str) -> None:
    with pytest.raises(DeploymentFailed, match="Standard input contains no API key") as failed:
        store_key(access, "arn", lambda: text)
    assert not text.strip() or text.strip() not in str(failed.value)


def test_addresses_are_listed_with_their_confirmation(access: AwsAccess) -> None:
    topic = access.client("sns").create_topic(Name="deployment-alerts")["TopicArn"]
    assert subscriptions(access, topic) == []
    access.client("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint="desk@example.org")
    [(address, _)] = subscriptions(access, topic)
    assert address == "desk@example.org"
