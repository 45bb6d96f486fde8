"""Tokens of answers whose server did not count them: asked of the server's own `/tokenize`, after the run.

A tokenizer that is not the model's counts wrongly by a factor of up to three (measured with a tool of the field),
and a fine-tuned GGUF has no public one. So nothing is guessed: without `/tokenize` the count stays the number of
chunks, which is flagged as an estimate.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from tidegate.benchmark.plan import Arm
from tidegate.benchmark.record import RequestRecord
from tidegate.benchmark.stream import EventSplitter, as_object, first_choice, json_object
from tidegate.benchmark.wire import Exchange, Wire

TEXT_FIELDS = ("reasoning_content", "reasoning", "content", "text")
MOST_CHARACTERS = 20_000_000
"""Text that is kept for counting; answers behind it stay estimates."""
TIMEOUT_S = 10.0


def needs_counting(record: RequestRecord) -> bool:
    """Whether the server gave an answer and no count."""
    return record.is_ok and record.token_source in (None, "chunks")


def answer_text(done: Exchange, *, is_streamed: bool) -> str:
    """Everything that the model wrote, reasoning included."""
    return "".join(_texts(done, is_streamed))


def _texts(done: Exchange, is_streamed: bool) -> Iterator[str]:
    splitter = EventSplitter()
    datas = (
        [data for _, piece in done.pieces for data in splitter.feed(piece)] if is_streamed else [done.body]
    )
    for data in datas:
        choice = first_choice(json_object(data) or {})
        said = as_object(choice.get("delta")) or as_object(choice.get("message")) or choice
        yield from (text for key in TEXT_FIELDS if isinstance(text := said.get(key), str))


async def count_tokens(wire: Wire, arm: Arm, texts: Mapping[int, str]) -> dict[int, int]:
    """Tokens of each text by its key. What the server does not count is missing, and it is not asked again."""
    url = f"{arm.base_url.partition('?')[0].rstrip('/').removesuffix('/v1')}/tokenize"
    counts: dict[int, int] = {}
    for key, text in texts.items():
        # llama-server reads `content`, vLLM `prompt` and `add_special_tokens`.
        body = {"content": text, "prompt": text, "model": arm.model, "add_special_tokens": False}
        done = await wire.post(url, arm.request_headers, json.dumps(body).encode(), TIMEOUT_S)
        count = _count_of(json_object(done.body) or {}) if done.status == 200 and not done.error else None
        if count is None:
            break
        counts[key] = count
    return counts


def _count_of(reply: dict[str, Any]) -> int | None:
    stated, tokens = reply.get("count"), reply.get("tokens")
    if type(stated) is int and stated >= 0:
        return stated
    return len(cast("list[Any]", tokens)) if isinstance(tokens, list) else None
