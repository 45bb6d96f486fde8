"""What is sent for one question. Pure: the same question and parameters give the same bytes, which is what an answer is
kept under."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from tidegate.quality.question import Question, flat

TOP_LOGPROBS = 20
"""Candidates for the first token: as many as the OpenAI API allows, and more than there are letters in use."""


def body_of(question: Question, model: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Body of a chat completion request."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [turn.model_dump(mode="json", exclude_none=True) for turn in question.turns],
        **parameters,
    }
    if question.max_tokens is not None:
        body["max_tokens"] = question.max_tokens
    if question.stop:
        body["stop"] = [*dict.fromkeys((*question.stop, *parameters.get("stop", ())))]
    if question.tools:
        body["tools"] = list(question.tools)
    if question.wants_logprobs:
        body |= {"logprobs": True, "top_logprobs": TOP_LOGPROBS}
        if is_by_first_token(question):
            # The first token says it all. No grammar: it would hide how much the model wants to say something else.
            body["max_tokens"] = 1
    return body


def is_by_first_token(question: Question) -> bool:
    """Nothing behind the first token is scored."""
    return all(spec.name == "choice_logprobs" for spec in flat(question.specs))


def answer_key(
    question: Question,
    parameters: Mapping[str, Any],
    *,
    digest: str,
    engine: str,
    concurrency: int,
    sample: int,
) -> str:
    """SHA-256 of everything that decides about an answer: file, engine, words, parameters, how many are asked at once
    (other batch shapes round otherwise), and which of several answers it is."""
    asked = body_of(question, "", parameters)
    text = json.dumps(
        {"digest": digest, "engine": engine, "asked": asked, "concurrency": concurrency, "sample": sample},
        sort_keys=True,
        separators=(",", ":"),
    )
    return hashlib.sha256(text.encode()).hexdigest()
