"""What one job does: asks the engine and yields what the SDK posts, chunk by chunk.

An asynchronous generator, so that jobs run beside each other and a stopped one ends inside the engine too.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

import aiohttp

from tidegate_worker.engine_events import Answer, EventCutter
from tidegate_worker.job_requests import BadJob, EngineRequest, ReportRequest, understand

# One chunk of a stream may have 1 MB on RunPod.
MAX_CHUNK_BYTES = 256 * 1024
PROGRESS_INTERVAL_S = 2.0
HTTP_OK = 200

Chunk = str | dict[str, Any]
Job = Mapping[str, Any]


class JobHandler:
    """Handles the jobs of one worker, several at once."""

    def __init__(
        self,
        engine_url: str,
        digest: str,
        report: Callable[[], dict[str, Any]],
        send_progress: Callable[[Job, object], None],
        clock: Callable[[], float] = time.monotonic,
    ):
        self._engine_url = engine_url
        self._digest = digest
        self._report = report
        self._send_progress = send_progress
        self._clock = clock

    async def handle(self, job: Job) -> AsyncGenerator[Chunk, None]:
        """Yields strings or objects; `{"error": text}` fails the job."""
        try:
            match understand(job.get("input")):
                case ReportRequest():
                    yield self._report()
                case EngineRequest() as request:
                    async with aclosing(self._ask(job, request)) as chunks:
                        async for chunk in chunks:
                            yield chunk
        except BadJob as refusal:
            yield {"error": _error_text(400, "invalid_request_error", str(refusal))}
        except aiohttp.ClientError as trouble:
            yield {
                "error": _error_text(
                    503, "unavailable_error", f"The engine went away: {type(trouble).__name__}."
                )
            }

    async def _ask(self, job: Job, request: EngineRequest) -> AsyncGenerator[Chunk, None]:
        # A session a job: there is no moment at which the SDK would let us close a shared one. Jobs have deadlines of
        # their own, on the platform.
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session,
            session.request(request.method, self._engine_url + request.path, json=request.body) as reply,
        ):
            if reply.status != HTTP_OK:
                yield {"error": _refusal(reply.status, await reply.text())}
            elif request.framing == "body":
                yield await reply.json()
            elif request.framing == "sse":
                async with aclosing(gathered(reply.content)) as stream:
                    async for events in stream:
                        yield events.decode("utf-8", "replace")
            else:
                async with aclosing(self._text(job, reply.content, request.is_streamed_to_caller)) as chunks:
                    async for chunk in chunks:
                        yield chunk

    async def _text(
        self, job: Job, content: aiohttp.StreamReader, is_streamed: bool
    ) -> AsyncGenerator[Chunk, None]:
        answer = Answer(self._digest)
        next_progress = self._clock() + PROGRESS_INTERVAL_S
        async with aclosing(gathered(content)) as stream:
            async for events in stream:
                added = answer.add(events)
                if answer.error is not None:
                    break
                if is_streamed and added:
                    yield {"text": added}
                elif not is_streamed and self._clock() >= next_progress:
                    next_progress = self._clock() + PROGRESS_INTERVAL_S
                    self._send_progress(job, {"completion_tokens": answer.tokens})
        if answer.error is not None:
            yield {"error": json.dumps(answer.error)}
        elif is_streamed:
            yield {"text": "", **answer.ending()}
        else:
            yield {"text": answer.text, **answer.ending()}


async def gathered(content: aiohttp.StreamReader) -> AsyncGenerator[bytes, None]:
    """Whole events, as many at once as have come while the last ones were posted.

    The first leaves at once; under a slow platform the chunks grow instead of the delay.
    """
    waiting: asyncio.Queue[bytes | None] = asyncio.Queue()
    trouble: list[aiohttp.ClientError] = []

    async def read() -> None:
        cutter = EventCutter()
        try:
            async for piece in content.iter_any():
                events = cutter.feed(piece)
                if events:
                    waiting.put_nowait(events)
        except aiohttp.ClientError as problem:
            trouble.append(problem)
        finally:
            waiting.put_nowait(None)

    reader = asyncio.create_task(read())
    try:
        while (events := await waiting.get()) is not None:
            ended = False
            while not waiting.empty() and len(events) < MAX_CHUNK_BYTES and not ended:
                more = waiting.get_nowait()
                events, ended = events + (more or b""), more is None
            yield events
            if ended:
                break
        if trouble:
            raise trouble[0]
    finally:
        reader.cancel()


def _refusal(status: int, text: str) -> str:
    """The engine's own error object, which is in OpenAI's form already."""
    try:
        error = json.loads(text)["error"]
    except (ValueError, KeyError, TypeError):
        return _error_text(status, "server_error", text[:500] or f"The engine answered {status}.")
    return json.dumps(error)


def _error_text(status: int, kind: str, message: str) -> str:
    """RunPod carries a job's error as text; ours is JSON in OpenAI's form, with the HTTP status that it means."""
    return json.dumps({"code": status, "type": kind, "message": message})
