"""The first process of a pod: `python -m deployments.pod`. Runs one flow run, for a bounded time.

A worker that dies leaves its pod running, so the pod itself knows when to end: it stops the run after
`TIDEGATE_POD_TIMEOUT_S`, says how it ended, waits for the worker to delete it, and else deletes itself with the key
that RunPod gives to every pod. Standard library only, until the flow is loaded.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

END_MARK = "tidegate-pod ended with code"
TIMEOUT = "TIDEGATE_POD_TIMEOUT_S"
# Only in the emulator, which has no store of secrets: a folder of files named after them.
SECRETS_FOLDER = "TIDEGATE_EMULATED_SECRETS_DIR"
PLACEHOLDER = re.compile(r"^\{\{ RUNPOD_SECRET_(\S+) \}\}$")
FLOW_RUN = [sys.executable, "-m", "prefect", "flow-run", "execute"]
TERMINATE_GRACE_S = 30.0
LINGER = "TIDEGATE_POD_LINGER_S"
DEFAULT_LINGER_S = 180.0
TIMED_OUT = 124
NO_SECRET = 78


def main() -> int:
    environment = dict(os.environ)
    missing = fill_in_secrets(environment)
    if missing:
        _say("error", f"RunPod has not filled in these secrets: {', '.join(missing)}")
        code = NO_SECRET
    else:
        code = _run(environment, float(environment.get(TIMEOUT) or 3600))
    # Not as JSON: the worker looks for this very line.
    print(f"{END_MARK} {code}", flush=True)
    if not _asked_to_end:
        _wait_for_deletion()
        _delete_this_pod()
    return code


def _say(level: str, event: str) -> None:
    """One line with the keys of every log of ours (docs/logging.md). None of these texts holds a value of others."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    print(json.dumps({"ts": now, "level": level, "event": event, "process": "pod"}), flush=True)


def fill_in_secrets(environment: dict[str, str]) -> list[str]:
    """Replace the emulator's placeholders; names of variables whose secret is nowhere."""
    folder = environment.get(SECRETS_FOLDER)
    missing: list[str] = []
    for name, value in environment.items():
        asked = PLACEHOLDER.match(value)
        if asked is None:
            continue
        path = Path(folder or "/nonexistent", asked[1])
        if folder and path.is_file() and path.parent == Path(folder):
            environment[name] = path.read_text().strip()
        else:
            missing.append(name)
    return missing


_asked_to_end: list[int] = []


def _run(environment: Mapping[str, str], timeout_s: float) -> int:
    running: list[subprocess.Popen[bytes]] = []
    too_early: list[int] = []

    def forward(number: int, frame: FrameType | None) -> None:
        _asked_to_end.append(number)
        if running:
            running[0].send_signal(number)
        else:
            too_early.append(number)

    # Before the start: a signal in between would end this process and leave the run.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, forward)
    # In this process group: what kills the container's kills the run.
    child = subprocess.Popen(FLOW_RUN, env=dict(environment))
    running.append(child)
    for number in too_early:
        child.send_signal(number)
    try:
        return child.wait(timeout_s)
    except subprocess.TimeoutExpired:
        _say("error", f"The run took longer than {timeout_s:.0f} s and is ended.")
        _end(child)
        return TIMED_OUT


def _end(child: "subprocess.Popen[bytes]") -> None:
    child.terminate()
    try:
        child.wait(TERMINATE_GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _wait_for_deletion() -> None:
    """The worker has read the end mark or will; a container that exits would be started again by RunPod."""
    deadline = time.monotonic() + float(os.environ.get(LINGER) or DEFAULT_LINGER_S)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: _asked_to_end.append(number))
    while not _asked_to_end and time.monotonic() < deadline:
        time.sleep(0.5)


def _delete_this_pod() -> None:
    pod, key = os.environ.get("RUNPOD_POD_ID"), os.environ.get("RUNPOD_API_KEY")
    if _asked_to_end or not pod or not key:
        return
    api = os.environ.get("TIDEGATE_POD_API_URL") or "https://api.runpod.io"
    request = urllib.request.Request(
        f"{api}/v2/pods/{pod}",
        method="DELETE",
        headers={"Authorization": f"Bearer {key}", "User-Agent": "tidegate-pod"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30):
            _say("warning", "No worker came for this pod; it deletes itself.")
    except (urllib.error.URLError, OSError) as trouble:
        # Without the request: its headers hold the key.
        _say("error", f"This pod could not delete itself: {type(trouble).__name__}.")


if __name__ == "__main__":
    sys.exit(main())
