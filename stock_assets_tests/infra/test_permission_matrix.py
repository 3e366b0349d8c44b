"""The permission matrix: each case has the expected result, and each wider statement contradicts a case."""

import csv
from pathlib import Path

import pytest

from stock_assets_tests.infra import permissions, tools
from stock_assets_tests.infra.cloudformation import TEMPLATES
from stock_assets_tests.infra.permissions import ROLES, cases, concerned, evaluate, mutations, policies

PROJECT = Path(__file__).parents[2]
ONLY_ITS_RESOURCE = "the policy of a queue or topic only applies to this queue or topic"
ONLY_ITS_ACTION = "no other action of the service has the condition's key"
NO_OTHER_ACTION = "the service has no other action"
EQUIVALENT = {
    "data/NewObjectsPolicy/document BucketsOfThisAccount: every resource": ONLY_ITS_RESOURCE,
    "data/AlertTopicPolicy/document AlarmsAndBudgetsOfThisAccount: every resource": ONLY_ITS_RESOURCE,
    "monitoring/MonitoringPolicy/document Metrics: cloudwatch:*": ONLY_ITS_ACTION,
    "fargate/DaemonRole/task TagRuns: ecs:*": ONLY_ITS_ACTION,
    "fargate/DaemonRole/task RolesOfRuns: iam:*": ONLY_ITS_ACTION,
    "github/DeployRole/deploy RolesOfTasks: iam:*": ONLY_ITS_ACTION,
    "single/InstanceRole/instance SessionManager: ssmmessages:*": NO_OTHER_ACTION,
    "fargate/WebserverRole/task SessionManager: ssmmessages:*": NO_OTHER_ACTION,
}
"""Changes that allow nothing more, with the reason."""

simulated = [
    pytest.mark.infra,
    pytest.mark.skipif(tools.missing(tools.simulator()) != "", reason=tools.missing(tools.simulator())),
]


def test_the_matrix_is_large_enough_and_half_of_it_is_denied() -> None:
    known = cases()
    assert len(known) >= 100
    assert sum(not case.allowed for case in known) / len(known) >= 0.4
    assert len({(case.role, case.action, case.resource, tuple(case.context.items())) for case in known}) == len(known)


def test_every_policy_is_in_the_matrix() -> None:
    covered = {place for case in cases() for place in concerned(case)}
    assert covered == set(policies())
    assert {role for role in ROLES if not any(case.role == role for case in cases())} == set()


def test_every_allowed_action_has_a_caller_and_a_source() -> None:
    """Nothing is allowed because somebody might need it."""
    with (TEMPLATES / "calls.csv").open(encoding="utf-8", newline="") as file:
        listed = [(row["role"], row["action"], row["source"]) for row in csv.DictReader(file)]
    allowed = {
        (role, action)
        for role, places in ROLES.items()
        if role != "pipeline-without-bucket-policy"
        for place in places
        for statement in policies()[place]["Statement"]
        if statement["Effect"] == "Allow"
        for action in permissions.listed(statement["Action"])
    }
    assert {(role, action) for role, action, _ in listed} == allowed
    assert len(listed) == len(allowed)
    for *_, source in listed:
        assert source.startswith("https://") or (PROJECT / source).is_file(), source


def test_no_policy_allows_all_actions_or_resources_that_have_a_name() -> None:
    """Only calls without a resource have `*`; the matrix shows that they reach nothing else."""
    unnamed = set()
    for place, policy in policies().items():
        for statement in policy["Statement"]:
            if statement["Effect"] == "Allow":
                assert not any("*" in action for action in permissions.listed(statement["Action"])), place
                if "*" in permissions.listed(statement.get("Resource", [])):
                    unnamed.update(permissions.listed(statement["Action"]))
    assert unnamed == {
        "athena:ListDataCatalogs", "athena:ListWorkGroups",
        "cloudwatch:GetMetricData", "cloudwatch:ListMetrics", "cloudwatch:PutMetricData",
        "ec2:DescribeInstances", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSnapshots", "ec2:DescribeVolumes",
        "ecr:GetAuthorizationToken",
        "ecs:DeregisterTaskDefinition", "ecs:DescribeTaskDefinition",
        "ssm:UpdateInstanceInformation",
        "ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel",
    }  # fmt: skip


class TestSimulated:
    """With iam-simulate."""

    pytestmark = simulated

    def test_each_case_has_the_expected_result(self) -> None:
        known = cases()
        results = evaluate(tools.simulator(), [(case, policies()) for case in known])
        wrong = [
            f"line {case.line}: {case.role} {case.action} {case.resource} {case.context}: {result}"
            for case, result in zip(known, results, strict=True)
            if result not in ("Allowed", "ImplicitlyDenied", "ExplicitlyDenied")
            or (result == "Allowed") != case.allowed
        ]
        assert wrong == []

    def test_widening_any_statement_contradicts_a_case(self) -> None:
        mutants = list(mutations())
        assert len(mutants) > 150
        known = [(case, set(concerned(case))) for case in cases()]
        tried = [(mutant, case) for mutant in mutants for case, places in known if mutant.place in places]
        results = evaluate(
            tools.simulator(), [(case, policies() | {mutant.place: mutant.policy}) for mutant, case in tried]
        )
        found = {
            mutant.name
            for (mutant, case), result in zip(tried, results, strict=True)
            if (result == "Allowed") != case.allowed
        }
        assert {mutant.name for mutant in mutants} - found == set(EQUIVALENT)
