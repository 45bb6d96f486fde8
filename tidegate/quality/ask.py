"""Asks questions at an OpenAI-compatible URL: greedy, bounded, one reply per question."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx
from pydantic import BaseModel, ValidationError

from tidegate.domain import Secret
from tidegate.quality.bank import Question
from tidegate.quality.results import Answer


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Reply(BaseModel):
    model: str | None = None
    choices: list[_Choice]


class EndpointAsker:
    """Callable for `run_bank`; safe to call from several threads. Close it, or use it as a context."""

    def __init__(
        self,
        base_url: str,
        key: Secret,
        model: str,
        *,
        headers: Mapping[str, str] | None = None,
        max_tokens: int = 64,
        timeout_s: float = 20.0,
        transport: httpx.BaseTransport | None = None,
    ):
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._key = key
        self._model = model
        self._max_tokens = max_tokens
        self._client = httpx.Client(
            timeout=timeout_s,
            headers={**(headers or {}), "authorization": f"Bearer {key.reveal()}"},
            transport=transport,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def __call__(self, question: Question) -> Answer:
        """Ask once. Whatever keeps a whole answer from us is an error in the result, not an exception."""
        began = time.monotonic()
        try:
            response = self._client.post(self._url, json=self._body(question))
        except httpx.HTTPError as error:
            return Answer(error=self._clean(f"{type(error).__name__}: {error}"))
        elapsed_ms = (time.monotonic() - began) * 1000
        if response.status_code != 200:
            return Answer(error=f"HTTP {response.status_code}", elapsed_ms=elapsed_ms)
        try:
            reply = _Reply.model_validate_json(response.content)
        except ValidationError:
            return Answer(error="the reply is not a chat completion", elapsed_ms=elapsed_ms)
        if not reply.choices or reply.choices[0].finish_reason is None:
            return Answer(error="the reply is not complete", elapsed_ms=elapsed_ms)
        return Answer(text=reply.choices[0].message.content or "", model=reply.model, elapsed_ms=elapsed_ms)

    def _body(self, question: Question) -> dict[str, Any]:
        messages = [{"role": "system", "content": question.system}] if question.system else []
        messages.append({"role": "user", "content": question.prompt})
        return {
            "model": self._model,
            "messages": messages,
            "max_tokens": self._max_tokens,
            "temperature": 0,
            "seed": 0,
            # A cached prefix changes the first logits of llama.cpp: a greedy answer must not depend on the
            # question before it.
            "cache_prompt": False,
        }

    def _clean(self, text: str) -> str:
        key = self._key.reveal()
        return text.replace(key, "***") if key else text
