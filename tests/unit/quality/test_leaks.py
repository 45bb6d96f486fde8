"""Questions that are there twice, and questions that stand in the training data."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain import InvalidInput, NotFound
from tidegate.quality import Bank, Question, read_bank
from tidegate.quality.leaks import find_leaks, twins

LONG = "Which of the two bridges over the river Asten was rebuilt after the flood of the year 1921?"


def bank(folder: Path, *prompts: str) -> Bank:
    path = folder / "bank.jsonl"
    rows = [{"id": f"q{n}", "prompt": one, "expect": "x", "scorer": "exact"} for n, one in enumerate(prompts)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_bank(path)


def train(folder: Path, *rows: Any, name: str = "train.jsonl") -> Path:
    path = folder / name
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def chat(said: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": said}, {"role": "assistant", "content": "Yes."}]}


def test_the_same_question_in_other_case_and_punctuation_is_an_exact_leak_with_both_places(tmp_path: Path):
    report = find_leaks(
        bank(tmp_path, "Nothing like it here at all, is it?", LONG),
        train(tmp_path, chat("Hi"), chat(LONG.upper())),
    )
    assert report.rows == 2
    leak = report.leaks[0]
    assert (leak.question, leak.is_exact, leak.share) == ("q1", True, 1.0)
    assert leak.place == f"{tmp_path / 'bank.jsonl'}, line 2"
    assert leak.train_place == f"{tmp_path / 'train.jsonl'}, line 2"


def test_a_question_inside_a_longer_text_is_found(tmp_path: Path):
    report = find_leaks(bank(tmp_path, LONG), train(tmp_path, {"text": f"Quiz. {LONG} Think first."}))
    assert [(leak.is_exact, leak.share) for leak in report.leaks] == [(False, 1.0)]


def test_a_few_words_in_common_are_no_leak(tmp_path: Path):
    other = "Which of the two bridges over the river Elbe stands in Hamburg, and which one in Dresden today?"
    assert find_leaks(bank(tmp_path, LONG), train(tmp_path, chat(other))).leaks == []


def test_a_short_question_must_be_a_text_as_a_whole(tmp_path: Path):
    asked = bank(tmp_path, "Say yes.")
    assert find_leaks(asked, train(tmp_path, chat("Please say yes to all of it"))).leaks == []
    found = find_leaks(asked, train(tmp_path, chat("say YES")))
    assert [leak.is_exact for leak in found.leaks] == [True]
    assert found.unchecked == ["q0"]


def test_what_many_questions_share_is_their_template_and_no_leak(tmp_path: Path):
    opening = "Read the following short text with care and answer the question below in one word:"
    asked = bank(tmp_path, *(f"{opening} colour{n}" for n in range(10)))
    report = find_leaks(asked, train(tmp_path, chat(f"{opening} something else entirely")))
    assert report.leaks == []


def test_broken_lines_are_counted_and_the_rest_is_read(tmp_path: Path):
    report = find_leaks(bank(tmp_path, LONG), train(tmp_path, "{", "", chat(LONG)))
    assert (report.rows, report.unreadable, len(report.leaks)) == (1, 1, 1)
    assert report.leaks[0].train_place.endswith("line 3")


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("train.csv", f'prompt,answer\nhello,hi\n"two\nlines",x\n"{LONG}",no\n', "line 5"),
        ("train.json", json.dumps([{"instruction": "x"}, {"instruction": LONG}]), "line 2"),
    ],
)
def test_tables_and_arrays_are_read_as_well(tmp_path: Path, name: str, text: str, place: str):
    path = tmp_path / name
    path.write_text(text)
    assert find_leaks(bank(tmp_path, LONG), path).leaks[0].train_place == f"{path}, {place}"


def test_a_file_of_another_kind_is_refused_and_an_absent_one_not_found(tmp_path: Path):
    with pytest.raises(InvalidInput, match=r"\.parquet file, which is not read here"):
        find_leaks(bank(tmp_path, LONG), tmp_path / "train.parquet")
    with pytest.raises(NotFound, match="There is no training file"):
        find_leaks(bank(tmp_path, LONG), tmp_path / "none.jsonl")


@given(
    st.lists(
        st.sampled_from(["red", "blue", "green", "house", "river", "bridge", "seven", "old"]),
        min_size=4,
        max_size=30,
    ),
    st.data(),
)
def test_any_text_that_holds_a_question_word_for_word_is_found(words: list[str], data: st.DataObject):
    question = Question.model_validate(
        {"id": "q", "prompt": " ".join(words), "expect": "x", "scorer": "exact"}
    )
    from tidegate.quality.leaks import _Index  # pyright: ignore[reportPrivateUsage]

    index = _Index(Bank(name="b", digest="d", questions=(question,)))
    before = data.draw(st.lists(st.sampled_from(["red", "old", "sea"]), max_size=5))
    seen = index.seen([*before, *words, "end"])
    assert seen["q"] == index.grams["q"]


def test_twins_are_told_with_their_likeness(tmp_path: Path):
    asked = bank(
        tmp_path, LONG, LONG.lower(), LONG.replace("1921", "1922"), "Something else altogether, please."
    )
    found = {(twin.first, twin.second): twin.likeness for twin in twins(asked.questions)}
    assert found["q0", "q1"] == 1.0
    assert 0.6 < found.get(("q0", "q2"), 0.7) < 1.0
    assert not any("q3" in pair for pair in found)


def test_a_sign_may_be_the_whole_difference(tmp_path: Path):
    assert twins(bank(tmp_path, "What does 17 % 5 give?", "What does 17 / 5 give?").questions) == []


def test_questions_of_one_cluster_are_meant_to_be_alike():
    fields = {"prompt": LONG, "expect": "x", "scorer": "exact", "cluster": "c"}
    pair = [Question.model_validate({"id": name, **fields}) for name in "ab"]
    assert twins(pair) == []


@given(st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=8), min_size=2, max_size=8))
def test_no_pair_of_like_questions_is_missed(texts: list[list[str]]):
    questions = [
        Question.model_validate({"id": f"q{n}", "prompt": " ".join(words), "expect": "x", "scorer": "exact"})
        for n, words in enumerate(texts)
    ]

    def features(words: list[str]) -> set[tuple[str, ...]]:
        marked = ["^", *words, "$"]
        return {tuple(marked[at : at + 3]) for at in range(len(marked) - 2)}

    wanted = {
        (f"q{n}", f"q{m}")
        for m in range(len(texts))
        for n in range(m)
        if len(features(texts[n]) & features(texts[m])) >= 0.8 * len(features(texts[n]) | features(texts[m]))
    }
    assert {(twin.first, twin.second) for twin in twins(questions)} == wanted
