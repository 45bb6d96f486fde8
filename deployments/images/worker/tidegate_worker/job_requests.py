"""From a job's input to one request of the engine: OpenAI's routes as RunPod passes them on, or a plain prompt.

Values in, values out: talks to nobody.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

# What a plain job may ask of the sampler; everything else is refused by name, so that a typo does not pass silently.
SAMPLING = frozenset(
    {
        "max_tokens",
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "seed",
        "stop",
        "presence_penalty",
        "frequency_penalty",
        "repeat_penalty",
        "response_format",
        "logit_bias",
    }
)
COMPLETIONS, CHAT, MODELS = "/v1/completions", "/v1/chat/completions", "/v1/models"
ROUTES = {MODELS: "GET", COMPLETIONS: "POST", CHAT: "POST"}

Framing = Literal["body", "sse", "text"]


class BadJob(Exception):
    """The job asks for something that this worker does not do. The text goes to the caller."""


@dataclass(frozen=True)
class EngineRequest:
    """`framing` says how the reply goes back: its body, its events as they are, or the text in its events."""

    method: str
    path: str
    body: dict[str, object] | None
    framing: Framing
    is_streamed_to_caller: bool


@dataclass(frozen=True)
class ReportRequest:
    """The caller wants to know who this worker is."""


def understand(job_input: object) -> EngineRequest | ReportRequest:
    """Raises: BadJob."""
    if not isinstance(job_input, dict):
        raise BadJob("The input must be an object.")
    wanted = cast("dict[str, object]", job_input)
    if "openai_route" in wanted:
        return _openai(wanted)
    if wanted == {"report": True}:
        return ReportRequest()
    return _plain(wanted)


def _openai(wanted: Mapping[str, object]) -> EngineRequest:
    route = str(wanted["openai_route"]).partition("?")[0].rstrip("/")
    method = ROUTES.get(route)
    if method is None:
        raise BadJob(f"There is no route {route}; this worker has {', '.join(ROUTES)}.")
    if method == "GET":
        return EngineRequest("GET", route, None, "body", is_streamed_to_caller=False)
    body = wanted.get("openai_input")
    if not isinstance(body, dict):
        raise BadJob(f"{route} needs a JSON object as its body.")
    fields = cast("dict[str, object]", body)
    streams = fields.get("stream") is True
    return EngineRequest("POST", route, fields, "sse" if streams else "body", is_streamed_to_caller=streams)


def _plain(wanted: Mapping[str, object]) -> EngineRequest:
    """`{"prompt"|"messages": …}` with the sampling beside it or in `sampling_params`, as other workers take it."""
    rest = dict(wanted)
    prompt, messages = rest.pop("prompt", None), rest.pop("messages", None)
    streams = rest.pop("stream", False)
    nested = rest.pop("sampling_params", {})
    if not isinstance(nested, dict) or not isinstance(streams, bool):
        raise BadJob("'sampling_params' must be an object and 'stream' true or false.")
    sampling = rest | cast("dict[str, object]", nested)
    unknown = sorted(set(sampling) - SAMPLING)
    if unknown:
        raise BadJob(f"The input has fields that this worker does not know: {', '.join(unknown)}.")
    if isinstance(prompt, str) and messages is None:
        path, subject = COMPLETIONS, {"prompt": prompt}
    elif isinstance(messages, list) and prompt is None:
        path, subject = CHAT, {"messages": cast("list[object]", messages)}
    else:
        raise BadJob("The input must have either 'prompt', a string, or 'messages', a list.")
    # Always streamed from the engine: a cancelled job then stops it at once, and progress can be told.
    body = {**sampling, **subject, "stream": True, "stream_options": {"include_usage": True}}
    return EngineRequest("POST", path, body, "text", is_streamed_to_caller=streams)
