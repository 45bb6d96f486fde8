"""What a comparison found, in sentences for a person who decides and does not compute."""

from typing import Protocol

from tidegate.domain import Verdict

SAME = 0.005
"""Ratios nearer to 1 than this are called the same."""


class Compared(Protocol):
    """What a sentence needs of a compared metric."""

    @property
    def label(self) -> str: ...
    @property
    def verdict(self) -> Verdict: ...
    @property
    def ratio(self) -> float | None: ...
    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...
    @property
    def base_ms(self) -> float | None: ...
    @property
    def allowed_ratio(self) -> float | None: ...
    @property
    def max_ratio(self) -> float | None: ...
    @property
    def floor_ms(self) -> float | None: ...
    @property
    def is_optimistic(self) -> bool: ...
    @property
    def pairs(self) -> int: ...
    @property
    def requests(self) -> int: ...
    @property
    def p_beyond(self) -> float | None: ...
    @property
    def detectable_slowdown(self) -> float | None: ...


def ratio_sentence(found: Compared) -> str:
    """`p95 TTFT is 12 % slower (4 to 20 %), more than the 10 % allowed`."""
    assert found.ratio is not None
    assert found.low is not None
    assert found.high is not None
    span = change_range(found.low, found.high)
    said = f"{found.label} is {change(found.ratio)}" + (f" ({span})" if span != "the same" else "")
    if found.base_ms is not None and found.verdict is Verdict.PASS and _is_by_floor(found):
        return f"{said}, a difference within the {found.floor_ms:g} ms that are always allowed"
    allowed = allowance(found)
    if found.verdict is Verdict.PASS:
        return f"{said}, within the {allowed} allowed"
    if found.verdict is Verdict.FAIL:
        return f"{said}, more than the {allowed} allowed"
    if found.is_optimistic:
        return f"{said}, but runs without common blocks decide nothing ({allowed} allowed)"
    if found.allowed_ratio is not None and found.low > found.allowed_ratio:
        chance = f" (p = {found.p_beyond:.2g})" if found.p_beyond is not None else ""
        return (
            f"{said}, more than the {allowed} allowed, but among several metrics that may be chance{chance}"
        )
    return f"{said}, too uncertain to decide with {allowed} allowed"


def reach_sentence(found: Compared) -> str:
    """`judged on 10 block pairs, 1,200 requests; differences above 7 % would be seen`."""
    if found.is_optimistic:
        return f"{found.requests:,} requests"
    verb = "measured" if found.verdict is Verdict.NOT_JUDGED else "judged"
    text = f"{verb} on {found.pairs} block pairs, {found.requests:,} requests"
    reach = seen(found.detectable_slowdown)
    return f"{text}; {reach}" if reach else text


def seen(slowdown: float | None) -> str:
    """What such a design notices; empty where that is unknown."""
    if slowdown is None:
        return ""
    return f"differences above {percent(slowdown)} would be seen"


def allowance(found: Compared) -> str:
    """`10 %`, or `5 ms` where the floor allows more than the share."""
    if found.max_ratio is None or found.allowed_ratio is None:
        return "nothing"
    if found.allowed_ratio > found.max_ratio and found.floor_ms is not None:
        return f"{found.floor_ms:g} ms"
    return percent(found.max_ratio - 1)


def change(ratio: float) -> str:
    """`12 % slower`, `3 % faster`, `the same`."""
    if abs(ratio - 1) < SAME:
        return "the same"
    if ratio >= 3:
        return f"{ratio:.3g} times as long"
    return f"{percent(abs(ratio - 1))} {'slower' if ratio > 1 else 'faster'}"


def change_range(low: float, high: float) -> str:
    """`4 to 20 %` where both ends are slower, else with words: `7 % faster to 2 % slower`."""
    if low > 1 + SAME and high < 3:
        return f"{_number(low - 1)} to {percent(high - 1)}"
    if high < 1 - SAME:
        return f"{_number(1 - high)} to {percent(1 - low)}"
    if low >= 3:
        return f"{low:.3g} to {high:.3g} times"
    ends = change(low), change(high)
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def percent(share: float) -> str:
    return f"{_number(share)} %"


def _number(share: float) -> str:
    points = share * 100
    if points >= 1000:
        return f"{points:,.0f}"
    text = f"{points:.0f}" if points >= 10 or abs(points - round(points)) < 0.05 else f"{points:.1f}"
    return text


def _is_by_floor(found: Compared) -> bool:
    return found.high is not None and found.max_ratio is not None and found.high > found.max_ratio
