"""Measurements stay as they were taken and are found again by id, prefix or subject, on both databases."""

from datetime import UTC, datetime, timedelta

import pytest

from tidegate.domain import (
    InvalidInput,
    Measurement,
    MeasurementKind,
    NotFound,
    Refused,
    ServiceRef,
    pack_record,
    unpack_record,
)
from tidegate.domain.measurement import MAX_RECORD_BYTES, MAX_SUMMARY_BYTES

AT = datetime(2026, 11, 26, 7, 0, tzinfo=UTC)
REF = ServiceRef("acme", "chat")


def taken(id_: str, *, kind: str = "load", minutes: int = 0, **fields) -> Measurement:
    values = {"summary": {"ttft_ms": {"p95": 120.5}}} | fields
    return Measurement(id=id_, kind=MeasurementKind(kind), taken_at=AT + timedelta(minutes=minutes), **values)


def ids(found: list[Measurement]) -> list[str]:
    return [one.id for one in found]


def test_a_measurement_comes_back_whole(ledger):
    whole = taken(
        "b-0001", org="acme", service="chat", digest="a" * 64, label="night", record=pack_record('{"a":1}')
    )
    assert ledger.record_measurement(whole) == whole
    assert ledger.measurement("b-0001") == whole
    assert unpack_record(ledger.measurement("b-0001").record) == '{"a":1}'


def test_a_measurement_of_no_organization_is_kept_too(ledger):
    ledger.record_measurement(taken("b-0001"))
    assert ledger.measurement("b-0001") == taken("b-0001")


def test_recording_the_same_one_again_changes_nothing(ledger):
    for _ in range(2):
        ledger.record_measurement(taken("b-0001", org="acme"))
    assert ids(ledger.measurements()) == ["b-0001"]


@pytest.mark.parametrize(
    "other",
    [{"summary": {"ttft_ms": 1}}, {"record": b"x"}, {"kind": "quality"}],
    ids=lambda one: next(iter(one)),
)
def test_an_id_never_comes_to_mean_another_measurement(ledger, other):
    ledger.record_measurement(taken("b-0001"))
    with pytest.raises(Refused, match="another measurement"):
        ledger.record_measurement(taken("b-0001", **other))
    assert ledger.measurement("b-0001") == taken("b-0001")


def test_numbers_without_a_json_form_are_stored_as_missing_and_still_count_as_the_same(ledger):
    for _ in range(2):
        ledger.record_measurement(taken("b-0001", summary={"worst_ms": float("inf")}))
    assert ledger.measurement("b-0001").summary == {"worst_ms": None}


def test_the_beginning_of_an_id_is_enough_while_only_one_begins_so(ledger):
    for name in ("b-0abc1", "b-0abd2", "q-0abc1"):
        ledger.record_measurement(taken(name, kind="quality" if name.startswith("q") else "load"))
    assert ledger.measurement("b-0abd").id == "b-0abd2"
    with pytest.raises(InvalidInput, match="several measurements: b-0ab") as caught:
        ledger.measurement("b-0ab")
    assert caught.value.context["field"] == "id"
    assert "more characters" in caught.value.remedy


def test_a_whole_id_wins_over_longer_ones_that_begin_with_it(ledger):
    for name in ("b-0abc", "b-0abcd"):
        ledger.record_measurement(taken(name))
    assert ledger.measurement("b-0abc").id == "b-0abc"


@pytest.mark.parametrize("wanted", ["b-0b", "B-0a", "b-%", "b__0"])
def test_what_nothing_begins_with_is_not_found(ledger, wanted):
    ledger.record_measurement(taken("b-0abc"))
    with pytest.raises(NotFound, match="begins with"):
        ledger.measurement(wanted)


def test_a_beginning_of_two_characters_names_nothing(ledger):
    with pytest.raises(InvalidInput, match="too short"):
        ledger.measurement("b-")


def test_a_prefix_counts_within_the_kind_that_is_asked_for(ledger):
    ledger.record_measurement(taken("x-0001"))
    ledger.record_measurement(taken("x-0002", kind="drift"))
    assert ledger.measurement("x-0", kind=MeasurementKind.DRIFT).id == "x-0002"
    with pytest.raises(NotFound, match="No quality measurement"):
        ledger.measurement("x-0", kind=MeasurementKind.QUALITY)


def test_lists_are_newest_first_and_leave_the_records_where_they_are(ledger):
    for minute in (2, 1, 3):
        ledger.record_measurement(taken(f"b-000{minute}", minutes=minute, record=pack_record("{}")))
    found = ledger.measurements()
    assert ids(found) == ["b-0003", "b-0002", "b-0001"]
    assert {one.record for one in found} == {None}
    assert ids(ledger.measurements(limit=1)) == ["b-0003"]
    assert ids(ledger.measurements(since=AT + timedelta(minutes=2))) == ["b-0003", "b-0002"]


def test_lists_are_narrowed_by_subject(ledger):
    ledger.record_measurement(taken("b-0001", org="acme", service="chat", digest="a" * 64))
    ledger.record_measurement(taken("b-0002", org="bolt", service="chat"))
    ledger.record_measurement(taken("q-0001", kind="quality", org="acme"))
    assert ids(ledger.measurements(org="acme", service="chat")) == ["b-0001"]
    assert ids(ledger.measurements(org="acme", kind=MeasurementKind.QUALITY)) == ["q-0001"]
    assert ids(ledger.measurements(digest="a" * 64)) == ["b-0001"]
    assert ledger.measurements(org="nobody") == []


def test_a_measured_service_keeps_its_epoch(ledger):
    ledger.record_measurement(taken("b-0001", org="acme", service="chat"))
    ledger.record_baseline(REF, "latency", "a" * 64, {})
    assert ledger.baseline(REF, "latency") is not None


def test_what_is_too_large_is_refused_and_says_what_to_do(ledger):
    with pytest.raises(InvalidInput, match="record of b-0001") as caught:
        ledger.record_measurement(taken("b-0001", record=bytes(MAX_RECORD_BYTES + 1)))
    assert "keep the record as a file" in caught.value.remedy
    with pytest.raises(InvalidInput, match="summary of b-0001"):
        ledger.record_measurement(taken("b-0001", summary={"text": "x" * MAX_SUMMARY_BYTES}))
    assert ledger.measurements() == []
