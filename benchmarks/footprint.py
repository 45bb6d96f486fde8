"""Start of the command line, and memory of the idle embedded stack.

    python -m benchmarks.footprint [--runs 10]

The second part needs a running stack (`tidegate up`); memory is the sum of PSS (shared pages counted once)
where the kernel tells it, else of RSS.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime

import psutil

from tidegate.settings import load_settings
from tidegate.stack.launching import running_stack


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=10, help="starts of the command line (default 10)")
    arguments = parser.parse_args()
    tidegate = [sys.executable, "-m", "tidegate.cli", "--help"]
    python = [sys.executable, "-c", "pass"]
    pairs = [(seconds(tidegate), seconds(python)) for _ in range(arguments.runs)]
    ours = [pair[0] for pair in pairs]
    ratios = [pair[0] / pair[1] for pair in pairs]
    print(
        f"tidegate --help   median {statistics.median(ours):.3f} s  (min {min(ours):.3f}, max {max(ours):.3f})"
    )
    print(f"against 'python -c pass' in the same run: x {statistics.median(ratios):.1f}")
    memory = stack_memory()
    for name, mib in memory.items():
        print(f"{name:<24} {mib:8.1f} MiB")
    total = sum(memory.values())
    print(f"{'stack, idle':<24} {total:8.1f} MiB" if memory else "the stack is not up: no memory measured")
    print(json.dumps({"date": datetime.now(UTC).isoformat(), "help_s": statistics.median(ours),
                      "ratio": statistics.median(ratios), "memory_mib": memory, "total_mib": total}))  # fmt: skip


def seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def stack_memory() -> dict[str, float]:
    """MiB by process of the stack, children included; sets of the platform are counted as `sets`."""
    home = load_settings().home
    record = running_stack(home)
    if record is None:
        return {}
    found: dict[str, float] = {"supervisor": _mib(psutil.Process(record.supervisor.pid))}
    for process in record.processes:
        if process.identity is not None and psutil.pid_exists(process.identity.pid):
            top = psutil.Process(process.identity.pid)
            found[process.name] = sum(_mib(one) for one in [top, *top.children(recursive=True)])
    engines = [p for p in psutil.process_iter(["name"]) if p.info["name"] == "llama-server"]
    if engines:
        found[f"sets ({len(engines)})"] = sum(_mib(engine) for engine in engines)
    return found


def _mib(process: psutil.Process) -> float:
    try:
        full = process.memory_full_info()
        return float(getattr(full, "pss", full.rss)) / 2**20
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        return 0.0


if __name__ == "__main__":
    main()
