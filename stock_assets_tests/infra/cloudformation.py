"""Reads the CloudFormation templates and resolves their functions, as CloudFormation does when it creates a stack.

Belongs here: parameters, conditions, functions, and what references to resources are. Does not belong here: what the
templates must contain (the tests), deploying them on an emulator (`deployed`).
"""

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

TEMPLATES = Path(__file__).parents[2] / "infra" / "aws"
ACCOUNT = "123456789012"
REGION = "us-east-1"
KMS_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
_PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::AccountId": ACCOUNT,
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::NoValue": "",
}
_OMITTED = object()
"""Value of a part that a condition omits."""


def all_templates() -> list[str]:
    """Return the names of the templates, without their ending."""
    return sorted(file.stem for file in TEMPLATES.glob("*.yaml") if "AWSTemplateFormatVersion" in file.read_text())


@dataclass(frozen=True)
class Stack:
    """A template with the values of its parameters.

    Attributes:
        template: name of the template, without its ending.
        given: values of parameters; the others have their defaults.
        name: first part of the stack's name.
    """

    template: str
    given: dict[str, str] = field(default_factory=dict)
    name: str = "stock-assets"

    @cached_property
    def text(self) -> str:
        """The template as it is uploaded."""
        return (TEMPLATES / f"{self.template}.yaml").read_text(encoding="utf-8")

    @cached_property
    def body(self) -> dict[str, Any]:
        """The template as YAML."""
        parsed: dict[str, Any] = yaml.safe_load(self.text)
        return parsed

    @cached_property
    def values(self) -> dict[str, str]:
        """All parameters and pseudo parameters."""
        declared = {name: str(one.get("Default", "")) for name, one in self.body.get("Parameters", {}).items()}
        unknown = self.given.keys() - declared.keys()
        if unknown:
            raise KeyError(f"{self.template} has no parameter {unknown}")
        return _PSEUDO | {"AWS::StackName": f"{self.name}-{self.template}"} | declared | self.given

    @property
    def created(self) -> dict[str, Any]:
        """The resources that the conditions do not omit."""
        return {
            name: one
            for name, one in self.body["Resources"].items()
            if "Condition" not in one or self.holds(one["Condition"])
        }

    def of_type(self, kind: str) -> dict[str, Any]:
        """Return the resolved properties of all created resources of a type."""
        return {name: self.properties(name) for name, one in self.created.items() if one["Type"] == kind}

    def properties(self, name: str) -> Any:  # noqa: ANN401 (YAML)
        """Return the resolved properties of a resource."""
        return self.resolve(self.body["Resources"][name].get("Properties", {}))

    def outputs(self) -> dict[str, str]:
        """Return the resolved outputs that the conditions do not omit."""
        return {
            name: self.resolve(one["Value"])
            for name, one in self.body["Outputs"].items()
            if "Condition" not in one or self.holds(one["Condition"])
        }

    def settings(self) -> dict[str, str]:
        """Return the variables of the output `Settings`."""
        return dict(pair.split("=", 1) for pair in self.outputs()["Settings"].split(" "))

    def holds(self, condition: str) -> bool:
        """Return whether a condition is met."""
        return self._truth(self.body["Conditions"][condition])

    def resolve(self, node: Any) -> Any:  # noqa: ANN401 (YAML)
        """Resolve all functions of a part of the template."""
        value = self._resolved(node)
        return None if value is _OMITTED else value

    def arn(self, resource: str) -> str:
        """Return the ARN of a resource of this stack."""
        return str(self._attribute(resource, "Arn"))

    def _truth(self, node: Any) -> bool:  # noqa: ANN401 (YAML)
        match node:
            case {"Fn::Equals": [one, other]}:
                return bool(str(self.resolve(one)) == str(self.resolve(other)))
            case {"Fn::Not": [inner]}:
                return not self._truth(inner)
            case {"Fn::And": list(parts)}:
                return all(self._truth(part) for part in parts)
            case {"Fn::Or": list(parts)}:
                return any(self._truth(part) for part in parts)
            case {"Condition": str(name)}:
                return self.holds(name)
        raise ValueError(f"unknown condition {node}")

    def _resolved(self, node: Any) -> Any:  # noqa: ANN401, PLR0911, PLR0912, C901 (YAML, and a case for each function)
        match node:
            case {"Ref": "AWS::NoValue"}:
                return _OMITTED
            case {"Ref": str(name)}:
                return self._reference(name)
            case {"Fn::GetAtt": [name, attribute]}:
                return self._attribute(name, attribute)
            case {"Fn::Sub": str(text)}:
                return self._substituted(text, {})
            case {"Fn::Sub": [text, names]}:
                return self._substituted(text, {name: str(self.resolve(value)) for name, value in names.items()})
            case {"Fn::If": [name, then, otherwise]}:
                return self._resolved(then if self.holds(name) else otherwise)
            case {"Fn::Join": [between, parts]}:
                return between.join(self.resolve(parts))
            case {"Fn::Select": [index, parts]}:
                return self.resolve(parts)[int(index)]
            case {"Fn::Split": [between, text]}:
                return self.resolve(text).split(between)
            case {"Fn::GetAZs": _}:
                return [f"{REGION}a", f"{REGION}b"]
            case {"Fn::Base64": text}:
                return self.resolve(text)
            case dict():
                found = {name: self._resolved(inner) for name, inner in node.items()}
                return {name: value for name, value in found.items() if value is not _OMITTED}
            case list():
                return [value for inner in node if (value := self._resolved(inner)) is not _OMITTED]
        return node

    def _substituted(self, text: str, names: dict[str, str]) -> str:
        def value(found: re.Match[str]) -> str:
            name = found.group(1)
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            if name in names:
                return names[name]
            resource, _, attribute = name.partition(".")
            return str(self._attribute(resource, attribute) if attribute else self._reference(name))

        return re.sub(r"\$\{([^}]+)\}", value, text)

    def _reference(self, name: str) -> str:
        if name in self.values:
            return self.values[name]
        kind = self.body["Resources"][name]["Type"]
        if kind in ("AWS::SNS::Topic", "AWS::IAM::ManagedPolicy", "AWS::SecretsManager::Secret"):
            return self._attribute(name, "Arn")
        if kind == "AWS::SQS::Queue":
            return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{self._physical(name)}"
        return self._physical(name)

    def _attribute(self, name: str, attribute: str) -> str:
        if attribute in ("Arn", "Id", "TopicArn", "TaskDefinitionArn"):
            kind = self.body["Resources"][name]["Type"].removeprefix("AWS::")
            return _ARNS.get(kind, f"arn:aws:{kind.split('::')[0].lower()}:{REGION}:{ACCOUNT}:{{0}}").format(
                self._physical(name)
            )
        if attribute == "QueueName":
            return self._physical(name)
        return f"<{name}.{attribute}>"

    def _physical(self, name: str) -> str:
        """Return the name that a resource has, or one like those that CloudFormation generates."""
        properties = self.body["Resources"][name].get("Properties", {})
        for key in ("BucketName", "FunctionName", "Name", "LogGroupName", "ClusterName", "Family"):
            if key in properties:
                return str(self.resolve(properties[key]))
        made = f"{self.name}-{self.template}-{name}"
        return made.lower() if self.body["Resources"][name]["Type"] == "AWS::S3::Bucket" else made


_ARNS = {
    "S3::Bucket": "arn:aws:s3:::{0}",
    "IAM::Role": f"arn:aws:iam::{ACCOUNT}:role/{{0}}",
    "IAM::ManagedPolicy": f"arn:aws:iam::{ACCOUNT}:policy/{{0}}",
    "SecretsManager::Secret": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{{0}}-a1b2c3",
    "SQS::Queue": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{{0}}",
    "SNS::Topic": f"arn:aws:sns:{REGION}:{ACCOUNT}:{{0}}",
    "Lambda::Function": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{{0}}",
    "KinesisFirehose::DeliveryStream": f"arn:aws:firehose:{REGION}:{ACCOUNT}:deliverystream/{{0}}",
    "Logs::LogGroup": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{{0}}:*",
    "ECS::Cluster": f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{{0}}",
    "ECS::TaskDefinition": f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{{0}}:1",
    "EC2::Instance": f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/{{0}}",
}
"""ARNs of resources by their type, with a place for the name."""
