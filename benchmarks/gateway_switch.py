"""How fast and how safely does traffic move? One gateway or several, two fake sets, a steady load on loopback.

    python benchmarks/gateway_switch.py --switches 10 --requests 10000 --gateways 2

A switch writes a new generation to the route source (the "command"), exactly as a release does. Measured from
there: until the agent reports that Envoy confirmed it, and until at least 99 % of the requests that start
later are answered by the new set. Prints a table to stderr and JSON to stdout; ends with 1 if a request failed.
"""

import argparse
import asyncio
import json
import multiprocessing
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from aiohttp import web

from tidegate.domain import GatewayStatus, LiveBatch, Route, Secret, TrafficCounts, Upstream
from tidegate.gateway import ClientKey, GatewayConfig, serve

ORG, SERVICE, KEY = "bench", "chat", "key-of-the-benchmark"
SETTLED_SHARE = 0.99
STREAM_EVERY = 20
PAUSE_S = 0.8
SPAWN = multiprocessing.get_context("spawn")


def fake_set(name: str, port_out: Connection) -> None:
    """A set that answers at once, or streams ten chunks over 0.1 s."""

    async def complete(request: web.Request) -> web.StreamResponse:
        if not (await request.json()).get("stream"):
            return web.json_response({"choices": [{"message": {"content": name}}]})
        reply = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await reply.prepare(request)
        for number in range(10):
            await reply.write(f"data: {number}\n\n".encode())
            await asyncio.sleep(0.01)
        await reply.write(b"data: [DONE]\n\n")
        return reply

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def run() -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", complete)
        app.router.add_get("/health", health)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port_out.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(run())


@dataclass
class Source:
    """The wanted route in memory, and when the gateway confirmed each generation."""

    upstreams: tuple[Upstream, ...]
    number: int = 0
    route: Route | None = None
    gateways: int = 1
    confirmed_by: dict[int, set[str]] = field(default_factory=dict)
    confirmed_at: dict[int, float] = field(default_factory=dict)
    """When the last gateway confirmed each generation."""

    def put(self, weights: dict[str, int], newest: str) -> int:
        generation = self.number + 1
        self.route = Route(
            org=ORG,
            service=SERVICE,
            generation=generation,
            upstreams=self.upstreams,
            weights=weights,
            newest=newest,
        )
        self.number = generation
        return generation

    def list_routes(self) -> list[Route]:
        return [self.route] if self.route is not None else []

    def generation(self) -> int:
        return self.number

    def report_gateway(self, status: GatewayStatus) -> None:
        by = self.confirmed_by.setdefault(status.observed_generation, set())
        by.add(status.gateway)
        if len(by) == self.gateways:
            self.confirmed_at.setdefault(status.observed_generation, time.perf_counter())

    def record_counts(self, gateway: str, counts: Sequence[TrafficCounts]) -> None:
        return

    def wanted_of_gateway(self, gateway: str) -> None:
        return

    def record_live(self, batches: Sequence[LiveBatch]) -> None:
        return

    def confirmed(self, generation: int) -> float:
        deadline = time.perf_counter() + 15
        while generation not in self.confirmed_at:
            if time.perf_counter() > deadline:
                raise TimeoutError(f"generation {generation} was not confirmed")
            time.sleep(0.001)
        return self.confirmed_at[generation]


@dataclass(frozen=True)
class Answer:
    started: float
    ended: float
    set_name: str
    is_stream: bool


@dataclass
class Load:
    """A closed loop of workers; every answer with its start, so that switches can be judged afterwards."""

    urls: Sequence[str]
    is_over: Callable[[], bool]
    count: Callable[[int], None]
    answers: list[Answer] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    async def run(self, workers: int) -> None:
        headers = {"authorization": f"Bearer {KEY}"}
        async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0)) as session:
            await asyncio.gather(*(self._work(session, number) for number in range(workers)))

    async def _work(self, session: aiohttp.ClientSession, number: int) -> None:
        url = self.urls[number % len(self.urls)]
        while not self.is_over():
            number += 1
            await self._ask(session, url, is_stream=number % STREAM_EVERY == 0)
            self.count(len(self.answers))

    async def _ask(self, session: aiohttp.ClientSession, url: str, *, is_stream: bool) -> None:
        started = time.perf_counter()
        try:
            async with session.post(url, json={"stream": is_stream}) as reply:
                text = await reply.text()
        except aiohttp.ClientError as error:
            self.failures.append(repr(error))
            return
        if reply.status != 200 or (is_stream and "[DONE]" not in text):
            self.failures.append(f"{reply.status} {text[:100]}")
            return
        name = reply.headers["x-tidegate-set"]
        self.answers.append(Answer(started, time.perf_counter(), name, is_stream))


def load_process(urls: Sequence[str], workers: int, over: Event, answered: Any, out: Connection) -> None:
    """The load in a process of its own, so that it does not slow the agent that it measures."""
    load = Load(urls, over.is_set, lambda count: setattr(answered, "value", count))
    asyncio.run(load.run(workers))
    out.send((load.answers, load.failures))


class Command(NamedTuple):
    """What was asked for; the times are of the clock that all processes share."""

    kind: str
    target: str
    commanded: float
    confirmed: float


@dataclass(frozen=True)
class Switch:
    """One command and what followed, in milliseconds."""

    kind: str
    confirmed_ms: float
    settled_ms: float
    last_old_ms: float


def command_switches(source: Source, switches: int, is_enough: Callable[[], bool]) -> list[Command]:
    """Switches there and back under load, evenly spaced, until there were enough of both."""
    old, new = (upstream.set_name for upstream in source.upstreams)
    commands: list[Command] = []
    while len(commands) < 2 * switches or not is_enough():
        is_forward = len(commands) % 2 == 0
        time.sleep(PAUSE_S)
        commanded = time.perf_counter()
        generation = source.put({old: 0, new: 100} if is_forward else {old: 100, new: 0}, new)
        kind, target = ("switch", new) if is_forward else ("rollback", old)
        commands.append(Command(kind, target, commanded, source.confirmed(generation)))
    time.sleep(PAUSE_S)
    return commands


def judge(command: Command, until: float, answers: list[Answer]) -> Switch:
    """Settled: from this start on, at least 99 % of the requests before the next command met the target."""
    commanded, target = command.commanded, command.target
    later = sorted((one for one in answers if commanded <= one.started < until), key=lambda one: one.started)
    settled = later[-1].started
    hits = 0
    for count, one in enumerate(reversed(later), start=1):
        hits += one.set_name == target
        if hits / count >= SETTLED_SHARE:
            settled = one.started
    old = [one.started for one in later if one.set_name != target]
    return Switch(
        kind=command.kind,
        confirmed_ms=(command.confirmed - commanded) * 1000,
        settled_ms=(settled - commanded) * 1000,
        last_old_ms=(max(old) - commanded) * 1000 if old else 0.0,
    )


def spread(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 1),
        "min": round(min(values), 1),
        "max": round(max(values), 1),
        "stdev": round(statistics.stdev(values), 1) if len(values) > 1 else 0.0,
    }


def summarize(switches: list[Switch], answers: list[Answer], failures: list[str]) -> dict[str, Any]:
    latencies = sorted(1000 * (one.ended - one.started) for one in answers if not one.is_stream)
    took = max(one.ended for one in answers) - min(one.started for one in answers)
    kinds = {
        kind: {
            "count": len(chosen),
            "command_to_confirmed_ms": spread([one.confirmed_ms for one in chosen]),
            "command_to_99_percent_ms": spread([one.settled_ms for one in chosen]),
            "last_request_to_the_former_set_ms": spread([one.last_old_ms for one in chosen]),
        }
        for kind in ("switch", "rollback")
        if (chosen := [one for one in switches if one.kind == kind])
    }
    return {
        **kinds,
        "requests": len(answers) + len(failures),
        "streams": sum(one.is_stream for one in answers),
        "failed": len(failures),
        "failures": failures[:5],
        "requests_per_second": round(len(answers) / took),
        "latency_ms": {
            "p50": round(latencies[len(latencies) // 2], 2),
            "p99": round(latencies[int(len(latencies) * 0.99)], 2),
        },
    }


def print_table(result: dict[str, Any]) -> None:
    print(f"{'':10}{'measure (ms)':36}{'median':>9}{'min':>9}{'max':>9}{'stdev':>9}", file=sys.stderr)
    for kind in ("switch", "rollback"):
        for name, values in result[kind].items():
            if isinstance(values, dict):
                numbers = "".join(f"{values[column]:>9}" for column in ("median", "min", "max", "stdev"))
                print(f"{kind:10}{name.removesuffix('_ms'):36}{numbers}", file=sys.stderr)
    print(
        f"{result['requests']} requests, {result['streams']} of them streams, {result['failed']} failed, "
        f"{result['requests_per_second']} a second",
        file=sys.stderr,
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(switches: int, requests: int, workers: int, gateways: int = 1) -> dict[str, Any]:
    with ExitStack() as stack:
        sets = tuple(start_fake_set(name, stack) for name in ("set-old", "set-new"))
        source = Source(sets, gateways=gateways)
        urls = [start_gateway(source, f"bench-{number}", stack) for number in range(gateways)]
        old, new = (upstream.set_name for upstream in source.upstreams)
        source.confirmed(source.put({old: 100, new: 0}, new))
        over, answered, (receive, send) = SPAWN.Event(), SPAWN.Value("l", 0), SPAWN.Pipe(duplex=False)
        load = SPAWN.Process(target=load_process, args=(urls, workers, over, answered, send), daemon=True)
        load.start()
        wait_until(lambda: answered.value > 0)
        commands = command_switches(source, switches, lambda: answered.value >= requests)
        over.set()
        answers, failures = receive.recv()
        load.join()
    ends = [command.commanded for command in commands[1:]] + [float("inf")]
    judged = [judge(command, until, answers) for command, until in zip(commands, ends, strict=True)]
    return summarize(judged, answers, failures)


def start_fake_set(name: str, stack: ExitStack) -> Upstream:
    receive, send = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=fake_set, args=(name, send), daemon=True)
    process.start()
    stack.callback(process.join)
    stack.callback(process.terminate)
    port = receive.recv()
    return Upstream(set_name=name, host="127.0.0.1", port=port, digest="a" * 64, release_id=f"rel-{name}")


def start_gateway(source: Source, name: str, stack: ExitStack) -> str:
    """The agent in a thread, Envoy as its process; returns the URL of the service."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tg-")))
    config = GatewayConfig(name, folder / "gw", free_port(), folder / "a.sock", shutdown_s=5)
    keys = [ClientKey.of(ORG, "load", Secret(KEY))]
    stop = threading.Event()
    agent = threading.Thread(target=serve, args=(config, source, lambda: keys, stop))
    agent.start()
    stack.callback(agent.join)
    stack.callback(stop.set)
    return f"http://127.0.0.1:{config.port}/{ORG}/{SERVICE}/v1/chat/completions"


def wait_until(holds: Callable[[], bool], deadline_s: float = 15) -> None:
    end = time.perf_counter() + deadline_s
    while not holds():
        if time.perf_counter() > end:
            raise TimeoutError("the load did not start")
        time.sleep(0.01)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--switches", type=int, default=10, help="switches, each followed by a rollback")
    parser.add_argument("--requests", type=int, default=10_000, help="requests at least, over all switches")
    parser.add_argument("--workers", type=int, default=16, help="requests in flight at once")
    parser.add_argument("--gateways", type=int, default=1, help="gateways; all must confirm each switch")
    chosen = parser.parse_args()
    result = run(chosen.switches, chosen.requests, chosen.workers, chosen.gateways)
    print_table(result)
    print(json.dumps(result, indent=2))
    return 1 if result["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
