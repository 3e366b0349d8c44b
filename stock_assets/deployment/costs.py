"""The monthly cost of each template, from public prices; docs/deploy.md shows the same table.

Belongs here: quantities and unit prices. Does not belong here: the cost of one statement (`backends.athena`).
"""

from collections.abc import Collection
from dataclasses import dataclass

PRICES_OF = "us-east-1, November 2026"
"""Region and date of the prices; look up yours."""
BALANCER = "balancer"
"""Part of the template `fargate` that the parameter CertificateArn adds."""
_HOURS = 730


@dataclass(frozen=True)
class CostItem:
    """One line of the monthly bill.

    Attributes:
        template: the template that causes the cost.
        what: service and size.
        quantity: units per month.
        unit: name of the unit.
        price: USD per unit.
    """

    template: str
    what: str
    quantity: float
    unit: str
    price: float

    @property
    def usd(self) -> float:
        """Return the cost per month."""
        return self.quantity * self.price


ITEMS = (
    CostItem("data", "S3, Athena and Glue for 20 symbols (docs/aws.md)", 1, "estimate", 0.75),
    CostItem("data", "Secrets Manager, the API key", 1, "secret", 0.40),
    CostItem("single", "EC2 t4g.small", _HOURS, "hour", 0.0168),
    CostItem("single", "public IPv4 address", _HOURS, "hour", 0.005),
    CostItem("single", "EBS gp3 volumes", 18, "GB", 0.08),
    CostItem("single", "EBS snapshots, changed blocks", 5, "GB", 0.05),
    CostItem("fargate", "Fargate on ARM, 2 tasks with 0.5 vCPU", _HOURS, "vCPU hour", 0.03238),
    CostItem("fargate", "Fargate on ARM, 2 tasks with 2 GB", 4 * _HOURS, "GB hour", 0.00356),
    CostItem("fargate", "Fargate, runs with 1 vCPU and 4 GB", 4, "hour", 0.04662),
    CostItem("fargate", "RDS PostgreSQL db.t4g.micro", _HOURS, "hour", 0.016),
    CostItem("fargate", "RDS gp3 storage", 20, "GB", 0.115),
    CostItem("fargate", "public IPv4 addresses of 2 tasks", 2 * _HOURS, "hour", 0.005),
    CostItem("fargate", "Secrets Manager, database", 2, "secret", 0.40),
    CostItem(BALANCER, "Application Load Balancer", _HOURS, "hour", 0.0225),
    CostItem(BALANCER, "public IPv4 addresses of the balancer", 2 * _HOURS, "hour", 0.005),
    CostItem("ingestion", "Lambda, Firehose and SQS for 20 symbols", 1, "estimate", 0.10),
    CostItem("monitoring", "CloudWatch: 8 alarms, a dashboard, 10 metrics (free amounts)", 1, "account", 0.0),
    CostItem("consumers", "queries of consumers, per TB that they read", 0, "TB", 5.0),
)


def items_of(templates: Collection[str]) -> list[CostItem]:
    """Return the lines of some templates."""
    return [item for item in ITEMS if item.template in templates]


def monthly_usd(templates: Collection[str]) -> float:
    """Return the sum of some templates."""
    return sum(item.usd for item in items_of(templates))
