"""What this worker runs on: GPU by `nvidia-smi` where there is one, and the memory it may use."""

import os
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

MIB = 1 << 20
NVIDIA_SMI_TIMEOUT_S = 20.0
CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


@dataclass(frozen=True)
class Gpu:
    name: str
    count: int
    memory_bytes: int
    """Of one card."""
    driver: str

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def find_gpu(command: str = "nvidia-smi") -> Gpu | None:
    """The cards of this container, which RunPod gives all of one kind; None without any."""
    binary = shutil.which(command)
    if binary is None:
        return None
    query = [binary, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=NVIDIA_SMI_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_gpus(answer.stdout) if answer.returncode == 0 else None


def parse_gpus(table: str) -> Gpu | None:
    """`nvidia-smi`'s lines of name, MiB, driver; None when they read otherwise."""
    rows = [[cell.strip() for cell in line.split(",")] for line in table.splitlines() if line.strip()]
    if not rows or len(rows[0]) != 3 or not rows[0][1].isdigit():
        return None
    name, mebibytes, driver = rows[0]
    return Gpu(name=name, count=len(rows), memory_bytes=int(mebibytes) * MIB, driver=driver)


def memory_bytes(limits: tuple[Path, ...] = CGROUP_LIMITS) -> int:
    """The container's limit, or the machine's memory where there is none."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in limits:
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            return min(int(text), physical)
    return physical
