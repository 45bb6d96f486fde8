"""What of this machine a built engine depends on."""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
GIB = 1024**3


@dataclass(frozen=True)
class Host:
    """Two machines with equal hosts can share a wheel; with another processor it may die of SIGILL."""

    system: str
    machine: str
    c_library: str
    processor: str


def describe_host() -> Host:
    """Look at this machine."""
    return Host(
        system=sys.platform,
        machine=platform.machine(),
        c_library="-".join(platform.libc_ver()),
        processor=_processor_features(),
    )


def compile_jobs(memory_per_job_gib: float) -> int:
    """How many compilers may run at once: one a processor, fewer where memory is short."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB
    return max(1, min(os.cpu_count() or 1, int(memory / memory_per_job_gib)))


def cache_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Where wheels, sources and logs are kept between set-ups and shared between checkouts."""
    base = environ.get("XDG_CACHE_HOME") or ""
    # The specification says to ignore a relative path.
    parent = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    return parent / "tidegate"


def _processor_features() -> str:
    if sys.platform == "darwin":
        asked = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(asked, capture_output=True, text=True, timeout=10).stdout.strip()
    try:
        lines = CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    # `flags` on x86, `Features` on ARM; the first processor stands for all.
    found = (line for line in lines if line.lower().startswith(("flags", "features")))
    return " ".join(sorted(next(found, "").partition(":")[2].split()))
