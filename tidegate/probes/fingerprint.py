"""What a model says to a fixed greedy question, token by token: enough to tell one file from another. Pure.

Two runs of the same file round differently, on other hardware or beside other requests of a batch. Then the numbers
move a little, and where two tokens are about equally likely the other one may be said. Another file moves them a lot.
"""

import math
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

TOLERANCE_NATS = 0.25
"""Log-probabilities of the same file differ by thousandths on one machine, by hundredths between kinds of GPUs."""
TIE_NATS = 0.5
"""Where the two likeliest tokens are nearer than this, either may be said."""
EXCERPT_CHARACTERS = 40


class Fingerprint(BaseModel):
    """An answer with the log-probability of each token and its lead over the next likely one. Engines that tell no
    numbers give the text alone."""

    model_config = ConfigDict(frozen=True)

    text: str
    tokens: tuple[str, ...] = ()
    logprobs: tuple[float, ...] = ()
    leads: tuple[float, ...] = ()

    def difference(self, other: Self) -> str:
        """Why this cannot be the same file; empty when it can."""
        if not self.tokens or not other.tokens:
            return "" if self.text == other.text else _other_text(self.text, other.text)
        for place in range(min(len(self.tokens), len(other.tokens))):
            if self.tokens[place] != other.tokens[place]:
                is_tie = min(self.leads[place], other.leads[place]) < TIE_NATS
                return "" if is_tie else _other_text(self.text, other.text)
            gap = abs(self.logprobs[place] - other.logprobs[place])
            if gap > TOLERANCE_NATS:
                return f"token {place + 1} has a log-probability that differs by {gap:.2f} nats"
        # One that stopped earlier said another end of text where the other one went on.
        return "" if len(self.tokens) == len(other.tokens) else _other_text(self.text, other.text)

    def differs_from_text(self, text: str) -> str:
        """Why a file that said this text (or more of it) cannot be the same one; empty when it can."""
        if text.strip().startswith(self.text.strip()):
            return ""
        said = 0
        for token, lead in zip(self.tokens, self.leads, strict=True):
            said += len(token)
            if not text.startswith(self.text[:said]):
                return "" if lead < TIE_NATS else _other_text(self.text, text)
        return _other_text(self.text, text)


class _Likely(BaseModel):
    token: str
    logprob: float


class _Token(_Likely):
    top_logprobs: list[_Likely] = []


class _Logprobs(BaseModel):
    content: list[_Token] | None = None


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Message = _Message()
    logprobs: _Logprobs | None = None


class _Reply(BaseModel):
    choices: list[_Choice] = []


def read_fingerprint(text: str) -> Fingerprint | None:
    """The fingerprint in a whole chat completion; None when there is no answer in it."""
    try:
        choices = _Reply.model_validate_json(text).choices
    except ValidationError:
        return None
    said = choices[0].message.content if choices else None
    if not said:
        return None
    tokens = (choices[0].logprobs.content if choices[0].logprobs else None) or []
    if any(not math.isfinite(token.logprob) for token in tokens):
        return None
    return Fingerprint(
        text=said,
        tokens=tuple(token.token for token in tokens),
        logprobs=tuple(token.logprob for token in tokens),
        leads=tuple(_lead(token) for token in tokens),
    )


def fingerprint_request(model: str, prompt: str, tokens: int, *, with_numbers: bool = True) -> dict[str, Any]:
    """The question. A cached prefix would change the first numbers, so none is used."""
    numbers: dict[str, Any] = {"logprobs": True, "top_logprobs": 2} if with_numbers else {}
    return {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": tokens,
        "temperature": 0,
        "seed": 0,
        "cache_prompt": False,
        **numbers,
    }


def _lead(token: _Token) -> float:
    others = [one.logprob for one in token.top_logprobs if one.token != token.token]
    return token.logprob - max(others) if others else math.inf


def _other_text(one: str, two: str) -> str:
    return f"it says {one[:EXCERPT_CHARACTERS]!r}, not {two[:EXCERPT_CHARACTERS]!r}"
