"""A measurement of one arm as the load generator would return it."""

from tidegate.benchmark import ArmResult, Outcome, Sample


def measured(ttft_ms: float, *, is_ok: bool = True, requests: int = 24, blocks: int = 6) -> ArmResult:
    samples = tuple(
        Sample(
            block=number * blocks // requests,
            index=number,
            outcome=Outcome.OK if is_ok else Outcome.FAILED,
            total_ms=ttft_ms + 300.0,
            error="" if is_ok else "refused",
            ttft_ms=ttft_ms + number % 3 if is_ok else None,
            itl_ms=10.0 if is_ok else None,
            gaps_ms=(10.0,) * 23 if is_ok else (),
            tokens=24 if is_ok else None,
            tokens_per_s=100.0 if is_ok else None,
        )
        for number in range(requests)
    )
    return ArmResult("live", requests, samples)
