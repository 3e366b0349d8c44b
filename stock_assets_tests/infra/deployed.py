"""Deploys the templates on ministack with IAM enforcement.

Belongs here: what of the templates the emulator cannot create, with reasons, and how a stack is created and deleted.
Does not belong here: what is tested there (`test_deployment`, `test_data`).
"""

import io
import json
import time
import zipfile
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import boto3
import yaml

from stock_assets_tests.infra.cloudformation import REGION, Stack

LEFT_OUT = {
    "AWS::Budgets::Budget": "the emulator's CloudFormation has no budgets",
    "AWS::DLM::LifecyclePolicy": "the emulator has no Data Lifecycle Manager",
    "AWS::EC2::Volume": "the emulator's CloudFormation creates no disks",
    "AWS::IAM::OIDCProvider": "the emulator's CloudFormation creates no identity providers",
}
"""Types of resources that the emulator cannot create, with the reason; `test_templates` checks them."""
IGNORED = {
    "LifecycleConfiguration of a bucket": "stored, but nothing expires",
    "SecurityGroup": "created, but no packet is filtered",
    "UserData of the instance": "stored, but no instance runs it",
    "cloudwatch:namespace": "not known, so that a policy with it denies every call",
    "TreatMissingData of an alarm": "stored, but an alarm without data does not change",
    "sqs:DeleteMessage for DeleteMessageBatch": "checks `sqs:DeleteMessageBatch`, which AWS does not have",
    "aws:SecureTransport": "the emulator has no TLS; `without_tls_rule` removes the statement",
    "aws:PrincipalArn of an assumed role": "the ARN of the session, where AWS has the ARN of the role",
}
"""What the emulator accepts without its effect."""
_PATIENCE_SECONDS = 180
_FUNCTION = "def handler(event, context):\n    return event\n"


@dataclass
class Account:
    """An empty account on the emulator, and the outputs of the stacks that were created in it.

    Attributes:
        endpoint: address of the emulator.
        known: parameters and outputs of all stacks so far; a parameter of a later stack with one of these names gets
            the value, as infra/aws/README.md describes.
    """

    endpoint: str
    known: dict[str, str] = field(default_factory=dict)

    def client(self, service: str, **credentials: str) -> Any:  # noqa: ANN401 (boto3 makes its clients' classes at run time)
        """Return a client, with all permissions if no credentials are given."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            **credentials or {"aws_access_key_id": "test", "aws_secret_access_key": "test"},
        )

    def create(self, stack: Stack) -> dict[str, str]:
        """Create a stack, wait for it, and return its outputs."""
        name, parameters = stack.values["AWS::StackName"], stack.body.get("Parameters", {})
        given = {key: value for key, value in self.known.items() if key in parameters} | stack.given
        stacks = self.client("cloudformation")
        stacks.create_stack(
            StackName=name,
            TemplateBody=supported(stack),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
            Capabilities=["CAPABILITY_IAM"],
        )
        outputs = {one["OutputKey"]: one["OutputValue"] for one in self._finished(name).get("Outputs", [])}
        self.known |= given | outputs
        return outputs

    def delete(self, stack: Stack) -> None:
        """Delete a stack, and wait until it is gone."""
        stacks = self.client("cloudformation")
        stack_id = stacks.describe_stacks(StackName=stack.values["AWS::StackName"])["Stacks"][0]["StackId"]
        stacks.delete_stack(StackName=stack_id)
        self._finished(stack_id, expected="DELETE_COMPLETE")

    def resources(self, stack: Stack) -> dict[str, str]:
        """Return the physical id of each resource of a stack."""
        found = self.client("cloudformation").describe_stack_resources(StackName=stack.values["AWS::StackName"])
        return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in found["StackResources"]}

    def user(self, name: str, *policies: str) -> dict[str, str]:
        """Create a user with managed policies and return its credentials."""
        iam = self.client("iam")
        iam.create_user(UserName=name)
        for policy in policies:
            iam.attach_user_policy(UserName=name, PolicyArn=policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}

    def put_function(self, key: str, code: str = _FUNCTION) -> None:
        """Put the zip file of a function into the bucket of the data."""
        body = io.BytesIO()
        with zipfile.ZipFile(body, "w") as file:
            file.writestr("stock_assets/__init__.py", "")
            file.writestr("stock_assets/aws_lambda.py", code)
        self.client("s3").put_object(Bucket=self.known["Bucket"], Key=key, Body=body.getvalue())

    def put_image(self) -> str:
        """Store the id of a machine image; return the name of its parameter, which AWS has for Amazon Linux."""
        self.client("ssm").put_parameter(Name="/images/linux", Value="ami-0abcdef1234567890", Type="String")
        return "/images/linux"

    def without_tls_rule(self, bucket: str) -> None:
        """Remove the rule that only TLS is accepted from the policy of a bucket: the emulator has no TLS."""
        s3 = self.client("s3")
        policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
        policy["Statement"] = [one for one in policy["Statement"] if one["Sid"] != "TlsOnly"]
        if policy["Statement"]:
            s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
        else:
            s3.delete_bucket_policy(Bucket=bucket)

    def _finished(self, name: str, expected: str = "CREATE_COMPLETE") -> dict[str, Any]:
        stacks, until = self.client("cloudformation"), time.monotonic() + _PATIENCE_SECONDS
        while True:
            [stack] = stacks.describe_stacks(StackName=name)["Stacks"]
            if not stack["StackStatus"].endswith("IN_PROGRESS") or time.monotonic() > until:
                break
            time.sleep(0.1)
        assert stack["StackStatus"] == expected, [
            (event["LogicalResourceId"], event.get("ResourceStatusReason"))
            for event in stacks.describe_stack_events(StackName=name)["StackEvents"]
            if "FAILED" in event["ResourceStatus"]
        ]
        return dict(stack)


def supported(stack: Stack, types: Collection[str] = frozenset(LEFT_OUT)) -> str:
    """Return the template without the resources of some types, by default those that ministack cannot create."""
    left_out = {name for name, one in stack.body["Resources"].items() if one["Type"] in types}
    if not left_out:
        return stack.text
    rest = {name: one for name, one in stack.body["Resources"].items() if name not in left_out}
    body = _without_references({**stack.body, "Resources": rest}, {name: f"{name.lower()}-0" for name in left_out})
    return yaml.safe_dump(body, sort_keys=False)


def _without_references(node: Any, names: dict[str, str]) -> Any:  # noqa: ANN401 (YAML)
    """Replace references to resources that are left out by constants."""
    match node:
        case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), _]} if name in names:
            return names[name]
        case {"Fn::Sub": str(text)}:
            for name, value in names.items():
                text = text.replace(f"${{{name}}}", value)
            return {"Fn::Sub": text}
        case dict():
            return {key: _without_references(inner, names) for key, inner in node.items()}
        case list():
            return [_without_references(inner, names) for inner in node]
    return node
