"""From what was seen of the parts of an installation to a judgement. Pure: the same sight, the same judgement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tidegate.domain import GatewayStatus, SetState, SetStatus
from tidegate.domain.audit import Verified
from tidegate.domain.health import Health, Judgement, Part
from tidegate.observability.health.thresholds import (
    ExpiryLimits,
    GatewayLimits,
    LedgerLimits,
    QueueLimits,
)

UP = "Run: tidegate up."


@dataclass(frozen=True)
class LedgerSeen:
    revision: str | None
    head: str
    write_s: float


def judge_ledger(seen: LedgerSeen, limits: LedgerLimits) -> Judgement:
    schema = Part("schema", Health.OK, f"schema {seen.revision}")
    if seen.revision != seen.head:
        remedy = "Restart the processes of this version; they bring it up to date."
        schema = Part("schema", Health.FAILED, f"schema {seen.revision}, {seen.head} is wanted", remedy)
    health, remedy = Health.OK, ""
    if seen.write_s > limits.write_warning_s:
        health = Health.FAILED if seen.write_s > limits.write_failed_s else Health.WARNING
        remedy = "Look for a slow disk, or for a process that holds a transaction open."
    write = Part("write", health, f"a write takes {seen.write_s * 1000:.0f} ms", remedy)
    return Judgement.of((schema, write), {"write_s": seen.write_s})


def judge_integrity(problems: Sequence[str]) -> Judgement:
    if not problems:
        return Judgement(Health.OK, "pages and indexes are whole")
    text = f"{problems[0]}" + (f" (and {len(problems) - 1} more)" if len(problems) > 1 else "")
    return Judgement(
        Health.FAILED, text, "Stop the stack and go back: tidegate backup restore. docs/backups.md says how."
    )


@dataclass(frozen=True)
class PrefectSeen:
    is_healthy: bool
    deployments: int = 0
    oldest_waiting_s: Mapping[str, float] | None = None
    """Pool -> for how long its oldest late run waits; None: not seen."""


def judge_prefect(seen: PrefectSeen, limits: QueueLimits) -> Judgement:
    if not seen.is_healthy:
        return Judgement(Health.FAILED, "the server does not answer", "See: tidegate logs prefect.")
    parts = [Part("server", Health.OK, f"{seen.deployments} deployments")]
    if not seen.deployments:
        parts = [Part("server", Health.FAILED, "no deployments", "Run: tidegate down, then tidegate up.")]
    if seen.oldest_waiting_s is None:
        parts.append(
            Part("queues", Health.UNKNOWN, "nobody could say which runs wait", "See: tidegate logs prefect.")
        )
    waiting = seen.oldest_waiting_s or {}
    for pool, wait_s in sorted(waiting.items()):
        remedy = f"See that a worker of the pool runs and is not busy: tidegate logs worker-{pool}."
        parts.append(
            _late(
                f"pool {pool}",
                wait_s,
                limits.run_warning_s,
                limits.run_failed_s,
                "the oldest late run waits",
                remedy,
            )
        )
    return Judgement.of(parts, {"oldest_waiting_s": max(waiting.values(), default=0.0)})


def judge_workers(pools: Mapping[str, Sequence[tuple[str, bool]]]) -> Judgement:
    """`pools`: name -> (worker, whether it is online). A pool without a living worker runs nothing."""
    parts: list[Part] = []
    for pool, workers in sorted(pools.items()):
        online = [name for name, is_online in workers if is_online]
        if online:
            parts.append(Part(f"pool {pool}", Health.OK, f"online: {', '.join(online)}"))
        else:
            remedy = f"Start one; in the embedded stack see: tidegate logs worker-{pool}."
            parts.append(Part(f"pool {pool}", Health.FAILED, "no worker is online", remedy))
    online_count = sum(is_online for workers in pools.values() for _, is_online in workers)
    return Judgement.of(parts, {"online": float(online_count)})


def judge_gateways(
    statuses: Sequence[GatewayStatus],
    wanted: int,
    wanted_since: datetime | None,
    now: datetime,
    limits: GatewayLimits,
) -> Judgement:
    """`wanted_since`: when the newest generation was written; None when that is not known."""
    serving = [one for one in statuses if one.state != "stopped"]
    parts = [Part(one.gateway, Health.OK, "stopped on purpose") for one in statuses if one.state == "stopped"]
    parts += [_gateway(one, wanted, wanted_since, now, limits) for one in serving]
    if not serving:
        text = "no gateway has reported yet" if not statuses else "every gateway is stopped"
        parts.append(Part("gateways", Health.FAILED if statuses else Health.UNKNOWN, text, UP))
    silence = max(((now - one.seen_at).total_seconds() for one in serving), default=0.0)
    return Judgement.of(parts, {"silence_s": max(0.0, silence)})


def _gateway(
    one: GatewayStatus, wanted: int, wanted_since: datetime | None, now: datetime, limits: GatewayLimits
) -> Part:
    silence_s = (now - one.seen_at).total_seconds()
    see = f"See: tidegate logs {one.gateway}, tidegate gateways list."
    text = f"generation {one.observed_generation} of {wanted}, heard {max(0.0, silence_s):.0f} s ago"
    if silence_s > limits.silence_failed_s:
        return Part(one.gateway, Health.FAILED, f"silent: {text}", see)
    if one.error:
        return Part(one.gateway, Health.FAILED, f"{text}: {one.error}", see)
    if one.observed_generation < wanted:
        late_s = (now - wanted_since).total_seconds() if wanted_since else limits.behind_failed_s + 1
        health = Health.FAILED if late_s > limits.behind_failed_s else Health.WARNING
        return Part(one.gateway, health, f"behind: {text}", see)
    if silence_s > limits.silence_warning_s:
        return Part(one.gateway, Health.WARNING, f"slow to report: {text}", see)
    return Part(one.gateway, Health.OK, text)


@dataclass(frozen=True)
class RoutedSet:
    """One set of a route: what the router wants of it, and what its platform says of it now."""

    service: str
    name: str
    weight: int
    digest: str
    status: SetStatus | None
    trouble: str = ""
    """Why the platform could not be asked."""


def judge_sets(routed: Sequence[RoutedSet], unserved: Sequence[str]) -> Judgement:
    """`unserved`: services to which nothing was released yet. Traffic on a set that is not ready is the worst there is."""
    parts = [Part(name, Health.OK, "nothing was released to it yet") for name in unserved]
    parts += [_set(one) for one in routed]
    if not parts:
        return Judgement(Health.UNKNOWN, "no service is configured", "Add one: deployments/organizations.")
    ready = sum(one.status is not None and one.status.is_ready for one in routed)
    return Judgement.of(parts, {"routed": float(len(routed)), "ready": float(ready)})


def _set(one: RoutedSet) -> Part:
    name, see = (
        f"{one.service} {one.name[-12:]}",
        f"See: tidegate status, tidegate doctor --org {one.service.partition('/')[0]}.",
    )
    share = f"{one.weight} % of the traffic"
    if one.status is None:
        return Part(name, Health.UNKNOWN, f"{share}; its platform could not be asked: {one.trouble}", see)
    if one.status.digest is not None and one.status.digest != one.digest:
        remedy = f"Take it off the traffic: tidegate rollback {one.service} --reason ..."
        return Part(
            name, Health.FAILED, f"{share}; it serves {one.status.digest[:12]}, not {one.digest[:12]}", remedy
        )
    if one.status.state is SetState.UNKNOWN:
        return Part(name, Health.UNKNOWN, f"{share}; its platform does not know how it is", see)
    if not one.status.is_ready:
        health = Health.FAILED if one.weight else Health.WARNING
        return Part(
            name, health, f"{share}; it is {one.status.state.value} {one.status.message}".rstrip(), see
        )
    if one.status.digest is None:
        return Part(name, Health.UNKNOWN, f"{share}; ready, and it does not say which file it serves", see)
    return Part(name, Health.OK, f"{share}; ready, serves {one.digest[:12]}")


@dataclass(frozen=True)
class Expiring:
    org: str
    kind: str
    """`client_key`, `signing_key`, `credential` or `certificate`, as in the metric of the same words."""
    name: str
    at: datetime


def judge_expiry(found: Sequence[Expiring], looked_at: int, now: datetime, limits: ExpiryLimits) -> Judgement:
    """`looked_at`: how many keys and certificates there are, those that never expire among them."""
    parts: list[Part] = []
    for one in sorted(found, key=lambda each: each.at):
        left_s = (one.at - now).total_seconds()
        name = f"{one.org} {one.kind.replace('_', ' ')} {one.name}"
        text = (
            f"expires {one.at:%Y-%m-%d %H:%M} UTC" if left_s > 0 else f"expired {one.at:%Y-%m-%d %H:%M} UTC"
        )
        health = Health.OK if left_s > limits.warning_s else Health.WARNING
        if left_s <= limits.failed_s:
            health = Health.FAILED
        parts.append(Part(name, health, text, "" if health is Health.OK else _renewal(one)))
    if not parts:
        return Judgement(Health.OK, f"none of {looked_at} keys and certificates expires")
    first = min(found, key=lambda each: each.at)
    return Judgement.of(parts, {"first_expiry_s": (first.at - now).total_seconds()})


def _renewal(one: Expiring) -> str:
    if one.kind == "client_key":
        return f"tidegate keys rotate {one.org} {one.name}, and give the client the new one."
    if one.kind == "certificate":
        return (
            f"Get a new one and name it in the organization's `provenance.trusted_certificates`: {one.org}."
        )
    return f"Renew {one.name} of {one.org}."


def judge_notifications(
    oldest_at: datetime | None, counts: Mapping[tuple[str, str, str], int], now: datetime, limits: QueueLimits
) -> Judgement:
    """`counts`: (organization, channel, state) -> messages. Dead letters were wanted by somebody who did not get them."""
    wait_s = (now - oldest_at).total_seconds() if oldest_at else 0.0
    remedy = "See: tidegate notify history, tidegate logs notifier."
    parts = [
        _late(
            "queue", wait_s, limits.notice_warning_s, limits.notice_failed_s, "the oldest event waits", remedy
        )
    ]
    dead = {
        (org, channel): count for (org, channel, state), count in counts.items() if state == "dead" and count
    }
    for (org, channel), count in sorted(dead.items()):
        text = f"{count} given up: dead letters"
        parts.append(
            Part(
                f"{org} {channel}",
                Health.WARNING,
                text,
                "See: tidegate notify history --state dead; then: tidegate notify retry ID.",
            )
        )
    return Judgement.of(parts, {"oldest_s": wait_s, "dead": float(sum(dead.values()))})


def judge_audit(seen: Verified) -> Judgement:
    if seen.broken is None:
        return Judgement(Health.OK, f"{seen.entries} entries, a whole chain", measures={"intact": 1.0})
    text = f"the chain is broken at entry {seen.broken.number}: {seen.broken.why}"
    remedy = "See: tidegate audit verify, and docs/operations/runbooks/AuditChainBroken.md."
    return Judgement(Health.FAILED, text, remedy, measures={"intact": 0.0})


def _late(name: str, wait_s: float, warning_s: float, failed_s: float, what: str, remedy: str) -> Part:
    if wait_s <= warning_s:
        return Part(name, Health.OK, "nothing is late")
    health = Health.FAILED if wait_s > failed_s else Health.WARNING
    return Part(name, health, f"{what} for {wait_s:.0f} s", remedy)
