"""Rounds of a comparison under load: how they are kept, and joined into one run of each arm. Pure.

A release measures a few block pairs at a time and keeps each round, so that a crash repeats at most one of them, and
so that the same evidence can be judged again later under another policy. Rounds of earlier attempts always count:
measuring again until something passes is not possible.
"""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.benchmark import ClientHonesty, RequestRecord, RunRecord

CANDIDATE, LIVE = "candidate", "live"
STAMPS = tuple(name for name in RequestRecord.model_fields if name.endswith("_ns") and name != "chunk_ns")


@dataclass(frozen=True)
class Round:
    """Some block pairs, as they were measured. `live` is None where nothing serves yet."""

    first_pair: int
    pairs: int
    seconds: float
    concurrency: int
    candidate: RunRecord
    live: RunRecord | None
    disturbed: str = ""
    """How the live model's clients were disturbed meanwhile; empty: they were not."""

    @property
    def arms(self) -> tuple[RunRecord, ...]:
        return (self.candidate,) if self.live is None else (self.candidate, self.live)

    def is_usable(self, tolerated_lag_ms: float) -> bool:
        """The client measured the sets and not itself; or it was late by less than what the policy ignores."""
        return all(is_tolerable(arm, tolerated_lag_ms) for arm in self.arms)

    def as_data(self) -> dict[str, Any]:
        """JSON; the runs in their compressed form."""
        return {
            "first_pair": self.first_pair,
            "pairs": self.pairs,
            "seconds": self.seconds,
            "concurrency": self.concurrency,
            "disturbed": self.disturbed,
            **{arm.label: base64.b64encode(arm.to_bytes()).decode("ascii") for arm in self.arms},
        }

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> "Round":
        """What `as_data` made. Raises: InvalidInput for a run that was changed since."""
        live = data.get(LIVE)
        return cls(
            first_pair=int(data["first_pair"]),
            pairs=int(data["pairs"]),
            seconds=float(data["seconds"]),
            concurrency=int(data["concurrency"]),
            candidate=RunRecord.from_bytes(base64.b64decode(data[CANDIDATE])),
            live=RunRecord.from_bytes(base64.b64decode(live)) if live is not None else None,
            disturbed=str(data["disturbed"]),
        )


@dataclass(frozen=True)
class Pairs:
    """All usable pairs of a release, numbered through."""

    count: int
    candidate: RunRecord | None
    live: RunRecord | None

    @classmethod
    def of(cls, rounds: Sequence[Round], tolerated_lag_ms: float = 0.0) -> "Pairs":
        """`tolerated_lag_ms`: differences that the policy ignores anyway."""
        usable = [one for one in rounds if one.is_usable(tolerated_lag_ms)]
        count = sum(one.pairs for one in usable)
        if not usable:
            return cls(0, None, None)
        lives = [one.live for one in usable if one.live is not None]
        sizes = [one.pairs for one in usable]
        live = join_runs(lives, sizes) if len(lives) == len(usable) else None
        return cls(count, join_runs([one.candidate for one in usable], sizes), live)

    def first(self, count: int) -> "Pairs":
        """Only what was measured until then."""
        if self.candidate is None or count >= self.count:
            return self
        live = first_blocks(self.live, count) if self.live is not None else None
        return Pairs(count, first_blocks(self.candidate, count), live)


def is_tolerable(run: RunRecord, tolerated_lag_ms: float) -> bool:
    """Whether this client's own delays cannot decide: none were found, or their tail is below what is ignored.

    In a closed loop they are all in the lag of its event loop; a busy processor shows there, too. An open loop that
    sent late, or too little, sent another load: nothing makes up for that.
    """
    seen = run.honesty
    if seen is None or seen.verdict == "honest":
        return True
    lag_ms = seen.loop_lag_p99_ms
    return not run.is_open_loop and lag_ms is not None and lag_ms <= tolerated_lag_ms


def join_runs(runs: Sequence[RunRecord], sizes: Sequence[int]) -> RunRecord:
    """One run of several, one after the other; `sizes` says how many blocks each has.

    The digest of its schedule is made of theirs, so that two arms that were sent the same still say so.
    """
    first, start_ns, block, index = runs[0], 0, 0, 0
    requests: list[RequestRecord] = []
    windows: list[tuple[int, int]] = []
    for run, size in zip(runs, sizes, strict=True):
        requests += [_moved(request, start_ns, block, index) for request in run.requests]
        windows += [
            (low + start_ns, high + start_ns) for low, high in run.block_windows_ns or (run.window_ns,)
        ]
        stamps = (getattr(request, name) or 0 for request in run.requests for name in STAMPS)
        start_ns += max(run.window_ns[1], max(stamps, default=0)) + 1
        block += size
        index += max((request.index + 1 for request in run.requests), default=0)
    digests = "".join(run.plan_digest for run in runs)
    plan = first.plan
    if len(runs) > 1:
        plan = {**plan, "digest": hashlib.sha256(digests.encode()).hexdigest() if digests else ""}
    return first.model_copy(
        update={
            "plan": plan,
            "window_ns": (windows[0][0], windows[-1][1]),
            "block_windows_ns": tuple(windows),
            "requests": tuple(requests),
            "honesty": _tolerated(_worst(run.honesty for run in runs)),
        }
    )


def first_blocks(run: RunRecord, count: int) -> RunRecord:
    """The run as it was after so many blocks."""
    windows = run.block_windows_ns[:count]
    return run.model_copy(
        update={
            "window_ns": (windows[0][0], windows[-1][1]) if windows else run.window_ns,
            "block_windows_ns": windows,
            "requests": tuple(request for request in run.requests if request.block < count),
        }
    )


def _moved(request: RequestRecord, start_ns: int, block: int, index: int) -> RequestRecord:
    """The same request in a run that began earlier and holds other blocks before it."""
    stamps = {name: getattr(request, name) for name in STAMPS}
    moved = {name: stamp + start_ns for name, stamp in stamps.items() if stamp is not None}
    return request.model_copy(
        update={
            **moved,
            "chunk_ns": tuple(stamp + start_ns for stamp in request.chunk_ns),
            "block": request.block + block,
            "index": request.index + index,
        }
    )


def _tolerated(seen: ClientHonesty | None) -> ClientHonesty | None:
    """Of rounds that may decide: its figures stay, and its doubts are answered."""
    return None if seen is None else seen.model_copy(update={"verdict": "honest", "reasons": ()})


def _worst(found: Iterable[ClientHonesty | None]) -> ClientHonesty | None:
    """The largest of each figure: a run is as honest as its worst part."""
    known = [one for one in found if one is not None]
    if len(known) < 2:
        return known[0] if known else None
    bound = [one for one in known if one.verdict == "client-bound"]
    figures = {
        name: max((value for one in known if (value := getattr(one, name)) is not None), default=None)
        for name in ("loop_lag_p99_ms", "late_send_p99_ms", "late_send_max_ms", "cpu_share")
    }
    return ClientHonesty(
        **figures,
        verdict="client-bound" if bound else "honest",
        reasons=tuple(dict.fromkeys(reason for one in bound for reason in one.reasons)),
    )
