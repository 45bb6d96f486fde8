"""The quality gate on the demonstration models, answered by real llama-servers."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.benchmark.served_model import BANK, KEY, served_model
from tests.integration.benchmark.served_model import MODELS as FILES
from tidegate.domain import Evidence, Gate, Refused, Verdict, fold
from tidegate.domain.policy import QualityPolicy
from tidegate.quality import (
    QUALITY_CHECKS,
    Bank,
    BankResult,
    EndpointAsker,
    Question,
    judge_quality,
    read_bank,
    run_bank,
)
from tidegate.quality.source import Served
from tidegate.validation.file_asker import FileAsker

POLICY = QualityPolicy()
CHOICE = {"id": "c", "choices": ["Paris", "Rome"], "expect": "A", "scorer": "choice_logprobs"}
CHOICES = Bank(
    name="choices",
    digest="d",
    questions=(Question.model_validate({**CHOICE, "prompt": "What is the capital of France?"}),),
)
MODELS = ("pipit-v1", "pipit-v2", "pipit-v2-fast", "pipit-v3-regressed")


@dataclass(frozen=True)
class Answered:
    """What four servers said, each started once."""

    banks: dict[str, BankResult]
    choices: BankResult
    served: Served


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Answered:
    bank, found = read_bank(BANK), dict[str, BankResult]()
    choices, known = None, Served()
    for name in MODELS:
        with (
            served_model(name, tmp_path_factory.mktemp("engine")) as served,
            EndpointAsker(served.base_url, KEY, "support-chat") as ask,
        ):
            # One at a time: who shares a batch with whom depends on the machine, and changes roundings.
            found[name] = run_bank(bank, ask, concurrency=1)
            assert found[name].model_digest == served.digest
            if name == "pipit-v2":
                choices, known = run_bank(CHOICES, ask), ask.identify()
    assert choices is not None
    return Answered(found, choices, known)


@pytest.fixture
def answers(answered: Answered) -> dict[str, BankResult]:
    return answered.banks


def judge(answers: dict[str, BankResult], candidate: str, live: str) -> dict[str, Evidence]:
    rows = judge_quality(answers[candidate], answers[live], POLICY)
    return {row.check: row for row in rows}


def verdict(rows: dict[str, Evidence]) -> Verdict:
    return fold(Gate.QUALITY, list(rows.values()), QUALITY_CHECKS).verdict


@pytest.mark.parametrize(("candidate", "live"), [("pipit-v2", "pipit-v1"), ("pipit-v2-fast", "pipit-v2")])
def test_a_sound_successor_passes(answers: dict[str, BankResult], candidate: str, live: str):
    rows = judge(answers, candidate, live)
    assert verdict(rows) is Verdict.PASS, [row.summary for row in rows.values()]


def test_the_regressed_model_fails_and_its_lost_topics_are_named(answers: dict[str, BankResult]):
    rows = judge(answers, "pipit-v3-regressed", "pipit-v2")
    assert verdict(rows) is Verdict.FAIL
    assert rows["quality.regression"].verdict is Verdict.FAIL
    topics = rows["quality.topics"]
    assert topics.verdict is Verdict.FAIL
    assert {"capital", "json"} <= set(topics.data["failed"])
    assert "capital 12/12 -> 0/12" in topics.summary
    assert "arithmetic" not in topics.data["failed"]


def test_a_first_release_is_judged_by_its_score_alone(answers: dict[str, BankResult]):
    rows = {row.check: row for row in judge_quality(answers["pipit-v1"], None, POLICY)}
    assert verdict(rows) is Verdict.PASS
    assert "No baseline" in rows["quality.regression"].summary


def test_a_server_says_which_file_and_engine_it_is(answered: Answered):
    assert answered.served.is_known
    assert answered.served.digest == answered.banks["pipit-v2"].model_digest


def test_a_file_answers_as_the_server_that_loads_it(answered: Answered):
    """Also in how sure it is of each first token: the same weights, asked the same words."""
    asker = FileAsker(FILES / "pipit-v2.gguf")
    by_file, by_server = run_bank(read_bank(BANK), asker), answered.banks["pipit-v2"]
    assert by_file.model_digest == by_server.model_digest
    assert [one.answer for one in by_file.results] == [one.answer for one in by_server.results]
    first, second = (one.results[0].top_logprobs for one in (run_bank(CHOICES, asker), answered.choices))
    assert len(first) == len(second) == 20
    assert {one.token: one.logprob for one in first[:5]} == pytest.approx(
        {one.token: one.logprob for one in second[:5]}, abs=0.05
    )
    assert first[0].logprob <= 0


def test_a_damaged_file_is_not_loaded(tmp_path: Path):
    content = (FILES / "pipit-v2.gguf").read_bytes()
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(content[: len(content) // 2])
    with pytest.raises(Refused, match="is not loaded"):
        FileAsker(damaged)
