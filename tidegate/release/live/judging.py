"""The judge of live requests: harm stops at once, shown non-inferiority raises, everything else goes on looking. Pure.

Family-wise control: `alpha` is spent over all steps of the ladder, all metrics with a margin and all their parts, half
of it on the slices where some are declared (Bonferroni, which holds under every dependence). For passing no correction
is needed: all metrics must pass (R. L. Berger, Technometrics 24 (1982) 295-300).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tidegate.domain import Evidence, Gate, LiveBatch, Verdict
from tidegate.domain.live import ALL
from tidegate.domain.policy import LivePolicy
from tidegate.release.live.blocks import Stratum, merged, stratum
from tidegate.release.live.expectation import needed_for
from tidegate.release.live.judgement import LiveJudgement
from tidegate.release.live.metrics import Rate, Size, rates, sizes
from tidegate.release.live.strength import Sources, Strength, rate_strength, size_strengths

ENOUGH_TO_MISS = 50
"""Requests of both sets without a single value of a metric after which this traffic has none of it."""


@dataclass(frozen=True)
class _Finding:
    """One metric in one slice."""

    name: str
    margin: float | None
    strengths: tuple[Strength, ...]
    summary: str
    samples: int
    is_absent: bool
    """Neither set has any value of it, and the old one has answered enough to tell."""
    has_comparison: bool
    needed: int | None = None


@dataclass(frozen=True)
class _Sums:
    """All requests of a slice, clients' and ours: one batch of each set, or none."""

    new: list[LiveBatch]
    old: list[LiveBatch]


def judge_live(
    new: Sequence[LiveBatch],
    old: Sequence[LiveBatch],
    policy: LivePolicy,
    *,
    family: int,
    before: Sequence[LiveBatch] | None = None,
) -> LiveJudgement:
    """Verdict on the requests since the present weights, with one row of evidence for each metric.

    `old` is the set that answers at the same moments; without requests there nothing is judged. `before` says that
    there is none (all traffic is on the new set): its requests before the switch, empty for a first release. Then shares
    are judged against what was usual, and without a past against `max_error_share`.
    `family` is the number of looks (steps of the ladder and the bake) that share `alpha`. May be called at any time and
    as often as one likes: verdicts depend on what was measured, never on when somebody looked.
    """
    sources = _sources(new, old, before, ALL)
    findings = [*_findings(sources, policy)]
    slices = [_findings(_sources(new, old, before, name), policy, name) for name in policy.slices]
    tests = sum(len(finding.strengths) for finding in findings if finding.margin is not None)
    spent = policy.alpha / max(family, 1) / max(tests, 1)
    whole, part = (spent / 2, spent / 2 / len(slices)) if slices else (spent, spent)
    requests, probes = (sum(batch.requests for batch in of.new) for of in (sources.clients, sources.probes))
    rows: list[Evidence] = []
    harmful: list[str] = []
    missing: list[_Finding] = []
    for finding in (*findings, *(finding for group in slices for finding in group)):
        is_slice = "@" in finding.name
        verdict = _verdict(finding, part if is_slice else whole, policy.alpha)
        rows.append(_row(finding, verdict, tests * max(family, 1), probes))
        if verdict is Verdict.FAIL:
            harmful.append(finding.name)
        elif verdict is Verdict.NOT_JUDGED and _is_gating(finding) and not is_slice:
            missing.append(finding)
    return _judgement(rows, harmful, missing, findings, requests, probes)


def _judgement(
    rows: list[Evidence],
    harmful: list[str],
    missing: list[_Finding],
    findings: list[_Finding],
    requests: int,
    probes: int,
) -> LiveJudgement:
    by_name = {row.check.removeprefix("live."): row for row in rows}
    needs = [finding.needed for finding in missing if finding.needed is not None]
    seen = f"{requests} requests of clients" + (f" and {probes} probes" if probes else "")
    passed = [finding for finding in findings if by_name[finding.name].verdict is Verdict.PASS]
    if harmful:
        verdict, reason = Verdict.FAIL, "; ".join(by_name[name].summary for name in harmful)
    elif missing or not passed:
        names = ", ".join(finding.name for finding in missing) or "any metric"
        verdict, reason = Verdict.NOT_JUDGED, f"{seen} do not decide yet: {names}"
    else:
        verdict, reason = Verdict.PASS, f"{seen} on the new set, all metrics inside their margins"
    return LiveJudgement(
        verdict=verdict,
        reason=reason,
        rows=tuple(rows),
        harmful=tuple(harmful),
        missing=tuple(finding.name for finding in missing),
        needed_requests=max(needs, default=None),
        requests=requests,
        probes=probes,
    )


def _sources(
    new: Sequence[LiveBatch], old: Sequence[LiveBatch], before: Sequence[LiveBatch] | None, name: str
) -> Sources:
    clients, probes = (stratum(new, old, before or (), name=name, is_probe=probe) for probe in (False, True))
    return Sources(clients, probes, may_use_before=before is not None)


def _findings(sources: Sources, policy: LivePolicy, name: str = ALL) -> list[_Finding]:
    suffix = f"@{name}" if name else ""
    grouped: dict[str, list[Rate]] = {}
    for rate in rates(policy):
        grouped.setdefault(rate.metric, []).append(rate)
    sums = _Sums(*(merged([batch for one, _ in sources.all for batch in pick(one)]) for pick in (_new, _old)))
    found = [_rate_finding(group, sources, sums, policy, suffix) for group in grouped.values()]
    return found + [_size_finding(size, sources, sums, policy.alpha, suffix) for size in sizes(policy)]


def _rate_finding(
    group: list[Rate], sources: Sources, sums: _Sums, policy: LivePolicy, suffix: str
) -> _Finding:
    new, old = sums.new, sums.old
    margin, metric = group[0].margin, group[0].metric
    strengths = tuple(rate_strength(rate, margin, sources, policy) for rate in group) if margin else ()
    told: list[str] = []
    needed = [0]
    for rate in group:
        (k, n), (base, of) = rate.total(new), rate.total(old)
        against = f", {base:.0f} of {of:.0f} on the old" if of else _limits_text(strengths)
        told.append(f"{k:.0f} of {n:.0f} {rate.told} on the new set{against}")
    n, of = group[0].total(new)[1], group[0].total(old)[1]
    if margin:
        for rate, strength in zip(group, strengths, strict=True):
            needed.append(needed_for(rate, margin, old, new, strength, policy.alpha))
    return _Finding(
        name=metric + suffix,
        margin=margin,
        strengths=strengths,
        summary=f"{'; '.join(told)}{_of(suffix)}",
        samples=int(n),
        is_absent=n == 0 and of == 0 and _has_enough(new, old),
        has_comparison=not sources.may_use_before or of > 0 or any(one.blocks for one in strengths),
        needed=max(needed),
    )


def _size_finding(size: Size, sources: Sources, sums: _Sums, alpha: float, suffix: str) -> _Finding:
    new, old = sums.new, sums.old
    strengths = tuple(size_strengths(size, size.margin, sources)) if size.margin else ()
    n, of = (sum(map(size.n, batches)) for batches in (new, old))
    value, usual = size.value(new), size.value(old)
    unit = "tokens" if size.field == "tokens" else "ms"
    told = f"{value:.1f} {unit} on the new set" if value is not None else "no value on the new set"
    told += f", {usual:.1f} {unit} on the old" if usual is not None else ""
    return _Finding(
        name=size.metric + suffix,
        margin=size.margin,
        strengths=strengths,
        summary=f"{size.metric}: {told}{_of(suffix)}",
        samples=n,
        is_absent=n == 0 and of == 0 and _has_enough(new, old),
        has_comparison=not sources.may_use_before or of > 0,
        needed=max((needed_for(size, None, old, new, one, alpha) for one in strengths), default=0),
    )


def _new(source: Stratum) -> list[LiveBatch]:
    return source.new


def _old(source: Stratum) -> list[LiveBatch]:
    return source.old


def _has_enough(new: Sequence[LiveBatch], old: Sequence[LiveBatch]) -> bool:
    return all(sum(batch.requests for batch in of) >= ENOUGH_TO_MISS for of in (new, old))


def _limits_text(strengths: Sequence[Strength]) -> str:
    limits = {text for strength in strengths for text in strength.limits}
    return f", against {' and '.join(sorted(limits))}" if limits else ""


def _of(suffix: str) -> str:
    return f" ({suffix.removeprefix('@')})" if suffix else ""


def _is_gating(finding: _Finding) -> bool:
    """Has a margin, and this traffic can say something about it."""
    return finding.margin is not None and not finding.is_absent and finding.has_comparison


def _verdict(finding: _Finding, alpha_harm: float, alpha: float) -> Verdict:
    if finding.margin is None or not finding.strengths:
        return Verdict.NOT_JUDGED
    if any(strength.beyond >= -math.log(alpha_harm) for strength in finding.strengths):
        return Verdict.FAIL
    if all(strength.within >= -math.log(alpha) for strength in finding.strengths):
        return Verdict.PASS
    return Verdict.NOT_JUDGED


def _row(finding: _Finding, verdict: Verdict, tests: int, probes: int) -> Evidence:
    beyond = max((strength.beyond for strength in finding.strengths), default=0.0)
    within = min((strength.within for strength in finding.strengths), default=0.0)
    note = {
        Verdict.FAIL: "beyond the margin",
        Verdict.PASS: "inside the margin",
    }.get(verdict, "not judged" if finding.margin is not None else "shown only")
    margin = (
        f" of {finding.margin:g}" if finding.margin is not None and verdict is not Verdict.NOT_JUDGED else ""
    )
    return Evidence(
        gate=Gate.LIVE,
        check=f"live.{finding.name}",
        verdict=verdict,
        summary=f"{finding.summary}; {note}{margin}",
        data={
            "samples": finding.samples,
            "probes": probes,
            "margin": finding.margin,
            "p_value": min(1.0, tests * math.exp(-beyond)),
            "numbers": f"e-value of harm {math.exp(min(beyond, 700)):.3g}, of being inside {math.exp(min(within, 700)):.3g}, "
            f"{tests} tests in the family",
            "is_gating": _is_gating(finding),
        },
    )
