"""How much the RunPod emulator carries: load-balanced requests per second, and memory with idle workers.

    python -m benchmarks.runpod_emulator [--seconds 10] [--workers 50] [--clients 16]

The worker is as small as it can be (one answer for everything), so that the emulator is what is measured. The
figures are for one machine: it carries the emulator, the workers and the client at once. Memory is the sum of
PSS (shared pages counted once) of the emulator's own process; its workers are told apart.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import psutil

from tidegate.platforms.runpod.emulator import MockRunPodEnvironment

MINIMAL_WORKER = """
import asyncio, os

REPLY = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: 2\\r\\n\\r\\n{}"

class Answer(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, data):
        self.transport.write(REPLY)

async def main():
    loop = asyncio.get_running_loop()
    for name in ("PORT", "PORT_HEALTH"):
        await loop.create_server(Answer, "127.0.0.1", int(os.environ[name]))
    await asyncio.Event().wait()

asyncio.run(main())
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="how long requests are sent (default 10)")
    parser.add_argument("--clients", type=int, default=16, help="requests at once (default 16)")
    parser.add_argument("--workers", type=int, default=50, help="idle workers (default 50)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "worker.py"
        script.write_text(MINIMAL_WORKER)
        with MockRunPodEnvironment(
            images={"minimal": f"{sys.executable} -S -E {script}"}, timings={"data_rate_factor": 1000}
        ) as runpod:
            figures = {
                **throughput(runpod, arguments.seconds, arguments.clients),
                **idle(runpod, arguments.workers),
            }
    figures |= {"date": datetime.now(UTC).isoformat(), "cores": os.cpu_count(), "load_before": LOAD_BEFORE}
    print(json.dumps(figures))


LOAD_BEFORE = os.getloadavg()[0]


def endpoint(runpod: MockRunPodEnvironment, organization: str, name: str, workers: int) -> dict[str, Any]:
    """A load-balancing endpoint with so many workers, all ready."""
    headers = {"Authorization": f"Bearer {runpod.key(organization).reveal()}"}
    body = {
        "name": name,
        "type": "LOAD_BALANCER",
        "image": "minimal:1",
        "scaling": {"type": "REQUEST_COUNT", "requestCount": 1000},
        "cpu": [{"id": "cpu3c", "vcpuCount": 2}],
        "ports": ["80/http"],
        "workers": {"min": workers, "max": workers},
    }
    with httpx.Client(base_url=runpod.api_url, headers=headers, timeout=30) as http:
        made = http.post("/v2/serverless", json=body).raise_for_status().json()
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            told = http.get(f"/v2/serverless/{made['id']}/workers").raise_for_status().json()
            if told["summary"]["idle"] == workers:
                return made
            time.sleep(0.2)
    raise SystemExit(f"{workers} workers were not ready in time: {told['summary']}")


def throughput(runpod: MockRunPodEnvironment, seconds: float, clients: int) -> dict[str, float]:
    base = endpoint(runpod, "swaggystacks", "requests", 2)["requestUrls"]["base"]
    times = asyncio.run(send(f"{base}/v1/x", runpod.key("swaggystacks").reveal(), seconds, clients))
    times.sort()
    rate = len(times) / seconds
    p50, p99 = times[len(times) // 2] * 1000, times[int(len(times) * 0.99)] * 1000
    print(f"load-balanced requests   {rate:8.0f} /s   p50 {p50:.1f} ms   p99 {p99:.1f} ms   (goal: 200 /s)")
    return {"requests_per_s": rate, "p50_ms": p50, "p99_ms": p99}


async def send(url: str, key: str, seconds: float, clients: int) -> list[float]:
    times: list[float] = []
    until = time.monotonic() + seconds

    async def one(session: aiohttp.ClientSession) -> None:
        while time.monotonic() < until:
            began = time.perf_counter()
            async with session.post(url, data=b'{"messages": []}') as reply:
                await reply.read()
                if reply.status != 200:
                    raise SystemExit(f"a request was answered {reply.status}")
            times.append(time.perf_counter() - began)

    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
        await asyncio.gather(*(one(session) for _ in range(clients)))
    return times


def idle(runpod: MockRunPodEnvironment, workers: int) -> dict[str, float]:
    endpoint(runpod, "scientiacapital", "idle", workers)
    emulator = psutil.Process(runpod.pid)
    emulator.cpu_percent()
    time.sleep(5)
    cpu = emulator.cpu_percent()
    own = _mib(emulator)
    theirs = sum(_mib(child) for child in emulator.children(recursive=True))
    print(f"emulator, {workers} idle workers {own:8.1f} MiB  {cpu:.0f} % of a core   (goal: below 1024 MiB)")
    print(f"the workers themselves   {theirs:8.1f} MiB")
    return {"emulator_mib": own, "workers_mib": theirs, "idle_cpu_percent": cpu}


def _mib(process: psutil.Process) -> float:
    try:
        full = process.memory_full_info()
        return float(getattr(full, "pss", full.rss)) / 2**20
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        return 0.0


if __name__ == "__main__":
    main()
