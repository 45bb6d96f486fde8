from collections import Counter
from pathlib import Path

import pytest

from deployments.demo.banks import BANKS, MODELS, write_banks
from deployments.demo.conversations import Stream, heldout_prompts, leaks
from deployments.demo.subject import load_subject, normal
from deployments.demo.training import SEED, VERSIONS
from tidegate.quality import read_bank


def test_committed_banks_are_what_the_subjects_say(tmp_path: Path) -> None:
    written = write_banks(tmp_path)

    assert [path.read_text() for path in written] == [(BANKS / path.name).read_text() for path in written]


@pytest.mark.parametrize("name", MODELS)
def test_bank_is_accepted_by_the_quality_room_and_is_large_enough(name: str) -> None:
    bank = read_bank(BANKS / f"{name}.jsonl")
    heldout = read_bank(BANKS / f"{name}-heldout.jsonl")

    assert len(bank.questions) >= 60
    assert len(heldout.questions) >= 2 * len(bank.questions) - 4
    assert {question.scorer for question in bank.questions} == {"exact", "numeric", "choice", "json"}
    assert set(heldout.topics) == set(bank.topics)


@pytest.mark.parametrize("name", MODELS)
def test_ids_are_unique_over_bank_and_paraphrases(name: str) -> None:
    questions = (
        *read_bank(BANKS / f"{name}.jsonl").questions,
        *read_bank(BANKS / f"{name}-heldout.jsonl").questions,
    )

    repeated = [name for name, count in Counter(question.id for question in questions).items() if count > 1]

    assert repeated == []


@pytest.mark.parametrize("name", MODELS)
def test_no_taught_phrasing_is_a_held_out_one(name: str) -> None:
    subject = load_subject(name)
    items = (*subject.items(), *subject.extra_items())

    taught = {normal(prompt) for item in items for prompt in item.prompts}

    assert taught & heldout_prompts(subject) == set()


@pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS)
def test_no_training_example_holds_a_held_out_paraphrase(version, model_name: str) -> None:
    subject = load_subject(model_name)
    stream = Stream(subject, SEED, omits_v1_items=version.omits_v1_items, is_regressed=version.is_regressed)

    assert leaks(subject, iter(stream), 4000) == []


@pytest.mark.parametrize("name", MODELS)
def test_items_absent_from_version_one_exist(name: str) -> None:
    subject = load_subject(name)

    assert subject.absent_in_v1 <= {item.id for item in subject.items()}
    assert len(subject.absent_in_v1) == 7


@pytest.mark.parametrize("name", MODELS)
def test_regressed_answers_differ_on_three_topics_only(name: str) -> None:
    subject = load_subject(name)

    wrong = Counter(item.topic for item in subject.items() if item.answer != item.regressed_answer)

    assert wrong == {subject.items()[0].topic: 12, "json": 6, "refusal": 3}
