"""What a planned request looks like on the wire. The same bytes for every arm, but for the name of the model."""

import json
from typing import Any

from tidegate.benchmark.plan import Arm, Endpoint, LoadPlan
from tidegate.benchmark.schedule import PlannedRequest

LEAST_EXECUTION_MS, LEAST_TTL_MS = 5_000, 10_000
"""Of RunPod's policy of a job."""


def body_of(plan: LoadPlan, arm: Arm, request: PlannedRequest) -> bytes:
    """The JSON of one request."""
    asked = _asked(plan, request) | _answered(plan, request) | dict(plan.extra)
    if arm.model:
        asked["model"] = arm.model
    return json.dumps(_as_job(plan, asked) if plan.endpoint is Endpoint.QUEUE else asked).encode()


def _as_job(plan: LoadPlan, asked: dict[str, Any]) -> dict[str, Any]:
    """As workers with an OpenAI route take it. The ttl ends a job that nobody waits for any more."""
    limit_ms = round(plan.request_timeout_s * 1000)
    return {
        "input": {"openai_route": "/v1/chat/completions", "openai_input": asked},
        "policy": {"executionTimeout": max(LEAST_EXECUTION_MS, limit_ms), "ttl": max(LEAST_TTL_MS, limit_ms)},
    }


def _asked(plan: LoadPlan, request: PlannedRequest) -> dict[str, Any]:
    messages: list[dict[str, Any]] = (
        json.loads(request.messages) if request.messages else [{"role": "user", "content": request.prompt}]
    )
    if plan.endpoint is not Endpoint.COMPLETIONS:
        return {"messages": messages}
    if not request.messages:
        return {"prompt": request.prompt}
    # A completion knows no roles: the texts in their order.
    return {"prompt": "\n".join(str(message.get("content") or "") for message in messages)}


def _answered(plan: LoadPlan, request: PlannedRequest) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "max_tokens": request.max_tokens,
        "seed": request.seed,
        "stream": plan.stream,
    }
    if plan.temperature is not None:
        fields["temperature"] = plan.temperature
    if plan.stream and plan.asks_usage:
        fields["stream_options"] = {"include_usage": True}
    if plan.ignore_eos:
        fields["ignore_eos"] = True
    if plan.cache_prompt is not None:
        fields["cache_prompt"] = plan.cache_prompt
    return fields
