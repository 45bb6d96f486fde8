"""Real processes that use one ledger at once. Run as a program: imports once, then forks a child for each job.

Reads one JSON line `{"jobs": [[name, arguments...], ...], "kill": null}` and answers one line: per job
what it returned, or its error, and what it had acknowledged before it was killed.
"""

import json
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import orchestrating

from tidegate.domain import (
    Fenced,
    ReleaseRequest,
    RequestProof,
    Route,
    ServiceRef,
    TidegateError,
    Upstream,
)
from tidegate.ledger.ledger import Ledger

REF = ServiceRef("acme", "chat")


def open_ledger(ledger: Ledger) -> str:
    return "open"


def request(ledger: Ledger, key: str) -> str:
    wanted = ReleaseRequest(org="acme", service="chat", model="pipit", version="1")
    return ledger.request_release(wanted, "a" * 64, key=key).id


def spend(ledger: Ledger, proof: dict[str, Any], release: str) -> str:
    ledger.spend(RequestProof.model_validate(proof), release)
    return release


def request_with(ledger: Ledger, proof: dict[str, Any], key: str) -> str:
    wanted = ReleaseRequest(org="acme", service="chat", model="pipit", version="1")
    return ledger.request_release(wanted, "a" * 64, key=key, proof=RequestProof.model_validate(proof)).id


def lock(ledger: Ledger, release: str) -> int | None:
    return ledger.acquire_lock(REF, release)


def note(ledger: Ledger, release: str, epoch: int, times: int) -> list[int]:
    return [
        ledger.append(release, epoch, "note", "row", {"pid": os.getpid(), "n": n}).seq for n in range(times)
    ]


def fight(ledger: Ledger, release: str, rounds: int) -> Iterator[tuple[int, int]]:
    """Take the release over and write until somebody else takes it; tell the rows that were acknowledged."""
    for _ in range(rounds):
        epoch = ledger.acquire_lock(REF, release)
        assert epoch is not None
        with suppress(Fenced):
            for _ in range(3):
                yield ledger.append(release, epoch, "note", "row").seq, epoch


def route(ledger: Ledger, service: str, times: int) -> list[int]:
    return [ledger.put_route(_route(service, n), epoch=0) for n in range(times)]


def write_forever(ledger: Ledger, release: str) -> Iterator[int]:
    """Acknowledge each row by its number; between two rows, other writes that may be cut as well."""
    epoch = ledger.acquire_lock(REF, release)
    assert epoch is not None
    for n in range(1_000_000):
        yield ledger.append(release, epoch, "note", "row", {"n": n}).seq
        ledger.put_route(_route("chat", n), epoch=epoch)
        ledger.heartbeat(release, f"here:{os.getpid()}")


def _route(service: str, n: int) -> Route:
    upstreams = tuple(
        Upstream(set_name=name, host="127.0.0.1", port=8000, digest="a" * 64, release_id="r-1")
        for name in ("blue", "green")
    )
    weights = {"blue": n % 101, "green": 100 - n % 101}
    return Route(org="acme", service=service, upstreams=upstreams, weights=weights)


JOBS: dict[str, Callable[..., Any]] = {
    "open": open_ledger,
    "request": request,
    "spend": spend,
    "request_with": request_with,
    "lock": lock,
    "note": note,
    "fight": fight,
    "route": route,
    "write_forever": write_forever,
    "contend": orchestrating.contend,
    "gateway": orchestrating.gateway,
}


def work(url: str, job: list[Any], start: int, answers: int) -> None:
    """In the child: wait for the start, which is the end of a pipe, do the job, answer in lines."""

    def answer(kind: str, value: Any) -> None:
        os.write(answers, (json.dumps([kind, value]) + "\n").encode())

    name, *arguments = job
    ledger = None if name == "open" else Ledger.open(url)
    answer("ready", None)
    os.read(start, 1)
    try:
        result = JOBS[name](ledger or Ledger.open(url), *arguments)
        if isinstance(result, Iterator):
            for one in result:
                answer("done", one)
        else:
            answer("result", result)
    except TidegateError as error:
        answer("error", [type(error).__name__, str(error)])


def run(url: str, jobs: list[list[Any]], kill: tuple[int, float] | None) -> list[dict[str, Any]]:
    """Start all jobs at one moment; when asked, kill them all after so many rows and seconds."""
    start_read, start_write = os.pipe()
    children: dict[int, tuple[int, bytes]] = {}
    for job in jobs:
        answers_read, answers_write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(start_write)
            try:
                work(url, job, start_read, answers_write)
            finally:
                os._exit(0)
        os.close(answers_write)
        children[pid] = (answers_read, b"")
    os.close(start_read)
    for pid, (pipe, _) in children.items():
        children[pid] = (pipe, _read_line(pipe))
    os.close(start_write)
    if kill is not None:
        _kill_later(children, *kill)
    told = [_told(seen + _read_all(pipe)) for pipe, seen in children.values()]
    for pid in children:
        os.waitpid(pid, 0)
    return told


def _kill_later(children: dict[int, tuple[int, bytes]], rows: int, seconds: float) -> None:
    """`rows` lines from each child, then `seconds` more, in which whatever it says stays in its pipe."""
    for pid, (pipe, seen) in children.items():
        children[pid] = (pipe, seen + b"".join(_read_line(pipe) for _ in range(rows)))
    select.select([], [], [], seconds)
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def _read_line(pipe: int) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        line += os.read(pipe, 1) or b'["died", null]\n'
    return line


def _read_all(pipe: int) -> bytes:
    with os.fdopen(pipe, "rb") as stream:
        return stream.read()


def _told(answers: bytes) -> dict[str, Any]:
    lines = [json.loads(line) for line in answers.splitlines()]
    told: dict[str, Any] = {"done": [value for kind, value in lines if kind == "done"]}
    return told | {kind: value for kind, value in lines if kind in ("result", "error", "died")}


if __name__ == "__main__":
    print("ready", flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        print(json.dumps(run(command["url"], command["jobs"], command["kill"])), flush=True)
