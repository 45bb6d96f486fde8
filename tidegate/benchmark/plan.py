"""What a measurement sends, to whom and in which order: one frozen value that can be stored and read back.

Plain values; nothing here talks. `schedule` draws the requests that a plan means, `load` sends them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, Self, cast

from tidegate.benchmark.arrivals import MAX_ARRIVALS, Mode
from tidegate.benchmark.prompts import MAX_WORDS
from tidegate.benchmark.trace import TraceRow
from tidegate.domain import InvalidInput, Secret
from tidegate.domain.policy import PerformancePolicy

LEAST_DEADLINE_S = 300.0
OUR_FIELDS = frozenset({"messages", "prompt", "max_tokens", "seed", "stream", "stream_options", "input"})
"""What the schedule decides; extra fields of a body must not, or two arms would no longer be asked alike."""


OUR_HEADERS = "x-tidegate-"
"""They name sets and releases, which records name, too."""
SHORTEST_SECRET, MASK = 8, "***"


class Endpoint(StrEnum):
    """What is asked of the server."""

    CHAT = "chat"
    COMPLETIONS = "completions"
    QUEUE = "queue"
    """Jobs of a RunPod queue endpoint: submitted, then asked for until they have ended."""


PATHS = {
    Endpoint.CHAT: "/chat/completions",
    Endpoint.COMPLETIONS: "/completions",
    Endpoint.QUEUE: "/run",
}


@dataclass(frozen=True)
class Arm:
    """One thing that is measured: a set behind a URL that ends in `/v1` (a queue: in `/v2/ENDPOINT_ID`)."""

    name: str
    base_url: str
    key: Secret
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    model: str = ""

    @property
    def url(self) -> str:
        return self.url_of(Endpoint.CHAT)

    def url_of(self, endpoint: Endpoint) -> str:
        """Where requests of this kind go. A query of the base URL stays behind the path."""
        base, mark, query = self.base_url.partition("?")
        return f"{base.rstrip('/')}{PATHS[endpoint]}{mark}{query}"

    @property
    def request_headers(self) -> dict[str, str]:
        bearer = {"authorization": f"Bearer {self.key.reveal()}"} if self.key.reveal() else {}
        return {**self.headers, **bearer, "content-type": "application/json"}

    def without_secrets(self, text: str) -> str:
        """What a server said, without the key and the header values that it may have repeated, whole or cut off."""
        ours = (value for name, value in self.headers.items() if not name.lower().startswith(OUR_HEADERS))
        for secret in (self.key.reveal(), *ours):
            if len(secret) < SHORTEST_SECRET:
                continue
            text = text.replace(secret, MASK)
            cut = next(
                (
                    end
                    for end in range(len(secret) - 1, SHORTEST_SECRET - 1, -1)
                    if text.endswith(secret[:end])
                ),
                0,
            )
            text = f"{text[:-cut]}{MASK}" if cut else text
        return text


@dataclass(frozen=True)
class LoadPlan:
    """How an arm is loaded. `requests` or `duration_s` per arm, cut into `blocks` that alternate between arms."""

    prompts: tuple[str, ...] = ()
    """Asked in shuffled passes. Without any, prompts of `prompt_words` words are made up, each one new."""
    prompt_tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """Slices that a prompt belongs to; they are noted with its requests and change nothing that is sent."""
    prompt_words: int = 0
    warmup_prompts: tuple[str, ...] = ()
    """Without any, made-up ones of the same length: a prompt that is measured must not be in the cache."""
    mode: Mode = Mode.CLOSED
    concurrency: int = 2
    """Requests at once in a closed loop."""
    rate: float | None = None
    """Requests per second in an open loop."""
    burstiness: float = 1.0
    """Shape of gamma arrivals: below 1 they come in bursts, 1 is Poisson, above 1 they are more even."""
    requests: int | None = 48
    duration_s: float | None = None
    """Length of the measured windows together, instead of `requests`."""
    trace: tuple[TraceRow, ...] = ()
    speed: float = 1.0
    """A trace is replayed so many times faster; 1 is as it was recorded."""
    max_tokens: int = 24
    blocks: int = 6
    first_block: int = 0
    """Blocks are drawn by their number from here: a comparison measured in rounds asks what one in one go asks."""
    warmup_requests: int = 2
    """Answers at least that each block of each arm begins with; they are not counted."""
    warmup_most: int | None = None
    """Go on until two windows of TTFT agree, up to so many requests. None: exactly `warmup_requests`."""
    warmup_tolerance: float = 0.1
    warmup_s: float = 60.0
    """Longest warm-up of a block."""
    seed: int = 0
    request_timeout_s: float = 30.0
    deadline_s: float | None = None
    """Nothing is sent after it; what is missing then is missing evidence, not a pass. None: by the duration."""
    most_in_flight: int = 1024
    """Safety of an open loop. A request that waits for it is sent late or never, and counted as that."""
    endpoint: Endpoint = Endpoint.CHAT
    stream: bool = True
    ignore_eos: bool = True
    """Answers of equal length in all arms, so that latencies compare. Not part of OpenAI's own API."""
    cache_prompt: bool | None = False
    """A prefix that only one arm has cached would look like a faster model. None: the field is not sent."""
    temperature: float | None = 0.0
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Further fields of every body."""
    asks_usage: bool = True
    """Ask streams for their token counts (`stream_options`)."""
    keep_alive: bool = False

    def __post_init__(self) -> None:
        _check_what_is_sent(self)
        _check_when(self)
        _check_limits(self)

    @classmethod
    def from_policy(cls, policy: PerformancePolicy, prompts: Sequence[str], *, seed: int = 0) -> Self:
        return cls(
            prompts=tuple(prompts),
            requests=policy.design.requests_per_arm,
            concurrency=policy.design.concurrency,
            max_tokens=policy.design.max_tokens,
            blocks=policy.design.block_pairs,
            warmup_requests=policy.design.warmup_requests,
            seed=seed,
        )

    @property
    def limit_s(self) -> float:
        """Time of the whole measurement of one arm's blocks beside those of the others."""
        if self.deadline_s is not None:
            return self.deadline_s
        span_s = self.duration_s or self.trace_s
        if self.mode.is_open and self.requests is not None and not self.trace:
            span_s = self.requests / (self.rate or 1.0)
        per_block_s = self.warmup_s + self.request_timeout_s
        return max(LEAST_DEADLINE_S, 2 * (2 * span_s + self.blocks * per_block_s))

    @property
    def trace_s(self) -> float:
        """How long the trace is when it is replayed at this plan's speed."""
        return self.trace[-1].at_ns / 1e9 / self.speed if self.trace else 0.0

    def arm_order(self, block: int, arms: int) -> list[int]:
        """ABBA: the order turns round from block to block, so that a drift in time hits all arms alike."""
        order = list(range(arms))
        return order if (self.first_block + block) % 2 == 0 else order[::-1]

    def as_dict(self) -> dict[str, Any]:
        """JSON data from which `from_dict` makes the same plan."""
        data = asdict(self)
        data["trace"] = [{key: value for key, value in row.items() if value} for row in data["trace"]]
        for row in data["trace"]:
            row.setdefault("at_ns", 0)
        return cast("dict[str, Any]", json.loads(json.dumps(data)))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Raises: InvalidInput for a plan of another version or one that contradicts itself."""
        known = {one.name for one in fields(cls)}
        values = {key: value for key, value in data.items() if key in known}
        try:
            for name in ("prompts", "warmup_prompts"):
                values[name] = tuple(values.get(name, ()))
            values["prompt_tags"] = {
                prompt: tuple(tags) for prompt, tags in dict(values.get("prompt_tags", {})).items()
            }
            values["trace"] = tuple(
                TraceRow(**(row | {"hash_ids": tuple(row.get("hash_ids", ()))}))
                for row in values.get("trace", ())
            )
            values["mode"] = Mode(values.get("mode", Mode.CLOSED))
            values["endpoint"] = Endpoint(values.get("endpoint", Endpoint.CHAT))
            return cls(**values)
        except (TypeError, ValueError, AttributeError) as error:
            raise InvalidInput(
                f"This is no load plan: {error}.",
                remedy="Give the fields of a load plan, as a stored run shows them.",
                field="plan",
            ) from error


def _check_what_is_sent(plan: LoadPlan) -> None:
    is_empty = not plan.prompts and not plan.trace and plan.prompt_words < 1
    if is_empty or plan.max_tokens < 1 or plan.prompt_words > MAX_WORDS or not all(plan.prompts):
        raise InvalidInput(
            "A load plan needs prompts, or the length of made-up ones, and max_tokens of at least 1.",
            remedy="Give at least one prompt that is not empty, or prompt_words.",
            field="prompts, prompt_words, max_tokens",
        )
    if taken := OUR_FIELDS & plan.extra.keys():
        raise InvalidInput(
            f"Extra fields must not replace what the schedule decides: {', '.join(sorted(taken))}.",
            remedy="Use the options of the plan for these fields.",
            field="extra",
        )
    try:
        json.dumps(dict(plan.extra), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(
            f"The extra fields are no JSON: {error}.",
            remedy="Give a JSON object of plain values.",
            field="extra",
        ) from error
    if (plan.mode is Mode.TRACE) != bool(plan.trace):
        raise InvalidInput(
            "A trace and the mode trace go together.", remedy="Give both, or neither.", field="trace, mode"
        )
    if plan.endpoint is Endpoint.QUEUE and plan.stream:
        raise InvalidInput(
            "Jobs of a queue are not streamed.", remedy="Ask for plain answers.", field="stream"
        )


def _check_when(plan: LoadPlan) -> None:
    if plan.mode is Mode.TRACE:
        if plan.duration_s is not None or plan.requests not in (None, len(plan.trace)):
            raise InvalidInput(
                "A replay sends the rows of its trace, no other number of requests.",
                remedy="Leave the number and the duration out (requests=None), or cut the trace.",
                field="requests, duration_s",
            )
    elif (plan.requests is None) == (plan.duration_s is None):
        raise InvalidInput(
            "A load plan has either a number of requests or a duration.",
            remedy="Give one of the two (with a duration, requests=None).",
            field="requests, duration_s",
        )
    if plan.mode.is_open and plan.mode is not Mode.TRACE and not _is_between(plan.rate, 1e-4, 1e5):
        raise InvalidInput(
            f"A rate of {plan.rate} requests per second cannot be sent.",
            remedy="Give a rate above 0.",
            field="rate",
        )
    for name, value in (
        ("burstiness", plan.burstiness),
        ("speed", plan.speed),
        ("duration_s", plan.duration_s),
    ):
        if value is not None and not _is_between(value, 1e-3, 1e6):
            raise InvalidInput(
                f"{name} of {value} is out of range.", remedy="Give 0.001 or more.", field=name
            )


def _check_limits(plan: LoadPlan) -> None:
    """Whole numbers of at least 1, and times above 0."""
    requests = len(plan.trace) or (MAX_ARRIVALS if plan.requests is None else plan.requests)
    smallest = min(requests, plan.concurrency, plan.blocks, plan.most_in_flight)
    if (
        smallest < 1
        or min(plan.warmup_requests, plan.first_block) < 0
        or not plan.blocks <= requests <= MAX_ARRIVALS
    ):
        raise InvalidInput(
            "A load plan needs requests, concurrency and blocks of at least 1, and a request for each block.",
            remedy=f"Give at least as many requests as blocks, and at most {MAX_ARRIVALS}.",
            field="requests, concurrency, blocks, first_block, most_in_flight, warmup_requests",
        )
    times = (plan.request_timeout_s, plan.warmup_s, plan.limit_s, plan.warmup_tolerance)
    if not all(_is_between(value, 1e-3, 1e7) for value in times):
        raise InvalidInput(
            "Time limits and the tolerance of a warm-up must be above 0.",
            remedy="Give times above 0.",
            field="request_timeout_s, warmup_s, deadline_s, warmup_tolerance",
        )


def _is_between(value: float | None, low: float, high: float) -> bool:
    return value is not None and low <= value <= high
