"""Flows that a pod runs in these tests."""

import os
import sys
import time
from pathlib import Path

from prefect import flow
from prefect.logging import get_run_logger


@flow
def greet(name: str) -> str:
    get_run_logger().info("the flow greets %s", name)
    print(f"plain output of {os.environ['RUNPOD_POD_ID']}", flush=True)
    print("a credential: " + os.environ.get("PREFECT_API_AUTH_STRING", ""), file=sys.stderr, flush=True)
    return name


@flow
def wait_for_file(path: str) -> str:
    """Goes on until somebody makes the file."""
    Path(f"{path}.started").touch()
    while not Path(path).exists():
        time.sleep(0.1)
    return "seen"
