"""The steps of a set-up, in order; each does nothing when its result already exists."""

import argparse
import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deployments.setup import environment, lock, monitoring
from deployments.setup.engine import Recipe, build_wheel, cached_wheel, load_recipe, wheel_key
from deployments.setup.environment import House
from deployments.setup.errors import SetupError
from deployments.setup.host import cache_dir, describe_host
from deployments.setup.progress import Progress
from deployments.setup.toolchain import find_compiler, has_venv_modules, os_family, require_compiler


@dataclass(frozen=True)
class Job:
    """One set-up: what is wanted, where it goes."""

    house: House
    cache: Path
    recipe: Recipe
    key: str
    dev: bool
    python: Path

    @property
    def log(self) -> Path:
        return self.cache / "logs" / "setup.log"


def run(arguments: argparse.Namespace, root: str) -> int:
    """Do what the command line asks; returns the exit status."""
    progress = Progress()
    try:
        job = plan(arguments, Path(root).resolve())
        if arguments.check:
            return report(job, progress)
        if arguments.lock:
            uv = environment.obtain_uv(job.house, job.cache, job.python, job.log, progress)
            lock.write_locks(job.house, uv=uv, upgrade=arguments.upgrade, log=job.log, progress=progress)
            return 0
        set_up(job, progress)
        if job.dev:
            monitoring.provide(job.cache, progress)
    except SetupError as error:
        print(f"\n{error.message}\n{error.remedy}", file=sys.stderr)
        return 1
    return 0


def plan(arguments: argparse.Namespace, root: Path) -> Job:
    """Read what is declared and look at the machine."""
    house = House(root)
    recipe = load_recipe(house.setup / "engine.toml", portable=arguments.portable)
    return Job(
        house=house,
        cache=cache_dir(),
        recipe=recipe,
        key=wheel_key(recipe, describe_host()),
        # What an earlier set-up added for tests stays.
        dev=arguments.dev or environment.read_stamp(house).get("dev") is True,
        # Not the interpreter of an activated `.venv`: that one may be made anew.
        python=Path(getattr(sys, "_base_executable", sys.executable)),
    )


def set_up(job: Job, progress: Progress) -> None:
    """Make `.venv` ready, or return at once when it is."""
    if _is_ready(job):
        return
    with _only_set_up_of(job.house, progress):
        if _is_ready(job):
            return
        progress.say("Setting up (once; later runs start at once)")
        job.log.unlink(missing_ok=True)
        wheel = cached_wheel(job.cache, job.key)
        if wheel is None:
            require_compiler(find_compiler(), os_family())
        uv = environment.obtain_uv(job.house, job.cache, job.python, job.log, progress)
        wheel = wheel or build_wheel(
            job.recipe,
            job.key,
            cache=job.cache,
            uv=uv,
            tools_lock=job.house.setup / "build-tools.txt",
            python=job.python,
            progress=progress,
        )
        environment.install(
            job.house,
            job.recipe,
            wheel,
            dev=job.dev,
            uv=uv,
            python=job.python,
            log=job.log,
            progress=progress,
        )
        environment.compile_sources(job.house, log=job.log, progress=progress)
        environment.prove(job.house, job.recipe, wheel, log=job.log, progress=progress)
        environment.write_stamp(job.house, environment.fingerprint(job.house, job.key), dev=job.dev)


def report(job: Job, progress: Progress) -> int:
    """Print what a set-up would find, change nothing; status 1 when something is missing."""
    has_wheel = cached_wheel(job.cache, job.key) is not None
    uv = environment.recent_uv()
    findings = {
        f"Python {sys.version.split()[0]} ({sys.executable})": True,
        "make": shutil.which("make") is not None,
        "a C++ compiler (needed once, for the engine)": has_wheel or find_compiler() is not None,
        f"uv {uv or '(will be fetched)'}": uv is not None or has_venv_modules(),
        f"the engine's wheel, {job.key}": has_wheel,
        f"{job.house.venv} as locked": _is_ready(job),
    }
    if job.dev:
        tools = monitoring.find_tools(os.environ, job.cache)
        findings["Prometheus and Alertmanager (for tests of alerts)"] = len(tools) == len(monitoring.NAMES)
    for what, is_there in findings.items():
        progress.say(f"  {'ok     ' if is_there else 'missing'}  {what}")
    return 0 if all(findings.values()) else 1


def _is_ready(job: Job) -> bool:
    wanted = environment.fingerprint(job.house, job.key)
    return environment.is_current(job.house, wanted, dev=job.dev, commands=job.recipe.commands)


@contextmanager
def _only_set_up_of(house: House, progress: Progress) -> Iterator[None]:
    # The folder itself carries the lock, so nothing needs to be cleaned up.
    handle = os.open(house.root, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say("Another set-up of this folder is running; waiting for it.")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
