"""Platforms that must keep the contract: each real one, and its faulty twin."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.integration.platforms.watching import engine_processes
from tidegate.domain import CapacityShortage, SetSpec, SetState
from tidegate.platforms.faulty import Effect, Fault, FaultyPlatform
from tidegate.platforms.local import LocalPlatform
from tidegate.platforms.protocol import Platform

MakePlatform = Callable[..., LocalPlatform]
MakeSpec = Callable[..., SetSpec]


@dataclass(frozen=True)
class Subject:
    """One platform under the contract, and what a test must be able to do to it from outside."""

    platform: Platform
    reopen: Callable[[], Platform]
    heal: Callable[[], None]
    crash: Callable[[str], None]
    processes: Callable[[], list[psutil.Process]]


def _faults() -> tuple[Fault, ...]:
    """Every reply is lost once, there is no capacity twice, and status lies now and then."""
    return (
        Fault("create", Effect.REFUSE, times=2, error=CapacityShortage),
        Fault("create", Effect.LOSE_REPLY, after=2),
        Fault("status", Effect.REPORT, times=2, state=SetState.UNKNOWN),
        Fault("status", Effect.REPORT, times=2, after=4, state=SetState.STARTING),
        Fault("stop", Effect.LOSE_REPLY),
        Fault("start", Effect.LOSE_REPLY),
        Fault("delete", Effect.REFUSE),
        Fault("delete", Effect.LOSE_REPLY, after=1),
        Fault("list_owned", Effect.REFUSE),
        Fault("invoke", Effect.LOSE_REPLY),
    )


@pytest.fixture(params=["local", "local with faults"])
def subject(request: pytest.FixtureRequest, root: Path, make_platform: MakePlatform) -> Subject:
    local = make_platform()
    is_faulty = request.param == "local with faults"

    def wrapped(platform: LocalPlatform) -> Platform:
        return FaultyPlatform(platform, _faults(), crash=platform.crash) if is_faulty else platform

    return Subject(
        platform=wrapped(local),
        reopen=lambda: wrapped(make_platform()),
        heal=local.heal,
        crash=local.crash,
        processes=lambda: engine_processes(root),
    )
