"""What a night does about a regression: told in every case, and one service hides no other."""

from dataclasses import dataclass
from typing import Any

import pytest

from tasks import regression
from tidegate.domain import Refused, ReleaseState, Verdict
from tidegate.steps import StepOutcome, nightly

WORSE = nightly.NightlyResult("acme/chat", "1" * 64, Verdict.FAIL, "worse")


@dataclass
class Task:
    """Stands for the task that goes back: its final state holds what came of it."""

    outcome: object

    def __call__(self, *_: object, return_state: bool) -> "Task":
        return self

    def result(self, *, raise_on_failure: bool) -> object:
        return self.outcome


def ended(state: ReleaseState) -> StepOutcome:
    return StepOutcome("r-1", "acme", "chat", 1, state, "its set is not ready")


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (ended(ReleaseState.DONE), "it went back to its previous version by release r-1"),
        (ended(ReleaseState.HOLD), "could not go back by itself: release r-1 is hold: its set is not ready"),
        (Refused("schedule:nightly may not", remedy="Give it a role."), "may not Give it a role."),
        (ValueError("a secret"), "could not go back by itself: ValueError"),
    ],
)
def test_what_came_of_going_back_is_said(monkeypatch: pytest.MonkeyPatch, outcome: object, told: str):
    monkeypatch.setattr(regression, "ports", lambda: None)
    monkeypatch.setattr(nightly, "rollback_reason", lambda *_: "worse")
    monkeypatch.setattr(regression, "bring_back", Task(outcome))
    said = regression.go_back(WORSE)
    assert said.endswith(told)
    assert said in nightly.after_the_night(WORSE, said).summary


def test_a_service_that_must_not_go_back_now_is_told_and_raises_nothing(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: Any) -> str:
        raise Refused("release r-9 is under way")

    monkeypatch.setattr(regression, "ports", lambda: None)
    monkeypatch.setattr(nightly, "rollback_reason", refuse)
    assert regression.go_back(WORSE) == "it could not go back by itself: release r-9 is under way"
