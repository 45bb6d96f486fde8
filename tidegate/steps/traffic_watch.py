"""Asks a gateway, again and again, which set gets new requests: the measure of when a switch is done.

A question is `GET /v1/models` without a pin: it goes by the same weights as a client's request, and generates nothing.
"""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime

import httpx

from tidegate.domain import Secret, ServiceRef, TidegateError
from tidegate.steps.ports import Ports
from tidegate.steps.targets import probe_key, service_url

SET_HEADER = "x-tidegate-set"
WINDOW = 100
ALLOWED_ELSEWHERE = 1
"""Of the window: 99 % went to the target."""
PAUSE_S = 0.005
LOOK_EVERY = 20
TIMEOUT_S = 2.0
LONGEST_S = 600.0


class TrafficWatch:
    """Begins with the decision, in a thread of its own, and ends when the target has new requests. It never holds up
    a rollback, and nothing rests on it. `target` tells the set that shall get them, once that is known."""

    def __init__(self, ports: Ports, ref: ServiceRef, target: Callable[[], str | None]):
        self._ports = ports
        self._ref = ref
        self._target = target
        self._over = threading.Event()
        self._seen: list[tuple[datetime, str]] = []
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        try:
            url, key = service_url(self._ports, self._ref), probe_key(self._ports)
        except TidegateError:
            return
        self._thread = threading.Thread(
            target=self._run, args=(url, key), name=f"switch of {self._ref}", daemon=True
        )
        self._thread.start()

    def finish(self, timeout_s: float = 3.0) -> datetime | None:
        """When new requests began to reach the target; None when that was not seen."""
        if self._thread is None:
            return None
        self._thread.join(timeout_s)
        self._over.set()
        self._thread.join(2 * TIMEOUT_S)
        return arrival(list(self._seen), self._target())

    def _run(self, url: str, key: Secret) -> None:
        deadline = time.monotonic() + LONGEST_S
        headers = {"authorization": f"Bearer {key.reveal()}"}
        with httpx.Client(timeout=TIMEOUT_S, trust_env=False, headers=headers) as client:
            while not self._over.wait(PAUSE_S) and time.monotonic() < deadline:
                asked = self._ports.clock()
                try:
                    reply = client.get(f"{url}/models")
                except httpx.HTTPError:
                    continue
                self._seen.append((asked, reply.headers.get(SET_HEADER, "")))
                if len(self._seen) % LOOK_EVERY == 0 and self._has_arrived():
                    return

    def _has_arrived(self) -> bool:
        try:
            return arrival(self._seen, self._target()) is not None
        except TidegateError:
            return False


def arrival(seen: Sequence[tuple[datetime, str]], target: str | None) -> datetime | None:
    """First moment from which on at least 99 of the last 100 questions, and all between, were answered by the
    target."""
    if target is None or len(seen) < WINDOW:
        return None
    hits = [name == target for _, name in seen]
    if sum(hits[-WINDOW:]) < WINDOW - ALLOWED_ELSEWHERE:
        return None
    start = len(seen) - WINDOW
    while start > 0 and hits[start - 1]:
        start -= 1
    return seen[start][0]
