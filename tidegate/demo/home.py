"""Where the demonstration lives: a home that holds nothing but demonstrations, cleared before each one.

It takes the person's own home while that is empty or holds only an earlier demonstration, so that `tidegate
status` afterwards shows it. Anything else in there is somebody's work: then it lives in a home of its own
beside that work, which it never touches.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tidegate.demo.scenario import CASTS, REQUESTED_BY
from tidegate.domain import Refused
from tidegate.settings import Settings, load_settings
from tidegate.stack.launching import stop_stack
from tidegate.stack.record import read_json, write_json

MARKER = "demo.json"
LOCK_FILE = "demo.lock"
OWN_HOME = "demo"
LEDGER_FILE = "ledger.sqlite3"
PROVENANCE = {"made_by": REQUESTED_BY}

# Cleared before a demonstration. Kept: secrets (clients may hold the keys), the content-addressed store,
# logs, ports, and the engine's and setup's caches, none of which decides anything.
CLEARED = (
    LEDGER_FILE,
    f"{LEDGER_FILE}-wal",
    f"{LEDGER_FILE}-shm",
    f"{LEDGER_FILE}-journal",
    "platform",
    "gateway",
    "prefect",
    "reports",
)
# The caller's addresses of another installation must not reach ours.
FOREIGN_VARIABLES = ("TIDEGATE_LEDGER_URL", "TIDEGATE_GATEWAY_URL", "TIDEGATE_GPU_SLOT", "PREFECT_API_URL")


@dataclass(frozen=True)
class DemoHome:
    """The home of this demonstration, and the environment for everything that runs in it."""

    settings: Settings
    environ: dict[str, str]
    is_own: bool
    """It is not the home that other commands look at."""

    @property
    def command_prefix(self) -> str:
        """What must stand before other commands, so that they look at this home."""
        return f"TIDEGATE_HOME={self.settings.home} " if self.is_own else ""


def choose_home(environ: dict[str, str] | None = None, cwd: Path | None = None) -> DemoHome:
    """The person's home when it is empty or holds only demonstrations, else a home of our own inside it.

    Raises:
        Refused: when even our own home holds somebody's work.
    """
    env = dict(os.environ) if environ is None else dict(environ)
    asked = load_settings(env, cwd)
    clean = {name: value for name, value in env.items() if name not in FOREIGN_VARIABLES}
    for folder in (asked.home, asked.home / OWN_HOME):
        mine = clean | {"TIDEGATE_HOME": str(folder)}
        settings = load_settings(mine, cwd)
        is_elsewhere = folder == asked.home and env.get("TIDEGATE_LEDGER_URL")
        if not is_elsewhere and not foreign_work(settings):
            return DemoHome(settings, mine, is_own=folder != asked.home)
    raise Refused(
        f"{asked.home / OWN_HOME} holds models or releases that are not the demonstration's.",
        remedy="Move that folder away, or run the demonstration elsewhere: TIDEGATE_HOME=/tmp/demo tidegate demo.",
    )


def foreign_work(settings: Settings) -> str:
    """What in this home is not the demonstration's, in words; empty when nothing is."""
    if not (settings.home / LEDGER_FILE).is_file():
        return ""
    from tidegate.ledger import Ledger

    with Ledger.open(settings.ledger_url) as ledger:
        versions = ledger.list_versions()
        releases = ledger.list_releases(limit=1)
        routes = ledger.list_routes()
    if not versions and not releases and not routes:
        return ""
    if read_json(settings.home / MARKER) is None:
        return "releases and models that were here before any demonstration"
    made_here = [item for item in versions if item.provenance.items() >= PROVENANCE.items()]
    foreign = [f"{item.org} {item.label}" for item in versions if item not in made_here]
    # A release or a route exists only of a registered version, so the versions tell all.
    ours = {(cast.ref.org, cast.ref.service) for cast in CASTS}
    foreign += [f"{route.org}/{route.service}" for route in routes if (route.org, route.service) not in ours]
    return ", ".join(foreign)


def is_used(settings: Settings) -> bool:
    """An earlier demonstration left something here."""
    return (settings.home / MARKER).is_file()


def clear(settings: Settings, report: Callable[[str], None]) -> None:
    """End the stack of this home and remove what an earlier demonstration left.

    Raises:
        Refused: when the home holds somebody's work after all.
    """
    if work := foreign_work(settings):
        raise Refused(
            f"{settings.home} holds work that is not the demonstration's: {work}.",
            remedy="Play the demonstration in another home: set TIDEGATE_HOME.",
        )
    stop_stack(settings.home, report)
    # The stack has ended: nobody has these files open any more.
    for name in CLEARED:
        path = settings.home / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def mark(settings: Settings) -> None:
    """Say, before anything else is written, that what comes is a demonstration."""
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_json(settings.home / MARKER, {"made_by": REQUESTED_BY, "at": datetime.now(UTC).isoformat()})


@contextmanager
def only_demonstration(settings: Settings) -> Generator[None]:
    """Hold the home for one demonstration.

    Raises:
        Refused: when another one runs in it.
    """
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (settings.home / LOCK_FILE).open("a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(
                f"Another demonstration runs in {settings.home}.",
                remedy="Wait for it, or end it with Ctrl-C.",
            ) from None
        yield
