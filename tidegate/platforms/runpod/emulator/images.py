"""Which command an image stands for, since there is no docker here, and the environment it runs in."""

import os
import shlex
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tidegate.domain import InvalidInput
from tidegate.platforms.runpod.emulator.state import Json

WORKER_IMAGE = "tidegate-worker"
WORKER_PACKAGE = "tidegate_worker"
ARGUMENTS = "{args}"
VOLUME_PATH = "/runpod-volume"
# Nothing else of this process's environment reaches a container: it may hold keys.
INHERITED = ("PATH", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "SYSTEMROOT")


@dataclass(frozen=True)
class Images:
    """Image names and their commands. A name matches when it is contained in the image's text."""

    worker_source: Path
    commands: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    baked_env: Mapping[str, str] = field(default_factory=dict[str, str])

    def command(self, image: str, arguments: str = "") -> list[str] | None:
        """None for an image that cannot be pulled."""
        for name, command in self.commands.items():
            if name in image:
                return _with_arguments(command, arguments)
        if WORKER_IMAGE in image:
            return [sys.executable, "-m", WORKER_PACKAGE]
        return None

    def environment(self, home: Path, wanted: Mapping[str, str]) -> dict[str, str]:
        """A clean environment: an empty home, what the image would bake in, then what the user asked for."""
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        baked = {
            **inherited,
            "HOME": str(home),
            "PYTHONPATH": str(self.worker_source),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            **self.baked_env,
        }
        return {**baked, **wanted}


def _with_arguments(command: tuple[str, ...], arguments: str) -> list[str]:
    found: list[str] = []
    for word in command:
        found.extend(shlex.split(arguments) if word == ARGUMENTS else [word])
    return found


def parse_mapping(text: str) -> tuple[str, tuple[str, ...]]:
    """`NAME=COMMAND WORDS` as told on the command line.

    Raises:
        InvalidInput: when it is not that.
    """
    name, equals, command = text.partition("=")
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        raise InvalidInput(
            f"The command of image '{name}' cannot be read: {error}.",
            remedy="For example: --image echo='python echo.py'.",
        ) from error
    if not equals or not name or not words:
        raise InvalidInput(
            f"'{text}' is not NAME=COMMAND.", remedy="For example: --image echo='python echo.py'."
        )
    return name, words


def engine_environment() -> dict[str, str]:
    """Where the engine of this Python installation is, as the real image has it on its PATH."""
    folder = Path(sysconfig.get_path("purelib")) / "bin"
    return {"TIDEGATE_ENGINE_BIN_DIR": str(folder)} if (folder / "llama-server").exists() else {}


def rewritten_paths(env: Mapping[str, str], mount: str, folder: Path | None) -> dict[str, str]:
    """Paths on a volume become paths in its folder here; without a volume they stay and are missing."""
    if folder is None:
        return dict(env)
    return {name: _moved(value, mount, str(folder)) for name, value in env.items()}


def _moved(value: str, mount: str, folder: str) -> str:
    for prefix in ("", "file://"):
        start = f"{prefix}{mount}"
        if value == start or value.startswith(f"{start}/"):
            return f"{prefix}{folder}{value[len(start) :]}"
    return value


def container_env(config: Json) -> dict[str, str]:
    """What the user has set; secrets' placeholders are left as they are (no secret store here)."""
    return dict(config["env"])
