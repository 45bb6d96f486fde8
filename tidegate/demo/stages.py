"""The pipeline of one release as a watcher sees it: seven stages with states and seconds. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from tidegate.domain import TERMINAL, JournalEntry, ReleaseState

STAGES = ("check", "start", "probe", "judge", "shift", "bake", "tidy")

_STAGE_OF = {
    ReleaseState.REQUESTED: "check",
    ReleaseState.PLANNED: "check",
    ReleaseState.VALIDATING: "check",
    ReleaseState.PROVISIONING: "start",
    ReleaseState.PARKED: "start",
    ReleaseState.WARMING: "probe",
    ReleaseState.JUDGING: "judge",
    ReleaseState.SHIFTING: "shift",
    ReleaseState.BAKING: "bake",
    ReleaseState.AWAIT_APPROVAL: "bake",
    ReleaseState.COMMITTING: "tidy",
    ReleaseState.RETIRING: "tidy",
}

Mark = Literal["ahead", "now", "passed", "failed"]


@dataclass(frozen=True)
class Stage:
    name: str
    mark: Mark
    seconds: float | None


def stages(entries: Sequence[JournalEntry], now: datetime) -> list[Stage]:
    """Each stage with the time spent in it. The stage from which a release turned back has failed."""
    spent: dict[str, float] = {}
    at, failed_at = "", ""
    entered = [entry for entry in entries if entry.kind == "entered"]
    for number, entry in enumerate(entered):
        state = ReleaseState(entry.name)
        name = _STAGE_OF.get(state, "")
        if not name:
            failed_at = failed_at or (at if state is not ReleaseState.DONE else "")
            continue
        until = entered[number + 1].at if number + 1 < len(entered) else now
        spent[name] = spent.get(name, 0.0) + (until - entry.at).total_seconds()
        at = name
    is_over = bool(entered) and ReleaseState(entered[-1].name) in TERMINAL
    return [
        Stage(name, _mark(name, at, failed_at, spent, is_over=is_over), spent.get(name)) for name in STAGES
    ]


def _mark(name: str, at: str, failed_at: str, spent: dict[str, float], *, is_over: bool) -> Mark:
    if name == failed_at:
        return "failed"
    if name not in spent:
        return "ahead"
    return "now" if name == at and not is_over and not failed_at else "passed"
