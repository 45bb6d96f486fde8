"""A process that answers HTTP is asked there whether it may do its work."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidegate.domain.health import Health
from tidegate.observability.collecting import Collecting
from tidegate.observability.exporter import Exporter, serve
from tidegate.observability.registry import Readings
from tidegate.settings import load_settings
from tidegate.stack.port_choice import choose_ports
from tidegate.stack.record import Identity, ProcessRecord, StackRecord
from tidegate.stack.specification import ProcessStatus
from tidegate.watching.processes import _of_stack

LOOPBACK = "127.0.0.1"


class Ledger:
    name = "ledger"
    interval_s = 3600.0
    names = ("tidegate_store_used_bytes",)
    is_away = True

    def collect(self, into: Readings) -> None:
        if self.is_away:
            raise ValueError("no")


@pytest.fixture
def exporter(tmp_path: Path) -> Iterator[tuple[str, Ledger, Collecting]]:
    port = choose_ports(tmp_path, {"exporter": 18391}, LOOPBACK)["exporter"]
    ledger, stop = Ledger(), threading.Event()
    collecting = Collecting([ledger])
    server = threading.Thread(
        target=serve, args=(Exporter(collecting, dict), Collecting([]), LOOPBACK, port, stop)
    )
    server.start()
    yield f"http://{LOOPBACK}:{port}", ledger, collecting
    stop.set()
    server.join()


def seen(folder: Path, url: str) -> tuple[Health, str]:
    one = ProcessRecord("exporter", "service", ProcessStatus.READY, "exporter.log")
    record = StackRecord(str(folder), "ready", Identity(1, "x"), 0.0, {"exporter": url}, {}, (one,))
    (part,) = _of_stack(load_settings({"TIDEGATE_HOME": str(folder)}, folder), record)
    return part.health, part.text


def test_an_exporter_is_well_once_it_has_read_the_ledger(
    tmp_path: Path, exporter: tuple[str, Ledger, Collecting]
):
    url, ledger, collecting = exporter
    collecting.look_all()
    deadline = time.monotonic() + 60
    while (found := seen(tmp_path, url))[1] != "ledger: ValueError" and time.monotonic() < deadline:
        # It does not listen yet.
        assert found[0] is Health.FAILED
    assert found == (Health.FAILED, "ledger: ValueError")

    ledger.is_away = False
    collecting.look_all()
    assert seen(tmp_path, url) == (Health.OK, "alive, and may do its work")


def test_an_exporter_that_does_not_answer_is_not_well(tmp_path: Path):
    port = choose_ports(tmp_path, {"exporter": 18491}, LOOPBACK)["exporter"]

    health, text = seen(tmp_path, f"http://{LOOPBACK}:{port}")

    assert health is Health.FAILED
    assert text.startswith("it does not answer")
