"""Evidence rows to the verdict of a gate and of a release: what may never happen, for all rows that can be."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.domain import Evidence, Gate, GateResult, Policy, Verdict, fold, fold_gates, settle
from tidegate.domain.evidence import WhenNotJudged
from tidegate.domain.policy import DRIFT_CHECKS, DriftLimits, DriftPolicy, QualityPolicy

GATE = Gate.QUALITY
REQUIRED = frozenset({"quality.a", "quality.b"})
WISHES: tuple[WhenNotJudged, ...] = ("hold", "fail", "pass")


def row(check: str, verdict: Verdict, samples: int | None = None, gate: Gate = GATE) -> Evidence:
    data = {} if samples is None else {"samples": samples}
    return Evidence(gate=gate, check=check, verdict=verdict, summary=f"{check} {verdict.value}", data=data)


rows_of_a_gate = st.dictionaries(
    st.sampled_from(sorted(REQUIRED)), st.tuples(st.sampled_from(Verdict), st.sampled_from([None, 0, 10]))
).map(lambda found: [row(check, verdict, samples) for check, (verdict, samples) in found.items()])


def decided(rows: list[Evidence], wish: WhenNotJudged) -> GateResult:
    return settle(fold(GATE, rows, REQUIRED), wish)


@given(rows_of_a_gate, st.sampled_from(WISHES), st.data())
@settings(max_examples=200, deadline=None)
def test_taking_evidence_away_never_turns_anything_into_a_pass(
    rows: list[Evidence], wish: WhenNotJudged, data: st.DataObject
):
    left = data.draw(st.lists(st.sampled_from(rows), unique_by=id)) if rows else []

    if decided(left, wish).verdict is Verdict.PASS:
        assert decided(rows, wish).verdict is Verdict.PASS


@given(rows_of_a_gate, st.randoms(use_true_random=False), st.sampled_from(WISHES))
@settings(max_examples=100, deadline=None)
def test_the_order_of_rows_does_not_matter(rows: list[Evidence], chance: object, wish: WhenNotJudged):
    shuffled = list(rows)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]

    assert decided(shuffled, wish).verdict is decided(rows, wish).verdict


def test_every_combination_of_verdicts_passes_only_when_all_pass():
    for verdicts in itertools.product(Verdict, repeat=2):
        rows = [row(check, verdict, 10) for check, verdict in zip(sorted(REQUIRED), verdicts, strict=True)]
        for wish in WISHES:
            lets = wish == "pass" and set(verdicts) <= {Verdict.PASS, Verdict.NOT_JUDGED}
            expected = lets or set(verdicts) == {Verdict.PASS}
            assert (decided(rows, wish).verdict is Verdict.PASS) == expected, (verdicts, wish)


def test_rows_of_other_gates_are_no_evidence_here():
    rows = [row(check, Verdict.PASS, 10, Gate.PERFORMANCE) for check in REQUIRED]

    assert fold(GATE, rows, REQUIRED).verdict is Verdict.NOT_JUDGED


@pytest.mark.parametrize(
    ("wish", "verdict"), [("hold", Verdict.NOT_JUDGED), ("fail", Verdict.FAIL), ("pass", Verdict.PASS)]
)
def test_what_the_policy_says_about_an_undecided_gate_is_told(wish: WhenNotJudged, verdict: Verdict):
    rows = [row("quality.a", Verdict.PASS, 10), row("quality.b", Verdict.NOT_JUDGED, 10)]

    found = decided(rows, wish)

    assert found.verdict is verdict
    assert found.reasons[-1] == f"not judged; the policy says {wish}"
    assert found.by_policy == wish


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [row("quality.a", Verdict.PASS, 10)],
        [row("quality.a", Verdict.PASS, 10), row("quality.b", Verdict.NOT_JUDGED)],
        [row("quality.a", Verdict.PASS, 10), row("quality.b", Verdict.NOT_JUDGED, 0)],
    ],
    ids=["nothing", "a check is missing", "nobody counted", "nothing was measured"],
)
def test_missing_evidence_is_not_let_through_even_where_the_policy_says_pass(rows: list[Evidence]):
    found = decided(rows, "pass")

    assert found.verdict is Verdict.NOT_JUDGED
    assert found.reasons[-1].endswith("but evidence is missing, which never passes")


@given(st.dictionaries(st.sampled_from(Gate), st.sampled_from(Verdict)))
@settings(max_examples=100, deadline=None)
def test_a_release_passes_only_when_each_of_its_gates_did(found: dict[Gate, Verdict]):
    results = {gate: GateResult(gate=gate, verdict=verdict) for gate, verdict in found.items()}

    passed = fold_gates(results, tuple(Gate)) is Verdict.PASS

    assert passed == (set(found) == set(Gate) and set(found.values()) == {Verdict.PASS})
    assert fold_gates(results, ()) is Verdict.NOT_JUDGED


def test_declared_drift_is_a_check_that_must_be_there():
    declared = Policy(drift=DriftPolicy(must_not_change=DriftLimits(max_mean_kl=0.1)))

    assert declared.declared_checks(Gate.QUALITY) == {DRIFT_CHECKS["must_not_change"]}
    assert Policy().declared_checks(Gate.QUALITY) == frozenset()
    assert declared.declared_checks(Gate.PERFORMANCE) == frozenset()


def test_only_gates_that_rest_on_samples_may_be_let_through():
    lenient = Policy(quality=QualityPolicy(when_not_judged="pass"))

    assert lenient.when_not_judged(Gate.QUALITY) == "pass"
    assert {lenient.when_not_judged(gate) for gate in Gate if gate is not Gate.QUALITY} == {"hold"}


@given(rows_of_a_gate, st.sampled_from(WISHES))
@settings(max_examples=100, deadline=None)
def test_a_row_that_is_only_shown_changes_no_verdict(rows: list[Evidence], wish: WhenNotJudged):
    shown = row("quality.c", Verdict.NOT_JUDGED).model_copy(update={"data": {"is_gating": False}})

    assert decided([*rows, shown], wish) == decided(rows, wish)


@pytest.mark.parametrize("verdict", [Verdict.PASS, Verdict.FAIL, Verdict.ERROR])
def test_a_row_with_a_verdict_of_its_own_counts_whatever_it_is_called(verdict: Verdict):
    found = row("quality.a", verdict).model_copy(update={"data": {"is_gating": False}})

    assert fold(GATE, [found], frozenset()).verdict is verdict


def test_rows_that_are_only_shown_never_pass_a_gate():
    shown = row("quality.a", Verdict.NOT_JUDGED).model_copy(update={"data": {"is_gating": False}})

    assert fold(GATE, [shown], frozenset({"quality.a"})).verdict is Verdict.NOT_JUDGED
    assert fold(GATE, [shown], frozenset()).verdict is Verdict.NOT_JUDGED
