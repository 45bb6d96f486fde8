"""How long Prometheus waits for the exporter, and what a look at the ledger costs behind it.

    python -m benchmarks.exporter_scrape [--services 200] [--releases 10000] [--rounds 30] [--url URL] [--plain]

A ledger of its own on SQLite, or an empty database by its URL (PostgreSQL). The real collector looks every few seconds in
its own thread, while a client scrapes over loopback as fast as it is answered, every other time right when a look begins.
`--plain` leaves Python's garbage collector and thread switches as they are, instead of as the exporter sets them.
"""

import argparse
import http.client
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.exporter_ledger import NOW, fill
from tidegate.exporting import answer_promptly
from tidegate.ledger import Ledger
from tidegate.observability.collect_ledger import LedgerCollector
from tidegate.observability.collecting import Collecting
from tidegate.observability.exporter import Exporter, serve
from tidegate.observability.ledger_source import Moments
from tidegate.stack.port_choice import choose_ports

TARGET_MS = 100.0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--services", type=int, default=200)
    parser.add_argument("--releases", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--url", help="an empty database; by default a SQLite file of its own")
    parser.add_argument("--plain", action="store_true", help="to see what the exporter's settings are worth")
    arguments = parser.parse_args()
    if not arguments.plain:
        answer_promptly()
    with tempfile.TemporaryDirectory(prefix="tg-scrape-") as folder:
        url = arguments.url or f"sqlite:///{folder}/ledger.sqlite3"
        began = time.perf_counter()
        fill(url, services=arguments.services, releases=arguments.releases)
        print(f"ledger filled in {time.perf_counter() - began:.1f} s, load average {os.getloadavg()[0]:.1f}")
        return measure(url, Path(folder), arguments.rounds)


def measure(url: str, folder: Path, rounds: int) -> int:
    with Ledger.open(url) as ledger:
        collector = LedgerCollector(
            ledger,
            Moments(ledger),
            platforms=["local"],
            called=[],
            flows=["release"],
            clock=NOW.timestamp,
        )
        collecting = Collecting([collector])
        standing = collecting.standings[0]
        first = timed(lambda: collecting.look(standing))
        assert not standing.problem, standing.problem
        looks = [timed(lambda: collecting.look(standing)) for _ in range(max(3, rounds // 6))]
        quiet, busy, size, series = scrapes(collecting, folder, rounds)
        looks += [standing.duration_s * 1000]
    print(f"page: {size / 1e6:.2f} MB, {series} series")
    told("first look, everything is rendered", [first])
    told("look at an unchanged ledger", looks)
    told("scrape between looks", quiet)
    told("scrape while a look runs", busy)
    print(f"target: {TARGET_MS:g} ms for the longest scrape, on a machine that has nothing else to do")
    return 0 if max(quiet + busy) < TARGET_MS else 1


def scrapes(collecting: Collecting, folder: Path, rounds: int) -> tuple[list[float], list[float], int, int]:
    """Milliseconds of scrapes without and with a look at the same time; bytes and series of a page."""
    port = choose_ports(folder, {"exporter": 18091}, "127.0.0.1")["exporter"]
    stop = threading.Event()
    server = threading.Thread(
        target=serve, args=(Exporter(collecting, dict), Collecting([]), "127.0.0.1", port, stop)
    )
    server.start()
    try:
        page = fetch(port)
        quiet = [timed(lambda: fetch(port)) for _ in range(rounds)]
        busy: list[float] = []
        for _ in range(rounds):
            # Everything is rendered anew, as after a busy second on every service.
            collecting.standings[0].families = {}
            look = threading.Thread(target=collecting.look, args=(collecting.standings[0],))
            look.start()
            busy.append(timed(lambda: fetch(port)))
            look.join()
    finally:
        stop.set()
        server.join()
    series = sum(not line.startswith(b"#") for line in page.splitlines())
    return quiet, busy, len(page), series


def fetch(port: int) -> bytes:
    deadline = time.monotonic() + 10
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        finally:
            connection.close()


def timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return (time.perf_counter() - began) * 1000


def told(what: str, found: list[float]) -> None:
    middle = statistics.median(found)
    print(
        f"{what:36} n={len(found):<3} min {min(found):7.1f}  median {middle:7.1f}  max {max(found):7.1f} ms"
    )


if __name__ == "__main__":
    sys.exit(main())
