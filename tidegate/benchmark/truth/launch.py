"""Starts a truth server in a process of its own: a client that shares its interpreter would disturb it."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from tidegate.benchmark.truth.record import RequestTruth
from tidegate.benchmark.truth.shape import Shape
from tidegate.domain import Transient

TIMEOUT_S = 30.0


class RunningTruth:
    """A truth server that runs until `stop`, or until this process ends."""

    def __init__(self, process: subprocess.Popen[str], origin: str):
        self._process, self.origin = process, origin
        # Straight to the loopback address, whatever proxy the environment names.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    @property
    def url(self) -> str:
        """The base URL of the default shape; it ends in `/v1`."""
        return f"{self.origin}/v1"

    @property
    def pid(self) -> int:
        return self._process.pid

    def url_of(self, name: str) -> str:
        return f"{self.origin}/{name}/v1"

    def put_shape(self, name: str, shape: Shape) -> str:
        """Serve one more shape and return its base URL."""
        self._ask("PUT", f"/truth/shapes/{name}", shape.model_dump_json().encode())
        return self.url_of(name)

    def truth(self, name: str | None = None) -> list[RequestTruth]:
        """What was written so far, by all shapes or one, in the order in which the requests came."""
        found = [RequestTruth.from_dict(stored) for stored in self._ask("GET", "/truth")["requests"]]
        return [record for record in found if name is None or record.shape == name]

    def forget(self) -> None:
        self._ask("DELETE", "/truth")

    def stop(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _ask(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        request = urllib.request.Request(f"{self.origin}{path}", data=body, method=method)
        with self._opener.open(request, timeout=TIMEOUT_S) as reply:
            return json.load(reply)


def start_truth_server(shape: Shape | Mapping[str, Shape] | None = None) -> RunningTruth:
    """Start a server on a free port of the loopback address; the name "" is the default shape."""
    shapes = {"": shape or Shape()} if isinstance(shape, Shape | None) else dict(shape)
    given = json.dumps({name: one.model_dump(mode="json") for name, one in shapes.items()})
    process = subprocess.Popen(
        [sys.executable, "-m", "tidegate.benchmark.truth", "--shapes-from-stdin"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(given + "\n")
    process.stdin.flush()
    line = process.stdout.readline()
    running = RunningTruth(process, str(json.loads(line)["origin"]) if line else "")
    if not line:
        running.stop()
        raise Transient(
            "The truth server did not start.",
            remedy="Run `python -m tidegate.benchmark.truth` to see why.",
            exit_code=process.returncode,
        )
    return running
