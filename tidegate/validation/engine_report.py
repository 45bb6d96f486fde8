"""What the inference child is asked and what it says, as values. The child may have been taken over by a file:
everything it says is checked here before anything is concluded from it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tidegate.validation.confinement import ChildOutcome
from tidegate.validation.report import SpeedSample

LONGEST_TEXT = 20_000
LONGEST_TOKEN = 1_000
MOST_CANDIDATES = 100


@dataclass(frozen=True, slots=True)
class Query:
    """One conversation that the model is to answer greedily."""

    id: str
    messages: tuple[tuple[str, str], ...]
    """Pairs of role and content."""
    purpose: str = ""
    max_tokens: int = 48
    is_repeated: bool = False
    """Asked twice: the same file must give the same answer."""
    top_logprobs: int = 0
    """So many candidates for the first token are reported with their log-probabilities."""

    @property
    def prompt(self) -> str:
        return self.messages[-1][1] if self.messages else ""


@dataclass(frozen=True, slots=True)
class EngineJob:
    """Everything that one load of a model is used for."""

    digest: str
    """What the bytes must be; the child hashes them itself before it loads them."""
    queries: tuple[Query, ...] = ()
    bank: tuple[Query, ...] = ()
    is_general: bool = False
    """The queries are not about the model's subject, because nobody said what that is."""
    bank_is_general: bool = False
    contexts: tuple[int, ...] = (256,)
    """Contexts to try, smallest first; the last is the one that the questions are asked in."""
    speed_tokens: int = 32
    """Tokens of one measured answer; 0 measures nothing."""
    speed_rounds: int = 3
    tries_long_prompts: bool = True
    threads: int = 1
    wall_s: float = 600.0
    parts: Mapping[str, int] = field(default_factory=dict[str, int])
    """Open descriptors by name when the model is several files; the digest is then that of the set."""

    def as_data(self) -> dict[str, Any]:
        return asdict(self)


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Candidate(_Said):
    """One candidate for a token."""

    token: str = Field(max_length=LONGEST_TOKEN)
    logprob: float = Field(le=0)


class EngineAnswer(_Said):
    """One answer."""

    id: str
    problem: str = ""
    text: str = Field(default="", max_length=LONGEST_TEXT)
    finish: Literal["stop", "length", "error", ""] = ""
    prompt_tokens: int = 0
    tokens: list[int] = Field(default_factory=list)
    is_finite: bool = False
    controls: list[str] = Field(default_factory=list)
    ttft_ms: float = 0.0
    tokens_per_second: float = 0.0
    mean_logprob: float | None = None
    top_logprobs: list[Candidate] = Field(default_factory=list[Candidate], max_length=MOST_CANDIDATES)


class LongPrompt(_Said):
    """A prompt that nearly fills a context."""

    context_tokens: int
    prompt_tokens: int = 0
    is_finite: bool = False
    problem: str = ""
    skipped: str = Field(default="", description="Why it was not tried.")


class SpeedSaid(_Said):
    """One measured answer, as the child says it."""

    prompt: str
    prompt_tokens: int = Field(ge=0)
    tokens: int = Field(ge=1)
    ttft_ms: float = Field(ge=0)
    tokens_per_second: float = Field(gt=0)

    def sample(self) -> SpeedSample:
        return SpeedSample(**self.model_dump())


class EngineReport(_Said):
    """The whole result of the child. Missing parts have the value that never passes."""

    digest: str = ""
    missing_engine: str = ""
    changed: bool = False
    loads: bool = False
    is_checked: bool = False
    load_seconds: float = 0.0
    peak_memory_bytes: int = 0
    device: str = ""
    problem: str = Field(default="", description="Why no question could be asked.")
    log: list[str] = Field(default_factory=list)
    answers: list[EngineAnswer] = Field(default_factory=list[EngineAnswer])
    repeated: list[EngineAnswer] = Field(default_factory=list[EngineAnswer])
    bank: list[EngineAnswer] = Field(default_factory=list[EngineAnswer])
    long_prompts: list[LongPrompt] = Field(default_factory=list[LongPrompt])
    speed: list[SpeedSaid] = Field(default_factory=list[SpeedSaid])
    speed_problem: str = ""


@dataclass(frozen=True, slots=True)
class EngineRun:
    """How the child ended, what it said, and how far it had come."""

    outcome: ChildOutcome
    stage: int = 0
    """0 nothing; 1 the model was loaded and checked; each question adds one."""
    job: EngineJob = field(default_factory=lambda: EngineJob(""))
