"""Sees this host: processor, memory, disk, GPUs. Judges nothing."""

import os
import shutil
import subprocess
from pathlib import Path

from tidegate.observability.health.judging_host import Gpu, GpusSeen, HostSeen

MEBIBYTE = 1024**2
DRIVER = Path("/proc/driver/nvidia/version")
SMI = "nvidia-smi"
SMI_TIMEOUT_S = 8.0
FIELDS = (
    "name",
    "memory.used",
    "memory.total",
    "temperature.gpu",
    "utilization.gpu",
    "ecc.errors.uncorrected.volatile.total",
)
# Beside their meaning, as nvidia-smi writes them: without units, what a card has not as [N/A] or [Not Supported].
QUERY = (f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader,nounits")


def see_host(home: Path) -> HostSeen:
    import psutil

    memory, disk = psutil.virtual_memory(), shutil.disk_usage(home)
    return HostSeen(
        load_1m=psutil.getloadavg()[0],
        cpus=os.cpu_count() or 1,
        memory_free_bytes=memory.available,
        memory_total_bytes=memory.total,
        disk_free_bytes=disk.free,
        disk_total_bytes=disk.total,
        folder=str(home),
    )


def see_gpus(driver: Path = DRIVER, command: str = SMI) -> GpusSeen:
    """By the driver's own tool, which comes with every driver. A driver that hangs ends the look, not the process."""
    binary = shutil.which(command)
    if binary is None:
        error = f"{command} is not installed beside it" if driver.exists() else ""
        return GpusSeen(has_driver=driver.exists(), error=error)
    try:
        done = subprocess.run(
            [binary, *QUERY],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SMI_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return GpusSeen(has_driver=True, error=f"no answer within {SMI_TIMEOUT_S:g} s")
    if done.returncode != 0:
        words = (done.stdout + done.stderr).strip().splitlines()
        # A tool without a driver: an image that was made for hosts with GPUs, on one without.
        if not driver.exists():
            return GpusSeen(has_driver=False)
        return GpusSeen(has_driver=True, error=words[0] if words else f"exit code {done.returncode}")
    return read_gpus(done.stdout)


def read_gpus(text: str) -> GpusSeen:
    """What the tool wrote. A line that is none of its own is an error, not a GPU less."""
    gpus: list[Gpu] = []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        cells = [cell.strip() for cell in line.split(",")]
        used, total = (_number(cell) for cell in cells[1:3]) if len(cells) == len(FIELDS) else (None, None)
        if used is None or total is None:
            return GpusSeen(has_driver=True, error=f"cannot be read: {line[:80]}")
        utilization, errors = _number(cells[4]), _number(cells[5])
        gpus.append(
            Gpu(
                name=cells[0],
                memory_used_bytes=int(used * MEBIBYTE),
                memory_total_bytes=int(total * MEBIBYTE),
                temperature_celsius=_number(cells[3]),
                utilization_ratio=None if utilization is None else utilization / 100,
                uncorrected_errors=None if errors is None else int(errors),
            )
        )
    return GpusSeen(has_driver=True, gpus=tuple(gpus))


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
