"""The gates of a release as a manager reads them, and the numbers behind them as an engineer does. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from tidegate.domain import Evidence, Gate, GateResult, Policy, Verdict, fold, settle
from tidegate.domain.evidence import WORST_FIRST
from tidegate.release.looked import LOOK, told_rung

MARKS = {Verdict.PASS: "pass", Verdict.FAIL: "FAIL", Verdict.NOT_JUDGED: "not judged", Verdict.ERROR: "ERROR"}
TOLD_FIRST = ("performance.ttft", "performance.itl", "quality.regression", "quality.score")
"""Which row speaks for a gate, where several have its verdict."""
SAMPLED = (Gate.PERFORMANCE, Gate.QUALITY)
MOST_REASONS = 2
RESTING_ON_SAMPLES = (*SAMPLED, Gate.REPLAY, Gate.SHADOW, Gate.LIVE, Gate.REHEARSAL)
WHOLLY_TOLD = (Gate.REHEARSAL,)
"""Gates that are told row by row also when they passed: what was measured is what a manager wants of them."""
LOOKS = {"early": "stopped early", "planned": "the planned end", "final": "the end of the budget"}


@dataclass(frozen=True)
class GateLine:
    """One gate. Empty texts: there is nothing of that kind to tell."""

    gate: Gate
    verdict: str
    why: str
    rests_on: str
    could_see: str
    allowed: str


def gate_lines(
    rows: Sequence[Evidence],
    policy: Policy,
    required: Mapping[Gate, frozenset[str]],
    tried_out: frozenset[Gate] = frozenset(),
) -> list[GateLine]:
    """Every gate of which there is evidence, in the order in which they were asked.

    `tried_out`: gates whose budget is spent, about which the policy has spoken.
    """
    lines: list[GateLine] = []
    for gate in Gate:
        own = [row for row in rows if row.gate is gate]
        if not own:
            continue
        needed = required.get(gate, frozenset()) | policy.declared_checks(gate)
        result = fold(gate, own, needed)
        if gate in tried_out:
            result = settle(result, policy.when_not_judged(gate))
        lines.append(
            GateLine(
                gate=gate,
                verdict=_verdict(result),
                why=_why(result, own),
                rests_on=_rests_on(own) if gate in RESTING_ON_SAMPLES else "",
                could_see=_could_see(own),
                allowed=_allowed(gate, policy),
            )
        )
    return lines


def gate_rows(lines: Iterable[GateLine]) -> list[dict[str, Any]]:
    """For a table: one row a gate."""
    return [{"gate": line.gate.value, "verdict": line.verdict, "why": line.why} for line in lines]


def rest_rows(lines: Iterable[GateLine]) -> list[dict[str, Any]]:
    """For a table: what the gates that rest on samples rest on."""
    return [
        {
            "gate": line.gate.value,
            "rests on": line.rests_on,
            "could have seen": line.could_see,
            "policy": line.allowed,
        }
        for line in lines
        if line.rests_on
    ]


def mark(row: Evidence) -> str:
    """The verdict of one row as it stands in a table."""
    return "shown" if row.is_shown_only else MARKS[row.verdict]


def number_rows(rows: Iterable[Evidence]) -> list[dict[str, Any]]:
    """For a table: the numbers behind each sentence, where it has some."""
    return [{"check": row.check, "numbers": row.numbers} for row in rows if row.numbers]


def _verdict(result: GateResult) -> str:
    if result.by_policy is None:
        return MARKS[result.verdict]
    return f"not judged; policy says {result.by_policy}"


def _why(result: GateResult, rows: Sequence[Evidence]) -> str:
    """The worst row's sentence; where a policy decided, the rows that were not judged."""
    verdict = Verdict.NOT_JUDGED if result.by_policy is not None else result.verdict
    if result.gate is Gate.LIVE:
        return _why_live(verdict, rows)
    hits = sorted((row for row in rows if row.verdict is verdict), key=_importance)
    if not hits:
        return "; ".join(result.reasons)
    if verdict is Verdict.PASS and result.gate not in WHOLLY_TOLD:
        # A gate of many plain checks passes by all of them; one sentence of them would tell nothing.
        is_told = hits[0].check in TOLD_FIRST
        return _first_sentence(hits[0].summary) if is_told else f"{len(hits)} checks passed."
    more = f" And {len(hits) - MOST_REASONS} more." if len(hits) > MOST_REASONS else ""
    return " ".join(_stop(row.summary) for row in hits[:MOST_REASONS]) + more


def _why_live(verdict: Verdict, rows: Sequence[Evidence]) -> str:
    """The looks speak for their metrics: all of them when they passed, else those that did not."""
    looks = _looks(rows)
    if verdict is Verdict.PASS:
        rungs = ", ".join(told_rung(str(row.data["rung"])) for row in looks)
        return f"{len(looks)} looks at live traffic passed: {rungs}."
    return " ".join(_stop(row.summary) for row in looks if row.verdict is verdict)


def _looks(rows: Sequence[Evidence]) -> list[Evidence]:
    return [row for row in rows if row.gate is Gate.LIVE and row.check.endswith(f".{LOOK}")]


def _importance(row: Evidence) -> tuple[int, int]:
    place = TOLD_FIRST.index(row.check) if row.check in TOLD_FIRST else len(TOLD_FIRST)
    return WORST_FIRST.index(row.verdict), place


def _rests_on(rows: Sequence[Evidence]) -> str:
    """Pairs and requests, or questions; of live traffic the requests of each look."""
    parts = [
        f"{told_rung(str(row.data['rung']))} {_count(row, 'requests'):,} requests of clients"
        + (f" and {_count(row, 'probes'):,} probes" if _count(row, "probes") else "")
        for row in _looks(rows)
    ]
    looks = [row.data["look"] for row in rows if isinstance(row.data.get("look"), dict)]
    if looks:
        last = max(looks, key=lambda look: look["pairs"])
        parts.append(f"{last['pairs']} block pairs ({LOOKS.get(last['kind'], last['kind'])})")
    requests = [_count(row, "planned") for row in rows if row.check == "performance.errors"]
    parts += [f"{count:,} requests of the candidate" for count in requests if count]
    questions = [_count(row, "pairs") for row in rows if row.check == "quality.regression"]
    parts += [f"{count:,} questions" for count in questions if count]
    if not parts:
        counted = [row.samples for row in rows if row.samples]
        parts += [f"{max(counted):,} answers"] if counted else []
    return ", ".join(parts)


def _count(row: Evidence, name: str) -> int:
    value = row.data.get(name)
    return value if isinstance(value, int) else 0


def _could_see(rows: Sequence[Evidence]) -> str:
    """What the samples could have shown: slowdowns by metric, and a drop of answers."""
    said: list[str] = []
    for row in rows:
        metrics = row.data.get("metrics")
        if isinstance(metrics, dict):
            said += _slowdowns(cast("dict[str, dict[str, Any]]", metrics))
        elif row.reach:
            said.append(row.reach.rstrip("."))
    return "; ".join(said)


def _slowdowns(metrics: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [
        f"{found.get('label', name)}: {found['detectable_slowdown']:.1%} slower"
        for name, found in metrics.items()
        if isinstance(found.get("detectable_slowdown"), int | float)
    ]


def _allowed(gate: Gate, policy: Policy) -> str:
    """The margins of the policy, in a few words."""
    if gate is Gate.PERFORMANCE:
        declared = policy.performance.metrics.declared()
        margins = [f"{name} {margin.max_slowdown:.0%} or {margin.floor_ms:g} ms" for name, margin in declared]
        share = policy.performance.limits.max_error_share
        return "; ".join([*margins, f"errors at most {share:.1%}" if share else "no errors"])
    if gate is Gate.LIVE:
        margins = policy.live.metrics.model_dump(exclude_none=True)
        return "; ".join(f"{name} {margin:.0%}" for name, margin in margins.items())
    if gate is Gate.REPLAY:
        replay = policy.replay
        return (
            f"loss of {_points(replay.margin)}; {replay.max_slowdown:.0%} or {replay.floor_ms:g} ms slower; "
            f"length {replay.max_length_change:.0%}"
        )
    if gate is Gate.SHADOW:
        return f"loss of {_points(policy.shift.shadow_margin)}; {policy.shift.max_latency_ratio:g} times the latency"
    if gate is Gate.REHEARSAL:
        return f"no stream lost or cut off; {policy.shift.max_switch_s:g} s a switch"
    if gate is Gate.QUALITY:
        slices = [f"{name} {_points(one.margin)}" for name, one in policy.quality.slices.items()]
        return "; ".join(
            [
                f"loss of {_points(policy.quality.margin)}",
                f"at least {policy.quality.min_score:.0%} right",
                *slices,
            ]
        )
    return ""


def _points(share: float) -> str:
    points = round(share * 100, 6)
    return "1 point" if points == 1 else f"{points:g} points"


def _first_sentence(text: str) -> str:
    head, stop, _ = text.partition(". ")
    return f"{head}." if stop else text


def _stop(text: str) -> str:
    return text if text.endswith(".") else f"{text}."
