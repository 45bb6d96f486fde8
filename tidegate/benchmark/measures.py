"""From bytes on the wire to the record of a request: what it was, whether it succeeded, who counted its tokens."""

from collections.abc import Sequence
from sys import intern

from tidegate.benchmark.record import Outcome, Phase, RequestRecord, TokenSource
from tidegate.benchmark.stream import (
    RELEASE_HEADER,
    SET_HEADER,
    Parsed,
    json_object,
    parse_exchange,
    parse_whole,
)
from tidegate.benchmark.wire import Exchange

ALL_FIELDS = set(RequestRecord.model_fields)
MAX_ERROR_LENGTH = 300
MAX_NAME_LENGTH = 200


def record_of(
    done: Exchange,
    *,
    index: int,
    start_ns: int,
    block: int = 0,
    phase: Phase = Phase.MEASURED,
    is_streamed: bool = True,
    tags: Sequence[str] = (),
) -> RequestRecord:
    """Judge one finished exchange. `start_ns` is the start of the run on the clock of the exchange."""
    parsed, outcome, error = read_answer(done, is_streamed)
    tokens, source = _counted(parsed)
    # A stamp is never before the one it follows from, whatever order the loop ran its callbacks in.
    sent = max(0, done.sent_ns - start_ns)
    chunks = tuple(max(sent, stamp - start_ns) for stamp in parsed.content_ns)
    finish = _after(sent, parsed.finish_ns, start_ns)
    chunk_tokens = parsed.chunk_tokens
    record = RequestRecord(
        index=index,
        block=block,
        phase=phase,
        is_streamed=is_streamed,
        planned_ns=_after(0, done.planned_ns, start_ns),
        connected_ns=_after(0, done.connected_ns, start_ns),
        sent_ns=sent,
        headers_ns=_after(sent, done.headers_ns, start_ns),
        chunk_ns=chunks,
        chunk_tokens=None if chunk_tokens is None else tuple(chunk_tokens),
        answer_ns=_after(sent, parsed.answer_ns, start_ns),
        finish_ns=finish,
        end_ns=max(done.ended_ns - start_ns, sent, finish or 0, *chunks[-1:]),
        outcome=outcome,
        error=error[:MAX_ERROR_LENGTH],
        finish_reason=parsed.finish_reason,
        status=done.status,
        tokens=tokens,
        token_source=source,
        reasoning_tokens=parsed.reasoning_tokens,
        prompt_tokens=parsed.prompt_tokens,
        cached_tokens=_no_more(parsed.cached_tokens, parsed.prompt_tokens),
        server_prompt_ms=parsed.prompt_ms,
        server_predicted_ms=parsed.predicted_ms,
        tags=tuple(tags),
        set_name=_named(done, SET_HEADER),
        release=_named(done, RELEASE_HEADER),
        model=None if parsed.model is None else intern(parsed.model),
    )
    # Each would keep a set of the same names, a third of its memory. Nothing changes the set of a frozen record.
    object.__setattr__(record, "__pydantic_fields_set__", ALL_FIELDS)
    return record


def read_answer(done: Exchange, is_streamed: bool) -> tuple[Parsed, Outcome, str]:
    """What an answer said, whether the request succeeded, and why not."""
    parsed = parse_exchange(done) if is_streamed else _parse_plain(done)
    if failure := _failure(done, parsed):
        return parsed, Outcome.FAILED, failure
    if missing := _missing_of_stream(parsed) if is_streamed else _missing_of_whole(parsed):
        return parsed, Outcome.TRUNCATED, missing
    return parsed, Outcome.OK, ""


def _missing_of_stream(parsed: Parsed) -> str:
    """Without a finish reason a stream never succeeded; with one, and ended in order by the rules of HTTP, it did."""
    return "" if parsed.is_whole else "ended without a finish reason"


def _missing_of_whole(parsed: Parsed) -> str:
    if parsed.done_ns is None:
        return "the answer is not a whole JSON object"
    return "" if parsed.finish_ns is not None else "no finish reason"


def _failure(done: Exchange, parsed: Parsed) -> str:
    if done.error:
        return done.error
    return parsed.fault if done.status == 200 else f"HTTP {done.status}"


def _parse_plain(done: Exchange) -> Parsed:
    body = json_object(done.body) if done.status == 200 and done.pieces else None
    return Parsed() if body is None else parse_whole(body, done.pieces[-1][0])


def _counted(parsed: Parsed) -> tuple[int | None, TokenSource | None]:
    """The server's own count; where it gave none, the chunks, which is an estimate and says so."""
    if parsed.usage_tokens is not None:
        return parsed.usage_tokens, "usage"
    if parsed.timings_tokens is not None:
        return parsed.timings_tokens, "timings"
    return (len(parsed.content_ns), "chunks") if parsed.content_ns else (None, None)


def _after(earliest: int, stamp: int | None, start_ns: int) -> int | None:
    return None if stamp is None else max(earliest, stamp - start_ns)


def _no_more(part: int | None, whole: int | None) -> int | None:
    return min(part, whole) if part is not None and whole is not None else part


def _named(done: Exchange, header: str) -> str | None:
    value = done.headers.get(header)
    return None if value is None else value[:MAX_NAME_LENGTH]
