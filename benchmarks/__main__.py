"""Runs every benchmark that needs no preparation, then those that need a running stack, if one is up.

python -m benchmarks
"""

import subprocess
import sys

from tidegate.settings import load_settings
from tidegate.stack.launching import running_stack

ALWAYS = (
    "gateway_switch",
    "gateway_overhead",
    "rollback_time",
    "release_rules",
    "exporter_scrape",
    "notification_delivery",
    "footprint",
    "runpod_emulator",
    "validation_speed",
    "wire_readers",
    "load_generator",
    "bench_install",
)
WITH_STACK = ("release_overhead",)


def main() -> int:
    is_up = running_stack(load_settings().home) is not None
    if not is_up:
        print(
            "No stack is up: memory and release overhead are left out. For them run: tidegate up", flush=True
        )
    failed = [name for name in (*ALWAYS, *(WITH_STACK if is_up else ())) if not _run(name)]
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


def _run(name: str) -> bool:
    print(f"\n== {name}", flush=True)
    return subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
