"""What does measuring live requests cost? Two gateways before one fake set: one measures, the other does not.

    python -m benchmarks.gateway_overhead --rounds 8

Both get the same load in turns, in random order. Measured is the CPU time of each Envoy (which a busy machine does
not change much) and what clients wait. Prints a table to stderr and JSON to stdout.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

from benchmarks.gateway_switch import SPAWN, free_port
from tidegate.domain import Route, Secret, Upstream
from tidegate.gateway import ClientKey, GatewayConfig, find_envoy
from tidegate.gateway.admin import Admin
from tidegate.gateway.boots import boots
from tidegate.gateway.config import AUTH, LISTENERS
from tidegate.gateway.delivery import Delivery
from tidegate.gateway.envoy import Envoy
from tidegate.gateway.listener import LIVE_LOG
from tidegate.gateway.measured import read
from tidegate.gateway.publish import Publisher
from tidegate.gateway.render import encode, render_keys

ORG, SERVICE, KEY, SET = "bench", "chat", "key-of-the-benchmark", "set-one"
CHUNKS, STREAMS, SHORT, WORKERS = 400, 24, 400, 8
PAUSE_S = 0.002
FIRST = b'data: {"choices":[{"delta":{"role":"assistant","content":null},"finish_reason":null}]}\n\n'
CHUNK = (
    b'data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":" token"}}],"created":1700000000,'
    b'"id":"chatcmpl-abcdefghijklmnopqrstuvwxyz01","model":"m","system_fingerprint":"b1","object":"chat.completion.chunk"}\n\n'
)
LAST = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
PLAIN = b'{"choices":[{"finish_reason":"stop","message":{"content":"hi"}}],"usage":{"completion_tokens":1}}'


def fake_set(port_out: Connection) -> None:
    """Answers by hand-written HTTP, so that the set is not what is measured; every event is a write of its own."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(h.split(b":")[1]) for h in head.lower().split(b"\r\n") if h.startswith(b"content-len")), 0
        )
        body = await reader.readexactly(length)
        if b'"stream"' in body:
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n" + FIRST
            )
            for _ in range(CHUNKS):
                await asyncio.sleep(PAUSE_S)
                writer.write(CHUNK)
            writer.write(LAST)
        else:
            kind = b"application/json"
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b"
                % (kind, len(PLAIN), PLAIN)
            )
        await writer.drain()
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port_out.send(server.sockets[0].getsockname()[1])
        await asyncio.Event().wait()

    asyncio.run(run())


@dataclass
class Gateway:
    """An Envoy of ours, and what was measured about it."""

    config: GatewayConfig
    envoy: Envoy
    chunk_us: list[float] = field(default_factory=list)
    """CPU microseconds for each event of a stream."""
    request_us: list[float] = field(default_factory=list)
    latency_ms: list[float] = field(default_factory=list)
    first_ms: list[float] = field(default_factory=list)

    def cpu_s(self) -> float:
        assert self.envoy.pid is not None
        times = psutil.Process(self.envoy.pid).cpu_times()
        return times.user + times.system

    async def one(self, body: bytes) -> tuple[float, float]:
        """Seconds until the first content and until the end."""
        started, first = time.perf_counter(), 0.0
        reader, writer = await asyncio.open_connection("127.0.0.1", self.config.port)
        writer.write(
            b"POST /%b/%b/v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\nconnection: close\r\n"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            % (ORG.encode(), SERVICE.encode(), KEY.encode(), len(body), body)
        )
        seen = b""
        while piece := await reader.read(65536):
            seen = seen or piece
            if not first and b'"content":"' in piece.replace(b" ", b""):
                first = time.perf_counter() - started
        writer.close()
        if not seen.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"the gateway answered {seen[:80]!r}")
        return first, time.perf_counter() - started

    async def load(self, body: bytes, count: int) -> list[tuple[float, float]]:
        answers: list[tuple[float, float]] = []

        async def work() -> None:
            while len(answers) + WORKERS <= count + WORKERS - 1:
                answers.append(await self.one(body))

        await asyncio.gather(*(work() for _ in range(WORKERS)))
        return answers

    def round(self) -> None:
        before = self.cpu_s()
        streams = asyncio.run(self.load(b'{"stream":true}', STREAMS))
        between = self.cpu_s()
        short = asyncio.run(self.load(b"{}", SHORT))
        self.chunk_us.append(1e6 * (between - before) / (len(streams) * CHUNKS))
        self.request_us.append(1e6 * (self.cpu_s() - between) / len(short))
        self.first_ms.append(1000 * statistics.median(first for first, _ in streams))
        self.latency_ms.append(1000 * statistics.median(whole for _, whole in short))


def without_measuring(config: GatewayConfig) -> None:
    """Take the filter and its log out of the files of a gateway that has not started."""
    path = config.path(LISTENERS)
    content = json.loads(path.read_bytes())
    manager = content["resources"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    manager["http_filters"] = [one for one in manager["http_filters"] if one["name"] != "measure"]
    manager["http_filters"][-1]["typed_config"].pop("upstream_log")
    manager["access_log"] = [
        one for one in manager["access_log"] if one["typed_config"].get("path") != LIVE_LOG
    ]
    path.write_bytes(encode(content))


def start_gateway(name: str, port: int, stack: ExitStack, *, measures: bool) -> Gateway:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tg-")))
    config = GatewayConfig(name, folder / "gw", free_port(), folder / "a.sock", shutdown_s=5, concurrency=1)
    admin = stack.enter_context(Admin(config.admin_socket))
    publisher = Publisher(config, admin, find_envoy())
    publisher.prepare()
    if not measures:
        without_measuring(config)
    envoy = Envoy(config, admin, find_envoy())
    envoy.start()
    stack.callback(envoy.stop)
    Delivery(config, admin).push(AUTH, render_keys([ClientKey.of(ORG, "load", Secret(KEY))]))
    upstream = Upstream(set_name=SET, host="127.0.0.1", port=port, digest="a" * 64, release_id="rel-one")
    route = Route(
        org=ORG, service=SERVICE, generation=1, upstreams=(upstream,), weights={SET: 100}, newest=SET
    )
    publisher.publish([route], 1)
    return Gateway(config, envoy)


def pieces_a_stream(gateway: Gateway) -> float:
    """How many times the filter saw new content in a stream: less than events when some came together."""
    lines = [line for boot in boots(gateway.config) for line in boot.log.read_bytes().splitlines()]
    streams = [
        int(row["answer"].split(" ")[4])
        for row in map(json.loads, lines)
        if row["kind"] == "request" and row["wanted"] == "stream" and row["answer"]
    ]
    return statistics.mean(streams) if streams else 0.0


def reading_us(gateway: Gateway) -> float:
    """CPU microseconds in which the agent reads one line."""
    lines = [line for boot in boots(gateway.config) for line in boot.log.read_bytes().splitlines()][:5000]
    started = time.process_time()
    for line in lines:
        read(line, 2000.0)
    return 1e6 * (time.process_time() - started) / len(lines)


def spread(values: Sequence[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 2),
        "min": round(min(values), 2),
        "max": round(max(values), 2),
        "stdev": round(statistics.stdev(values), 2) if len(values) > 1 else 0.0,
    }


def run(rounds: int, seed: int) -> dict[str, Any]:
    chance = random.Random(seed)
    with ExitStack() as stack:
        receive, send = SPAWN.Pipe(duplex=False)
        process = SPAWN.Process(target=fake_set, args=(send,), daemon=True)
        process.start()
        stack.callback(process.join)
        stack.callback(process.terminate)
        port = receive.recv()
        plain, measuring = (
            start_gateway(name, port, stack, measures=name == "measuring") for name in ("plain", "measuring")
        )
        for _ in range(rounds):
            for gateway in chance.sample([plain, measuring], 2):
                gateway.round()
        time.sleep(1)
        result: dict[str, Any] = {"rounds": rounds, "pieces_a_stream": round(pieces_a_stream(measuring), 1)}
        result["reading_a_line_us"] = round(reading_us(measuring), 1)
    for name in ("chunk_us", "request_us", "first_ms", "latency_ms"):
        without, with_it = getattr(plain, name), getattr(measuring, name)
        result[name] = {
            "without": spread(without),
            "with": spread(with_it),
            "added": spread([b - a for a, b in zip(without, with_it, strict=True)]),
            "ratio": spread([b / a for a, b in zip(without, with_it, strict=True)]),
        }
    return result


def print_table(result: dict[str, Any]) -> None:
    print(
        f"{'':14}{'without':>10}{'with':>10}{'added':>10}{'stdev':>8}{'ratio':>8}{'stdev':>8}",
        file=sys.stderr,
    )
    for name in ("chunk_us", "request_us", "first_ms", "latency_ms"):
        one = result[name]
        numbers = (
            *(one[kind]["median"] for kind in ("without", "with", "added")),
            *(one["added"]["stdev"], one["ratio"]["median"], one["ratio"]["stdev"]),
        )
        columns = "".join(f"{n:>{width}}" for n, width in zip(numbers, (10, 10, 10, 8, 8, 8), strict=True))
        print(f"{name:14}{columns}", file=sys.stderr)
    print(
        f"{CHUNKS} events a stream seen in {result['pieces_a_stream']} pieces; the agent reads a line of the log in "
        f"{result['reading_a_line_us']} us of CPU",
        file=sys.stderr,
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=8, help="turns of each gateway")
    parser.add_argument("--seed", type=int, default=1, help="of the order of turns")
    chosen = parser.parse_args()
    result = run(chosen.rounds, chosen.seed)
    print_table(result)
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
