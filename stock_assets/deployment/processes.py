"""The processes of a form, and how they are restarted so that they read package and settings again.

Belongs here: calls of EC2, Auto Scaling and ECS. Does not belong here: when a restart is needed (`deployment`), what a
process does when it starts (`infra/aws/single.yaml`, `infra/aws/fargate.yaml`).

A run in progress is killed with its instance, and Dagster retries it; on Fargate it is a task of its own and goes on.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from stock_assets.backends.lakehouse.aws_session import AwsAccess, typed_errors

_SET_UP = timedelta(minutes=15)
"""After this time the first start of an instance is over."""


def processes(access: AwsAccess, resources: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Return what runs in a stack: ids of instances, and services of ECS as `ARN task-definition`.

    An update of the stack that replaces a process changes its name.

    Args:
        access: region and endpoint.
        resources: types and names of the resources of the stack.
    """
    found: set[str] = set()
    for kind, name in resources:
        with typed_errors(f"reading the state of {name}"):
            if kind == "AWS::ECS::Service":
                services = access.client("ecs").describe_services(cluster=_cluster(name), services=[name])["services"]
                found |= {f"{name} {service['taskDefinition']}" for service in services}
            elif kind == "AWS::AutoScaling::AutoScalingGroup":
                groups = access.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])
                found |= {one["InstanceId"] for group in groups["AutoScalingGroups"] for one in group["Instances"]}
    return frozenset(found)


def restart(access: AwsAccess, process: str) -> None:
    """Restart a process.

    An instance is rebooted: its units fetch settings and package when they start. During the first start of an
    instance a reboot would end its set-up for good, so it is replaced instead; the disk is attached to the next one.
    """
    name, _, task = process.partition(" ")
    with typed_errors(f"restarting {name}"):
        if task:
            access.client("ecs").update_service(cluster=_cluster(name), service=name, forceNewDeployment=True)
            return
        [reservation] = access.client("ec2").describe_instances(InstanceIds=[name])["Reservations"]
        [instance] = reservation["Instances"]
        if datetime.now(UTC) - instance["LaunchTime"] < _SET_UP:
            access.client("autoscaling").terminate_instance_in_auto_scaling_group(
                InstanceId=name, ShouldDecrementDesiredCapacity=False
            )
        else:
            access.client("ec2").reboot_instances(InstanceIds=[name])


def _cluster(service: str) -> str:
    return service.split("/")[-2]
