"""What the exporter answers, path by path; one test over a real connection."""

import http.client
import json
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

import pytest

from tidegate.domain import ServiceRef
from tidegate.domain.overview import StandingSet
from tidegate.observability.collect_platform import EnginePage
from tidegate.observability.collecting import Collecting
from tidegate.observability.exporter import Exporter, serve
from tidegate.observability.registry import Readings
from tidegate.stack.port_choice import choose_ports

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
BLUE = StandingSet("blue", ServiceRef("acme", "chat"), "local", "wanted", "pipit", "v1", "stable", NOW)
PAGE = EnginePage(BLUE, {"n_decode_total": 3.0}, NOW.timestamp())
HOST = "127.0.0.1:8091"


class Store:
    name = "ledger"
    interval_s = 5.0
    names: Sequence[str] = ("tidegate_store_used_bytes",)
    is_away = False

    def collect(self, into: Readings) -> None:
        if self.is_away:
            raise ValueError("no")
        into.put("tidegate_store_used_bytes", 7, "local")


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def exporter(store: Store) -> Exporter:
    collecting = Collecting([store])
    collecting.look_all()
    return Exporter(collecting, lambda: {"blue": PAGE})


def test_metrics_are_text_of_prometheus(exporter: Exporter) -> None:
    reply = exporter.answer("/metrics", HOST)

    assert reply.content_type.startswith("text/plain; version=0.0.4")
    assert b'tidegate_store_used_bytes{store="local"} 7.0\n' in reply.body


def test_it_is_healthy_as_long_as_it_answers_and_ready_once_the_ledger_was_read(store: Store) -> None:
    store.is_away = True
    collecting = Collecting([store])
    collecting.look_all()
    exporter = Exporter(collecting, dict)
    assert exporter.answer("/healthz", HOST).status is HTTPStatus.OK
    refused = exporter.answer("/readyz", HOST)
    assert refused.status is HTTPStatus.SERVICE_UNAVAILABLE
    assert json.loads(refused.body)["reasons"] == ["ledger: ValueError"]

    store.is_away = False
    collecting.look_all()
    ready = exporter.answer("/readyz", HOST)
    assert ready.status is HTTPStatus.OK
    assert json.loads(ready.body)["reasons"] == []
    assert json.loads(ready.body)["collectors"][0]["errors"] == 1


def test_engines_are_targets_at_the_exporter_itself(exporter: Exporter) -> None:
    (target,) = json.loads(exporter.answer("/sd/engines", HOST).body)

    assert target["targets"] == [HOST]
    assert target["labels"]["__metrics_path__"] == "/engines/blue/metrics"
    assert (target["labels"]["org"], target["labels"]["set"]) == ("acme", "blue")
    page = exporter.answer(target["labels"]["__metrics_path__"], HOST)
    assert page.body == b"# TYPE llamacpp_n_decode_total counter\nllamacpp_n_decode_total 3.0\n"


@pytest.mark.parametrize("path", ["/", "/engines/green/metrics", "/engines/../metrics", "/metrics/x"])
def test_any_other_path_is_not_found_and_not_repeated(exporter: Exporter, path: str) -> None:
    reply = exporter.answer(path, HOST)

    assert reply.status is HTTPStatus.NOT_FOUND
    assert path.strip("/") not in reply.body.decode() or path == "/"


def test_prometheus_gets_the_page_over_a_connection_that_stays_open(store: Store, tmp_path: Path) -> None:
    port = choose_ports(tmp_path, {"exporter": 18191}, "127.0.0.1")["exporter"]
    collecting, stop = Collecting([store]), threading.Event()
    exporter = Exporter(collecting, dict)
    server = threading.Thread(target=serve, args=(exporter, collecting, "127.0.0.1", port, stop))
    server.start()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        body = b""
        while b"tidegate_store_used_bytes" not in body:
            try:
                connection.request("GET", "/metrics?x=1")
                body = connection.getresponse().read()
            except ConnectionRefusedError:
                connection.close()
            assert server.is_alive()
    finally:
        connection.close()
        stop.set()
        server.join()
