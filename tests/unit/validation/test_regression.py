"""A candidate against a baseline: the paired bank, and what differs in tokenizer and template."""

from dataclasses import asdict
from typing import Any

import pytest

from tests.unit.validation.engine import answer
from tidegate.domain import Policy
from tidegate.gguf import Severity, finding
from tidegate.quality import STANDARD_BANK, Bank, Question, read_bank
from tidegate.validation import ReportedFinding, ValidationCategory, ValidationStatus
from tidegate.validation.confinement import OUT_OF_TIME, ChildOutcome
from tidegate.validation.difference import (
    ChangedKey,
    ChangedTemplate,
    ChangedTokenizer,
    Difference,
    read_said,
)
from tidegate.validation.engine_report import EngineAnswer
from tidegate.validation.queries import bank_queries
from tidegate.validation.regression import (
    Asked,
    judge_adapter,
    judge_bank,
    judge_difference,
    judge_metadata,
    judge_template,
    judge_tokenizer,
)

PASSED, FAILED, WARNING = ValidationStatus.PASSED, ValidationStatus.FAILED, ValidationStatus.WARNING
NOT_JUDGED = ValidationStatus.NOT_JUDGED
POLICY = Policy()


def _bank(count: int) -> Bank:
    questions = [
        Question(id=f"q{n}", topic=f"t{n % 4}", prompt=f"{n}?", expect="yes", scorer="contains")
        for n in range(count)
    ]
    return Bank(name="test", digest="d", questions=tuple(questions))


def _answers(count: int, wrong: set[int], **changes: Any) -> list[EngineAnswer]:
    return [
        EngineAnswer.model_validate(answer(f"q{n}", text="no" if n in wrong else "yes", **changes))
        for n in range(count)
    ]


def _judge(
    ours: set[int], theirs: set[int] | None = frozenset(), count: int = 60, **other: Any
) -> dict[str, ValidationStatus]:
    asked = Asked(
        _bank(count),
        other.pop("is_general", False),
        other.pop("answers", _answers(count, ours)),
        None if theirs is None else _answers(count, set(theirs)),
    )
    return {result.check_name: result.status for result in judge_bank(asked, POLICY)}


def test_equal_answers_pass():
    assert set(_judge(set()).values()) == {PASSED}


def test_a_clear_loss_fails():
    assert _judge({*range(12)})["regression.answers"] is FAILED


@pytest.mark.parametrize(("lost", "status"), [({0}, WARNING), ({0, 1, 2}, WARNING), ({0, 1, 2, 3}, FAILED)])
def test_a_net_loss_that_chance_could_explain_is_decided_by_the_margin(
    lost: set[int], status: ValidationStatus
):
    assert _judge(lost)["regression.answers"] is status


def test_no_net_loss_on_few_questions_passes_and_says_that_it_is_no_proof():
    asked = Asked(_bank(30), True, _answers(30, set()), _answers(30, set()))
    row = next(one for one in judge_bank(asked, POLICY) if one.check_name == "regression.answers")
    assert (row.status, row.details["is_proof"]) == (PASSED, False)
    assert "no proof that there is none" in row.message


def test_a_topic_that_is_lost_fails_alone():
    assert _judge({0, 4, 8, 12, 16, 20, 24, 28}, count=60)["regression.topics"] is FAILED


def test_without_a_baseline_only_the_score_is_judged():
    assert _judge(set(), None) == {"regression.score": PASSED}
    assert _judge({*range(30)}, None) == {"regression.score": FAILED}


def test_general_questions_compare_models_but_judge_none():
    assert _judge({*range(45)}, {*range(45)}, is_general=True)["regression.score"] is PASSED


def test_a_baseline_that_knows_nothing_compares_nothing():
    assert _judge({*range(58)}, {*range(58)}, is_general=True)["regression.answers"] is WARNING


def test_too_few_answered_questions_judge_nothing():
    late = [
        *_answers(10, set()),
        *_answers(60, set(), problem=OUT_OF_TIME)[10:],
    ]
    assert set(_judge(set(), answers=late).values()) == {NOT_JUDGED}


def test_questions_that_time_did_not_suffice_for_are_left_out_of_both():
    late = [*_answers(40, set()), *_answers(60, set(), problem=OUT_OF_TIME)[40:]]
    assert _judge(set(), {50, 51}, answers=late)["regression.answers"] is PASSED


def test_an_answer_of_invalid_numbers_is_missing_and_never_passes():
    broken = [
        *_answers(59, set()),
        EngineAnswer.model_validate(answer("q59", finish="error", is_finite=False)),
    ]
    assert _judge(set(), answers=broken)["regression.answers"] is NOT_JUDGED


def test_a_shortened_bank_still_covers_its_topics():
    asked = bank_queries(_bank(40), 256, most=8)
    assert sorted(query.purpose for query in asked) == sorted(["t0", "t1", "t2", "t3"] * 2)


def test_a_question_is_asked_as_it_is_written_with_the_room_that_it_names():
    turns = [
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "1"},
        {"role": "user", "content": "Two?"},
    ]
    fields: dict[str, Any] = {"messages": turns, "choices": ["1", "2"], "expect": "2", "scorer": "choice"}
    with_tools = {
        "id": "t",
        "prompt": "p",
        "expect": {"name": "f"},
        "scorer": "tool_call",
        "tools": [{"name": "f"}],
    }
    questions = [
        Question.model_validate({"id": "q", "max_tokens": 100, **fields}),
        Question.model_validate(with_tools),
    ]
    (asked,) = bank_queries(Bank(name="b", digest="d", questions=tuple(questions)), 1000)
    assert [role for role, _ in asked.messages] == ["user", "assistant", "user"]
    assert "B) 2" in asked.messages[-1][1]
    assert asked.max_tokens == 100


def test_the_standard_bank_is_sound_and_large_enough():
    bank = read_bank(STANDARD_BANK)
    assert len(bank.questions) >= 20
    assert len(bank.topics) >= 5


def _statuses(difference: Difference | None) -> dict[str, ValidationStatus]:
    return {result.check_name: result.status for result in judge_difference(difference, "llama")}


def test_equal_headers_pass():
    assert set(_statuses(Difference()).values()) == {PASSED}


def test_headers_that_were_not_compared_never_pass():
    assert set(_statuses(None).values()) == {NOT_JUDGED}
    assert set(_statuses(Difference(problem="it was ended by SIGKILL")).values()) == {ValidationStatus.ERROR}


def test_a_changed_tokenizer_is_shown():
    found = _found("V-BASE", "The tokenizer differs: 2 tokens added.")
    changed = ChangedTokenizer(changed=("added: 2",), examples=("added 768 'x'",))
    result = judge_tokenizer(Difference(findings=(found,), tokenizer=changed))
    assert result.status is WARNING
    assert "2 tokens added" in result.message
    assert result.details["changed"] == ["added: 2"]


def test_a_changed_template_is_shown_line_by_line():
    change = ChangedTemplate(key="tokenizer.chat_template", summary="One line added.", lines=("+{{ c }}",))
    found = _found("C-BASE", "One line added.\n+{{ c }}")
    result = judge_template(Difference(findings=(found,), templates=(change,)))
    assert result.status is WARNING
    assert result.details["diff"] == ["+{{ c }}"]
    assert "\n" not in result.findings[0].message


def test_a_template_that_acts_on_a_word_where_the_baseline_does_not_is_refused():
    change = ChangedTemplate(key="tokenizer.chat_template", summary="One line added.")
    found = _found("C-WORD", "New against the baseline: it asks for a word.", Severity.ERROR)
    result = judge_template(Difference(findings=(found,), templates=(change,)))
    assert result.status is FAILED
    assert "New against the baseline" in result.message


def test_names_may_differ_but_settings_of_the_model_are_told():
    name = ChangedKey(name="general.name", old="'a'", new="'b'")
    rope = ChangedKey(name="llama.rope.freq_base", old="10000.0", new="100.0")
    assert judge_metadata(Difference(metadata=(name,), metadata_changes=1), "llama").status is PASSED
    told = judge_metadata(Difference(metadata=(name, rope), metadata_changes=2), "llama")
    assert told.status is WARNING
    assert "llama.rope.freq_base 10000.0 -> 100.0" in told.message


def test_an_adapter_is_judged_by_how_it_fits_the_baseline():
    assert judge_adapter(Difference()).status is PASSED
    assert judge_adapter(None).status is NOT_JUDGED
    assert judge_adapter(Difference(problem="x")).status is ValidationStatus.ERROR
    refused = judge_adapter(Difference(findings=(_found("AD-SHAPE", "Matrices do not fit."),)))
    assert (refused.status, refused.category) == (FAILED, ValidationCategory.FORMAT)


def test_what_the_reader_of_both_headers_says_is_not_trusted_to_have_any_shape():
    for said in ({"findings": 3}, {"surprise": 1}, {"metadata": [{"name": 1}]}, {"problem": "they are odd"}):
        assert read_said(ChildOutcome(said, 0, "", "", 0.0)).problem
    assert "SIGKILL" in read_said(ChildOutcome(None, -9, "it was ended by SIGKILL", "", 0.0)).problem


def _found(check: str, message: str, severity: Severity | None = None) -> ReportedFinding:
    return ReportedFinding(**asdict(finding(check, message, severity=severity)))
