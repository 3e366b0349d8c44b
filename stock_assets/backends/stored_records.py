"""Write and read records that are stored as JSON objects: loads, audits, rejections, acknowledgements.

Belongs here: the layout of a record, the error of one that cannot be read. Does not belong here: what it contains.

A record has the SHA-256 of the text of its content, in the layout of `json.dumps(content, indent=1)`.
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from stock_assets.backends.damage_texts import command_for_record
from stock_assets.backends.interface import Objects
from stock_assets.core.checksums import content_hash
from stock_assets.core.errors import DamagedFiles

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

RECORDS = {
    "staged/loads/": "the load cannot be published",
    "staged/reports/": "the load cannot be published",
    "staged/rejections/": "the reasons of a rejected load cannot be displayed",
    "staged/splits/": "the split factors of all published rows are compared when a split becomes known",
    "audits/": "the load is audited again when it is published",
    "acknowledgements/": "no session can be staged or audited",
    "alerts/open/": "the incident is not notified again and not resolved",
}
"""Folders of records, with the consequence of a damaged one."""


def record_body(content: object) -> bytes:
    """Return the bytes to store: the content, and its SHA-256."""
    text = json.dumps(content, default=str, indent=1)
    # A line break in JSON is never inside a value.
    nested = text.replace("\n", "\n ")
    return f"{_before_content(content_hash(text.encode()))}{nested}{_AFTER_CONTENT}".encode()


def fields_of(record: "DataclassInstance") -> dict[str, Any]:
    """Return the fields of a dataclass as `asdict` does, without copying their values."""
    return {field.name: getattr(record, field.name) for field in fields(record)}


def _before_content(checksum: str) -> str:
    return f'{{\n "sha256": "{checksum}",\n "content": '


_AFTER_CONTENT = "\n}"
_NAMES = frozenset({"sha256", "content"})
"""The names in a record with a checksum; no record without one has either of them."""


def read_record(objects: Objects, key: str, *, with_checksum: bool = False) -> Any:  # noqa: ANN401 (JSON)
    """Return the content of a record.

    Args:
        objects: where it is.
        key: its key.
        with_checksum: whether a record without a checksum counts as damaged too.

    Raises:
        KeyError: the object does not exist.
        DamagedFiles: the object is not valid JSON, or differs from its checksum.
    """
    stored, why = _parse(objects.get(key))
    if not why and with_checksum and not _has_checksum(stored):
        why = "it has no SHA-256"
    if why:
        raise DamagedFiles([describe_record(objects, key, why)])
    return stored["content"] if _has_checksum(stored) else stored


def record_problem(body: bytes) -> str:
    """Return what is wrong with the bytes of a record; empty if nothing is.

    Records of earlier releases, and those of other writers, have no checksum.
    """
    return _parse(body)[1]


def _parse(body: bytes) -> tuple[Any, str]:
    """Return what is stored, and the `record_problem`."""
    try:
        stored = json.loads(body)
    except ValueError as error:
        return None, f"it is damaged: {error}" if body else "it is empty"
    if _has_checksum(stored):
        intact = _has_its_checksum(body.decode(), stored)
        return stored, "" if intact else "its content differs from its SHA-256"
    if isinstance(stored, dict) and stored.keys() & _NAMES:
        return stored, 'it is damaged: it has only one of "sha256" and "content", or other values beside them'
    return stored, ""


def _has_its_checksum(text: str, stored: Mapping[str, Any]) -> bool:
    before = _before_content(stored["sha256"])
    if text.startswith(before) and text.endswith(_AFTER_CONTENT):
        content = text.removeprefix(before).removesuffix(_AFTER_CONTENT).replace("\n ", "\n")
        if content_hash(content.encode()) == stored["sha256"]:
            return True
    # Another program may have written the same values in another layout.
    return bool(content_hash(json.dumps(stored["content"], indent=1).encode()) == stored["sha256"])


def _has_checksum(stored: object) -> bool:
    return isinstance(stored, dict) and stored.keys() == _NAMES


def describe_record(objects: Objects, key: str, why: str) -> str:
    """Return file, reason, consequence and command in one text."""
    address = objects.uri(key)
    return f"{address}: {why}. Consequence: {consequence_of(key)}. To fix it, run: {command_for_record(address)}"


def consequence_of(key: str) -> str:
    """Return what does not work as long as a record is damaged."""
    return next((text for folder, text in RECORDS.items() if key.startswith(folder)), "the record cannot be used")
