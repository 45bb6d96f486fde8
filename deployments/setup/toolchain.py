"""Finds what the machine must bring: a C++ compiler, make, and a way to fetch uv."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from deployments.setup.errors import SetupError

OS_RELEASE = Path("/etc/os-release")
COMPILERS = ("c++", "g++", "clang++")

INSTALL_COMPILER = {
    "debian": "sudo apt-get install build-essential",
    "fedora": "sudo dnf install gcc-c++ make",
    "alpine": "sudo apk add build-base linux-headers",
    "arch": "sudo pacman -S base-devel",
    "darwin": "xcode-select --install",
}
INSTALL_VENV = {
    "debian": "sudo apt-get install python3-venv",
    "fedora": "sudo dnf install python3",
    "alpine": "sudo apk add python3 py3-pip",
    "arch": "sudo pacman -S python",
    "darwin": "install Python from python.org or with `brew install python`",
}


def find_compiler(
    environ: Mapping[str, str] = os.environ,
    which: Callable[[str], str | None] = shutil.which,
    runs: Callable[[str], bool] | None = None,
) -> str | None:
    """The C++ compiler that the build will use, or None. `CXX` comes first, as for CMake."""
    runs = runs or _answers_version
    wanted = [environ["CXX"]] if environ.get("CXX") else list(COMPILERS)
    for name in wanted:
        path = which(name)
        # macOS ships a `c++` that only asks to install the real one.
        if path and runs(path):
            return path
    return None


def require_compiler(compiler: str | None, family: str | None) -> str:
    """Return the compiler, or raise SetupError that names the package to install."""
    if compiler is None:
        raise SetupError(
            "The engine is built from source once, and no C++ compiler was found.",
            f"Install one and run the command again: {_how_to(INSTALL_COMPILER, family)}",
        )
    return compiler


def require_venv_module(has_modules: bool, family: str | None) -> None:
    """Raise SetupError when this Python cannot make a virtual environment."""
    if not has_modules:
        raise SetupError(
            "This Python has no venv and ensurepip modules, and no recent uv is on PATH.",
            f"Install python3-venv (or uv) and run the command again: {_how_to(INSTALL_VENV, family)}",
        )


def has_venv_modules() -> bool:
    """Debian and Ubuntu ship Python without ensurepip unless python3-venv is installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("venv", "ensurepip"))


def os_family(platform: str = sys.platform, os_release: Path = OS_RELEASE) -> str | None:
    """Which row of the install tables fits this machine; None when unknown."""
    if platform == "darwin":
        return "darwin"
    try:
        lines = os_release.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    fields = dict(line.split("=", 1) for line in lines if "=" in line)
    likes = f"{fields.get('ID', '')} {fields.get('ID_LIKE', '')}".replace('"', "").split()
    aliases = {"ubuntu": "debian", "rhel": "fedora", "centos": "fedora", "archlinux": "arch"}
    return next((found for name in likes if (found := aliases.get(name, name)) in INSTALL_COMPILER), None)


def _how_to(table: Mapping[str, str], family: str | None) -> str:
    if family and family in table:
        return table[family]
    return "; ".join(f"{name}: {command}" for name, command in table.items())


def _answers_version(path: str) -> bool:
    try:
        return subprocess.run([path, "--version"], capture_output=True, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
