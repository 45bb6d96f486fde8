"""Prometheus, promtool, Alertmanager and amtool without root: those at hand, else from the system's own packages.

Tests start the real programs. They are unpacked into the cache folder; nothing is installed and no service started.
"""

import functools
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from deployments.setup.errors import SetupError
from deployments.setup.host import cache_dir
from deployments.setup.progress import Progress, run_logged

BIN_DIR_VARIABLE = "TIDEGATE_MONITORING_BIN_DIR"
PACKAGES = ("prometheus", "prometheus-alertmanager")
NAMES = {
    "prometheus": ("prometheus",),
    "promtool": ("promtool",),
    "alertmanager": ("alertmanager", "prometheus-alertmanager"),
    "amtool": ("amtool",),
}
"""What each program is called: by its makers first, then by Debian."""
OLDEST = {"prometheus": (2, 42), "promtool": (2, 42), "alertmanager": (0, 25), "amtool": (0, 25)}
"""Alert rules use `keep_firing_for`, which is as old as Prometheus 2.42."""

TEMPLATES_IN_SYSTEM = b"/usr/share/prometheus/alertmanager"
"""Where Debian's Alertmanager wants its templates, and does not start without."""
TEMPLATES_BY_HANDLE = b"/proc/self/fd/9".ljust(len(TEMPLATES_IN_SYSTEM), b"/")
"""The same number of bytes: a folder that whoever starts it has opened as handle 9."""
REMEDY = (
    "Install Prometheus 2.42 and Alertmanager 0.25 or newer (Debian and Ubuntu: sudo apt-get install prometheus "
    "prometheus-alertmanager; macOS: brew install prometheus alertmanager), or name the folder that holds prometheus, "
    f"promtool, alertmanager and amtool: {BIN_DIR_VARIABLE}=/opt/monitoring/bin"
)


Which = Callable[[str], str | None]
Runs = Callable[[Path], str]


@dataclass(frozen=True)
class MonitoringTools:
    """The four programs, ready to be started."""

    prometheus: Path
    promtool: Path
    alertmanager: Path
    amtool: Path


def require_tools(environ: Mapping[str, str] = os.environ, cache: Path | None = None) -> MonitoringTools:
    """The programs, or SetupError that says how to get them."""
    found = find_tools(environ, cache or cache_dir(environ))
    if missing := [name for name in NAMES if name not in found]:
        raise SetupError(
            f"These programs were not found: {', '.join(missing)}.", f"Run `make setup-dev`. {REMEDY}"
        )
    return MonitoringTools(**found)


def find_tools(
    environ: Mapping[str, str],
    cache: Path,
    which: Which = shutil.which,
    version_of: Runs | None = None,
) -> dict[str, Path]:
    """Those that are there: in the named folder, on PATH and recent enough, or fetched by an earlier set-up."""
    version_of = version_of or _told_version
    found: dict[str, Path] = {}
    for tool, names in NAMES.items():
        folders = [Path(environ[BIN_DIR_VARIABLE])] if environ.get(BIN_DIR_VARIABLE) else []
        named = (folder / name for folder in folders for name in names)
        on_path = (Path(path) for name in names if (path := which(name)))
        candidates = [*named, *on_path]
        recent = (path for path in candidates if path.exists() and _is_recent(tool, version_of(path)))
        fetched = _home(cache) / "bin" / tool
        if path := next(recent, fetched if fetched.exists() else None):
            found[tool] = path
    return found


def provide(cache: Path, progress: Progress, environ: Mapping[str, str] = os.environ) -> None:
    """Fetch what is missing. A machine that cannot is told so, and set up all the same: only some tests need them."""
    if len(find_tools(environ, cache)) == len(NAMES):
        return
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        progress.say(f"  Prometheus and Alertmanager were not found; tests of alerts need them. {REMEDY}")
        return
    try:
        fetch(cache, progress)
    except SetupError as error:
        progress.say(
            f"\n  {error.message}\n  {error.remedy}\n  Set-up goes on: only tests of alerts need them."
        )


def fetch(cache: Path, progress: Progress) -> None:
    """Download the system's packages, unpack them, and put the whole folder in place at once."""
    progress.begin("fetching Prometheus and Alertmanager, for tests")
    log = cache / "logs" / "monitoring.log"
    log.unlink(missing_ok=True)
    (cache / "tools").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache / "tools", prefix="monitoring-") as made:
        work = Path(made)
        _download(work, log, progress)
        for package in sorted(work.glob("*.deb")):
            failure = SetupError(f"{package.name} could not be unpacked.", REMEDY)
            run_logged(
                ["dpkg-deb", "-x", package, work / "root"], log=log, progress=progress, failure=failure
            )
        ready = arrange(work / "root", work / "ready")
        if not _home(cache).exists():
            ready.rename(_home(cache))
    progress.done()


def arrange(root: Path, home: Path) -> Path:
    """Take the four programs and the templates out of the unpacked packages."""
    binaries = root / "usr" / "bin"
    (home / "bin").mkdir(parents=True)
    (home / "lib").mkdir()
    try:
        for tool in ("prometheus", "promtool", "amtool"):
            shutil.copy2(binaries / tool, home / "bin" / tool)
        shutil.copytree(root / "usr/share/prometheus/alertmanager", home / "lib/templates")
        program = (binaries / "prometheus-alertmanager").read_bytes()
    except OSError as error:
        raise SetupError(f"The packages hold other files than expected: {error}.", REMEDY) from error
    moved = home / "lib" / "alertmanager"
    moved.write_bytes(with_templates_by_handle(program))
    moved.chmod(0o755)
    starter = home / "bin" / "alertmanager"
    starter.write_text(STARTER, encoding="utf-8")
    starter.chmod(0o755)
    return home


STARTER = """#!/bin/sh
# Debian's Alertmanager wants its templates below /usr/share, where only root may put them.
# This copy looks for them in the folder that is open as handle 9.
lib="$(dirname "$(readlink -f "$0")")/../lib"
exec 9<"$lib/templates"
exec "$lib/alertmanager" "$@"
"""


def with_templates_by_handle(program: bytes) -> bytes:
    """The program with another folder of templates in the one place that names it; as it is where none does."""
    pattern = re.escape(TEMPLATES_IN_SYSTEM) + rb"(?!/)"
    return re.sub(pattern, TEMPLATES_BY_HANDLE, program)


def _download(work: Path, log: Path, progress: Progress) -> None:
    """With the system's package lists; where those are missing or cannot be read, with our own."""
    failure = SetupError("Prometheus and Alertmanager could not be downloaded with apt-get.", REMEDY)
    # apt-get downloads into the folder that it stands in.
    download = ("download", *PACKAGES)
    try:
        run_logged(_apt(work, {}, *download), log=log, progress=progress, failure=failure)
    except SetupError:
        own = own_lists(work)
        run_logged(_apt(work, own, "update"), log=log, progress=progress, failure=failure)
        run_logged(_apt(work, own, *download), log=log, progress=progress, failure=failure)


def own_lists(work: Path) -> dict[str, str]:
    """Settings that keep apt's lists and cache below `work`, and still know what is installed."""
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    return {
        "Dir::State": str(work / "state"),
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": str(work / "cache"),
    }


def _apt(work: Path, settings: Mapping[str, str], *words: str) -> list[str]:
    # Root's apt would hand the download to a user who may not write here.
    user = "root" if os.geteuid() == 0 else "_apt"
    whole = {"APT::Sandbox::User": user, "Acquire::Retries": "1", **settings}
    options = [word for name, value in whole.items() for word in ("-o", f"{name}={value}")]
    return ["env", "-C", str(work), "apt-get", "-q", *options, *words]


def _home(cache: Path) -> Path:
    return cache / "tools" / "monitoring"


def _is_recent(tool: str, told: str) -> bool:
    numbers = re.search(r"version (\d+)\.(\d+)", told)
    return bool(numbers) and tuple(int(number) for number in numbers.groups()) >= OLDEST[tool]


@functools.lru_cache(maxsize=16)
def _told_version(path: Path) -> str:
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    # Prometheus 2 tells its version on stdout, older Alertmanagers on stderr.
    return done.stdout + done.stderr
