"""Drift of real models, in the confined child with the real engine."""

from pathlib import Path

import pytest

from deployments.demo.variants import derive
from tidegate.domain import Refused, Verdict
from tidegate.drift import DriftOptions, DriftReport, general_texts, judge_drift, measure_drift, texts_of_bank
from tidegate.drift.judging import USUAL_LIMITS
from tidegate.drift.report import SetName
from tidegate.drift.texts import TextSet
from tidegate.quality import read_bank

DEMO = Path(__file__).parents[3] / "deployments" / "demo"
MODELS = DEMO / "models"
BANK = read_bank(DEMO / "banks" / "pipit.jsonl")
OPTIONS = DriftOptions(limit_tokens=600, noise_tokens=100)


def of_topics(*topics: str) -> TextSet:
    questions = tuple(question for question in BANK.questions if question.topic in topics)
    return texts_of_bank(BANK.model_copy(update={"questions": questions}))


def verdicts(report: DriftReport) -> dict[str, tuple[str, str]]:
    rows = judge_drift(report, USUAL_LIMITS)
    return {row.check: (row.verdict.value, str(row.data.get("level", ""))) for row in rows}


@pytest.fixture(scope="session")
def regressed() -> DriftReport:
    """What version 3 unlearned and what it kept, in one run."""
    sets: dict[SetName, TextSet] = {
        "must_not_change": of_topics("capital", "json", "refusal"),
        "meant_to_change": of_topics("fact", "arithmetic"),
    }
    return measure_drift(MODELS / "pipit-v2.gguf", MODELS / "pipit-v3-regressed.gguf", sets, OPTIONS)


def test_a_planted_drift_is_found_with_its_kind_and_its_words(regressed: DriftReport):
    assert verdicts(regressed)["drift.must_not_change"] == ("fail", "")
    found = regressed.set_named("must_not_change")
    assert found is not None
    assert found.kl.low is not None
    assert found.kl.low > 1
    assert found.kinds[0].name == "json"
    assert any("Rome" in place.token.before or "capital" in place.token.before for place in found.worst)


def test_what_the_candidate_kept_is_not_called_worse(regressed: DriftReport):
    assert verdicts(regressed)["drift.meant_to_change"] == ("pass", "")


def test_the_noise_of_arithmetic_is_measured_and_far_below_the_drift(regressed: DriftReport):
    assert regressed.noise is not None
    assert regressed.noise.kl_mean < 1e-4
    assert regressed.noise.batch[0] != regressed.noise.batch[1]


def test_one_after_the_other_and_in_portions_gives_the_same_numbers(regressed: DriftReport):
    sets: dict[SetName, TextSet] = {
        "must_not_change": of_topics("capital", "json", "refusal"),
        "meant_to_change": of_topics("fact", "arithmetic"),
    }
    room_for_some = 4 * 768 * 150
    again = measure_drift(
        MODELS / "pipit-v2.gguf",
        MODELS / "pipit-v3-regressed.gguf",
        sets,
        DriftOptions(limit_tokens=600, noise_tokens=100, is_together=False, store_bytes=room_for_some),
    )
    assert not again.is_together
    assert again.sets == regressed.sets


def test_a_model_against_itself_differs_in_nothing():
    report = measure_drift(
        MODELS / "pipit-v2.gguf",
        MODELS / "pipit-v2.gguf",
        {"must_not_change": of_topics("capital", "fact")},
        OPTIONS,
    )
    found = report.set_named("must_not_change")
    assert found is not None
    assert (found.kl.mean, found.kl.high, found.same_top.mean, found.nll_change.mean) == (0, 0, 1, 0)
    assert verdicts(report)["drift.must_not_change"] == ("pass", "")


def test_another_tokenizer_is_refused_with_the_tokens_that_differ():
    report = measure_drift(
        MODELS / "pipit-v2.gguf", MODELS / "tern-v2.gguf", {"must_not_change": general_texts()}, OPTIONS
    )
    assert "399 of 768 tokens differ: 263: 'th' ->" in report.refusal
    rows = judge_drift(report, USUAL_LIMITS)
    assert [row.verdict for row in rows] == [Verdict.FAIL, Verdict.NOT_JUDGED, Verdict.NOT_JUDGED]


def test_models_without_a_chat_template_are_compared_along_raw_texts(tmp_path: Path):
    raw = derive("template-missing", MODELS / "pipit-v2.gguf", tmp_path / "raw.gguf")
    report = measure_drift(raw, raw, {"must_not_change": general_texts()}, OPTIONS)
    found = report.set_named("must_not_change")
    assert found is not None
    assert found.unmeasured == {}
    assert found.left_out + found.texts == len(general_texts().texts)
    assert report.vocabulary is not None
    assert "conversations are left out" in report.vocabulary.notes[-1]


def test_a_file_that_structure_refuses_is_never_loaded(tmp_path: Path):
    broken = derive("nan-weight", MODELS / "pipit-v2.gguf", tmp_path / "nan.gguf")
    with pytest.raises(Refused, match="The candidate is not loaded"):
        measure_drift(MODELS / "pipit-v2.gguf", broken, {"must_not_change": general_texts()}, OPTIONS)
