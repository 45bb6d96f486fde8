"""Sampled requests of clients: whether any are kept, what is taken out of them, and what a replay must show. Part of
`Policy`."""

import re
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CapturePolicy(_Part):
    """Off unless a service asks for it. What is kept is redacted first, then sealed with the organization's key."""

    percent: float = Field(
        default=0.0,
        ge=0,
        le=100,
        description="Percent of the service's requests that are sampled; 0 keeps none. A request with `store: false` "
        "is never kept.",
    )
    keep: int = Field(default=500, ge=1, le=100_000, description="Most requests kept; the oldest goes first.")
    keep_hours: float = Field(
        default=72.0,
        gt=0,
        le=24 * 90,
        description="A request is gone after this, whether it was used or not.",
    )
    system_prompt: Literal["drop", "keep"] = Field(
        default="drop",
        description="What becomes of system and developer messages: `keep` keeps them, redacted like everything else.",
    )
    drop_fields: tuple[str, ...] = Field(
        default=("user", "metadata", "safety_identifier", "prompt_cache_key", "name"),
        description="Fields that are taken out wherever they stand in a request.",
    )
    redact: tuple[str, ...] = Field(
        default=(),
        description="Further regular expressions; what they match is blotted out, beside keys, e-mail addresses, "
        "telephone numbers and card numbers, which always are.",
    )

    @field_validator("redact")
    @classmethod
    def _patterns_compile(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in value:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"'{pattern}' is no regular expression: {error}") from error
        return value


class ReplayPolicy(_Part):
    """What the new version must show on sampled requests, asked in pairs with the live one, before live traffic."""

    capture: CapturePolicy = CapturePolicy()
    pairs: int = Field(
        default=0,
        ge=0,
        description="Most sampled requests that are replayed to both versions; 0 means that there is no such gate.",
    )
    min_pairs: int = Field(
        default=30, ge=1, description="With fewer pairs nothing is judged, and nothing passes."
    )
    concurrency: int = Field(default=2, ge=1, description="Pairs that are asked at the same time.")
    max_tokens: int = Field(default=128, ge=1, description="Longest answer that is asked for.")
    max_seconds: float = Field(default=300.0, gt=0, description="No further pair is begun after this.")
    alpha: float = Field(
        default=0.05, gt=0, lt=0.5, description="Chance of a wrong verdict about one figure."
    )
    margin: float = Field(
        default=0.1,
        gt=0,
        lt=1,
        description="Share of requests that may go wrong with the new version and not with the live one: errors, and "
        "empty or malformed answers.",
    )
    max_slowdown: float = Field(
        default=0.5, gt=0, description="Longer answers' time against the live version's, as a share."
    )
    floor_ms: float = Field(
        default=50.0, ge=0, description="A smaller difference in time is never a failure."
    )
    max_length_change: float = Field(
        default=0.5, gt=0, description="Share by which answers may become longer, or shorter, on average."
    )

    @model_validator(mode="after")
    def _pairs_suffice(self) -> Self:
        if 0 < self.pairs < self.min_pairs:
            raise ValueError(
                "replay.pairs must not be smaller than replay.min_pairs: nothing could ever be judged"
            )
        return self
