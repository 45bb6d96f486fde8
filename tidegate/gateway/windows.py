"""Facts about requests, added up by window, set and slice, until their window is closed and they are a batch. Pure."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tidegate.domain.live import ALL, COUNTED, MEASURED, PLAIN, SHADOW, STREAM, LiveBatch, bin_of
from tidegate.domain.live_edges import EDGES_S, edge_of
from tidegate.gateway.measured import Fact

_OPEN_AHEAD = 5
"""Windows that may begin later than now says: a line from further ahead is one of now."""
_KINDS = frozenset({STREAM, PLAIN, SHADOW})
_EXACT = frozenset({ALL, SHADOW})
"""Slices that together hold each request once: a copy stands in SHADOW alone."""


class Key(NamedTuple):
    """What a batch is about."""

    window: int
    org: str
    service: str
    set_name: str
    slice: str
    is_probe: bool


class _Sum:
    """Counts and histograms of one batch in the making."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = dict.fromkeys(COUNTED, 0)
        self.stops: dict[str, int] = {}
        self.bins: dict[str, dict[int, int]] = {name: {} for name in MEASURED}
        self.told = Counter[str]()
        """Requests by how they ended (`code:`), times by edge (`edge:`) and in all (`sum:`), and tokens."""

    def add(self, fact: Fact, slice_name: str) -> None:
        if fact.kind == "attempt":
            self.counts["attempts"] += 1
            self.counts["attempts_failed"] += fact.attempt_failed
            return
        self.counts["requests"] += 1
        if slice_name in _KINDS:
            self.counts["attempts"] += 1
            self.counts["attempts_failed"] += fact.attempt_failed
        for name, holds in (
            ("failed", fact.failed),
            ("truncated", fact.truncated),
            ("clients_left", fact.left),
            ("empty", fact.empty),
            ("malformed", fact.malformed),
            ("stalled", fact.stalled),
            ("lost", fact.unmeasured),
        ):
            self.counts[name] += holds
        if fact.stop is not None:
            self.stops[fact.stop] = self.stops.get(fact.stop, 0) + 1
        for name in MEASURED:
            value = getattr(fact, name)
            if value is not None:
                bins, number = self.bins[name], bin_of(value)
                bins[number] = bins.get(number, 0) + 1
        if slice_name in _EXACT:
            self._tell(fact)

    def _tell(self, fact: Fact) -> None:
        """What operators are told is exact; what a release is judged by is not touched by it."""
        self.told[f"code:{fact.code}"] += 1
        self.told["tokens_in"] += fact.tokens_in
        self.told["tokens_out"] += fact.tokens_out
        for name, edges in EDGES_S.items():
            value: float | None = getattr(fact, name)
            if value is not None:
                self.told[f"edge:{name}:{edge_of(value / 1000, edges)}"] += 1
                # In whole microseconds: a count, like everything else here.
                self.told[f"sum:{name}"] += round(value * 1000)

    @property
    def exact(self) -> dict[str, Any]:
        """Fields of a batch."""
        timings: dict[str, dict[str, Any]] = {}
        codes: dict[str, int] = {}
        for key, count in self.told.items():
            kind, _, name = key.partition(":")
            if kind == "code":
                codes[name] = count
            elif kind == "edge":
                figure, _, edge = name.partition(":")
                timings.setdefault(figure, {}).setdefault("counts", {})[int(edge)] = count
            elif kind == "sum":
                timings.setdefault(name, {})["sum_s"] = count / 1e6
        tokens = {name: self.told[name] for name in ("tokens_in", "tokens_out")}
        return {"codes": codes, "timings": timings, **tokens}


class Windows:
    """Open windows. Whatever is added is in exactly one batch of each of its slices."""

    def __init__(self, gateway: str, window_s: float):
        self._gateway = gateway
        self._window_s = window_s
        self._sums: dict[Key, _Sum] = {}
        self._closed = 0
        """Number of the last closed window."""

    def add(self, fact: Fact, now: float) -> None:
        """A fact of a closed window counts in the first open one: a batch that was sent never changes."""
        window = self._window(fact.ended, now)
        for slice_name in fact.slices:
            self._sum(window, fact.org, fact.service, fact.set_name, slice_name, fact.is_probe).add(
                fact, slice_name
            )

    def lose(self, org: str, service: str, set_name: str, count: int, now: float) -> None:
        """So many requests of a set were not measured."""
        window = self._window(now, now)
        self._sum(window, org, service, set_name, ALL, False).counts["lost"] += count

    def close(self, until: float) -> list[LiveBatch]:
        """Batches of the windows that ended by then; nothing is added to them any more."""
        last = math.floor(until / self._window_s) - 1
        if last <= self._closed:
            return []
        self._closed = last
        due = sorted(key for key in self._sums if key.window <= last)
        return [self._batch(key, self._sums.pop(key)) for key in due]

    def close_all(self) -> list[LiveBatch]:
        newest = max((key.window for key in self._sums), default=self._closed)
        return self.close((newest + 1.5) * self._window_s)

    def to_json(self) -> dict[str, Any]:
        rows = [
            {"key": list(key), "counts": one.counts, "stops": one.stops, "bins": one.bins, "told": one.told}
            for key, one in self._sums.items()
        ]
        return {"closed": self._closed, "open": rows}

    def restore(self, stored: Mapping[str, Any]) -> None:
        """Raises: KeyError, TypeError, ValueError when it is not what `to_json` gave."""
        self._closed = int(stored["closed"])
        for row in stored["open"]:
            window, org, service, set_name, slice_name, is_probe = row["key"]
            one = self._sum(int(window), org, service, set_name, slice_name, bool(is_probe))
            one.counts |= {name: int(count) for name, count in row["counts"].items() if name in COUNTED}
            one.stops |= {str(name): int(count) for name, count in row["stops"].items()}
            for name, bins in row["bins"].items():
                one.bins[name] |= {int(number): int(count) for number, count in bins.items()}
            one.told.update({str(name): int(count) for name, count in row.get("told", {}).items()})

    def _window(self, at: float, now: float) -> int:
        window = math.floor(at / self._window_s)
        latest = math.floor(now / self._window_s) + _OPEN_AHEAD
        return max(self._closed + 1, min(window, latest))

    def _sum(
        self, window: int, org: str, service: str, set_name: str, slice_name: str, is_probe: bool
    ) -> _Sum:
        return self._sums.setdefault(Key(window, org, service, set_name, slice_name, is_probe), _Sum())

    def _batch(self, key: Key, one: _Sum) -> LiveBatch:
        return LiveBatch.model_validate(
            {
                "gateway": self._gateway,
                "org": key.org,
                "service": key.service,
                "set_name": key.set_name,
                "slice": key.slice,
                "is_probe": key.is_probe,
                "started_at": datetime.fromtimestamp(key.window * self._window_s, UTC),
                "ended_at": datetime.fromtimestamp((key.window + 1) * self._window_s, UTC),
                "stops": one.stops,
                **one.counts,
                **{name: {"counts": bins} for name, bins in one.bins.items()},
                **one.exact,
            }
        )


def lost_of(batches: Iterable[LiveBatch]) -> dict[tuple[str, str, str], int]:
    """Clients' requests in batches that are given up, by organization, service and set."""
    lost: dict[tuple[str, str, str], int] = {}
    for batch in batches:
        if batch.slice == ALL and not batch.is_probe:
            place = (batch.org, batch.service, batch.set_name)
            lost[place] = lost.get(place, 0) + batch.requests + batch.lost
    return lost
