"""The bytes of stored records: their layout never changes, and every change of a value is found."""

import itertools
import json
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import pytest

from stock_assets.backends.stored_records import fields_of, read_record, record_body, record_problem
from stock_assets.core.checksums import content_hash
from stock_assets.core.errors import DamagedFiles
from stock_assets_tests.support.steps import local_backend


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


def test_every_changed_byte_is_found_unless_the_values_are_the_same() -> None:
    intact = record_body(fields_of(RECORD))
    for place, other in itertools.product(range(len(intact)), range(256)):
        body = intact[:place] + bytes([other]) + intact[place + 1 :]
        if not record_problem(body):
            assert json.loads(body) == json.loads(intact), body


@pytest.mark.parametrize(("old", "new"), [(b'"content"', b'"contend"'), (b'"sha256"', b'"sha255"')])
def test_a_changed_name_is_found_and_the_record_is_not_read(tmp_path: Path, old: bytes, new: bytes) -> None:
    objects = local_backend(tmp_path).objects
    objects.put("staged/reports/load.json", record_body(fields_of(RECORD)).replace(old, new))
    with pytest.raises(DamagedFiles, match='it is damaged: it has only one of "sha256" and "content"'):
        read_record(objects, "staged/reports/load.json")


@pytest.mark.parametrize("content", [{}, [], {"reason": "halted"}, None])
def test_a_record_without_a_checksum_is_read_unless_it_must_have_one(tmp_path: Path, content: object) -> None:
    objects = local_backend(tmp_path).objects
    objects.put("acknowledgements/one.json", json.dumps(content).encode())
    assert read_record(objects, "acknowledgements/one.json") == content
    with pytest.raises(DamagedFiles, match="it has no SHA-256"):
        read_record(objects, "acknowledgements/one.json", with_checksum=True)


def test_other_white_space_is_no_damage() -> None:
    assert record_problem(json.dumps(json.loads(record_body(asdict(RECORD)))).encode()) == ""
