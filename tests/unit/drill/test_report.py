"""How drills are told: nobody has to read the code to understand a report."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tidegate.drill.judgement import Loss, Sighting, judge, not_played
from tidegate.drill.report import COLUMNS, as_data, headline, markdown, row
from tidegate.drill.scenario import find_drills

T0 = datetime(2026, 11, 26, 12, tzinfo=UTC)
(ENVOY,) = find_drills(("kill-envoy",))
SEEN = Sighting(
    began_at=T0, done_at=T0, lifted_at=T0, recovered_at=T0 + timedelta(seconds=2),
    answering_at=T0 + timedelta(seconds=1), sent=40, answered=39, aborted=0, answered_since=20,
    losses=(Loss(T0, T0 + timedelta(seconds=0.5), "failed", "reset | by peer"),),
)  # fmt: skip
REPORT = judge(ENVOY, SEEN)


def test_a_row_has_a_cell_for_each_column():
    assert dict(zip(COLUMNS, row(REPORT), strict=True)) == {
        "DRILL": "kill-envoy", "VERDICT": "kept", "SENT": "40", "FAILED": "1", "CUT OFF": "0", "ALLOWED": "1",
        "RECOVERED": "2.0 s", "RELEASE": "-",
    }  # fmt: skip


def test_the_headline_says_where_requests_were_lost():
    told = headline([REPORT, not_played(ENVOY, "no Envoy here")])
    assert "2 drills: 1 kept, 1 not judged" in told
    assert "40 requests sent, 1 lost: 1 where no healthy way existed" in told


def test_markdown_tells_fault_expectation_figures_and_losses_and_no_foreign_text_breaks_it():
    text = markdown([REPORT], T0, {"cores": "2"})
    for part in (
        "kill -9 of the only Envoy",
        "clients fail until it is back",
        "40 sent",
        "reset \\| by peer",
        "cores: 2",
    ):
        assert part in text


def test_data_has_stable_keys_and_the_worst_verdict():
    broken = judge(ENVOY, replace(SEEN, recovered_at=None))
    told = as_data([REPORT, broken], T0, {})
    assert told["verdict"] == "broken"
    assert told["drills"][0]["requests"] == {
        "sent": 40, "answered": 39, "failed": 1, "truncated": 0, "allowed_to_fail": 1,
    }  # fmt: skip
