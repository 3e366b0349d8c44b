"""One deployment of the pipeline in an AWS account: its stacks in order, and what no template can set up.

Belongs here: the order of the steps, parameters, settings, and what outlives the deployment. Does not belong here: one
stack (`stacks`), uploads (`artifacts`), restarting processes (`processes`), prices (`costs`), the API key and alerts
(`account`), questions and printing (`cli.aws`).
"""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from stock_assets.backends.lakehouse.aws_session import AwsAccess, typed_errors
from stock_assets.backends.lakehouse.objects import BucketFolder, S3Objects
from stock_assets.core.errors import DeploymentFailed
from stock_assets.deployment.artifacts import Artifacts, digest_of
from stock_assets.deployment.costs import BALANCER
from stock_assets.deployment.forms import Extra, Form
from stock_assets.deployment.processes import processes, restart
from stock_assets.deployment.stacks import Change, Stack, Stacks
from stock_assets.deployment.templates import ORDER, Template
from stock_assets.deployment.universes import SETTING as UNIVERSES_SETTING
from stock_assets.deployment.universes import check_universes, names_after

_SETTINGS_OUTPUT = "Settings"
_PLAN = "STOCK_ASSETS_ALPHA_VANTAGE_PLAN"
"""The one setting that the function needs too: its parameter is Plan."""
_SHARED = ("Source", "Prefix", "Database", "KmsKeyArn")
"""Parameters with the same value in every stack; others of the same name are independent."""
HOW_TO_REMOVE = {
    "AWS::S3::Bucket": "aws s3 rb --force s3://{name}",
    "AWS::EC2::Volume": "aws ec2 describe-snapshots --owner-ids self --filters Name=volume-id,Values={name}",
    "AWS::RDS::DBInstance": "aws rds describe-db-snapshots --db-instance-identifier {name}",
}


@dataclass(frozen=True)
class Steps:
    """What a deployment does beside CloudFormation.

    Attributes:
        accepts: decides whether an update that deletes or replaces resources is executed.
        store_key: puts the API key into the secret of this ARN, unless it has one.
    """

    accepts: Callable[[list[Change]], bool]
    store_key: Callable[[str], None]


@dataclass(frozen=True)
class Kept:
    """Something that outlives the deployment.

    Attributes:
        what: type and name.
        command: removes or finds it; empty if only the console can.
    """

    what: str
    command: str


@dataclass(frozen=True)
class Deployment:
    """The stacks `<name>-<template>` of one region.

    Attributes:
        name: name of the deployment; a second source needs a second name.
        templates: all templates by name.
        stacks: CloudFormation.
    """

    name: str
    templates: Mapping[str, Template]
    stacks: Stacks

    @property
    def access(self) -> AwsAccess:
        """Return region and endpoint."""
        return self.stacks.access

    def deployed(self) -> dict[str, Stack]:
        """Return the stacks by template, in the order of their creation, whatever their status."""
        found = {str(name): self.stacks.find(f"{self.name}-{name}") for name in ORDER}
        return {name: stack for name, stack in found.items() if stack is not None}

    def form(self, asked: Form | None) -> Form:
        """Return the form to deploy: what the caller asks for, or what is deployed, or one instance.

        Raises:
            DeploymentFailed: the other form is deployed.
        """
        existing = [form for form in Form if form in self.deployed()]
        chosen = asked or (existing[0] if existing else Form.SINGLE)
        for other in existing:
            if other is not chosen:
                raise DeploymentFailed(
                    f"The deployment {self.name} has the form {other}. A second daemon would start each run twice. "
                    f"Remove the first form, `aws cloudformation delete-stack --stack-name {self.name}-{other}`, wait "
                    "for its end, and deploy again. The data stay; the history of runs stays as a snapshot."
                )
        return chosen

    def deploy(
        self,
        selected: Sequence[str],
        given: Mapping[str, str],
        steps: Steps,
        own: Mapping[str, str] | None = None,
        universes: Mapping[str, bytes] | None = None,
    ) -> dict[str, str]:
        """Create or update the stacks of the selected templates and start the pipeline; return all outputs.

        Args:
            selected: names of templates, in their order.
            given: values of parameters, by name for every template that has it, or by `template.name` for one.
            steps: what is done beside CloudFormation.
            own: settings that are kept beside those of the stacks; an empty value removes one.
            universes: content of universe files by the name of the universe; earlier ones stay.

        Raises:
            SettingsError: the universes need more calls than the plan allows.
            DeploymentFailed: a parameter is missing or unknown, a setting belongs to a stack, or a stack failed.
        """
        self._check_settings(own or {})
        before = {name: stack for name, stack in self.deployed().items() if name in selected}
        self._check_parameters(selected, given, before)
        known = {key: value for stack in before.values() if stack.exists for key, value in stack.outputs.items()}
        running = {form: self._processes(before[form]) for form in set(Form) & before.keys() if before[form].exists}
        settings: dict[str, str] = {}
        package = ""
        for name in selected:
            if name in set(Form):
                # Its processes read package, settings and key when they start.
                self._artifacts(known).upload_settings(settings)
            if name == Extra.INGESTION and given.keys().isdisjoint({"CodeKey", f"{name}.CodeKey"}):
                self.stacks.report("building the zip file of the Lambda function")
                known["CodeKey"] = self._artifacts(known).upload_function()
            stack = self._deploy_stack(name, before.get(name), known, given, steps)
            known |= {key: stack.parameters[key] for key in _SHARED if key in stack.parameters} | dict(stack.outputs)
            settings |= settings_of([stack])
            if name == "data":
                if "ApiKeySecretArn" in known:
                    steps.store_key(known["ApiKeySecretArn"])
                package = self._artifacts(known).upload_package()
                own = self._store_universes(known, settings, dict(own or {}), universes or {}, runs=bool(running))
                settings |= self._artifacts(known).own_settings(own)
                if _PLAN in settings:
                    known["Plan"] = settings[_PLAN]
        if Form.FARGATE in selected:
            # Its database exists only now.
            self._deploy_stack("monitoring", self.deployed()["monitoring"], known, given, steps)
        artifacts = self._artifacts(known)
        digest = artifacts.upload_settings(settings) + digest_of(artifacts.universes())
        for form in set(Form) & set(selected):
            # Containers have the package in their image.
            digest = digest if form == Form.FARGATE else f"{package} {digest}"
            self._restart(artifacts, self.deployed()[form], running.get(form, frozenset()), digest)
        return known

    def _store_universes(
        self,
        known: Mapping[str, str],
        settings: Mapping[str, str],
        own: dict[str, str],
        universes: Mapping[str, bytes],
        *,
        runs: bool,
    ) -> dict[str, str]:
        """Upload universe files, if the universes can be loaded; return the settings with all their names."""
        artifacts = self._artifacts(known)
        after = artifacts.own_settings() | own
        names = names_after(after.get(UNIVERSES_SETTING, ""), [*universes], runs=runs)
        if not names:
            return own
        check_universes(names, artifacts.universes() | dict(universes), {**settings, **after})
        artifacts.upload_universes(universes)
        return {**own, UNIVERSES_SETTING: ",".join(names)}

    def settings(self) -> dict[str, str]:
        """Return the settings of the deployed stacks.

        Raises:
            DeploymentFailed: nothing is deployed.
        """
        stacks = self.deployed()
        if "data" not in stacks:
            raise DeploymentFailed(
                f"There is no stack {self.name}-data in {self.access.region}. Run `stock-assets aws deploy` first, or "
                "name another --name or --region."
            )
        bucket = stacks["data"].outputs.get("Bucket", "")
        own = Artifacts(self.access, bucket).own_settings() if bucket else {}
        return own | settings_of(stacks.values())

    def paid(self, selected: Collection[str], given: Mapping[str, str]) -> list[str]:
        """Return the names under which the costs of templates are listed."""
        fargate = self.deployed().get(Form.FARGATE) if Form.FARGATE in selected else None
        certificate = given.get("CertificateArn", fargate.parameters.get("CertificateArn") if fargate else "")
        return [*selected, BALANCER] if Form.FARGATE in selected and certificate else [*selected]

    def kept(self) -> list[Kept]:
        """Return what a removal of the deployment leaves, and how to remove that."""
        stacks = self.deployed()
        buckets = [stack.outputs["Bucket"] for stack in stacks.values() if "Bucket" in stack.outputs]
        named = [("AWS::S3::Bucket", bucket) for bucket in buckets]
        for name, stack in stacks.items():
            resources = self.stacks.resources(stack)
            named += [resources[logical] for logical in self.templates[name].kept if logical in resources]
        # A bucket that the stack has not created is in no list of resources.
        found = [
            Kept(
                f"{kind.removeprefix('AWS::').replace('::', ' ')} {name}",
                HOW_TO_REMOVE.get(kind, "").format(name=name),
            )
            for kind, name in dict.fromkeys(named)
            if name
        ]
        return found + [
            Kept(f"Glue database {name}", f"aws glue delete-database --name {name}") for name in self._databases()
        ]

    def destroy(self) -> None:
        """Delete the stacks in the opposite order of their creation.

        Raises:
            DeploymentFailed: a resource could not be deleted.
        """
        for name, stack in reversed(self.deployed().items()):
            if stack.status != "DELETE_IN_PROGRESS":
                self._empty_buckets(name, stack)
            self.stacks.delete(stack)

    def _deploy_stack(
        self,
        name: str,
        before: Stack | None,
        known: Mapping[str, str],
        given: Mapping[str, str],
        steps: Steps,
    ) -> Stack:
        template, parameters = self.templates[name], dict[str, str | None]()
        only_here = {key.partition(".")[2]: value for key, value in given.items() if key.startswith(f"{name}.")}
        values = {**known, **given, **only_here}
        for parameter in template.parameters:
            if parameter in values:
                parameters[parameter] = values[parameter]
            elif before is not None and before.exists and parameter in before.parameters:
                parameters[parameter] = None
        return self.stacks.deploy(f"{self.name}-{name}", template, parameters, steps.accepts)

    def _check_settings(self, own: Mapping[str, str]) -> None:
        """Compare settings with those that stacks set."""
        for template in self.templates.values():
            if taken := own.keys() & set(re.findall(r"STOCK_ASSETS_\w+", json.dumps(template.content.get("Outputs")))):
                raise DeploymentFailed(
                    f"{', '.join(sorted(taken))} is set by the template {template.name}. Change it with --parameter."
                )

    def _check_parameters(self, selected: Sequence[str], given: Mapping[str, str], before: Mapping[str, Stack]) -> None:
        """Compare the given parameters with the declared ones, before anything is created."""
        declared = {parameter for name in selected for parameter in self.templates[name].parameters}
        qualified = {f"{name}.{parameter}" for name in selected for parameter in self.templates[name].parameters}
        if unknown := sorted(given.keys() - declared - qualified):
            raise DeploymentFailed(
                f"No template of this deployment has the parameter {', '.join(unknown)}. Available: "
                f"{', '.join(sorted(declared))}."
            )
        # What this command or an earlier stack gives.
        follows = {"CodeKey"}
        for name in selected:
            own = {key.removeprefix(f"{name}.") for key in given}
            kept = before[name].parameters.keys() if name in before and before[name].exists else set[str]()
            missing = [
                f"{parameter} ({content.get('Description', 'no description')})"
                for parameter, content in self.templates[name].parameters.items()
                if "Default" not in content and parameter not in own | kept | follows
            ]
            if missing:
                raise DeploymentFailed(
                    f"The template {name} needs a value for {', '.join(missing)}. Add --parameter NAME=VALUE. Nothing "
                    "has changed."
                )
            follows |= {*self.templates[name].content.get("Outputs", {}), *_SHARED}

    def _artifacts(self, known: Mapping[str, str]) -> Artifacts:
        return Artifacts(self.access, known["Bucket"])

    def _processes(self, stack: Stack) -> frozenset[str]:
        return processes(self.access, self.stacks.resources(stack).values())

    def _restart(self, artifacts: Artifacts, stack: Stack, before: frozenset[str], digest: str) -> None:
        """Restart the processes that the update has not replaced, if they have read another package or settings."""
        if artifacts.started_with(stack.name) == digest:
            return
        for process in sorted(before & self._processes(stack)):
            self.stacks.report(f"restarting {process}: package or settings have changed")
            restart(self.access, process)
        artifacts.record_start(stack.name, digest)

    def _empty_buckets(self, name: str, stack: Stack) -> None:
        """Empty the buckets that end with their stack: CloudFormation deletes only empty ones."""
        for logical, (kind, physical) in self.stacks.resources(stack).items():
            if kind != "AWS::S3::Bucket" or not physical or logical in self.templates[name].kept:
                continue
            self.stacks.report(f"{stack.name}: emptying the bucket {physical}")
            S3Objects(self.access, BucketFolder(physical, "")).empty()

    def _databases(self) -> list[str]:
        data = self.deployed().get("data")
        if data is None or not {"Database", "Source"} <= data.parameters.keys():
            return []
        stem = f"{data.parameters['Database']}_{data.parameters['Source']}_"
        with typed_errors("listing the Glue databases"):
            pages = self.access.client("glue").get_paginator("get_databases").paginate()
            names = [database["Name"] for page in pages for database in page["DatabaseList"]]
        return [name for name in names if name.startswith(stem)]


def settings_of(stacks: Collection[Stack]) -> dict[str, str]:
    """Return the variables in the outputs `Settings` of some stacks."""
    pairs = [pair for stack in stacks for pair in stack.outputs.get(_SETTINGS_OUTPUT, "").split()]
    return dict(pair.split("=", 1) for pair in pairs)
