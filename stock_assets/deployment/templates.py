"""The CloudFormation templates of `infra/aws`: their order, parameters, resources and what outlives a stack.

Belongs here: reading templates. Does not belong here: calling AWS (`stacks`), prices (`costs`).

`infra/aws/README.md` fixes the names. An output has the name of the parameter that takes its value in later templates.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import Any

import yaml

from stock_assets.core.sql import bundled
from stock_assets.deployment.forms import Extra, Form

FOLDER = "infra/aws"
_LONGEST_BODY = 51_200
"""Bytes of a template that CloudFormation accepts in a request."""
_KEPT = frozenset({"Retain", "RetainExceptOnCreate", "Snapshot"})

ORDER = ("data", Extra.INGESTION, "monitoring", Form.SINGLE, Form.FARGATE, Extra.CONSUMERS, Extra.GITHUB)
"""Every template, after those whose outputs it takes."""
_ALWAYS = frozenset({"data", "monitoring"})


@dataclass(frozen=True)
class Template:
    """One template.

    Attributes:
        name: the file's name without its ending.
        text: the file's text.
        content: the text, parsed.
    """

    name: str
    text: str
    content: Mapping[str, Any]

    @property
    def body(self) -> str:
        """Return what is sent: the text, or the same without comments if it is too long."""
        if len(self.text.encode()) <= _LONGEST_BODY:
            return self.text
        return json.dumps(self.content, separators=(",", ":"))

    @property
    def parameters(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the declared parameters by name."""
        declared: Mapping[str, Mapping[str, Any]] = self.content.get("Parameters", {})
        return declared

    @property
    def resources(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the declared resources by their logical ids."""
        declared: Mapping[str, Mapping[str, Any]] = self.content["Resources"]
        return declared

    @property
    def kept(self) -> Sequence[str]:
        """Return the logical ids of the resources that outlive the stack."""
        return [name for name, resource in self.resources.items() if resource.get("DeletionPolicy") in _KEPT]

    def counted(self) -> str:
        """Format the number of resources of each type, such as `1 S3 Bucket, 2 SQS Queue`."""
        types = Counter(str(resource["Type"]) for resource in self.resources.values())
        return ", ".join(f"{count} {kind.removeprefix('AWS::').replace('::', ' ')}" for kind, count in types.items())


def read_template(folder: Traversable, name: str) -> Template:
    """Read one template of a folder."""
    text = folder.joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    return Template(name, text, yaml.safe_load(text))


def read_templates() -> dict[str, Template]:
    """Read every template of the package, in their order."""
    return {str(name): read_template(bundled(FOLDER), name) for name in ORDER}


def selection(form: Form, extras: Sequence[Extra]) -> list[str]:
    """Return the names of the templates to deploy, in their order."""
    return [str(name) for name in ORDER if name in _ALWAYS or name is form or name in extras]
