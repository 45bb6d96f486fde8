"""The row that a rehearsed switch becomes."""

import pytest

from tidegate.benchmark.tally import Counts, TrafficSnapshot
from tidegate.domain import ReleaseState, Verdict
from tidegate.steps.rehearsal import NEW, OLD, figures, rehearsal_rows, switch_row
from tidegate.steps.reporting import release_markdown

MET = {"seconds": 0.4, "streams": 20, "lost": 0, "truncated": 0, "confirmed": True, "weights": {"a": 100}}


def test_a_switch_without_a_loss_in_time_passes_and_keeps_its_figures():
    row = switch_row("rehearsal.back", "back", MET, 5.0)
    assert row.verdict is Verdict.PASS
    assert row.data["seconds"] == 0.4
    assert "took 0.40 s; of 20 streams 0 were lost and 0 cut off" in row.summary


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"lost": 1}, "1 were lost"),
        ({"truncated": 2}, "2 cut off"),
        ({"seconds": 6.0}, "The policy allows 5 s"),
        ({"confirmed": False}, "Not every gateway confirmed"),
    ],
)
def test_a_loss_a_slow_switch_and_a_silent_gateway_fail(change: dict, told: str):
    row = switch_row("rehearsal.back", "back", MET | change, 5.0)
    assert row.verdict is Verdict.FAIL
    assert told in row.summary
    assert row.remedy


@pytest.mark.parametrize("met", [None, {}, MET | {"streams": 0}])
def test_what_was_not_rehearsed_is_not_judged(met: dict | None):
    assert switch_row("rehearsal.back", "back", met, 5.0).verdict is Verdict.NOT_JUDGED


def test_rows_come_from_the_journal(office):
    release = office.enter(office.release("acme"), ReleaseState.BAKING)
    office.ledger.append(release.id, release.epoch, "observed", "rehearsal:old", MET)
    back, forth = rehearsal_rows(office.ports, release)
    assert (back.verdict, forth.verdict) == (Verdict.PASS, Verdict.NOT_JUDGED)


def test_streams_that_had_to_be_cut_off_by_us_are_lost():
    over = TrafficSnapshot(sent=9, ok=5, failed=1, truncated=1, aborted=2, by_set={"blue": Counts(ok=5)})
    assert figures(over) == {"streams": 9, "lost": 3, "truncated": 1, "by_set": {"blue": 5}, "failures": []}


def test_the_report_of_a_release_tells_what_the_rehearsal_measured(office):
    release = office.enter(office.release("acme"), ReleaseState.BAKING)
    for name, seconds in ((OLD, 0.4), (NEW, 0.25)):
        office.ledger.append(release.id, release.epoch, "observed", name, MET | {"seconds": seconds})
    rows = rehearsal_rows(office.ports, release)
    office.ledger.add_evidence(release.id, rows, digest=release.digest, policy_digest="p")
    told = release_markdown(office.ports, release.id)
    gate = next(line for line in told.splitlines() if line.startswith("| rehearsal | pass |"))
    assert "took 0.40 s" in gate
    assert "took 0.25 s" in gate
    assert "back to the old set took 0.40 s; of 20 streams 0 were lost and 0 cut off" in told
    assert "to the new set again took 0.25 s; of 20 streams 0 were lost and 0 cut off" in told
    assert "no stream lost or cut off; 5 s a switch" in told
