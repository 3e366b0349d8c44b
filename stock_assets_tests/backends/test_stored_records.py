"""The bytes of stored records: their layout never changes, and every change of a value is found."""

import json
from dataclasses import asdict, dataclass
from datetime import date

import pytest

from stock_assets.backends.stored_records import fields_of, record_body, record_problem
from stock_assets.core.checksums import content_hash


@dataclass(frozen=True)
class Record:
    """A record as loads and reports are."""

    day: date
    keys: tuple[str, ...]
    rows: list[dict[str, object]]


RECORD = Record(date(2024, 1, 2), ("one\ntwo", 'a "quoted" é'), [{"symbol": "IBM", "close": 1.5}, {}])


@pytest.mark.parametrize("content", [asdict(RECORD), {}, [], [{}, [[]]], None, "a\n b"])
def test_the_layout_is_that_of_earlier_releases(content: object) -> None:
    stored = json.loads(json.dumps(content, default=str))
    checksum = content_hash(json.dumps(stored, indent=1).encode())
    assert record_body(content) == json.dumps({"sha256": checksum, "content": stored}, indent=1).encode()


def test_the_fields_of_a_dataclass_are_stored_as_its_dictionary() -> None:
    assert record_body(fields_of(RECORD)) == record_body(asdict(RECORD))


@pytest.mark.parametrize(("old", "new"), [(b"1.5", b"1.6"), (b"one", b"onE"), (b"\\ntwo", b"\\n two"), (b"-01", b"-1")])
def test_a_changed_value_is_found(old: bytes, new: bytes) -> None:
    intact = record_body(asdict(RECORD))
    assert record_problem(intact) == ""
    assert old in intact
    assert record_problem(intact.replace(old, new)) == "its content differs from its SHA-256"


def test_other_white_space_is_no_damage() -> None:
    assert record_problem(json.dumps(json.loads(record_body(asdict(RECORD)))).encode()) == ""
