"""Flows that a pod runs in these tests."""

import os
import sys
import time
from pathlib import Path

from prefect import flow
from prefect.logging import get_run_logger

import tidegate


@flow
def greet(name: str, path: str) -> str:
    """Says what it has to say, and ends when somebody makes the file."""
    get_run_logger().info("the flow greets %s", name)
    print(f"plain output of {os.environ['RUNPOD_POD_ID']}", flush=True)
    print(f"the code is {tidegate.__file__}", flush=True)
    print("a credential: " + os.environ.get("PREFECT_API_AUTH_STRING", ""), file=sys.stderr, flush=True)
    _wait_for(path)
    return name


@flow
def wait_for_file(path: str) -> str:
    """Goes on until somebody makes the file."""
    _wait_for(path)
    return "seen"


def _wait_for(path: str) -> None:
    Path(f"{path}.started").touch()
    while not Path(path).exists():
        time.sleep(0.05)
