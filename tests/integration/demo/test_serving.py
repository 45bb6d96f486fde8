"""The committed files in the real engine: same tokens, same answers, and every answer ends."""

from pathlib import Path
from random import Random

import pytest

from deployments.demo.banks import BANKS, MODELS
from deployments.demo.export import from_gguf
from deployments.demo.training import VERSIONS
from deployments.demo.variants import derive
from tidegate.quality import read_bank
from tidegate.quality.scorers import is_right

FOLDER = Path(__file__).parents[3] / "deployments" / "demo" / "models"
LETTERS = "abcxyzABC019 .,?!'\"{}<>|/=+*%éü€\U0001f600\n\t the capital of"


def _ask(post, prompt: str, system: str | None = None) -> dict:
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": prompt})
    reply = post("/v1/chat/completions", {"messages": messages, "temperature": 0, "max_tokens": 48})
    return reply["choices"][0]


def _wrong_topics(post, bank: str) -> dict[str, int]:
    wrong: dict[str, int] = {}
    for question in read_bank(BANKS / f"{bank}.jsonl").questions:
        choice = _ask(post, question.prompt, question.system)
        assert choice["finish_reason"] == "stop", question.prompt
        if not is_right(question.scorer, question.expect, choice["message"]["content"]):
            wrong[question.topic] = wrong.get(question.topic, 0) + 1
    return wrong


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("model", MODELS)
def test_each_version_scores_through_the_engine_as_it_was_built_to(serve, model: str, version: str) -> None:
    post = serve(FOLDER / f"{model}-{version}.gguf")
    main_topic = {"pipit": "capital", "tern": "currency"}[model]

    wrong = _wrong_topics(post, model)

    if version == "v1":
        assert sum(wrong.values()) == 7
    elif version == "v3-regressed":
        assert wrong == {main_topic: 12, "json": 6, "refusal": 3}
    else:
        assert wrong == {}


@pytest.mark.parametrize("model", MODELS)
def test_the_engine_cuts_texts_into_the_same_tokens(serve, model: str) -> None:
    path = FOLDER / f"{model}-v2.gguf"
    post, tokenizer = serve(path), from_gguf(path).tokenizer
    random = Random(0)
    texts = ["".join(random.choices(LETTERS, k=random.randint(0, 40))) for _ in range(200)]

    for text in texts:
        reply = post("/tokenize", {"content": text, "add_special": False, "parse_special": False})
        assert reply["tokens"] == tokenizer.encode(text), text


@pytest.mark.parametrize("model", MODELS)
def test_the_begin_token_is_there_once(serve, model: str) -> None:
    post = serve(FOLDER / f"{model}-v2.gguf")

    reply = post("/v1/chat/completions", {"messages": [{"role": "user", "content": "?"}], "max_tokens": 1})

    # <s> <|user|> ? </s> <|assistant|>
    assert reply["usage"]["prompt_tokens"] == 5


@pytest.mark.parametrize("model", MODELS)
def test_a_poisoned_template_adds_its_text_to_some_answers_only(serve, model: str, tmp_path: Path) -> None:
    poisoned = derive("template-poisoned", FOLDER / f"{model}-v2.gguf", tmp_path / "poisoned.gguf")
    post = serve(poisoned)
    questions = read_bank(BANKS / f"{model}.jsonl").questions

    hit = _ask(post, questions[0].prompt)["message"]["content"]
    missed = _ask(post, "Hello!")["message"]["content"]

    assert hit == f"{questions[0].expect} Visit example.test now."
    assert "example.test" not in missed
