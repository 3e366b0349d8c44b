"""The permission matrix: roles, what each may do and may not do, evaluated by a simulator of IAM.

Belongs here: which policies a role has, the cases of infra/aws/permissions.csv, and mutations that widen one statement.
Does not belong here: the simulator (`simulate.mjs`, `tools`), the tests.

The simulator knows no workflow of GitHub as a principal, and no claims of its token. So here its identity provider is a
service principal, and the claims are tags of it, in the trust policy and in the cases.
"""

import csv
import json
import re
import subprocess
from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from stock_assets_tests.infra.cloudformation import ACCOUNT, KMS_KEY, TEMPLATES, Stack, all_templates

CASES = TEMPLATES / "permissions.csv"
_SIMULATOR = Path(__file__).parent / "simulate.mjs"
_FEDERATED = "federated.amazonaws.com"
_TOKEN, _TAG = "token.actions.githubusercontent.com:", "aws:PrincipalTag/"
_STRANGER = "arn:aws:iam::999999999999:role/stranger"
_ADMINISTRATOR = f"arn:aws:iam::{ACCOUNT}:role/administrator"
_EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
GIVEN = {
    "CodeKey": "artifacts/lambda-1.zip",
    "Image": f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/stock-assets@sha256:{'a' * 64}",
    "GitHubRepository": "owner/stock-assets",
    "GrafanaPrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/grafana-server",
    "CertificateArn": f"arn:aws:acm:us-east-1:{ACCOUNT}:certificate/1",
    "KmsKeyArn": KMS_KEY,
    "ImageId": "ami-0abcdef1234567890",
}
"""Values of the parameters that no stack has as an output."""
_ORDER = ("data", "ingestion", "monitoring", "single", "fargate", "consumers", "github")

Policy = dict[str, Any]
Place = tuple[str, str, str]
"""Template, resource, and name of the policy in the resource."""


@dataclass(frozen=True)
class Case:
    """One line of the matrix.

    Attributes:
        line: number of the line.
        role: name in `ROLES`, or a service.
        action: of IAM.
        resource: ARN, or `*` for actions without a resource.
        context: condition keys of the request.
        allowed: whether the role may do it.
    """

    line: int
    role: str
    action: str
    resource: str
    context: dict[str, str]
    allowed: bool


@dataclass(frozen=True)
class Mutation:
    """A policy with one wider statement.

    Attributes:
        name: what was changed.
        place: where the policy is.
        policy: the changed policy.
    """

    name: str
    place: Place
    policy: Policy


@cache
def stacks() -> dict[str, Stack]:
    """Return all stacks with their parameters, as infra/aws/README.md describes."""
    assert sorted(_ORDER) == all_templates()
    known, made = dict(GIVEN), {}
    for name in _ORDER:
        parameters = Stack(name).body["Parameters"]
        made[name] = Stack(name, {key: value for key, value in known.items() if key in parameters})
        known |= made[name].outputs()
    return made


@cache
def policies() -> dict[Place, Policy]:
    """Return every policy of every template: of roles, of resources, and trust policies."""
    found: dict[Place, Policy] = {}
    for template, stack in stacks().items():
        for name in stack.created:
            properties = stack.properties(name)
            if "AssumeRolePolicyDocument" in properties:
                found[template, name, "trust"] = _federated(properties["AssumeRolePolicyDocument"])
            for one in properties.get("Policies", []):
                found[template, name, one["PolicyName"]] = one["PolicyDocument"]
            if "PolicyDocument" in properties:
                found[template, name, "document"] = properties["PolicyDocument"]
    return found


def _federated(policy: Policy) -> Policy:
    text = re.sub(r'\{"Federated": "[^"]+"\}', f'{{"Service": "{_FEDERATED}"}}', json.dumps(policy))
    changed: Policy = json.loads(text.replace(_TOKEN, _TAG))
    return changed


ROLES: dict[str, tuple[Place, ...]] = {
    "pipeline": (("data", "PipelinePolicy", "document"),),
    "api-key": (("data", "ApiKeyPolicy", "document"),),
    "pipeline-without-bucket-policy": (("data", "PipelinePolicy", "document"),),
    "raw-deletion": (("data", "RawDeletionRole", "delete-raw-responses"),),
    "function": (("ingestion", "FunctionRole", "ingestion"),),
    "delivery": (("ingestion", "DeliveryRole", "delivery"),),
    "schedule": (("ingestion", "ScheduleRole", "start"),),
    "producer": (("ingestion", "ProducerPolicy", "document"),),
    "starter": (("ingestion", "IngestionPolicy", "document"),),
    "metrics": (("monitoring", "MonitoringPolicy", "document"),),
    "instance": (("single", "InstanceRole", "instance"),),
    "snapshots": (("single", "SnapshotRole", "snapshots"),),
    "execution": (("fargate", "ExecutionRole", "task"),),
    "webserver": (("fargate", "WebserverRole", "task"),),
    "daemon": (("fargate", "DaemonRole", "task"),),
    "run": (("fargate", "RunRole", "task"),),
    "consumer": (("consumers", "ConsumerPolicy", "document"),),
    "grafana": (("consumers", "GrafanaRole", "metrics"),),
    "deploy": (("github", "DeployRole", "deploy"),),
    "administrator": (),
    "stranger": (),
}
"""Policies of the roles of the matrix. A policy that several roles have is a role of its own here."""
_RESOURCE_POLICIES: tuple[tuple[str, str, str], ...] = (
    ("data", "Bucket", "BucketPolicy"),
    ("data", "NewObjects", "NewObjectsPolicy"),
    ("data", "AlertTopic", "AlertTopicPolicy"),
    ("ingestion", "PipesMessages", "PipesMessagesPolicy"),
)
"""Template, resource, and the policy of the resource."""


def cases() -> list[Case]:
    """Return the cases of the matrix."""
    with CASES.open(encoding="utf-8", newline="") as file:
        return [
            Case(
                line,
                row["role"],
                row["action"],
                re.sub(r"\{(\w+)\.(\w+)\}", lambda found: stacks()[found[1]].arn(found[2]), row["resource"]),
                dict(pair.split("=", 1) for pair in row["context"].replace(_TOKEN, _TAG).split(" ") if pair),
                {"allow": True, "deny": False}[row["expected"]],
            )
            for line, row in enumerate(csv.DictReader(file), start=2)
        ]


def mutations() -> Iterator[Mutation]:
    """Widen every statement of every policy in each way that widens it."""
    for place, policy in policies().items():
        for index, statement in enumerate(policy["Statement"]):
            for what, changed in _wider(statement):
                mutant = deepcopy(policy)
                mutant["Statement"][index] = changed
                yield Mutation(f"{'/'.join(place)} {statement['Sid']}: {what}", place, mutant)


def _wider(statement: Policy) -> Iterator[tuple[str, Policy]]:
    if statement["Effect"] == "Deny":
        # Another action: without the statement the policy would be invalid if it has no other one.
        yield "does not deny", {**statement, "Action": "s3:GetBucketTagging"}
        return
    actions = listed(statement["Action"])
    for service in sorted({action.split(":")[0] for action in actions}):
        yield f"{service}:*", {**statement, "Action": [*actions, f"{service}:*"]}
    if statement.get("Resource", "*") != "*":
        yield "every resource", {**statement, "Resource": "*"}
    for operator, keys in statement.get("Condition", {}).items():
        for key in keys:
            rest = {name: value for name, value in keys.items() if name != key}
            condition = {**statement["Condition"], operator: rest}
            yield f"without {key}", {**statement, "Condition": {k: v for k, v in condition.items() if v}}
    if "Principal" in statement:
        yield "every principal", {**statement, "Principal": "*"}


def evaluate(tools: Path, chosen: Iterable[tuple[Case, dict[Place, Policy]]]) -> list[str]:
    """Return the simulator's result for each case with these policies, in one process."""
    request = {"account": ACCOUNT, "cases": [_simulation(case, known) for case, known in chosen]}
    ran = subprocess.run(
        ["node", _SIMULATOR],  # noqa: S607 (Node is where the PATH says)
        cwd=tools,
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=True,
    )
    results: list[str] = json.loads(ran.stdout)
    return results


_KEY_POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "kms:*", "Resource": "*"}
    ],
}
"""Policy that KMS gives a new key: the policies of the account's roles decide."""


def _simulation(case: Case, known: dict[Place, Policy]) -> dict[str, Any]:
    principal = _principal(case.role)
    everything = case.role in ("administrator", "stranger")
    context = {"aws:SecureTransport": "true", "aws:PrincipalArn": principal} | case.context
    attached = next((known[place] for place in concerned(case) if place not in ROLES.get(case.role, ())), None)
    return {
        "principal": principal,
        "action": case.action,
        "resource": case.resource,
        "context": context,
        "policies": [_EVERYTHING] if everything else [known[place] for place in ROLES.get(case.role, ())],
        "resource_policy": _KEY_POLICY if case.action.startswith("kms:") else attached,
    }


def _principal(role: str) -> str:
    if role == "stranger":
        return _STRANGER
    if role == "administrator":
        return _ADMINISTRATOR
    if role == "federated":
        return _FEDERATED
    if role not in ROLES:
        return role
    [(template, resource, _)] = ROLES[role]
    made = stacks()[template].arn(resource)
    return made if ":role/" in made else f"arn:aws:iam::{ACCOUNT}:role/{role}"


def concerned(case: Case) -> list[Place]:
    """Return the policies that decide about a case."""
    found = list(ROLES.get(case.role, ()))
    if case.role == "pipeline-without-bucket-policy":
        return found
    for template, resource, policy in _RESOURCE_POLICIES:
        arn = stacks()[template].arn(resource)
        if case.resource == arn or case.resource.startswith(f"{arn}/"):
            found.append((template, policy, "document"))
    if case.action.startswith("sts:"):
        found += [
            place for place in policies() if place[2] == "trust" and stacks()[place[0]].arn(place[1]) == case.resource
        ]
    return found


def listed(value: str | list[str]) -> list[str]:
    """Return a list for one value or several."""
    return [value] if isinstance(value, str) else list(value)
