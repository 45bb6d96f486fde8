"""Reads what a server answers: a chat completion, a list of models. Pure: bytes in, values out."""

from typing import Any

from pydantic import BaseModel, Field, ValidationError

from tidegate.quality.results import Answer, TokenLogprob, ToolCall

MOST_TOOL_CALLS = 32


class _Function(BaseModel):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _Call(BaseModel):
    function: _Function = _Function()


class _Message(BaseModel):
    content: str | None = None
    tool_calls: list[_Call] | None = None


class _Candidate(BaseModel):
    token: str = ""
    # Some servers write -9999 or null for a token of no probability at all.
    logprob: float | None = None


class _Token(_Candidate):
    top_logprobs: list[_Candidate] | None = None


class _Logprobs(BaseModel):
    content: list[_Token] | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Usage(BaseModel):
    completion_tokens: int | None = None
    prompt_tokens: int | None = None


class _Reply(BaseModel):
    model: str | None = None
    system_fingerprint: str | None = None
    choices: list[_Choice] = Field(min_length=0)
    usage: _Usage | None = None


class _Model(BaseModel):
    id: str = Field(min_length=1)


class _Models(BaseModel):
    data: list[_Model] = Field(min_length=1)


def first_model(content: bytes) -> str | None:
    """The first name of a list of models; None for anything else."""
    try:
        return _Models.model_validate_json(content).data[0].id
    except ValidationError:
        return None


def read_reply(content: bytes, elapsed_ms: float) -> Answer:
    """The first choice. A reply that is no whole answer is an error."""
    try:
        reply = _Reply.model_validate_json(content)
    except ValidationError:
        return Answer(error="the reply is not a chat completion", elapsed_ms=elapsed_ms)
    if not reply.choices or reply.choices[0].finish_reason is None:
        return Answer(error="the reply is not complete", elapsed_ms=elapsed_ms)
    choice = reply.choices[0]
    tokens = (choice.logprobs.content if choice.logprobs else None) or []
    usage = reply.usage or _Usage()
    return Answer(
        text=choice.message.content or "",
        model=reply.model,
        engine=reply.system_fingerprint,
        elapsed_ms=elapsed_ms,
        finish=choice.finish_reason,
        tool_calls=_calls(choice.message.tool_calls or []),
        tokens=usage.completion_tokens,
        prompt_tokens=usage.prompt_tokens,
        top_logprobs=_candidates(tokens[0]) if tokens else (),
        mean_logprob=_mean(tokens),
    )


def _calls(calls: list[_Call]) -> tuple[ToolCall, ...]:
    return tuple(
        ToolCall(name=call.function.name or "", arguments=_text(call.function.arguments))
        for call in calls[:MOST_TOOL_CALLS]
    )


def _text(arguments: str | dict[str, Any] | None) -> str:
    """Some servers send the arguments parsed; the standard is their text."""
    if isinstance(arguments, dict):
        import json

        return json.dumps(arguments)
    return arguments or ""


def _candidates(token: _Token) -> tuple[TokenLogprob, ...]:
    listed = token.top_logprobs or [token]
    known = [TokenLogprob(token=one.token, logprob=one.logprob) for one in listed if one.logprob is not None]
    return tuple(sorted(known, key=lambda one: -one.logprob))


def _mean(tokens: list[_Token]) -> float | None:
    values = [token.logprob for token in tokens if token.logprob is not None]
    return sum(values) / len(values) if values else None
