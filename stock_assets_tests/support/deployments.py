"""Small templates and a deployment of them, for tests of the deployment on an emulator.

Belongs here: templates that every emulator can create. Does not belong here: the templates of `infra/aws`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import boto3

from stock_assets.backends.lakehouse.aws_session import AwsAccess
from stock_assets.deployment.deployment import Deployment, Steps
from stock_assets.deployment.stacks import Stacks
from stock_assets.deployment.templates import Template
from stock_assets_tests.emulators.athena.names import REGION

SELECTED = ["data", "monitoring", "single"]


def template(name: str, content: dict[str, Any]) -> Template:
    """Return a template with some content."""
    return Template(name, json.dumps(content), content)


def data(bucket: str, topic: str = "alerts") -> Template:
    """Return a template with a bucket that is kept, and a topic."""
    return template(
        "data",
        {
            "Parameters": {"Source": {"Type": "String"}, "Prefix": {"Type": "String", "Default": "stock_assets"}},
            "Resources": {
                "Bucket": {
                    "Type": "AWS::S3::Bucket",
                    "DeletionPolicy": "Retain",
                    "Properties": {"BucketName": bucket},
                },
                "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": f"{bucket}-{topic}"}},
            },
            "Outputs": {
                "Bucket": {"Value": {"Ref": "Bucket"}},
                "AlertTopicArn": {"Value": {"Ref": "Topic"}},
                "Settings": {"Value": {"Fn::Sub": "STOCK_ASSETS_BACKEND=aws STOCK_ASSETS_SOURCE=${Source}"}},
            },
        },
    )


def queue(name: str, *, parameters: dict[str, Any], queue_name: str) -> Template:
    """Return a template with one queue."""
    return template(
        name,
        {
            "Parameters": parameters,
            "Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": queue_name}}},
            "Outputs": {f"{name.capitalize()}Queue": {"Value": {"Fn::GetAtt": ["Queue", "QueueName"]}}},
        },
    )


def one_instance(name: str, image: str) -> Template:
    """Return a template with a group of one instance, as `infra/aws/single.yaml` has it."""
    launch = {"ImageId": image, "InstanceType": "t4g.small"}
    group = {
        "MinSize": "1",
        "MaxSize": "1",
        "AvailabilityZones": [f"{REGION}a"],
        "LaunchTemplate": {
            "LaunchTemplateId": {"Ref": "Launch"},
            "Version": {"Fn::GetAtt": ["Launch", "LatestVersionNumber"]},
        },
    }
    return template(
        name,
        {
            "Parameters": {"Bucket": {"Type": "String"}},
            "Resources": {
                "Launch": {"Type": "AWS::EC2::LaunchTemplate", "Properties": {"LaunchTemplateData": launch}},
                "Group": {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": group},
            },
            "Outputs": {"GroupName": {"Value": {"Ref": "Group"}}},
        },
    )


def function(name: str) -> Template:
    """Return a template with a function from a zip file of the bucket, and a bucket of its messages."""
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    return template(
        name,
        {
            "Parameters": {"Bucket": {"Type": "String"}, "CodeKey": {"Type": "String"}},
            "Resources": {
                "Role": {
                    "Type": "AWS::IAM::Role",
                    "Properties": {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]}},
                },
                "Function": {
                    "Type": "AWS::Lambda::Function",
                    "Properties": {
                        "Runtime": "python3.12",
                        "Handler": "function.handler",
                        "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                        "Code": {"S3Bucket": {"Ref": "Bucket"}, "S3Key": {"Ref": "CodeKey"}},
                    },
                },
                "Messages": {"Type": "AWS::S3::Bucket"},
            },
            "Outputs": {
                "FunctionName": {"Value": {"Ref": "Function"}},
                "PipesBucket": {"Value": {"Ref": "Messages"}},
                "Settings": {
                    "Value": {"Fn::Sub": "STOCK_ASSETS_AWS_LAMBDA_FUNCTION=${Function}"},
                },
            },
        },
    )


@dataclass
class Account:
    """A deployment of small templates on an emulator, with everything that it reports.

    Attributes:
        endpoint: address of the emulator.
        name: of the deployment.
        bucket: name of its bucket.
        lines: the progress.
        keys: secrets for which a key was requested.
        accepted: whether updates that remove resources are accepted.
        interrupt_at: a line of the progress at which a person interrupts the command.
        changed: templates instead of the small ones.
    """

    endpoint: str
    name: str = field(default_factory=lambda: f"d{uuid4().hex[:12]}")
    lines: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    accepted: bool = True
    interrupt_at: str = ""
    changed: dict[str, Template] = field(default_factory=dict)

    @property
    def bucket(self) -> str:
        """Return the name of the bucket of the data."""
        return f"{self.name}-data-bucket"

    @property
    def deployment(self) -> Deployment:
        """Return the deployment, as a new process constructs it."""
        topic = {"AlertTopicArn": {"Type": "String"}}
        templates = {
            "data": data(self.bucket),
            "monitoring": queue("monitoring", parameters=topic, queue_name=f"{self.name}-monitoring"),
            "single": queue("single", parameters={"Bucket": {"Type": "String"}}, queue_name=f"{self.name}-single"),
            **self.changed,
        }
        access = AwsAccess(region=REGION, endpoint_url=self.endpoint)
        return Deployment(self.name, templates, Stacks(access, self._report, poll_seconds=0.02))

    def deploy(
        self,
        selected: Sequence[str] = tuple(SELECTED),
        own: Mapping[str, str] | None = None,
        universes: Mapping[str, bytes] | None = None,
        /,
        **given: str,
    ) -> dict[str, str]:
        """Deploy some templates; by default the three small ones."""
        steps = Steps(accepts=lambda _: self.accepted, store_key=self.keys.append)
        return self.deployment.deploy(selected, {"Source": "recorded", **given}, steps, own, universes)

    def _report(self, line: str) -> None:
        self.lines.append(line)
        if line == self.interrupt_at:
            raise KeyboardInterrupt

    def client(self, service: str) -> Any:  # noqa: ANN401 (boto3 makes its clients' classes at run time)
        """Return a client of the emulator."""
        # The default session would keep the credentials of this test for all later ones.
        return boto3.Session().client(service, endpoint_url=self.endpoint, region_name=REGION)

    def statuses(self) -> dict[str, str]:
        """Return the status of each stack by template."""
        return {name: stack.status for name, stack in self.deployment.deployed().items()}
