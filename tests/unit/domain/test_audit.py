"""The chain of the audit log: whatever one does to a single entry is found, and the first bad one is named."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.domain.audit import (
    GENESIS,
    SEALED,
    Anchor,
    Deed,
    Interface,
    canonical,
    entry_hash,
    sealed,
    verify,
)
from tidegate.domain.audit import shown as shown_entry

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
OPTIONAL = st.none() | TEXT
JSON = st.dictionaries(TEXT, TEXT | st.integers() | st.booleans() | st.lists(TEXT, max_size=2), max_size=3)
DEEDS = st.builds(
    Deed,
    action=TEXT,
    actor=TEXT,
    interface=st.sampled_from(Interface),
    at=TEXT,
    org=OPTIONAL,
    service=OPTIONAL,
    release_id=OPTIONAL,
    subject=TEXT,
    reason=TEXT,
    evidence=JSON,
)
FIELDS = (*SEALED, "hash")
Entries = list[dict[str, Any]]


def chain(deeds: Sequence[Deed]) -> Entries:
    entries: Entries = []
    for number, deed in enumerate(deeds, 1):
        entries.append(sealed(deed, number, entries[-1]["hash"] if entries else GENESIS))
    return entries


def anchor_of(entries: Entries) -> Anchor:
    return Anchor(entries[-1]["number"], entries[-1]["hash"])


LOGS = st.lists(DEEDS, min_size=1, max_size=5).map(chain)
FEW = settings(max_examples=40)


@FEW
@given(LOGS)
def test_a_log_that_nobody_touched_is_whole(entries: Entries):
    found = verify(entries, [anchor_of(entries)])

    assert (found.is_whole, found.entries, found.newest) == (True, len(entries), anchor_of(entries))


def test_an_empty_log_is_whole_and_has_no_anchor():
    assert verify([]).is_whole
    assert verify([]).newest is None


@given(LOGS, st.data())
def test_a_changed_field_of_any_entry_is_found_at_its_place(entries: Entries, data: st.DataObject):
    place = data.draw(st.integers(0, len(entries) - 1))
    field = data.draw(st.sampled_from(FIELDS))
    value = data.draw((TEXT | st.none() | st.integers()).filter(lambda new: new != entries[place][field]))

    changed = [*entries[:place], {**entries[place], field: value}, *entries[place + 1 :]]
    found = verify(changed, [anchor_of(entries)])

    assert found.broken is not None
    assert found.broken.number == place + 1


@FEW
@given(LOGS, st.data())
def test_evidence_of_the_same_meaning_in_other_bytes_is_a_change(entries: Entries, data: st.DataObject):
    place = data.draw(st.integers(0, len(entries) - 1))
    spaced = json.dumps(json.loads(entries[place]["evidence"]), indent=1) + " "

    changed = [*entries[:place], {**entries[place], "evidence": spaced}, *entries[place + 1 :]]

    assert verify(changed).broken == verify(changed[: place + 1]).broken
    assert verify(changed).broken.number == place + 1  # type: ignore[union-attr]


@FEW
@given(LOGS, st.data())
def test_a_removed_entry_is_found(entries: Entries, data: st.DataObject):
    place = data.draw(st.integers(0, len(entries) - 1))

    found = verify(entries[:place] + entries[place + 1 :], [anchor_of(entries)])

    assert found.broken is not None
    assert found.broken.number == place + 1


@FEW
@given(LOGS, DEEDS, st.data())
def test_an_inserted_entry_is_found_even_when_it_is_sealed_and_the_rest_renumbered(
    entries: Entries, deed: Deed, data: st.DataObject
):
    place = data.draw(st.integers(0, len(entries) - 1))
    former = entries[place - 1]["hash"] if place else GENESIS
    forged = sealed(deed, place + 1, former)
    rest = [{**entry, "number": entry["number"] + 1} for entry in entries[place:]]

    found = verify([*entries[:place], forged, *rest], [anchor_of(entries)])

    assert found.broken is not None
    assert found.broken.number in (place + 1, place + 2)


@FEW
@given(st.lists(DEEDS, min_size=2, max_size=6).map(chain), st.data())
def test_two_entries_that_changed_places_are_found(entries: Entries, data: st.DataObject):
    first = data.draw(st.integers(0, len(entries) - 2))
    second = data.draw(st.integers(first + 1, len(entries) - 1))
    swapped = [dict(entry) for entry in entries]
    swapped[first], swapped[second] = swapped[second], swapped[first]
    for renumbered in (swapped, [{**entry, "number": n} for n, entry in enumerate(swapped, 1)]):
        found = verify(renumbered, [anchor_of(entries)])
        assert found.broken is not None
        assert found.broken.number == first + 1


@FEW
@given(st.lists(DEEDS, min_size=2, max_size=6).map(chain), st.data())
def test_a_log_that_was_cut_at_its_end_is_whole_in_itself_and_is_told_by_its_anchor(
    entries: Entries, data: st.DataObject
):
    left = entries[: data.draw(st.integers(0, len(entries) - 1))]

    assert verify(left).is_whole
    found = verify(left, [anchor_of(entries)])
    assert found.broken is not None
    assert found.broken.number == len(left) + 1


@FEW
@given(st.lists(DEEDS, min_size=2, max_size=6), DEEDS, st.data())
def test_a_log_that_was_written_anew_is_told_by_an_anchor(deeds: list[Deed], deed: Deed, data: st.DataObject):
    entries, place = chain(deeds), data.draw(st.integers(0, len(deeds) - 1))
    forged = chain([*deeds[:place], deed, *deeds[place + 1 :]])

    assert verify(forged).is_whole
    assert verify(forged, [anchor_of(entries)]).is_whole == (forged == entries)


@FEW
@given(DEEDS)
def test_anybody_can_compute_the_hash_from_what_is_shown(deed: Deed):
    entry = sealed(deed, 1, GENESIS)
    told = shown_entry(entry)
    read_again = json.loads(json.dumps(told))

    assert read_again["evidence"] == deed.evidence
    read_again["evidence"] = canonical(read_again["evidence"])
    assert entry_hash(read_again) == entry["hash"]


def test_nothing_but_an_anchor_has_to_be_kept_elsewhere():
    """Which is why it holds the number too: from it the first missing entry is known."""
    check: Callable[..., Any] = verify
    assert check([], [Anchor(3, "a" * 64)]).broken.number == 1
