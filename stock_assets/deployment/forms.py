"""The choices of a deployment, as options of the command line.

Belongs here: their names alone, so that `--help` imports nothing else. Does not belong here: the templates
(`templates`).
"""

from enum import StrEnum


class Form(StrEnum):
    """Where the pipeline runs."""

    SINGLE = "single"
    FARGATE = "fargate"


class Extra(StrEnum):
    """Templates that are deployed on request."""

    INGESTION = "ingestion"
    CONSUMERS = "consumers"
    GITHUB = "github"
