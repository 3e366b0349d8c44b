"""The monthly cost of each template, and of requests, from public prices; `docs/deploy.md` shows the same table.

Belongs here: quantities, unit prices and where AWS publishes them. Does not belong here: the cost of one statement
(`backends.athena`), the estimate for S3 and Athena in `docs/aws.md`.
"""

from collections.abc import Collection
from dataclasses import dataclass

from stock_assets.settings import Settings

PRICES_OF = "us-east-1, as known on 2026-11-26"
"""Region and date of the prices. They were not read from AWS: the price lists decide."""
BALANCER = "balancer"
"""Part of the template `fargate` that the parameter CertificateArn adds."""
SESSIONS_PER_MONTH = 21
ATHENA_USD_PER_TB = float(Settings.model_fields["aws_price_per_tb"].default)
S3_USD_PER_1000_WRITES = 0.005
"""PUT, POST and listings."""
S3_USD_PER_1000_READS = 0.0004
GLUE_USD_PER_1000_REQUESTS = 0.001
"""After the first million of a month, which is free."""
_HOURS = 730
PRICE_LISTS = {
    "EC2": "https://aws.amazon.com/ec2/pricing/on-demand/",
    "EBS": "https://aws.amazon.com/ebs/pricing/",
    "VPC": "https://aws.amazon.com/vpc/pricing/",
    "Fargate": "https://aws.amazon.com/fargate/pricing/",
    "RDS": "https://aws.amazon.com/rds/postgresql/pricing/",
    "Secrets Manager": "https://aws.amazon.com/secrets-manager/pricing/",
    "Load balancing": "https://aws.amazon.com/elasticloadbalancing/pricing/",
    "CloudWatch": "https://aws.amazon.com/cloudwatch/pricing/",
    "Athena": "https://aws.amazon.com/athena/pricing/",
    "S3": "https://aws.amazon.com/s3/pricing/",
    "Lambda": "https://aws.amazon.com/lambda/pricing/",
}
"""Where AWS publishes the unit prices."""


@dataclass(frozen=True)
class CostItem:
    """One line of the monthly bill.

    Attributes:
        template: the template that causes the cost.
        service: key of `PRICE_LISTS`.
        what: size.
        quantity: units per month.
        unit: name of the unit.
        price: USD per unit.
    """

    template: str
    service: str
    what: str
    quantity: float
    unit: str
    price: float

    @property
    def usd(self) -> float:
        """Return the cost per month."""
        return self.quantity * self.price


ITEMS = (
    CostItem("data", "S3", "S3, SQS, Athena and Glue for 20 symbols", 1, "estimate", 0.20),
    CostItem("data", "Secrets Manager", "API key", 1, "secret", 0.40),
    CostItem("single", "EC2", "instance t4g.small", _HOURS, "hour", 0.0168),
    CostItem("single", "VPC", "public IPv4 address", _HOURS, "hour", 0.005),
    CostItem("single", "EBS", "gp3 volumes", 18, "GB", 0.08),
    CostItem("single", "EBS", "snapshots, changed blocks", 5, "GB", 0.05),
    CostItem("fargate", "Fargate", "2 tasks with 0.5 vCPU (ARM)", _HOURS, "vCPU hour", 0.03238),
    CostItem("fargate", "Fargate", "2 tasks with 2 GB (ARM)", 4 * _HOURS, "GB hour", 0.00356),
    CostItem("fargate", "Fargate", "21 runs of 10 minutes, 1 vCPU and 4 GB", 3.5, "hour", 0.04662),
    CostItem("fargate", "RDS", "PostgreSQL db.t4g.micro", _HOURS, "hour", 0.016),
    CostItem("fargate", "RDS", "gp3 storage", 20, "GB", 0.115),
    CostItem("fargate", "VPC", "public IPv4 addresses of 2 tasks", 2 * _HOURS, "hour", 0.005),
    CostItem("fargate", "Secrets Manager", "database", 2, "secret", 0.40),
    CostItem("fargate", "CloudWatch", "logs of the processes", 1, "GB", 0.50),
    CostItem(BALANCER, "Load balancing", "Application Load Balancer", _HOURS, "hour", 0.0225),
    CostItem(BALANCER, "Load balancing", "capacity units, a tenth of one", 73, "unit hour", 0.008),
    CostItem(BALANCER, "VPC", "public IPv4 addresses of the balancer", 2 * _HOURS, "hour", 0.005),
    CostItem("ingestion", "Lambda", "Lambda, Firehose and SQS for 20 symbols", 1, "estimate", 0.10),
    CostItem(
        "monitoring", "CloudWatch", "8 alarms, 3 metrics, a dashboard: within the free amounts", 1, "account", 0.0
    ),
    CostItem("consumers", "Athena", "queries of consumers, per TB that they read", 0, "TB", ATHENA_USD_PER_TB),
)


def items_of(templates: Collection[str]) -> list[CostItem]:
    """Return the lines of some templates."""
    return [item for item in ITEMS if item.template in templates]


def monthly_usd(templates: Collection[str]) -> float:
    """Return the sum of some templates."""
    return sum(item.usd for item in items_of(templates))


def session_usd(*, s3_writes: int, s3_reads: int, glue_requests: int) -> float:
    """Return the price of requests, without free amounts; `StatementRun.cost` has the price of a statement."""
    return (
        s3_writes * S3_USD_PER_1000_WRITES
        + s3_reads * S3_USD_PER_1000_READS
        + glue_requests * GLUE_USD_PER_1000_REQUESTS
    ) / 1000
