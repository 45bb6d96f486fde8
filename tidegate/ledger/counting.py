"""What a row of the journal, or a batch of live requests, adds to the totals. In the transaction that writes it."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from tidegate.domain import TERMINAL, Evidence, LiveBatch, ReleaseState, Verdict
from tidegate.domain.live import ALL, SHADOW
from tidegate.domain.totals import (
    CANARY_SAMPLES,
    CANDIDATE,
    EVAL_REGRESSION,
    GATE_DECISIONS,
    INTERRUPTIONS,
    OPERATION_S,
    OUTPUT_FAULTS,
    PROBE,
    RELEASES,
    REQUESTS,
    SET_OPERATION_SECONDS,
    SET_OPERATIONS,
    SET_READY_SECONDS,
    SET_REQUESTS,
    SHADOWED,
    STABLE,
    TIMED,
    TOKENS,
    WRONG_BYTES,
    Gain,
    candidate_of,
    observed,
)
from tidegate.ledger.tables import ReleaseRow, SetRow
from tidegate.ledger.totals import add_gains, put_last

ENGINE = "llama-server"
"""The engine of every platform that there is."""
DIGEST_CHECK = "file.digest"
"""Check of the structure gate that reads a file whole."""
_FAULTS = ("empty", "malformed", "truncated", "stalled")


def count_entry(
    session: Session, release: ReleaseRow, was: str, kind: str, name: str, data: dict[str, Any]
) -> None:
    """`was` is the state of the release before this row of its journal."""
    gains: list[Gain] = []
    if kind == "entered" and name != was:
        gains += _entered(session, release, was, name)
    elif kind == "observed" and name.startswith("gate:"):
        labels = release.org, name.removeprefix("gate:"), str(data.get("verdict", "error"))
        gains.append(Gain(GATE_DECISIONS, labels))
    elif kind == "observed" and name.startswith("start:"):
        gains += _operation(_set_of(session, name.removeprefix("start:")), "scale", "ok")
    add_gains(session, gains)
    if kind == "entered" and name == ReleaseState.DONE:
        # What is live now is another version than the one of the last night.
        put_last(session, EVAL_REGRESSION, (release.org, release.service), 0.0, release.updated_at)


def count_evidence(session: Session, rows: Iterable[Evidence]) -> None:
    """Files whose bytes were not those that their digest names."""
    wrong = sum(row.check == DIGEST_CHECK and row.verdict is Verdict.FAIL for row in rows)
    add_gains(session, [Gain(WRONG_BYTES, ("file",), wrong)])


def count_deleted(session: Session, row: SetRow) -> None:
    """A set that is gone now."""
    add_gains(session, _operation(row, "delete", "ok"))


def _entered(session: Session, release: ReleaseRow, was: str, state: str) -> list[Gain]:
    gains: list[Gain] = []
    if state in TERMINAL:
        gains.append(Gain(RELEASES, (release.org, release.service, strategy_of(release.plan), state)))
    if was != ReleaseState.PROVISIONING:
        return gains
    made = _set_of(session, str((release.plan or {}).get("green_set", "")))
    if state == ReleaseState.WARMING:
        gains += _operation(made, "create", "ok")
        if made is not None:
            seconds = (release.updated_at - made.created_at).total_seconds()
            gains += observed(SET_READY_SECONDS, (made.platform, ENGINE), seconds, OPERATION_S)
            gains += observed(SET_OPERATION_SECONDS, (made.platform, "create"), seconds, OPERATION_S)
    elif state in (ReleaseState.PARKED, ReleaseState.ROLLING_BACK, ReleaseState.REJECTED):
        gains += _operation(made, "create", "failed")
    return gains


def strategy_of(plan: dict[str, Any] | None) -> str:
    """A release that was rejected before it had a plan has the usual one."""
    found = plan or {}
    return "rollback" if found.get("kind") == "rollback" else str(found.get("strategy") or "canary")


def _operation(row: SetRow | None, operation: str, result: str) -> list[Gain]:
    return [Gain(SET_OPERATIONS, (row.platform, operation, result))] if row is not None else []


def _set_of(session: Session, name: str) -> SetRow | None:
    return session.scalars(select(SetRow).where(SetRow.name == name)).one_or_none()


def count_live(session: Session, batches: Sequence[LiveBatch], at: datetime) -> None:
    """Batches that were not stored before. Each request stands in one of the two slices that are counted."""
    kept = [batch for batch in batches if batch.slice in (ALL, SHADOW)]
    if not kept:
        return
    candidates = _candidates(session, {batch.org for batch in kept})
    gains: list[Gain] = []
    for batch in kept:
        place = batch.org, batch.service
        slot = STABLE if candidates.get(place) != batch.set_name else CANDIDATE
        if batch.is_probe:
            if batch.requests and batch.slice == ALL:
                put_last(session, PROBE, (*place, slot), float(batch.failed < batch.requests), at)
            continue
        slot = SHADOWED if batch.slice == SHADOW else slot
        gains += _of_batch(batch, slot)
        if place in candidates and batch.slice == ALL:
            gains.append(Gain(CANARY_SAMPLES, (*place, slot), batch.requests))
    add_gains(session, gains)


def _of_batch(batch: LiveBatch, slot: str) -> Iterable[Gain]:
    place = batch.org, batch.service, slot
    yield Gain(SET_REQUESTS, (batch.org, batch.service, batch.set_name), batch.requests)
    for code, count in batch.codes.items():
        yield Gain(REQUESTS, (*place, code), count)
    yield Gain(TOKENS, (*place, "input"), batch.tokens_in)
    yield Gain(TOKENS, (*place, "output"), batch.tokens_out)
    yield Gain(INTERRUPTIONS, place, batch.truncated)
    for fault in _FAULTS:
        yield Gain(OUTPUT_FAULTS, (*place, fault), getattr(batch, fault))
    for figure, timing in batch.timings.items():
        metric = TIMED.get(figure)
        if metric is not None:
            yield Gain(metric, place, timing.sum_s)
            for edge, count in timing.counts.items():
                yield Gain(metric, place, count, edge)


def _candidates(session: Session, orgs: set[str]) -> dict[tuple[str, str], str]:
    """Service -> the set that its open release tries out."""
    wanted = select(ReleaseRow.org, ReleaseRow.service, ReleaseRow.state, ReleaseRow.plan).where(
        ReleaseRow.active_key.is_not(None), ReleaseRow.org.in_(orgs)
    )
    found: dict[tuple[str, str], str] = {}
    for org, service, state, plan in session.execute(wanted):
        if candidate := candidate_of(state, plan):
            found[org, service] = candidate
    return found
