"""Construct from settings what is outside the data path: alert channels, queue, metrics, locations of legacy data.

Belongs here: which of them the settings describe. Does not belong here: what they do (`alerts`, `backends.lakehouse`,
`legacy_import`).

Each is imported in the function that constructs it, because it needs large libraries (boto3, requests).
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from stock_assets.core.errors import SettingsError
from stock_assets.ingest.price_files.csv_rows import FileFormat
from stock_assets.legacy_import.locations import LegacyFolder, LegacyLocation
from stock_assets.settings import BackendName, Settings

if TYPE_CHECKING:
    from stock_assets.alerts.channels import Channel
    from stock_assets.backends.lakehouse.landing_queue import LandingQueue
    from stock_assets.backends.lakehouse.metrics import CloudWatchMetrics


def alert_channels(settings: Settings) -> "list[Channel]":
    """Construct the channels of alerts: a log file (local backend only), and those that the settings name."""
    from stock_assets.alerts.channels import (  # noqa: PLC0415 (imports large libraries)
        ChannelOfUniverse,
        LogFile,
        SnsTopic,
        Webhook,
        apprise_services,
    )

    aws = settings.aws_options
    channels: list[Channel] = []
    if settings.backend is BackendName.LOCAL:
        channels.append(LogFile(settings.root / "alerts.log"))
    if settings.alert_webhook_url is not None:
        channels.append(Webhook(settings.alert_webhook_url.get_secret_value()))
    if settings.alert_topic_arn is not None:
        channels.append(SnsTopic(settings.alert_topic_arn, role_arn=aws["role_arn"], endpoint_url=aws["endpoint_url"]))
    if settings.alert_urls is not None:
        channels += apprise_services(settings.alert_urls.get_secret_value().split())
    if settings.universe_name:
        return [ChannelOfUniverse(channel, settings.universe_name) for channel in channels]
    return channels


def landing_queue(settings: Settings) -> "LandingQueue | None":
    """Construct the queue with notifications about landing files, or return None if the settings name none.

    Only the universe without a name uses it: a universe that received a message about the files of another universe
    would delete that message.
    """
    if settings.aws_landing_queue_url is None or settings.universe_name:
        return None
    from stock_assets.backends.lakehouse.aws_session import AwsAccess  # noqa: PLC0415 (imports large libraries)
    from stock_assets.backends.lakehouse.landing_queue import LandingQueue  # noqa: PLC0415 (as above)

    access = AwsAccess(**settings.aws_options)
    return LandingQueue(access, str(settings.aws_landing_queue_url), settings.data_prefix)


def cloudwatch_metrics(settings: Settings) -> "CloudWatchMetrics | None":
    """Construct the metrics in CloudWatch, or return None if the settings name no namespace."""
    if settings.aws_metrics_namespace is None:
        return None
    from stock_assets.backends.lakehouse.aws_session import AwsAccess  # noqa: PLC0415 (imports large libraries)
    from stock_assets.backends.lakehouse.metrics import CloudWatchMetrics  # noqa: PLC0415 (as above)

    return CloudWatchMetrics(AwsAccess(**settings.aws_options), settings.aws_metrics_namespace)


def legacy_location(settings: Settings, address: str, form: FileFormat | None = None) -> LegacyLocation:
    """Return the location of an earlier pipeline's data: a folder, `s3://bucket/folder`, or `glue:database.table`.

    Raises:
        SettingsError: the address is on AWS, and no region is set.
    """
    if not re.match(r"(s3[an]?://|glue:)", address):
        return LegacyFolder(Path(address), form or FileFormat())
    from stock_assets.backends.lakehouse.aws_session import AwsAccess  # noqa: PLC0415 (imports large libraries)
    from stock_assets.legacy_import.aws_locations import LegacyBucket, LegacyTable  # noqa: PLC0415 (as above)

    if settings.aws_region is None:
        raise SettingsError(f"{address} is on AWS. Set STOCK_ASSETS_AWS_REGION to its region.")
    kind = LegacyTable if address.startswith("glue:") else LegacyBucket
    return kind(AwsAccess(**settings.aws_options), address, form or FileFormat())
