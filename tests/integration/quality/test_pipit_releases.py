"""The quality gate on the demonstration models, answered by real llama-servers."""

import pytest

from tests.integration.benchmark.served_model import BANK, KEY, served_model
from tidegate.domain import Evidence, Gate, Verdict, fold
from tidegate.domain.policy import QualityPolicy
from tidegate.quality import QUALITY_CHECKS, BankResult, EndpointAsker, judge_quality, read_bank, run_bank

POLICY = QualityPolicy()
MODELS = ("pipit-v1", "pipit-v2", "pipit-v2-fast", "pipit-v3-regressed")


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, BankResult]:
    bank, found = read_bank(BANK), dict[str, BankResult]()
    for name in MODELS:
        with (
            served_model(name, tmp_path_factory.mktemp("engine")) as served,
            EndpointAsker(served.base_url, KEY, "support-chat") as ask,
        ):
            found[name] = run_bank(bank, ask)
            assert found[name].model_digest == served.digest
    return found


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
