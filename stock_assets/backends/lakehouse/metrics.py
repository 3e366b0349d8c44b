"""Metrics of the pipeline in CloudWatch, for alarms that do not depend on the pipeline.

Belongs here: calls of CloudWatch. Does not belong here: which metrics there are (`orchestration.sensors.metrics`), the
alarms (`infra/aws/monitoring.yaml`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from stock_assets.backends.lakehouse.aws_session import AwsAccess, typed_errors


@dataclass(frozen=True)
class CloudWatchMetrics:
    """The metrics of one pipeline.

    Attributes:
        access: region, role and endpoint.
        namespace: of the metrics in CloudWatch; each pipeline has its own.
    """

    access: AwsAccess
    namespace: str

    def send(self, values: Mapping[str, int]) -> None:
        """Send one value for each metric, in one call."""
        data = [{"MetricName": name, "Value": float(value), "Unit": "Count"} for name, value in values.items()]
        with typed_errors(f"sending metrics to CloudWatch, namespace {self.namespace}"):
            self.access.client("cloudwatch").put_metric_data(Namespace=self.namespace, MetricData=data)
