"""Whether the client measured the server or itself.

A load generator that is late, starved or busy adds its own time to the server's. So it watches itself: how late
its event loop wakes, how long bytes had waited in the kernel before it read them, how late requests were sent,
whether the planned rate was reached, and how much of a core it used. `judge_client` is pure; `ClientWatch`
samples with a tick that costs some microseconds.
"""

import asyncio
import os
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tidegate.benchmark.connection import ReadLags
from tidegate.benchmark.record import ClientHonesty
from tidegate.benchmark.timerfd import open_timer, times_due

TICK_NS = 20_000_000
MAX_LOOP_LAG_MS = 5.0
MAX_LATE_MS = 5.0
MAX_LATE_SHARE_OF_TTFT = 0.05
MIN_RATE_SHARE = 0.99
MAX_CPU_SHARE = 0.8
TAIL = 0.99

Span = tuple[int, int]
"""Start and end by the monotonic clock, in nanoseconds."""
Send = tuple[int, int | None]
"""When a request was planned and when it was sent; None: never."""


@dataclass(frozen=True)
class ClientSample:
    """What was seen of the client in the measured windows."""

    loop_lags_ns: Sequence[int] = ()
    read_lags_ns: Sequence[int] = ()
    """Empty where the system cannot tell."""
    cpu_share: float | None = None
    """Of one core; all threads of the process together."""


def judge_client(
    sample: ClientSample, sends: Sequence[Send] = (), ttft_ms: float | None = None
) -> ClientHonesty:
    """Client-bound when any one of these holds; its figures decide nothing then.

    - p99 of (sent - planned) above max(5 ms, 5 % of the time to first token `ttft_ms`);
    - achieved rate below 99 % of the planned one;
    - p99 of the loop's lag above 5 ms;
    - more than 80 % of a core used.
    `sends` are the measured requests of an open loop; a closed loop has none and cannot be late.
    """
    late_ms = [max(0, sent - planned) / 1e6 for planned, sent in sends if sent is not None]
    planned_rate, achieved_rate = _rates(sends)
    honesty = ClientHonesty(
        loop_lag_p99_ms=_tail_ms(sample.loop_lags_ns),
        read_lag_p99_ms=_tail_ms(sample.read_lags_ns),
        late_send_p99_ms=_tail(late_ms),
        late_send_max_ms=max(late_ms, default=None),
        planned_rate=planned_rate,
        achieved_rate=achieved_rate,
        cpu_share=sample.cpu_share,
    )
    reasons = tuple(_reasons(honesty, max(MAX_LATE_MS, MAX_LATE_SHARE_OF_TTFT * (ttft_ms or 0.0))))
    return honesty.model_copy(update={"reasons": reasons, "verdict": "client-bound" if reasons else "honest"})


def _reasons(seen: ClientHonesty, late_limit_ms: float) -> list[str]:
    reasons: list[str] = []
    if seen.late_send_p99_ms is not None and seen.late_send_p99_ms > late_limit_ms:
        reasons.append(
            f"requests were sent late: p99 {seen.late_send_p99_ms:.1f} ms, more than {late_limit_ms:.1f} ms"
        )
    planned, achieved = seen.planned_rate, seen.achieved_rate
    if planned and achieved is not None and achieved < MIN_RATE_SHARE * planned:
        reasons.append(f"only {achieved:.1f} of {planned:.1f} planned requests per second were sent")
    if seen.loop_lag_p99_ms is not None and seen.loop_lag_p99_ms > MAX_LOOP_LAG_MS:
        reasons.append(
            f"the client woke late: p99 {seen.loop_lag_p99_ms:.1f} ms, more than {MAX_LOOP_LAG_MS:g} ms"
        )
    if seen.cpu_share is not None and seen.cpu_share > MAX_CPU_SHARE:
        reasons.append(f"the client used {seen.cpu_share:.0%} of a core, more than {MAX_CPU_SHARE:.0%}")
    return reasons


def _rates(sends: Sequence[Send]) -> tuple[float | None, float | None]:
    """Planned and achieved requests per second.

    The plan has n requests over the span from the first to the last, so its rate is (n - 1) / span. Of these
    m were sent, over their own span: the achieved rate is that times (m / n) and span / max(span, own span).
    A schedule that slips and requests that were never sent both lower it; a constant delay does not.
    """
    if len(sends) < 2:
        return None, None
    first, last = min(planned for planned, _ in sends), max(planned for planned, _ in sends)
    sent = [at for _, at in sends if at is not None]
    if last <= first:
        return None, None
    planned_rate = (len(sends) - 1) / ((last - first) / 1e9)
    if not sent:
        return planned_rate, 0.0
    stretched = (last - first) / max(last - first, max(sent) - min(sent))
    return planned_rate, planned_rate * len(sent) / len(sends) * stretched


def _tail_ms(values_ns: Sequence[int]) -> float | None:
    return _tail([value / 1e6 for value in values_ns])


def _tail(values: Sequence[float]) -> float | None:
    """p99, also of few values: it is near their maximum then, and a doubt speaks against the client."""
    if not values:
        return None
    # Loaded here and not while sending: numpy comes with it.
    from tidegate.statistics.percentiles import linear_quantile

    return linear_quantile(values, TAIL)


class ClientWatch:
    """Samples this process from `async with` to its end. Give `read_lags` to `open_wire`."""

    def __init__(self, clock_ns: Callable[[], int] = time.monotonic_ns):
        self.read_lags = ReadLags()
        self._clock_ns = clock_ns
        self._due_at = array("q")
        self._lags = array("q")
        self._cpu_at = array("q")
        self._cpu = array("q")
        self._due_ns = 0
        self._descriptor: int | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._due_ns = self._clock_ns() + TICK_NS
        self._note_cpu(self._clock_ns())
        self._descriptor = open_timer(self._due_ns, TICK_NS)
        if self._descriptor is not None:
            self._loop.add_reader(self._descriptor, self._ring)
        else:
            self._timer = self._loop.call_at(self._due_ns / 1e9, self._ring)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tick()
        if self._descriptor is not None:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None
        if self._timer is not None:
            self._timer.cancel()

    def between(self, spans: Sequence[Span]) -> ClientSample:
        """What was seen in these windows."""
        cpu_ns, wall_ns = 0, 0
        for start, end in spans:
            inside = [number for number, at in enumerate(self._cpu_at) if start <= at <= end]
            if len(inside) > 1:
                cpu_ns += self._cpu[inside[-1]] - self._cpu[inside[0]]
                wall_ns += self._cpu_at[inside[-1]] - self._cpu_at[inside[0]]
        return ClientSample(
            loop_lags_ns=_inside(self._due_at, self._lags, spans),
            read_lags_ns=_inside(self.read_lags.read_ns, self.read_lags.lag_ns, spans),
            cpu_share=cpu_ns / wall_ns if wall_ns else None,
        )

    def _ring(self) -> None:
        if self._descriptor is not None:
            times_due(self._descriptor)
        self._tick()
        if self._descriptor is None:
            self._timer = self._loop.call_at(self._due_ns / 1e9, self._ring)

    def _tick(self) -> None:
        """Note every tick that is due. A loop that was blocked for a second missed fifty of them, and the
        lag of each counts: one entry for the whole second would hide it."""
        now_ns = self._clock_ns()
        while self._due_ns <= now_ns:
            self._due_at.append(self._due_ns)
            self._lags.append(now_ns - self._due_ns)
            self._due_ns += TICK_NS
        self._note_cpu(now_ns)

    def _note_cpu(self, now_ns: int) -> None:
        self._cpu_at.append(now_ns)
        self._cpu.append(time.process_time_ns())


def _inside(at_ns: Sequence[int], values: Sequence[int], spans: Sequence[Span]) -> list[int]:
    return [
        value
        for at, value in zip(at_ns, values, strict=True)
        if any(start <= at <= end for start, end in spans)
    ]
