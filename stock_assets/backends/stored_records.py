"""Read records that are stored as JSON objects: loads, audits, rejections, acknowledgements.

Belongs here: the error of a record that cannot be read. Does not belong here: what a record contains.
"""

import json
from typing import Any

from stock_assets.backends.damage_texts import command_for_record
from stock_assets.backends.interface import Objects
from stock_assets.core.checksums import content_hash
from stock_assets.core.errors import DamagedFiles

RECORDS = {
    "staged/loads/": "the load cannot be published",
    "staged/reports/": "the load cannot be published",
    "staged/rejections/": "the reasons of a rejected load cannot be displayed",
    "audits/": "the load is audited again when it is published",
    "acknowledgements/": "no session can be staged or audited",
    "alerts/open/": "the incident is not notified again and not resolved",
}
"""Folders of records, with the consequence of a damaged one."""


def record_body(content: object) -> bytes:
    """Return the bytes to store: the content, and its SHA-256."""
    text = json.dumps(content, default=str, indent=1)
    return json.dumps({"sha256": content_hash(text.encode()), "content": json.loads(text)}, indent=1).encode()


def read_record(objects: Objects, key: str) -> Any:  # noqa: ANN401 (JSON)
    """Return the content of a record.

    Raises:
        KeyError: the object does not exist.
        DamagedFiles: the object is not valid JSON, or differs from its checksum.
    """
    body = objects.get(key)
    if why := record_problem(body):
        raise DamagedFiles([describe_record(objects, key, why)])
    stored = json.loads(body)
    return stored["content"] if _has_checksum(stored) else stored


def record_problem(body: bytes) -> str:
    """Return what is wrong with the bytes of a record; empty if nothing is.

    Records of earlier releases, and those of other writers, have no checksum.
    """
    try:
        stored = json.loads(body)
    except ValueError as error:
        return f"it is damaged: {error}" if body else "it is empty"
    if _has_checksum(stored) and content_hash(json.dumps(stored["content"], indent=1).encode()) != stored["sha256"]:
        return "its content differs from its SHA-256"
    return ""


def _has_checksum(stored: object) -> bool:
    return isinstance(stored, dict) and stored.keys() == {"sha256", "content"}


def describe_record(objects: Objects, key: str, why: str) -> str:
    """Return file, reason, consequence and command in one text."""
    address = objects.uri(key)
    return f"{address}: {why}. Consequence: {consequence_of(key)}. To fix it, run: {command_for_record(address)}"


def consequence_of(key: str) -> str:
    """Return what does not work as long as a record is damaged."""
    return next((text for folder, text in RECORDS.items() if key.startswith(folder)), "the record cannot be used")
