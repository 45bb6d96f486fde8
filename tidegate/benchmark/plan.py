"""What a measurement sends, to whom and in which order. Plain values; nothing here talks."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from tidegate.domain import InvalidInput, Secret
from tidegate.domain.policy import PerformancePolicy


@dataclass(frozen=True)
class Arm:
    """One thing that is measured: a set behind a URL that ends in `/v1`."""

    name: str
    base_url: str
    key: Secret
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    model: str = ""

    @property
    def url(self) -> str:
        return f"{self.base_url.rstrip('/')}/chat/completions"

    @property
    def request_headers(self) -> dict[str, str]:
        return {
            **self.headers,
            "authorization": f"Bearer {self.key.reveal()}",
            "content-type": "application/json",
        }


@dataclass(frozen=True)
class LoadPlan:
    """`requests` streams per arm at fixed `concurrency`, cut into `blocks` that alternate between the arms."""

    prompts: tuple[str, ...]
    requests: int = 48
    concurrency: int = 2
    max_tokens: int = 24
    blocks: int = 6
    warmup_requests: int = 2
    """Sent first in each block of each arm and not counted."""
    seed: int = 0
    request_timeout_s: float = 30.0
    deadline_s: float = 300.0
    """Nothing is sent after it; what is missing then is missing evidence, not a pass."""
    ignore_eos: bool = True
    """Answers of equal length in all arms, so that latencies compare."""

    def __post_init__(self) -> None:
        smallest = min(self.requests, self.concurrency, self.max_tokens, self.blocks)
        if not self.prompts or smallest < 1 or self.warmup_requests < 0 or self.requests < self.blocks:
            raise InvalidInput(
                "A load plan needs prompts, and requests, concurrency, max_tokens and blocks of at least 1.",
                remedy="Give at least one prompt and at least as many requests as blocks.",
                field="load plan",
            )

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

    def block_indices(self, block: int) -> list[int]:
        """Numbers of the requests of a block; every arm sends the same ones."""
        return list(range(block * self.requests // self.blocks, (block + 1) * self.requests // self.blocks))

    def arm_order(self, block: int, arms: int) -> list[int]:
        """ABBA: the order turns round from block to block, so that a drift in time hits all arms alike."""
        order = list(range(arms))
        return order if block % 2 == 0 else order[::-1]

    def body(self, arm: Arm, index: int) -> bytes:
        """Request `index`: the same prompt and seed for every arm."""
        content: dict[str, Any] = {
            "model": arm.model,
            "messages": [{"role": "user", "content": self.prompts[index % len(self.prompts)]}],
            "max_tokens": self.max_tokens,
            "temperature": 0,
            "seed": self.seed + index,
            "stream": True,
            "stream_options": {"include_usage": True},
            # A prefix that only one arm has cached would look like a faster model.
            "cache_prompt": False,
        }
        if self.ignore_eos:
            content["ignore_eos"] = True
        return json.dumps(content).encode()
