"""When a server is warm: two successive windows of answers that took equally long to begin. Pure."""

from statistics import median

LEAST_WINDOW = 5
SMALL_MS = 1.0
"""Medians that differ by less agree, whatever their ratio: of tiny times every ratio is noise."""


class WarmUp:
    """Told every answer of a warm-up, says when it is enough.

    `floor` answers are always waited for: at least one per slot of the server, or cold slots meet measured
    requests. `most` bounds it. With `floor == most` the number is fixed and nothing is judged.
    """

    def __init__(self, floor: int, most: int, tolerance: float):
        self.floor, self.most = floor, max(floor, most)
        self._tolerance = tolerance
        self._window = max(LEAST_WINDOW, floor // 2)
        self._ttft_ms: list[float] = []
        self._answers = 0

    def tell(self, ttft_ms: float | None) -> None:
        """One answer more; None when it had no first token."""
        self._answers += 1
        if ttft_ms is not None:
            self._ttft_ms.append(ttft_ms)

    @property
    def is_enough(self) -> bool:
        if self._answers >= self.most:
            return True
        return self._answers >= self.floor and self.most > self.floor and self.is_settled

    @property
    def is_settled(self) -> bool:
        """Whether the newest window has the median of the window before it."""
        medians = self.medians_ms
        if medians is None:
            return False
        before, now = medians
        return abs(now - before) <= max(SMALL_MS, self._tolerance * before)

    @property
    def medians_ms(self) -> tuple[float, float] | None:
        """Median TTFT of the last two windows; None while there are too few answers for two."""
        if len(self._ttft_ms) < 2 * self._window:
            return None
        newest = self._ttft_ms[-2 * self._window :]
        return median(newest[: self._window]), median(newest[self._window :])

    def describe(self) -> str:
        """What a reader must know about a warm-up that was not enough; empty when it was, or was not judged."""
        if self.most == self.floor or self.is_settled:
            return ""
        if self.medians_ms is None:
            return f"the warm-up gave {len(self._ttft_ms)} first tokens, too few to see whether it was enough"
        before, now = self.medians_ms
        return (
            f"the warm-up did not settle within {self._answers} answers: "
            f"median TTFT {before:.1f} ms, then {now:.1f} ms"
        )
