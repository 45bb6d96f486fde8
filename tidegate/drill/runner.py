"""Plays drills: one stack for all of a kind, clients first, then the fault, then the comparison with what must come."""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path as FilePath

from tidegate.benchmark.tally import Ended, TrafficSnapshot
from tidegate.domain import JournalEntry, Release, ServiceRef, TidegateError
from tidegate.drill import blows, shortages
from tidegate.drill.blows import Fault
from tidegate.drill.installation import Installation, why_not
from tidegate.drill.judgement import MIN_ANSWERS, Loss, Report, Sighting, judge, not_played
from tidegate.drill.scenario import Drill, Path, Phase, Place
from tidegate.drill.scene import (
    PATIENCE_S,
    POLL_S,
    Scene,
    Unplayable,
    begin_canary,
    begin_start,
    clear_up,
    end_release,
    follow,
    make_live,
    patiently,
    serving_gateways,
    wait_for,
)
from tidegate.drill.source import BASE

WARM_ANSWERS = 10
DRAIN_S = 60.0

FAULTS: dict[str, Callable[[], Fault]] = {
    "kill-flow": blows.KillOwner,
    "kill-worker": lambda: blows.KillMember("worker-control"),
    "kill-prefect": blows.KillPrefect,
    "kill-agent": blows.KillAgent,
    "kill-envoy": blows.KillEnvoy,
    "kill-one-envoy": blows.KillEnvoy,
    "kill-engine-live": blows.KillLiveEngine,
    "kill-engine-candidate": blows.KillCandidateEngine,
    "kill-engine-only": blows.KillEngine,
    "kill-engine-previous": blows.KillEngineBeforePrevious,
    "stale-owner": blows.StopOwner,
    "lock-database": shortages.LockDatabase,
    "disk-full": shortages.FillDisk,
    "kill-emulator": shortages.KillEmulator,
    "no-capacity": shortages.TakeCapacity,
    "cut-database": shortages.CutDatabase,
    "cut-agent": shortages.CutAgent,
    "slow-agent": shortages.SlowAgent,
    "slow-engine": shortages.SlowEngine,
    "cut-engine": shortages.CutEngine,
}


@dataclass
class _Clock:
    """The moments of one drill."""

    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    done_at: datetime | None = None
    lifted_at: datetime | None = None
    recovered_at: datetime | None = None
    answering_at: datetime | None = None
    answered_before: int = 0


def run_drills(
    drills: Sequence[Drill],
    tell: Callable[[str], None] = lambda line: None,
    *,
    ref: ServiceRef = BASE,
    deployments: FilePath | None = None,
) -> list[Report]:
    """Play them in turn, all of one kind on one stack; a stack that a drill left unusable is replaced.

    The caller has asked `may_drill`. Raises: TidegateError when a stack cannot be started at all.
    """
    reports: list[Report] = []
    for place in Place:
        left = [drill for drill in drills if drill.place is place]
        if left and (lack := why_not(place)):
            reports += [not_played(drill, lack) for drill in left]
            continue
        while left:
            with Installation(place, tell, ref, deployments) as made:
                reports += _play_until_unusable(left, made, tell)
    return reports


def _play_until_unusable(left: list[Drill], made: Installation, tell: Callable[[str], None]) -> list[Report]:
    """Takes what it played off the list."""
    reports: list[Report] = []
    while left:
        drill = left.pop(0)
        report, is_usable = play(drill, made, tell)
        reports.append(report)
        if not is_usable:
            tell("the stack is not as a drill needs it: the next drill gets a new one")
            break
    return reports


def play(drill: Drill, made: Installation, tell: Callable[[str], None]) -> tuple[Report, bool]:
    """One drill, and whether the installation can be used for another."""
    started = time.monotonic()
    tell(f"{drill.name}: {drill.fault}")
    try:
        with ExitStack() as all_of_it:
            scene = _set_the_scene(drill, made, all_of_it)
            report = _play_on(drill, scene, tell, started)
    except (Unplayable, TidegateError) as error:
        # Without live services and clients there is nothing to show, here or in the next drill.
        return not_played(drill, str(error), time.monotonic() - started), False
    tell("; ".join((f"{drill.name}: {report.verdict.value}", *report.reasons)))
    try:
        clear_up(scene)
    except (Unplayable, TidegateError) as error:
        tell(str(error))
        return report, False
    return report, True


def _set_the_scene(drill: Drill, made: Installation, all_of_it: ExitStack) -> Scene:
    """Live services, and clients that are being answered; what is begun here ends with the drill."""
    clients_of, release_of = made.refs[drill.clients_of], made.refs[drill.release_of]
    make_live(made, clients_of)
    if drill.ends:
        make_live(made, release_of)
    url = all_of_it.enter_context(made.second_gateway()) if drill.gateways > 1 else ""
    if url:
        wait_for(lambda: len(serving_gateways(made)) == drill.gateways, "the second gateway serves")
    scene = Scene(made, made.clients(clients_of, url), clients_of, release_of)
    wait_for(scene.gateways_are_current, "every gateway has the newest weights")
    scene.clients.start()
    all_of_it.callback(scene.clients.stop, 0)
    return scene


def _play_on(drill: Drill, scene: Scene, tell: Callable[[str], None], started: float) -> Report:
    """Whatever happens, the fault is lifted."""
    fault = FAULTS[drill.name]()
    try:
        return _play(drill, fault, scene, tell, started)
    except (Unplayable, TidegateError) as error:
        return not_played(drill, str(error), time.monotonic() - started)
    finally:
        with suppress(TidegateError):
            fault.lift(scene)


def _play(drill: Drill, fault: Fault, scene: Scene, tell: Callable[[str], None], started: float) -> Report:
    wait_for(lambda: scene.answered() >= WARM_ANSWERS, "clients are answered before anything is broken")
    if drill.phase is Phase.CANARY:
        begin_canary(scene)
    elif drill.phase is Phase.START:
        begin_start(scene)
    elif drill.phase is Phase.AFTER:
        end_release(scene)
    load_per_core = os.getloadavg()[0] / (os.cpu_count() or 1)
    clock = _Clock(answered_before=scene.answered())
    problem = ""
    try:
        _strike(drill, fault, scene, clock, tell)
    except Unplayable as error:
        problem = str(error)
    release = follow(scene.made, scene.release_id) if scene.release_id else None
    entries = patiently(lambda: scene.made.ports.ledger.entries(scene.release_id)) if scene.release_id else []
    answered = scene.answered()
    with suppress(Unplayable):
        wait_for(lambda: scene.answered() >= answered + MIN_ANSWERS, "clients are answered after all", 60)
    traffic = scene.clients.stop(drain_s=DRAIN_S)
    seen = _sighting(clock, traffic, scene, release, tuple(entries), load_per_core, problem)
    return judge(drill, seen, time.monotonic() - started)


def _strike(drill: Drill, fault: Fault, scene: Scene, clock: _Clock, tell: Callable[[str], None]) -> None:
    """The fault, its end, and the recovery. Raises: Unplayable when it could not be made or did not last."""
    clock.began_at = datetime.now(UTC)
    fault.inject(scene)
    clock.done_at = datetime.now(UTC)
    wait_for(lambda: fault.has_lasted(scene), "the fault has done what it can", PATIENCE_S * 2)
    before = scene.answered()
    fault.lift(scene)
    clock.lifted_at = datetime.now(UTC)
    deadline = time.monotonic() + max(PATIENCE_S, 2 * drill.promised_s)
    while time.monotonic() < deadline:
        if clock.answering_at is None and scene.answered() > before:
            clock.answering_at = datetime.now(UTC)
        if _is_recovered(fault, scene) and (drill.path is not Path.NONE or clock.answering_at):
            clock.recovered_at = datetime.now(UTC)
            break
        time.sleep(POLL_S)
    if clock.recovered_at is not None:
        tell(f"{drill.name}: recovered after {(clock.recovered_at - clock.lifted_at).total_seconds():.1f} s")
        fault.release_may_end(scene)


def _is_recovered(fault: Fault, scene: Scene) -> bool:
    """What cannot be asked now has not recovered."""
    try:
        return fault.is_recovered(scene)
    except (TidegateError, OSError, ValueError):
        return False


def _sighting(
    clock: _Clock,
    traffic: TrafficSnapshot,
    scene: Scene,
    release: Release | None,
    entries: tuple[JournalEntry, ...],
    load_per_core: float,
    problem: str,
) -> Sighting:
    done_at = clock.done_at or clock.began_at
    return Sighting(
        began_at=clock.began_at,
        done_at=done_at,
        lifted_at=clock.lifted_at or done_at,
        recovered_at=clock.recovered_at,
        answering_at=clock.answering_at,
        sent=traffic.sent,
        answered=traffic.ok,
        aborted=traffic.aborted,
        answered_since=traffic.ok - clock.answered_before,
        losses=tuple(_loss(ended) for ended in traffic.failures),
        hit_sets=scene.hit_sets,
        release=release,
        entries=entries,
        load_per_core=load_per_core,
        problem=problem,
    )


def _loss(ended: Ended) -> Loss:
    return Loss(
        sent_at=ended.at - timedelta(milliseconds=ended.elapsed_ms),
        ended_at=ended.at,
        outcome=ended.outcome.value,
        error=ended.error,
        set_name=ended.set_name,
        is_stream=ended.is_stream,
    )
