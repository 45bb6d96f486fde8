"""Ids of releases."""

import re

from tidegate.domain import ServiceRef, owner_of_set, set_name
from tidegate.domain.names import NAME_PATTERN
from tidegate.ledger.identity import new_release_id


def test_an_id_is_short_lower_case_and_has_no_dots():
    for _ in range(100):
        assert re.fullmatch(r"r-[0-9a-z]{16}", new_release_id())
        assert re.match(NAME_PATTERN, new_release_id())


def test_ids_of_later_milliseconds_sort_higher():
    times = (0, 1, 31, 32, 1_800_000_000_000, 1_800_000_000_001, 35_000_000_000_000)
    ids = [new_release_id(lambda now=milliseconds: now * 1_000_000) for milliseconds in times]
    assert ids == sorted(ids)


def test_ids_of_one_millisecond_differ():
    assert len({new_release_id(lambda: 1_800_000_000_000_000_000) for _ in range(1000)}) == 1000


def test_names_of_sets_can_be_made_from_an_id():
    ref = ServiceRef("acme", "chat")
    assert owner_of_set(set_name(ref, "a" * 64, new_release_id())) == ref
