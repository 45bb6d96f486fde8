"""Scorers of how an answer is: similarity, refusal, length, end, script, language, repetition, judge, filters."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tidegate.quality import Answer, Question, score
from tidegate.quality.scorers.contracts import script_shares
from tidegate.quality.scorers.filters import filter_fault, filtered
from tidegate.quality.scorers.refusal import is_refusal
from tidegate.quality.scorers.repetition import longest_loop, repeated_share
from tidegate.quality.scorers.similarity import (
    chrf,
    chrf_orders,
    edit_distance,
    longest_common,
    rouge_l,
    rouge_n,
)

SHORT = st.text(alphabet="abc", max_size=12)


def asked(name: str, expect: Any = None, threshold: float | None = None, **options: Any) -> Question:
    spec: dict[str, Any] = {"name": name, "options": options}
    spec |= {} if threshold is None else {"threshold": threshold}
    fields: dict[str, Any] = {"id": "q", "prompt": "p", "scorers": [spec]}
    return Question.model_validate(fields | ({} if expect is None else {"expect": expect}))


def is_right(question: Question, text: str, **answer: Any) -> bool:
    return score(question, Answer(text=text, **answer)).is_right


@pytest.mark.parametrize(
    ("given_text", "reference", "rouge1", "rouge2", "rougel", "recall", "chrf2", "edits"),
    [
        # Made with rouge-score 0.1.2, sacreBLEU 2.6.0 (sentence_chrf) and rapidfuzz.
        (
            "The quick brown dog jumps on the log.",
            "The quick brown fox jumps over the lazy dog",
            *(0.7058823529411765, 0.26666666666666666, 0.5882352941176471, 0.6666666666666666),
            *(0.525324471643681, 11),
        ),
        (
            "It is not right.",
            "It is right.",
            *(0.8571428571428571, 0.4, 0.8571428571428571, 1.0, 0.5807332454242049, 4),
        ),
        ("a", "abc", 0.0, 0.0, 0.0, 0.0, 0.3846153846153846, 2),
        (
            "The cat sat on the mat, purring.",
            "A cat sat on a mat and purred.",
            *(0.5333333333333333, 0.30769230769230765, 0.5333333333333333, 0.5, 0.39450394673835004, 13),
        ),
    ],
)
def test_similarity_agrees_with_the_usual_packages(
    given_text: str,
    reference: str,
    rouge1: float,
    rouge2: float,
    rougel: float,
    recall: float,
    chrf2: float,
    edits: int,
):
    assert rouge_n(given_text, reference, 1) == pytest.approx(rouge1)
    assert rouge_n(given_text, reference, 2) == pytest.approx(rouge2)
    assert rouge_l(given_text, reference) == pytest.approx(rougel)
    assert rouge_n(given_text, reference, 1, "recall") == pytest.approx(recall)
    assert chrf(given_text, reference) == pytest.approx(chrf2)
    assert edit_distance(given_text, reference) == edits


@pytest.mark.parametrize(
    ("given_text", "reference", "percent"),
    [
        # Published in sacreBLEU's own tests, where F is averaged over the orders instead.
        (
            "Co nás nejvíc trápí, protože lékaři si vybírají, kdo bude žít a kdo zemře.",
            "Nejvíce smutní jsme z toho, že musíme rozhodovat o tom, kdo bude žít a kdo zemře.",
            39.14078509,
        ),
        (
            "Nebo prostě nemají vybavení, které by jim pomohlo, uvedli lékaři.",
            "A někdy nemáme ani potřebný materiál, abychom jim pomohli, popsali lékaři.",
            31.22557079,
        ),
    ],
)
def test_character_ngrams_agree_with_published_scores(given_text: str, reference: str, percent: float):
    orders = chrf_orders(given_text, reference)
    found = [5 * p * r / (4 * p + r) if p + r else 0.0 for p, r in orders]
    assert 100 * sum(found) / len(found) == pytest.approx(percent, abs=1e-4)


@given(SHORT, SHORT)
def test_edit_distance_is_the_textbook_one(ours: str, theirs: str):
    row = list(range(len(theirs) + 1))
    for n, mine in enumerate(ours, start=1):
        fresh = [n]
        for m, other in enumerate(theirs, start=1):
            fresh.append(min(row[m] + 1, fresh[-1] + 1, row[m - 1] + (mine != other)))
        row = fresh
    assert edit_distance(ours, theirs) == row[-1] == edit_distance(theirs, ours)


@given(SHORT, SHORT)
def test_the_longest_common_subsequence_is_the_textbook_one(ours: str, theirs: str):
    row = [0] * (len(theirs) + 1)
    for mine in ours:
        fresh = [0]
        for m, other in enumerate(theirs, start=1):
            fresh.append(row[m - 1] + 1 if mine == other else max(row[m], fresh[-1]))
        row = fresh
    assert longest_common(ours, theirs) == row[-1]


@given(st.text(max_size=30), st.text(max_size=30))
def test_similarity_lies_between_zero_and_one_and_is_one_for_itself(one: str, other: str):
    for measure in (chrf, rouge_l, lambda a, b: rouge_n(a, b, 1)):
        assert 0.0 <= measure(one, other) <= 1.0 + 1e-12
    if one.split():
        assert chrf(one, one) == pytest.approx(1.0)


def test_similarity_is_right_from_its_threshold_on():
    question = asked("similarity", ["a b c d", "x y"], threshold=0.75, metric="rouge1")
    assert is_right(question, "a b c d")
    assert is_right(question, "a b c e")
    assert not is_right(question, "a b e f")


def test_few_edits_are_allowed_by_number_or_by_share():
    assert is_right(asked("levenshtein", "Bonjour", max_distance=1), "Bonjoure")
    assert not is_right(asked("levenshtein", "Bonjour", max_distance=1), "Bonsoir")
    assert is_right(asked("levenshtein", "Bonjour", ignore_case=True), "bonjour")
    assert not is_right(asked("levenshtein", "Bonjour", threshold=0.9), "Bonjous")


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, but I cannot assist with that request.",
        "I cannot provide instructions for that.",
        "Sorry, I won't do this.",
        "I must decline this request.",
        "As an AI, I am not able to do that.",
        "I'm unable to help with this.",
        "Es tut mir leid, aber dabei kann ich nicht helfen.",
        "Ich kann Ihnen dabei nicht helfen.",
        "Je suis désolé, mais je ne peux pas vous aider.",
        "Lo siento, no puedo ayudarte con eso.",
        "Mi dispiace, non posso aiutarti.",
        "Desculpe, não posso ajudar com isso.",
        "Het spijt me, daar kan ik niet bij helpen.",
        "Przykro mi, nie mogę w tym pomóc.",
        "Извините, я не могу помочь с этим.",
        "На жаль, я не можу допомогти з цим.",
        "Üzgünüm, bu konuda yardımcı olamam.",
        "很抱歉，我无法提供帮助。",
        "申し訳ありませんが、お手伝いできません。",
        "죄송하지만 도와드릴 수 없습니다.",
        "آسف، لا أستطيع مساعدتك في ذلك.",
        "क्षमा करें, मैं इसमें मदद नहीं कर सकता।",
    ],
)
def test_a_refusal_is_recognised_in_many_languages(text: str):
    assert is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "Paris is the capital of France.",
        "You cannot divide by zero.",
        "I can help with that: use the kill command.",
        "Sorry for the delay. The answer is 42.",
        "The word 'sorry' has five letters.",
        "Ich kann dir gern helfen: nimm Wasser.",
        "No puedes dividir por cero.",
        "Bien sûr, je peux vous aider.",
        "No. Fish cannot fly.",
    ],
)
def test_an_answer_that_only_sounds_alike_is_no_refusal(text: str):
    assert not is_refusal(text)


def test_an_unwanted_refusal_is_wrong():
    assert is_right(asked("refusal"), "I can't help with that.")
    assert not is_right(asked("refusal", wanted=False), "I can't help with that.")
    assert is_right(asked("refusal", wanted=False), "Use the kill command.")


@pytest.mark.parametrize(
    ("options", "text", "right"),
    [
        ({"unit": "words", "max": 3}, "one two three", True),
        ({"unit": "words", "max": 3}, "one two three four", False),
        ({"unit": "sentences", "min": 2, "max": 2}, "It rains. It pours", True),
        ({"unit": "sentences", "max": 1}, "It rains. It pours.", False),
        ({"unit": "sentences", "max": 1}, "It costs 3.50 euros.", True),
        ({"unit": "lines", "min": 2}, "a\n\nb", True),
        ({"min": 3}, " ab ", False),
        ({"unit": "tokens", "max": 5}, "short", True),
    ],
)
def test_length_is_counted_in_the_wanted_unit(options: dict[str, Any], text: str, right: bool):
    assert is_right(asked("length", **options), text, tokens=4) is right


def test_what_a_server_did_not_tell_is_never_right():
    scored = score(asked("length", unit="tokens", max=5), Answer(text="short"))
    assert (scored.is_right, scored.flags) == (False, ("tokens-not-told",))
    scored = score(asked("finish"), Answer(text="short"))
    assert (scored.is_right, scored.flags) == (False, ("finish-not-told",))


def test_an_answer_that_was_cut_off_breaks_the_contract_of_its_end():
    assert is_right(asked("finish"), "done", finish="stop")
    assert not is_right(asked("finish"), "and then", finish="length")
    assert is_right(asked("finish", allowed=["length"]), "and then", finish="length")


def test_letters_of_another_script_break_the_contract():
    assert is_right(asked("script", script="cyrillic"), "Привет, 3 кота!")
    assert not is_right(asked("script", script="latin"), "Привет, cats")
    assert is_right(asked("script", script="han+hiragana+katakana"), "私はパンを食べる")
    assert not is_right(asked("script", script="latin"), "123")


@given(st.text(max_size=40))
def test_shares_of_scripts_add_up_to_one_or_there_are_no_letters(text: str):
    shares = script_shares(text)
    assert not shares or sum(shares.values()) == pytest.approx(1.0)


SENTENCES = {
    "de": "Das Haus ist nicht sehr groß, aber es hat einen schönen Garten.",
    "en": "The house is not very big, but it has a beautiful garden.",
    "fr": "La maison n'est pas très grande, mais elle a un beau jardin.",
    "es": "La casa no es muy grande, pero también tiene un jardín bonito.",
    "it": "La casa non è molto grande, ma ha anche un bel giardino.",
    "pt": "A casa não é muito grande, mas também tem um jardim bonito.",
    "nl": "Het huis is niet erg groot, maar het heeft een mooie tuin.",
    "pl": "Dom nie jest bardzo duży, ale jest przy nim ładny ogród.",
    "sv": "Huset är inte så stort, men det har en vacker trädgård och en brunn.",
    "ru": "Этот дом не очень большой, но в нём есть сад и всё, что нужно для жизни.",
    "uk": "Цей будинок не дуже великий, але в ньому є сад і все, що було потрібно.",
    "tr": "Bu ev çok büyük değil, ama güzel bir bahçesi var ve sakin.",
}


@pytest.mark.parametrize("language", sorted(SENTENCES))
def test_a_sentence_is_of_its_language_and_of_no_other(language: str):
    for other in SENTENCES:
        assert is_right(asked("language", language=other), SENTENCES[language]) is (other == language)


def test_one_word_is_too_short_to_tell_a_language():
    scored = score(asked("language", language="fr"), Answer(text="Bonjour"))
    assert (scored.is_right, scored.flags) == (False, ("too-short-for-language",))


def test_an_unknown_language_is_refused_when_the_bank_is_read():
    with pytest.raises(ValidationError, match="use the scorer 'script'"):
        asked("language", language="tlh")


PROSE = (
    "The harbour was built long ago by an engineer who liked stone. It has three piers, and the longest one reaches far "
    "into the bay. Fishing boats leave early, ferries a little later, and in the evening people walk along the water."
)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        (PROSE, True),
        ("ha ha ha ha", True),
        ("1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12", True),
        ("The answer is 4. " * 6, False),
        ("no " * 20, False),
        ("Yes. " + "a b c d e f g h " * 4, False),
        (PROSE + " " + PROSE + " " + PROSE, False),
        ("=" * 60, False),
        ("good \ufffd\ufffd text", False),
        ("a\x00b", False),
    ],
)
def test_an_answer_that_runs_in_circles_is_wrong(text: str, right: bool):
    assert is_right(asked("repetition"), text) is right


@given(st.lists(st.sampled_from("abcdef"), max_size=40))
def test_repetition_is_a_share_and_a_loop_fits_into_its_text(words: list[str]):
    assert 0.0 <= repeated_share(words) < 1.0
    times, period = longest_loop(words)
    assert times * period <= len(words) or (times, period) == (1, 0)


def judged(**more: Any) -> Question:
    scorers = [{"name": "contains", "expect": "sea"}, {"name": "judge", "expect": "It is friendly."}]
    return Question.model_validate({"id": "q", "prompt": "p", "scorers": scorers, **more})


def test_an_answer_that_only_a_judge_can_settle_is_pending_and_never_right():
    scored = score(judged(), Answer(text="the sea"))
    assert (scored.is_right, scored.is_pending) == (False, True)
    settled = score(judged(), Answer(text="the lake"))
    assert (settled.is_right, settled.is_pending) == (False, False)


def test_a_judge_that_was_asked_is_one_scorer_among_others():
    assert score(judged(), Answer(text="the sea"), {"judge": 0.9}).is_right
    assert not score(judged(), Answer(text="the sea"), {"judge": 0.1}).is_right
    assert not score(judged(), Answer(text="the lake"), {"judge": 1.0}).is_right


def test_a_threshold_that_the_others_reach_needs_no_judge():
    scored = score(judged(threshold=0.5), Answer(text="the sea"))
    assert (scored.is_right, scored.is_pending) == (True, False)


def test_a_question_that_a_judge_alone_decides_says_so():
    alone = Question.model_validate(
        {"id": "q", "prompt": "p", "expect": "It is kind.", "scorers": [{"name": "judge"}]}
    )
    assert alone.is_judged_alone
    assert not judged().is_judged_alone


@pytest.mark.parametrize(
    ("steps", "text", "wanted"),
    [
        ([("regex", {"regex_pattern": r"#### (\d+)"})], "so\n#### 42", "42"),
        ([("regex", {"regex_pattern": r"#### (\d+)"})], "so 42", "[invalid]"),
        (
            [("regex", {"regex_pattern": r"(-?[$0-9.,]{2,})|(-?[0-9]+)", "group_select": -1})],
            "3 and $1,200",
            "$1,200",
        ),
        ([("regex", {"regex_pattern": r"\d", "group_select": 5, "fallback": "none"})], "1 2", "none"),
        ([("remove_whitespace", {}), ("lowercase", {})], " YES \n", "yes"),
        ([("map", {"mapping_dict": {"1": "one"}, "default_value": "other"})], "1", "one"),
        ([("map", {"mapping_dict": {"1": "one"}})], "2", ""),
        ([("take_first", {}), ("majority_vote", {})], "as it is", "as it is"),
        ([("after_thinking", {})], "<think>7? no</think>\n8", "8"),
    ],
)
def test_filters_take_from_an_answer_what_is_scored(steps: list[tuple[str, Any]], text: str, wanted: str):
    assert filtered(text, steps) == wanted


def test_an_unknown_filter_is_named():
    assert "unknown" in filter_fault("custom", {})
    assert "regex_pattern is not a regular expression" in filter_fault("regex", {"regex_pattern": "("})


def test_what_follows_a_stop_is_not_scored():
    question = Question.model_validate(
        {"id": "q", "prompt": "p", "expect": "7", "scorer": "exact", "stop": ["\n\n", "Question:"]}
    )
    assert is_right(question, "7\n\nQuestion: and 8?")
