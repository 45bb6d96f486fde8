"""Scales, ticks and the way numbers are written in plots and tables. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

STEPS = (1.0, 2.0, 5.0, 10.0)
WANTED_TICKS = 6
MOST_LOG_TICKS = 8

Kind = Literal["linear", "log", "rows"]


@dataclass(frozen=True)
class Axis:
    """One direction of a plot. `rows` is an axis of names: row n is drawn around the number n."""

    title: str
    unit: str
    low: float
    high: float
    kind: Kind = "linear"
    rows: tuple[str, ...] = field(default=())

    def place(self, value: float) -> float:
        """Where a value stands, 0 at the low end and 1 at the high end; values outside lie outside."""
        if self.kind != "log":
            return (value - self.low) / (self.high - self.low)
        low, high = math.log(self.low), math.log(self.high)
        return (math.log(max(value, self.low / 10)) - low) / (high - low)

    def ticks(self) -> tuple[float, ...]:
        if self.kind == "rows":
            return tuple(range(len(self.rows)))
        return log_ticks(self.low, self.high) if self.kind == "log" else linear_ticks(self.low, self.high)


def linear_axis(title: str, unit: str, values: Sequence[float], *, from_zero: bool = False) -> Axis:
    """Wide enough for the values, with a little room beyond them."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    low = min(low, 0.0) if from_zero else low
    room = (high - low) * 0.04 or max(abs(high) * 0.1, 1.0)
    return Axis(title, unit, low if from_zero and low == 0 else low - room, high + room)


def log_axis(title: str, unit: str, values: Sequence[float], *, smallest: float) -> Axis:
    """Positive values over several powers of ten; what is below `smallest` is drawn at the edge."""
    positive = [max(value, smallest) for value in values]
    low, high = (min(positive), max(positive)) if positive else (smallest, smallest * 10)
    return Axis(title, unit, low / 1.15, max(high * 1.15, low * 2), "log")


def linear_ticks(low: float, high: float, wanted: int = WANTED_TICKS) -> tuple[float, ...]:
    """Round numbers from one of 1, 2, 5 times a power of ten."""
    if not high > low:
        return (low,)
    raw = (high - low) / wanted
    power = 10 ** math.floor(math.log10(raw))
    step = next(power * one for one in STEPS if power * one >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return tuple(round(number * step, 12) for number in range(first, last + 1))


def log_ticks(low: float, high: float) -> tuple[float, ...]:
    """1, 2 and 5 in each power of ten; only the powers when that is too many; round steps within one power."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for steps in ((1, 2, 5), (1, 3), (1,)):
        found = tuple(step * 10.0**power for power in range(first, last + 1) for step in steps)
        inside = tuple(value for value in found if low <= value <= high)
        if len(inside) <= MOST_LOG_TICKS:
            break
    return inside if len(inside) >= 2 else linear_ticks(low, high)


def number(value: float | None, digits: int = 3) -> str:
    """`0.123`, `12.3`, `1 234`: as many digits as carry something; a missing one is a dash."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    # 99.96 becomes 100.0 by rounding, one digit too many.
    if decimals and abs(round(value, decimals)) >= 10 ** (digits - decimals):
        decimals -= 1
    text = f"{value:,.{min(decimals, 6)}f}".replace(",", " ")
    return text


def count(value: int) -> str:
    """`1 484`."""
    return f"{value:,}".replace(",", " ")


def percent(share: float | None, decimals: int = 1) -> str:
    """`12.5 %`; a share that is not quite all is never written as 100 %."""
    if share is None:
        return "–"
    shown = round(100 * share, decimals)
    if shown == 100 and share < 1:
        return f"> {100 - 10**-decimals:.{decimals}f} %"
    if shown == 0 and share > 0:
        return f"< {10**-decimals:.{decimals}f} %"
    return f"{shown:.{decimals}f} %".replace(".0 %", " %")


def tick_text(value: float) -> str:
    """Ticks are round: no digits that say nothing."""
    text = f"{value:,.10g}" if abs(value) >= 1000 else f"{value:.6g}"
    return text.replace(",", " ")
