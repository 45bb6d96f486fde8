"""Records of measurements are packed the same way every time, and damaged ones are refused."""

import gzip
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from tidegate.domain import (
    InvalidInput,
    Measurement,
    MeasurementKind,
    measurement,
    pack_record,
    unpack_record,
)


def test_the_same_text_gives_the_same_bytes_and_comes_back():
    assert pack_record('{"a":"é"}') == pack_record('{"a":"é"}')
    assert unpack_record(pack_record('{"a":"é"}')) == '{"a":"é"}'


@pytest.mark.parametrize(
    "packed",
    [b"", b"plain", pack_record("{}")[:-4], gzip.compress(b"\xff", mtime=0)],
    ids=["empty", "plain", "cut", "no text"],
)
def test_bytes_that_are_no_record_are_refused(packed):
    with pytest.raises(InvalidInput, match="cannot be read"):
        unpack_record(packed)


def test_a_record_that_unpacks_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(measurement, "MAX_UNPACKED_BYTES", 100)
    with pytest.raises(InvalidInput, match="too large"):
        unpack_record(gzip.compress(b"a" * 1000))


def test_a_record_that_is_too_large_for_a_ledger_is_refused(monkeypatch):
    monkeypatch.setattr(measurement, "MAX_RECORD_BYTES", 10)
    with pytest.raises(InvalidInput, match="Keep the record as a file"):
        pack_record('{"a":1}' * 3)


@pytest.mark.parametrize(
    "fields",
    [
        {"id": "b/../x"},
        {"id": "b"},
        {"service": "chat"},
        {"taken_at": datetime(2026, 11, 26)},  # noqa: DTZ001
        {"digest": "ABC"},
        {"label": "x" * 201},
    ],
    ids=lambda one: next(iter(one)),
)
def test_a_measurement_states_its_subject_well(fields):
    values = {
        "id": "b-0001",
        "kind": MeasurementKind.LOAD,
        "taken_at": datetime(2026, 11, 26, tzinfo=UTC),
        "summary": {},
    } | fields
    with pytest.raises(ValidationError):
        Measurement(**values)
