"""What an engine is started for, with which limits, and where: by default in a confined process on this host."""

import json
import os
from collections.abc import Callable, Sequence
from typing import Protocol

from tidegate.domain import Policy
from tidegate.validation.confinement import ChildLimits, run_confined
from tidegate.validation.engine_report import EngineJob, EngineRun
from tidegate.validation.part_links import linked
from tidegate.validation.queries import usual_queries
from tidegate.validation.report import Profile

DEFAULT_MEMORY_BYTES = 2 * 1024**3
PROGRAM_BYTES = 1024**3
LARGEST_CONTEXT = 2048
"""Larger contexts are tried by profile `deep` only: filling them takes minutes on a small machine."""
LOAD_WALL_S = 300.0
SLOWEST_BYTES_PER_S = 20 * 1024**2
SMALL_MODEL_BYTES = 64 * 1024**2
MOST_THREADS = 16
OPEN_FILES = 64


class EngineLauncher(Protocol):
    """Starts an engine on an open file away from this process, with limits."""

    def run(self, descriptor: int, job: EngineJob, limits: ChildLimits) -> EngineRun:
        """Never raises for what the model or the engine does; never outlives the limits."""
        ...


class ChildLauncher:
    """Runs `tidegate.validation.inference_child` as a confined process on this host."""

    def __init__(self, on_progress: Callable[[int, int], None] | None = None):
        self._on_progress = on_progress

    def run(self, descriptor: int, job: EngineJob, limits: ChildLimits) -> EngineRun:
        stages = [0]

        def on_progress(stage: int, total: int) -> None:
            stages.append(stage)
            if self._on_progress is not None:
                self._on_progress(stage, total)

        with linked(job.parts) as first:
            outcome = run_confined(
                "tidegate.validation.inference_child",
                {"descriptor": descriptor, "path": first},
                limits,
                stdin=json.dumps(job.as_data()).encode(),
                inherit=(descriptor, *job.parts.values()),
                on_progress=on_progress,
            )
        return EngineRun(outcome, max(stages), job)


def engine_job(
    size: int,
    digest: str,
    policy: Policy,
    context_tokens: int,
    prompts: Sequence[str] | None = None,
    profile: Profile = "standard",
) -> EngineJob:
    """What one load of the model is used for."""
    contexts = (min(context_tokens, LARGEST_CONTEXT),)
    if profile == "deep":
        contexts = tuple(sorted({max(8, context_tokens // 4), max(8, context_tokens // 2), context_tokens}))
    return EngineJob(
        digest=digest,
        queries=usual_queries(profile, contexts[-1], prompts),
        is_general=prompts is None,
        contexts=contexts,
        threads=threads_for(size),
        wall_s=policy.validation.engine_wall_s,
        speed_rounds=6 if profile == "deep" else 3,
    )


def threads_for(size: int) -> int:
    """A small model is slower with two threads than with one; a large one needs all."""
    if size < SMALL_MODEL_BYTES:
        return 1
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(here, MOST_THREADS)


def engine_limits(size: int, job: EngineJob, max_memory_bytes: int) -> ChildLimits:
    wall_s = LOAD_WALL_S + job.wall_s + 2 * size / SLOWEST_BYTES_PER_S
    return ChildLimits(
        wall_s=wall_s,
        cpu_s=int(wall_s) * (job.threads + 1),
        open_files=OPEN_FILES + 2 * len(job.parts),
        # The mapped file counts as address space, but not against the memory of the service.
        address_space_bytes=max_memory_bytes + size + PROGRAM_BYTES,
    )
