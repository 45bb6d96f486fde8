"""When a dead set is started again. Pure."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain import SetSpec
from tidegate.platforms.local.healing import HealingPolicy, Remedy, count_crash, remedy
from tidegate.platforms.local.state import SetRecord, Wanted

POLICY = HealingPolicy(crash_limit=3, first_delay_s=1.0, longest_delay_s=3.0)


def _record(**changes: object) -> SetRecord:
    spec = SetSpec(
        name="a--b--c", org="aa", service="bb", release_id="r", digest="0" * 64, artifact_path="/m"
    )
    record = SetRecord(spec=spec, wanted=Wanted.RUNNING, changed_at=datetime(2026, 1, 1, tzinfo=UTC))
    return record.model_copy(update=changes)


def test_the_first_restart_is_immediate() -> None:
    record = count_crash(_record(), POLICY, now=100.0)

    assert record.crashes == 1
    assert remedy(record, 100.0) is Remedy.RESTART


@pytest.mark.parametrize(("crashes", "delay_s"), [(0, 0.0), (1, 0.0), (2, 1.0), (3, 2.0), (4, 3.0), (9, 3.0)])
def test_the_wait_doubles_up_to_its_bound(crashes: int, delay_s: float) -> None:
    assert POLICY.delay_s(crashes) == delay_s


def test_a_later_restart_waits_its_time() -> None:
    record = count_crash(_record(crashes=1), POLICY, now=100.0)

    assert remedy(record, 100.9) is Remedy.WAIT
    assert remedy(record, 101.0) is Remedy.RESTART


def test_noticing_one_death_twice_counts_it_once() -> None:
    once = count_crash(_record(crashes=1), POLICY, now=100.0)

    assert count_crash(once, POLICY, now=100.5) == once


def test_one_crash_over_the_limit_gives_up_for_good() -> None:
    record = count_crash(_record(crashes=3), POLICY, now=100.0)

    assert "died 4 times in a row" in record.gave_up
    assert remedy(record, 1e12) is Remedy.GIVE_UP
    assert count_crash(record, POLICY, now=200.0) == record


@given(st.integers(0, 2000))
def test_no_number_of_crashes_waits_longer_than_the_bound(crashes: int) -> None:
    assert 0.0 <= HealingPolicy().delay_s(crashes) <= HealingPolicy().longest_delay_s
