"""Following a release: new rows once, runs that died, and what each ending is worth as an exit code."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from tidegate.cli.following import Follower, describe, exit_code, outcome_lines, start_run
from tidegate.domain import (
    Evidence,
    Gate,
    JournalEntry,
    NeedsOperator,
    Policy,
    Release,
    ReleaseRequest,
    ReleaseState,
    ServiceConfig,
    Transient,
    Verdict,
)
from tidegate.domain.policy import ApprovalPolicy
from tidegate.stack.prefect_api import FlowRun

START = datetime(2026, 11, 21, tzinfo=UTC)


def release(state: ReleaseState, reason: str = "") -> Release:
    return Release(
        id="r-1",
        request=ReleaseRequest(org="acme", service="chat", model="finch", version="v2"),
        digest="a" * 64,
        state=state,
        epoch=1,
        reason=reason,
        created_at=START,
        updated_at=START,
    )


def entry(seq: int, kind: Any, name: str, **data: Any) -> JournalEntry:
    at = START + timedelta(seconds=seq)
    return JournalEntry(seq=seq, release_id="r-1", epoch=1, kind=kind, name=name, data=data, at=at)


class Ledger:
    """A ledger that grows by one row and one state each time somebody looks."""

    def __init__(self, states: list[ReleaseState], evidence: list[Evidence] | None = None):
        self._states = states
        self._looks = 0
        self._evidence = evidence or []

    def get_release(self, release_id: str) -> Release:
        self._looks += 1
        return release(self._states[min(self._looks, len(self._states)) - 1])

    def entries(self, release_id: str) -> list[JournalEntry]:
        shown = self._states[: self._looks]
        return [entry(number, "entered", state.value) for number, state in enumerate(shown, 1)]

    def evidence(self, release_id: str) -> list[Evidence]:
        return self._evidence


def ports(ledger: Ledger) -> Any:
    return SimpleNamespace(ledger=ledger)


def test_each_row_is_told_once_until_the_release_is_over():
    told: list[str] = []
    ledger = Ledger([ReleaseState.REQUESTED, ReleaseState.VALIDATING, ReleaseState.DONE])

    last = Follower(ports(ledger), "r-1", told.append).follow(10)

    assert last.state is ReleaseState.DONE
    assert [line.split("[bold]")[1] for line in told] == [
        "requested[/bold]",
        "validating[/bold]",
        "done[/bold]",
    ]


@pytest.mark.parametrize("state", [ReleaseState.HOLD, ReleaseState.AWAIT_APPROVAL])
def test_a_release_that_asks_a_person_is_not_waited_for(state: ReleaseState):
    assert Follower(ports(Ledger([state])), "r-1", print).follow(10).state is state


def test_a_release_that_takes_too_long_is_left_to_go_on():
    with pytest.raises(Transient, match="still shifting") as caught:
        Follower(ports(Ledger([ReleaseState.SHIFTING])), "r-1", lambda line: None).follow(0)

    assert "releases show r-1 --follow" in caught.value.remedy


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (ReleaseState.DONE, 0),
        (ReleaseState.REJECTED, 2),
        (ReleaseState.ROLLED_BACK, 2),
        (ReleaseState.HOLD, 3),
        (ReleaseState.AWAIT_APPROVAL, 3),
        (ReleaseState.SHIFTING, 1),
    ],
)
def test_each_ending_has_its_exit_code(state: ReleaseState, code: int):
    assert exit_code(release(state)) == code


def test_a_refusal_names_the_checks_that_did_not_pass_and_their_remedy():
    rows = [
        Evidence(gate=Gate.STRUCTURE, check="file.size", verdict=Verdict.PASS, summary="fine"),
        Evidence(
            gate=Gate.QUALITY,
            check="quality.bank",
            verdict=Verdict.FAIL,
            summary="47 [of] 68",
            remedy="Train again.",
        ),
    ]
    lines = "\n".join(outcome_lines(ports(Ledger([], rows)), release(ReleaseState.REJECTED, "worse answers")))

    assert "finch:v2 was rejected" in lines
    assert r"quality.bank: 47 \[of] 68" in lines
    assert "Train again." in lines
    assert "file.size" not in lines


def test_rows_that_only_machines_need_are_not_told():
    assert describe(entry(1, "intent", "create_set")) == ""
    assert "stop asked by ada" in describe(entry(1, "abort", "stop", actor="ada", reason="wrong prices"))
    shares = {"acme--chat--0123456789-aaaaaaaa": 10, "acme--chat--0123456789-bbbbbbbb": 90}
    assert "10 % on aaaaaaaa, 90 % on bbbbbbbb" in describe(entry(1, "observed", "weights", weights=shares))


class Api:
    """Prefect, of which the first runs have ended."""

    def __init__(self, ended: int):
        self._ended = ended
        self.keys: list[str] = []

    def create_flow_run(self, deployment: str, parameters: Any, idempotency_key: str) -> FlowRun:
        self.keys.append(idempotency_key)
        state = "CRASHED" if len(self.keys) <= self._ended else "SCHEDULED"
        return FlowRun(f"run-{len(self.keys)}", "x", state, "", "http://p", parameters)


def test_a_release_whose_runs_have_ended_gets_a_new_one():
    api: Any = Api(ended=2)

    run = start_run(api, release(ReleaseState.SHIFTING))

    assert run.id == "run-3"
    assert api.keys == ["r-1#0", "r-1#1", "r-1#2"]


def test_a_release_that_eats_runs_is_left_to_a_person():
    api: Any = Api(ended=1000)

    with pytest.raises(NeedsOperator, match="have ended without finishing"):
        start_run(api, release(ReleaseState.SHIFTING))


@pytest.mark.parametrize(("approvers", "shown"), [((), "--by WHO"), (("noor", "emre"), "--by noor|emre")])
def test_a_release_that_waits_for_an_approval_says_whose(approvers: tuple[str, ...], shown: str):
    policy = Policy(approval=ApprovalPolicy(before_commit=True, approvers=approvers))
    here: Any = SimpleNamespace(ledger=Ledger([]), service=lambda ref: ServiceConfig(policy=policy))

    lines = list(outcome_lines(here, release(ReleaseState.AWAIT_APPROVAL, "a person must approve")))

    assert f"Go on: tidegate releases approve r-1 {shown} --reason ..." in lines
    assert not any("--by" in line for line in outcome_lines(here, release(ReleaseState.HOLD, "not judged")))
