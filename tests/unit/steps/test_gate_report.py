"""The gates as people read them: verdict, why, what it rests on, what it could have seen, what was allowed."""

from tests.unit.steps.conftest import Office
from tests.unit.steps.test_replay import NARROW, WIDE, past
from tidegate.domain import Evidence, Gate, Policy, ReleaseState, Verdict
from tidegate.domain.policy import QualityPolicy
from tidegate.steps.checks import REQUIRED
from tidegate.steps.gate_report import GateLine, gate_lines, mark, number_rows, rest_rows
from tidegate.steps.replay import Past
from tidegate.steps.reporting import release_gates, release_markdown


def lines(found: Past, *tried_out: Gate) -> dict[Gate, GateLine]:
    told = gate_lines(found.rows, found.policy, REQUIRED, frozenset(tried_out))
    return {line.gate: line for line in told}


def undecided(wish: str = "hold") -> Past:
    quality = QualityPolicy.model_validate({"margin": 0.01, "when_not_judged": wish})
    return past(policy=WIDE.model_copy(update={"quality": quality}))


def test_a_gate_of_plain_checks_is_told_in_one_line():
    assert lines(past())[Gate.PROBES].why == f"{len(REQUIRED[Gate.PROBES])} checks passed."


def test_a_gate_of_measurements_says_by_how_much_on_what_and_what_it_could_have_seen():
    line = lines(past(ratio=1.3))[Gate.PERFORMANCE]

    assert line.verdict == "pass"
    assert line.why.startswith("p50 TTFT is 30 % slower (29 to 31 %), within the 50 % allowed")
    assert line.rests_on == "6 block pairs (the planned end), 24 requests of the candidate"
    assert "p50 TTFT: 1.0% slower" in line.could_see
    assert line.allowed == "ttft_p50 50% or 1 ms; itl_p50 50% or 1 ms; no errors"


def test_a_gate_that_fails_says_which_limits_were_broken():
    line = lines(past(ratio=1.3, policy=NARROW))[Gate.PERFORMANCE]

    assert line.verdict == "FAIL"
    assert "more than the 10 % allowed" in line.why
    assert "(stopped early)" in line.rests_on


def test_what_a_policy_says_about_an_undecided_gate_stands_beside_it():
    for wish in ("hold", "fail", "pass"):
        line = lines(undecided(wish), Gate.QUALITY)[Gate.QUALITY]

        assert line.verdict == f"not judged; policy says {wish}"
        assert "more questions would decide" in line.why
        assert line.allowed == "loss of 1 point; at least 70% right"


def test_before_its_budget_is_spent_an_undecided_gate_is_only_not_judged():
    assert lines(undecided())[Gate.QUALITY].verdict == "not judged"


def test_evidence_that_is_missing_is_named():
    found = past()
    rows = [row for row in found.rows if row.check != "quality.regression"]

    (line,) = (one for one in gate_lines(rows, found.policy, REQUIRED) if one.gate is Gate.QUALITY)

    assert line.verdict == "not judged"
    assert line.why == "no evidence for quality.regression"


def test_gates_without_rows_are_not_told():
    assert gate_lines([], Policy(), REQUIRED) == []


def test_only_what_was_sampled_says_what_it_rests_on_and_engineers_get_the_numbers():
    found = past()

    assert [row["gate"] for row in rest_rows(lines(found).values())] == ["performance", "quality"]
    checks = {row["check"] for row in number_rows(found.rows)}
    assert {"performance.ttft", "performance.itl", "quality.regression"} <= checks


def test_the_report_of_a_release_shows_gates_then_what_they_rest_on_then_numbers(office: Office):
    release = office.enter(office.release("acme"), ReleaseState.JUDGING)
    office.ledger.add_evidence(release.id, past().rows, digest=release.digest, policy_digest="p")
    for _ in range(2):
        office.ledger.append(release.id, release.epoch, "observed", "gate:quality", {"verdict": "not_judged"})

    report = release_markdown(office.ports, release.id)

    places = [
        report.index(f"## {title}") for title in ("Gates", "What the verdicts rest on", "Numbers", "Evidence")
    ]
    assert places == sorted(places)
    assert {line.gate for line in release_gates(office.ports, release)} == {row.gate for row in past().rows}


def looked(rung: str, verdict: Verdict, why: str) -> list[Evidence]:
    of = {"rung": rung, "samples": 812, "requests": 812, "probes": 0 if rung == "bake" else 20}
    told = f"{'in the bake' if rung == 'bake' else f'at {rung} %'}: {why}"
    return [
        Evidence(gate=Gate.LIVE, check=f"live.{rung}.look", verdict=verdict, summary=told, data=of),
        Evidence(gate=Gate.LIVE, check=f"live.{rung}.errors", verdict=verdict, summary="0 of 812", data=of),
        Evidence(
            gate=Gate.LIVE,
            check=f"live.{rung}.length",
            verdict=Verdict.NOT_JUDGED,
            summary="shown",
            data=of | {"is_gating": False},
        ),
    ]


def test_live_traffic_is_told_by_its_looks_and_says_whose_requests_it_rests_on():
    rows = looked("10", Verdict.PASS, "fine") + looked("bake", Verdict.PASS, "fine")

    (line,) = gate_lines(rows, WIDE, REQUIRED)

    assert (line.gate, line.verdict) == (Gate.LIVE, "pass")
    assert line.why == "2 looks at live traffic passed: at 10 %, in the bake."
    assert (
        line.rests_on == "at 10 % 812 requests of clients and 20 probes, in the bake 812 requests of clients"
    )
    assert line.allowed.startswith("errors 2%; attempts 5%")


def test_live_traffic_that_did_harm_is_told_once_and_with_its_rung():
    rows = looked("10", Verdict.PASS, "fine") + looked("50", Verdict.FAIL, "9 of 812 failed on the new set")

    (line,) = gate_lines(rows, WIDE, REQUIRED)

    assert (line.verdict, line.why) == ("FAIL", "at 50 %: 9 of 812 failed on the new set.")


def test_a_row_that_is_only_shown_is_not_called_undecided():
    look, errors, length = looked("10", Verdict.PASS, "fine")

    assert [mark(row) for row in (look, errors, length)] == ["pass", "pass", "shown"]
