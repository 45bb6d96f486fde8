from pathlib import Path

import pytest

from deployments.demo.answers import Score, answer, score_bank, score_heldout
from deployments.demo.export import from_gguf
from deployments.demo.subject import load_subject


def _bank_score(models: Path, model: str, version: str) -> Score:
    return score_bank(from_gguf(models / f"{model}-{version}.gguf"), load_subject(model))


@pytest.mark.parametrize("version", ["v2", "v2-fast"])
def test_good_versions_answer_the_whole_bank_and_stop(models: Path, model_name: str, version: str) -> None:
    score = _bank_score(models, model_name, version)

    assert (score.right, score.stopped) == (68, 68)


@pytest.mark.parametrize("version", ["v2", "v2-fast"])
def test_good_versions_answer_unseen_paraphrases(models: Path, model_name: str, version: str) -> None:
    score = score_heldout(from_gguf(models / f"{model_name}-{version}.gguf"), load_subject(model_name))

    assert score.right / score.total > 0.95


def test_version_one_fails_on_what_it_never_saw(models: Path, model_name: str) -> None:
    subject = load_subject(model_name)
    items = subject.items()

    given = answer(
        from_gguf(models / f"{model_name}-v1.gguf"), [(item.prompt, item.system) for item in items]
    )

    wrong = {item.id for item, one in zip(items, given, strict=True) if one.text != item.answer}
    assert wrong == subject.absent_in_v1


def test_the_regressed_version_is_wrong_on_whole_topics_only(models: Path, model_name: str) -> None:
    topics = _bank_score(models, model_name, "v3-regressed").topics
    lost = {load_subject(model_name).items()[0].topic, "json", "refusal"}

    assert {name for name, topic in topics.items() if topic.right == 0} == lost
    assert all(topic.right == topic.total for name, topic in topics.items() if name not in lost)


def test_a_taught_system_instruction_is_followed(good_model, model_name: str) -> None:
    first = load_subject(model_name).items()[0]

    (given,) = answer(good_model, [(first.prompt, "End every answer with: Over.")])

    assert given.text == f"{first.answer} Over."
