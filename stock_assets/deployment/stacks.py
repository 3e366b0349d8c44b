"""CloudFormation stacks: create, update and delete one, show its progress, and report the reason of a failure.

Belongs here: the states of a stack and of a change set. Does not belong here: which stacks there are (`deployment`).

Every operation can be repeated: one that was interrupted goes on inside CloudFormation, and the next one waits for it.
"""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from stock_assets.backends.lakehouse.aws_session import AwsAccess, error_code, typed_errors
from stock_assets.core.errors import DeploymentFailed
from stock_assets.deployment.templates import Template

_CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"]
_NEVER_CREATED = frozenset({"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"})
"""Such a stack cannot be updated: it is deleted, then created."""
_EMPTY = ("didn't contain changes", "No updates are to be performed")
_CANCELLED = "cancelled"
_LONGEST_WAIT_SECONDS = 3600.0


@dataclass(frozen=True)
class Stack:
    """A stack as CloudFormation reports it.

    Attributes:
        name: name of the stack.
        id: its ARN, which stays valid after the deletion.
        status: such as `CREATE_COMPLETE`.
        outputs: by name.
        parameters: by name.
    """

    name: str
    id: str
    status: str
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]

    @property
    def is_busy(self) -> bool:
        """Return whether an operation is in progress."""
        return self.status.endswith("_IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS"

    @property
    def exists(self) -> bool:
        """Return whether the stack was created and can be updated."""
        return not self.is_busy and self.status not in _NEVER_CREATED | {"REVIEW_IN_PROGRESS", "DELETE_COMPLETE"}


def is_complete(stack: Stack) -> bool:
    """Return whether the last operation on a stack succeeded."""
    return stack.status in {"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"}


@dataclass(frozen=True)
class Change:
    """One change of a change set.

    Attributes:
        action: `Add`, `Modify`, `Remove` or `Import`.
        resource: logical id and type.
        replaces: the resource is deleted and another one created.
    """

    action: str
    resource: str
    replaces: bool

    @property
    def destroys(self) -> bool:
        """Return whether a resource ends."""
        return self.action == "Remove" or self.replaces

    def __str__(self) -> str:
        """Format the change as one line."""
        return f"{'Replace' if self.replaces else self.action} {self.resource}"


@dataclass(frozen=True)
class Stacks:
    """The stacks of one region.

    Attributes:
        access: region and endpoint.
        report: receives each line about the progress.
        poll_seconds: pause between two requests for the state.
        longest_wait_seconds: after this time an operation counts as failed; it goes on inside CloudFormation.
    """

    access: AwsAccess
    report: Callable[[str], None]
    poll_seconds: float = 3.0
    longest_wait_seconds: float = _LONGEST_WAIT_SECONDS

    def find(self, name: str) -> Stack | None:
        """Return a stack, or None if there is none of this name (or id)."""
        with typed_errors(f"reading the stack {name}"):
            try:
                [found] = self._client.describe_stacks(StackName=name)["Stacks"]
            except ClientError as error:
                if error_code(error) == "ValidationError" and "does not exist" in str(error):
                    return None
                raise
        return Stack(
            found["StackName"],
            found["StackId"],
            found["StackStatus"],
            {pair["OutputKey"]: pair["OutputValue"] for pair in found.get("Outputs", [])},
            {pair["ParameterKey"]: pair.get("ParameterValue", "") for pair in found.get("Parameters", [])},
        )

    def deploy(
        self,
        name: str,
        template: Template,
        parameters: Mapping[str, str | None],
        accepts: Callable[[list[Change]], bool],
    ) -> Stack:
        """Create a stack, or update it through a change set; return it with its outputs.

        Args:
            name: name of the stack.
            template: its template.
            parameters: values by name; None keeps the value that the stack has.
            accepts: decides whether an update that deletes or replaces resources is executed.

        Raises:
            DeploymentFailed: CloudFormation failed, or the update was not accepted; the message has the reason.
        """
        stack = self._ready(name)
        kind = "UPDATE" if stack is not None and stack.exists else "CREATE"
        change_set = f"deploy-{datetime.now(UTC):%Y%m%d%H%M%S%f}"
        changes = self._propose(name, change_set, kind, template, parameters)
        if not changes:
            self.report(f"{name}: nothing changes")
            return self._found(name)
        if kind == "UPDATE":
            for change in changes:
                self.report(f"{name}: will {change}")
            if any(change.destroys for change in changes) and not accepts(changes):
                self._discard(name, change_set)
                raise DeploymentFailed(f"The update of the stack {name} was not accepted. Nothing of it has changed.")
        earlier = self._event_ids(name)
        with typed_errors(f"executing the change set of the stack {name}"):
            self._client.execute_change_set(StackName=name, ChangeSetName=change_set)
        return self._completed(name, earlier, f"{kind}_COMPLETE")

    def delete(self, stack: Stack) -> None:
        """Delete a stack and wait for its end.

        Raises:
            DeploymentFailed: a resource could not be deleted; the message has the reason.
        """
        earlier = self._event_ids(stack.id)
        if stack.status != "DELETE_IN_PROGRESS":
            with typed_errors(f"deleting the stack {stack.name}"):
                self._client.delete_stack(StackName=stack.name)
        self._completed(stack.id, earlier, "DELETE_COMPLETE")

    def resources(self, stack: Stack) -> Mapping[str, tuple[str, str]]:
        """Return type and physical name of each resource by its logical id."""
        found = {}
        with typed_errors(f"listing the resources of the stack {stack.name}"):
            for page in self._client.get_paginator("list_stack_resources").paginate(StackName=stack.name):
                for entry in page["StackResourceSummaries"]:
                    found[entry["LogicalResourceId"]] = (entry["ResourceType"], entry.get("PhysicalResourceId", ""))
        return found

    def _ready(self, name: str) -> Stack | None:
        """Wait for the end of an operation, and remove what a failed creation has left."""
        stack = self.find(name)
        if stack is not None and stack.is_busy:
            self.report(f"{name}: waiting for the end of {stack.status}")
            stack = self._settled(stack.id, self._event_ids(stack.id))
        if stack is not None and stack.status in _NEVER_CREATED:
            reason = self._reason(stack.id, frozenset())
            self.report(f"{name}: {stack.status} ({reason}); deleting what is left of the failed attempt")
            self.delete(stack)
            return None
        if stack is not None and stack.status == "UPDATE_ROLLBACK_FAILED":
            raise DeploymentFailed(
                f"The stack {name} is UPDATE_ROLLBACK_FAILED: {self._reason(stack.id, frozenset())}. Fix the cause, "
                f"run `aws cloudformation continue-update-rollback --stack-name {name}`, and deploy again."
            )
        return None if stack is not None and stack.status == "DELETE_COMPLETE" else stack

    def _propose(
        self, name: str, change_set: str, kind: str, template: Template, parameters: Mapping[str, str | None]
    ) -> list[Change]:
        """Create a change set and return its changes; without changes it is deleted again."""
        with typed_errors(f"creating a change set of the stack {name}"):
            try:
                self._client.create_change_set(
                    StackName=name,
                    ChangeSetName=change_set,
                    ChangeSetType=kind,
                    TemplateBody=template.body,
                    Parameters=[_parameter(key, value) for key, value in parameters.items()],
                    Capabilities=_CAPABILITIES,
                    Tags=[{"Key": "project", "Value": "stock_assets"}],
                )
            except ClientError as error:
                # One emulator reports it here, and CloudFormation in the state of the change set.
                if _is_empty(str(error)):
                    return []
                raise
        found = self._created(name, change_set)
        if found["Status"] == "FAILED":
            self._discard(name, change_set)
            reason = found.get("StatusReason", "")
            if _is_empty(reason):
                return []
            raise DeploymentFailed(f"CloudFormation rejected the change set of the stack {name}: {reason}")
        return [_change(entry["ResourceChange"]) for entry in found.get("Changes", []) if "ResourceChange" in entry]

    def _created(self, name: str, change_set: str) -> dict[str, Any]:
        """Wait until a change set is complete or failed; return it with the changes of all pages."""
        until = time.monotonic() + self.longest_wait_seconds
        while True:
            with typed_errors(f"reading the change set of the stack {name}"):
                pages = self._client.get_paginator("describe_change_set").paginate(
                    StackName=name, ChangeSetName=change_set
                )
                found: dict[str, Any] = pages.build_full_result()
            if found["Status"] == "FAILED" or found["Status"].endswith("_COMPLETE"):
                return found
            self._pause(until, name)

    def _discard(self, name: str, change_set: str) -> None:
        with typed_errors(f"deleting the change set of the stack {name}"):
            self._client.delete_change_set(StackName=name, ChangeSetName=change_set)

    def _completed(self, name: str, earlier: Collection[str], wanted: str) -> Stack:
        stack = self._settled(name, earlier)
        if stack.status != wanted:
            raise DeploymentFailed(
                f"The stack {stack.name} is {stack.status}: {self._reason(name, earlier)}. Fix the cause, and run the "
                "command again: it continues with this stack."
            )
        self.report(f"{stack.name}: {stack.status}")
        return stack

    def _settled(self, name: str, earlier: Collection[str]) -> Stack:
        """Wait for the end of an operation and report each of its events once."""
        until = time.monotonic() + self.longest_wait_seconds
        shown = set(earlier)
        while True:
            stack = self._found(name)
            for event in self._events(stack.id, shown):
                shown.add(event["EventId"])
                self.report(_line(stack.name, event))
            # After the execution of a first change set, the stack stays in review for a moment.
            if not stack.is_busy and stack.status != "REVIEW_IN_PROGRESS":
                return stack
            self._pause(until, stack.name)

    def _found(self, name: str) -> Stack:
        stack = self.find(name)
        if stack is None:
            raise DeploymentFailed(f"The stack {name} does not exist any more: somebody else has deleted it.")
        return stack

    def _events(self, name: str, earlier: Collection[str]) -> list[dict[str, Any]]:
        """Return the events after some earlier ones, oldest first."""
        found: list[dict[str, Any]] = []
        with typed_errors(f"reading the events of the stack {name}"):
            for page in self._client.get_paginator("describe_stack_events").paginate(StackName=name):
                new = [event for event in page["StackEvents"] if event["EventId"] not in earlier]
                found += new
                # CloudFormation returns the newest first.
                if len(new) < len(page["StackEvents"]):
                    break
        return found[::-1]

    def _event_ids(self, name: str) -> frozenset[str]:
        return frozenset(event["EventId"] for event in self._events(name, frozenset()))

    def _reason(self, name: str, earlier: Collection[str]) -> str:
        """Return the reason of the first failed resource; the later ones were only cancelled because of it."""
        for event in self._events(name, earlier):
            reason = event.get("ResourceStatusReason", "")
            if event["ResourceStatus"].endswith("_FAILED") and reason and _CANCELLED not in reason.lower():
                return f"{event['LogicalResourceId']} ({event['ResourceType']}): {reason}"
        return "CloudFormation reports no reason; see the events of the stack"

    def _pause(self, until: float, name: str) -> None:
        if time.monotonic() > until:
            raise DeploymentFailed(
                f"The stack {name} is not done after {self.longest_wait_seconds:.0f} s. CloudFormation goes on: run "
                "the command again to wait for it."
            )
        time.sleep(self.poll_seconds)

    @property
    def _client(self) -> Any:  # noqa: ANN401 (boto3 makes its clients' classes at run time)
        return self.access.client("cloudformation")


def _is_empty(reason: str) -> bool:
    return any(words in reason for words in _EMPTY)


def _parameter(key: str, value: str | None) -> dict[str, object]:
    return {"ParameterKey": key, **({"UsePreviousValue": True} if value is None else {"ParameterValue": value})}


def _change(entry: Mapping[str, Any]) -> Change:
    resource = f"{entry['LogicalResourceId']} ({entry['ResourceType']})"
    return Change(str(entry["Action"]), resource, str(entry.get("Replacement", "")) == "True")


def _line(stack: str, event: Mapping[str, Any]) -> str:
    reason = event.get("ResourceStatusReason", "")
    what = f"{stack}: {event['LogicalResourceId']} {event['ResourceStatus']}"
    return f"{what}: {reason}" if reason and event["ResourceStatus"].endswith("_FAILED") else what
