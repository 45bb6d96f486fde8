"""A judge that a policy names is asked about a release, and can only hold it."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.cli.openai_server import FakeModel, served
from tests.unit.quality.asked import bank_of, model
from tidegate.domain import NotFound, Secret, Verdict
from tidegate.domain.policy import QualityPolicy
from tidegate.quality import run_bank
from tidegate.steps.judge_advice import judge_rows

BANK = bank_of(12)
LIVE = run_bank(BANK, model(lambda name: True))
WORSE = run_bank(BANK, model(lambda name: int(name[1:]) > 8))


def ports(**secrets: str) -> Any:
    return SimpleNamespace(
        secrets=SimpleNamespace(get=lambda name: Secret(secrets[name]) if name in secrets else None)
    )


def policy(url: str, key: str | None = None) -> QualityPolicy:
    return QualityPolicy.model_validate({"judge": {"url": url, "model": "j-1", "key": key}})


def prefers_right(text: str) -> str:
    answers = [text.split(f"<answer-{letter}>\n")[1].split("\n")[0] for letter in "AB"]
    return "T" if answers[0] == answers[1] else "B" if answers[0] == "no" else "A"


def test_without_a_judge_or_a_live_model_there_is_no_row():
    assert judge_rows(ports(), QualityPolicy(), BANK, WORSE, LIVE) == []
    assert judge_rows(ports(), policy("http://j/v1"), BANK, WORSE, None) == []


def test_a_worse_candidate_is_held_and_the_judge_gets_its_key():
    with served(FakeModel(prefers_right, key="k-judge")) as judge:
        named = policy(judge.base_url, "acme-judge-key")
        rows = judge_rows(ports(**{"acme-judge-key": "k-judge"}), named, BANK, WORSE, LIVE)
    assert [row.verdict for row in rows] == [Verdict.NOT_JUDGED]
    assert rows[0].data["lost"] == 9


def test_a_key_that_is_not_there_is_told_by_its_reference():
    with pytest.raises(NotFound, match="acme-judge-key"):
        judge_rows(ports(), policy("http://j/v1", "acme-judge-key"), BANK, WORSE, LIVE)
