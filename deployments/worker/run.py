"""What a worker starts for each flow run: hands it to the flow host, or becomes the engine itself.

    python -m deployments.worker.run

Reads `TIDEGATE_FLOW_HOST` (the host's socket). Signals go on to the run; its exit code becomes this one's.
Imports nothing heavy: that is its purpose.
"""

import json
import os
import signal
import socket
import sys
from types import FrameType

HOST_VARIABLE = "TIDEGATE_FLOW_HOST"
FORWARDED = (signal.SIGTERM, signal.SIGINT)


def main() -> None:
    path = os.environ.get(HOST_VARIABLE)
    connection = _connect(path) if path else None
    if connection is None:
        os.execv(sys.executable, [sys.executable, "-m", "prefect.engine"])
    _end_as(_hand_over(connection))


def _connect(path: str) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(path)
    except OSError:
        connection.close()
        return None
    return connection


def _hand_over(connection: socket.socket) -> int:
    """Exit code of the run, negative for a signal; 1 when the host died, and the run with it."""
    pid = 0
    waiting: list[int] = []

    def forward(number: int, frame: FrameType | None) -> None:
        if pid:
            os.kill(pid, number)
        else:
            waiting.append(number)

    for number in FORWARDED:
        signal.signal(number, forward)
    body = json.dumps({"environment": dict(os.environ), "folder": os.getcwd()}).encode()
    socket.send_fds(connection, [len(body).to_bytes(8, "big")], [0, 1, 2])
    connection.sendall(body)
    with connection.makefile("r") as replies:
        pid = int(replies.readline() or 0)
        for number in waiting:
            os.kill(pid, number)
        answer = replies.readline()
    if not answer and pid:
        os.killpg(pid, signal.SIGKILL)
    return int(answer or 1)


def _end_as(code: int) -> None:
    """Exit as the run did, also by the same signal: the worker tells a crash from a failure by it."""
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code not in (signal.SIGKILL, signal.SIGSTOP) else None
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    main()
