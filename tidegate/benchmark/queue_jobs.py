"""Requests to a RunPod queue endpoint: a job is submitted with `/run` and asked for with `/status` until it ended.

What the job gave is handed on as if it had been the answer of the request, read when its end was seen. That is a
little after it happened: we ask again after a tenth of the time waited so far. RunPod's own times of the job
(waiting in the queue, running) are handed on beside it.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import quote

from tidegate.benchmark.bodies import body_of
from tidegate.benchmark.plan import Arm, LoadPlan
from tidegate.benchmark.schedule import PlannedRequest
from tidegate.benchmark.stream import as_object, json_object
from tidegate.benchmark.wire import Exchange, Wire

QUEUE_HEADER = "x-tidegate-queue-ms"
EXECUTION_HEADER = "x-tidegate-execution-ms"
"""Where the exchange of a job carries RunPod's `delayTime` and `executionTime`."""
FAILURES = frozenset({"FAILED", "CANCELLED", "TIMED_OUT"})
LEAST_WAIT_S, MOST_WAIT_S = 0.1, 2.0
CALL_TIMEOUT_S = 10.0
MOST_ERROR_LETTERS = 200


class QueueAsker:
    """Sends requests of an arm as jobs."""

    def __init__(self, arm: Arm, plan: LoadPlan, wire: Wire):
        self._arm, self._plan, self._wire = arm, plan, wire
        self._url, self._headers = arm.url_of(plan.endpoint), arm.request_headers
        self._base = self._url.removesuffix("/run")

    def prepare(self, request: PlannedRequest) -> bytes:
        return body_of(self._plan, self._arm, request)

    async def ask(self, body: bytes, timeout_s: float, planned_ns: int | None) -> Exchange:
        """Never submitted twice: after a lost reply the job may run, and only its ttl ends it."""
        until = time.monotonic() + timeout_s
        done = await self._wire.post(self._url, self._headers, body, timeout_s, planned_ns)
        if done.error or done.status != 200:
            return done
        identifier = as_object(json_object(done.body)).get("id")
        if not isinstance(identifier, str) or not identifier:
            done.error = "the reply to /run names no job"
            return done
        name = quote(identifier, safe="")
        await self._follow(done, name, until)
        if not done.error.startswith("timeout"):
            return done
        done.error = f"timeout: the job had not ended within {timeout_s:g} s"
        # Nobody will read it any more, and it may cost money.
        await self._wire.post(f"{self._base}/cancel/{name}", self._headers, b"", CALL_TIMEOUT_S)
        return done

    async def _follow(self, done: Exchange, identifier: str, until: float) -> None:
        """Ask until the job has ended, and write its end into the exchange of its submission."""
        began = time.monotonic()
        while (now := time.monotonic()) < until:
            wait_s = min(MOST_WAIT_S, max(LEAST_WAIT_S, (now - began) / 10), until - now)
            await asyncio.sleep(wait_s)
            seen = await self._wire.get(f"{self._base}/status/{identifier}", self._headers, CALL_TIMEOUT_S)
            done.ended_ns = time.monotonic_ns()
            if seen.status == 404:
                done.error = "the job is gone: its ttl was over, or it was purged"
                return
            job = as_object(json_object(seen.body)) if seen.status == 200 and not seen.error else {}
            status = job.get("status")
            if status == "COMPLETED" or status in FAILURES:
                _write_end(done, job, seen)
                return
        done.ended_ns = time.monotonic_ns()
        done.error = "timeout"


def _write_end(done: Exchange, job: Mapping[str, Any], seen: Exchange) -> None:
    done.ended_ns = seen.ended_ns
    done.headers = dict(done.headers) | {
        header: str(job[name])
        for header, name in ((QUEUE_HEADER, "delayTime"), (EXECUTION_HEADER, "executionTime"))
        if type(job.get(name)) is int and job[name] >= 0
    }
    if job.get("status") != "COMPLETED":
        done.error = (
            f"job {job.get('status')}: {str(job.get('error') or 'no reason given')[:MOST_ERROR_LETTERS]}"
        )
        return
    done.pieces = [(seen.ended_ns, json.dumps(_as_answer(job.get("output"))).encode())]


def queue_times(done: Exchange) -> dict[str, float]:
    """Fields of a request's record with RunPod's own times of its job; empty for anything else."""
    named = {"queue_ms": QUEUE_HEADER, "execution_ms": EXECUTION_HEADER}
    return {name: float(done.headers[header]) for name, header in named.items() if header in done.headers}


def _as_answer(output: Any) -> dict[str, Any]:
    """An OpenAI answer: the output itself where the worker speaks OpenAI (alone, or as the one item of a list)."""
    items = cast("list[Any]", output) if isinstance(output, list) else [output]
    first = as_object(items[0]) if len(items) == 1 else {}
    if "choices" in first or "error" in first:
        return first
    text = output if isinstance(output, str) else json.dumps(output)
    return {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
