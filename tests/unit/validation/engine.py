"""What an engine might report, for tests that judge it."""

from typing import Any

from tidegate.domain import Policy
from tidegate.validation import EngineJob, EngineRun, Query, ValidationResult, judge_engine
from tidegate.validation.confinement import ChildOutcome

DIGEST = "a" * 64
POLICY = Policy()


def query(name: str = "one", prompt: str = "What is it?", **other: Any) -> Query:
    return Query(name, (("user", prompt),), "a test", **other)


JOB = EngineJob(DIGEST, queries=(query("one", is_repeated=True), query("two", max_tokens=256)))


def answer(name: str = "one", **changes: Any) -> dict[str, Any]:
    return {
        "id": name, "text": "It is Paris.", "finish": "stop", "prompt_tokens": 4, "tokens": [5, 6], "is_finite": True,
        "ttft_ms": 3.0, "tokens_per_second": 900.0, "mean_logprob": -0.1, **changes,
    }  # fmt: skip


def speed(rate: float = 900.0, ttft_ms: float = 3.0) -> dict[str, Any]:
    return {"prompt": "p", "prompt_tokens": 9, "tokens": 32, "ttft_ms": ttft_ms, "tokens_per_second": rate}


def report(**changes: Any) -> dict[str, Any]:
    """A report in which all is well, with changes."""
    return {
        "digest": DIGEST, "loads": True, "is_checked": True, "load_seconds": 0.1, "device": "cpu",
        "answers": [answer("one"), answer("two", text="It is blue.")], "repeated": [answer("one")],
        "speed": [speed(), speed(), speed()],
        "long_prompts": [{"context_tokens": 256, "prompt_tokens": 230, "is_finite": True}], **changes,
    }  # fmt: skip


def run(
    said: dict[str, Any] | None,
    *,
    job: EngineJob = JOB,
    problem: str = "",
    code: int | None = 0,
    stage: int = 2,
) -> EngineRun:
    return EngineRun(ChildOutcome(said, code, problem, "", 1.0), stage, job)


def judged(
    said: dict[str, Any] | None, *, policy: Policy = POLICY, **other: Any
) -> dict[str, ValidationResult]:
    return {result.check_name: result for result in judge_engine(run(said, **other), policy)}
