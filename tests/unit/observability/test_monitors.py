"""Prometheus and Alertmanager beside a stack: what they are told of it, and how one that ends is told of."""

import stat
import threading
from pathlib import Path

import pytest

from tidegate.domain import NeedsOperator, Secret
from tidegate.observability.monitoring_settings import Mail, MonitoringSettings, OnCall
from tidegate.observability.monitors import Monitor, keep_token, monitors, of_this_stack, run_until

URLS = {"exporter": "http://127.0.0.1:8191", "console": "http://127.0.0.1:8190"}
PORTS = {"prometheus": 9190, "alertmanager": 9193}
LIVES = "trap 'echo ended; exit' TERM; touch {up}; while :; do sleep 0.05; done"


def test_they_read_the_stack_that_is_up_wherever_it_listens(tmp_path: Path) -> None:
    here = of_this_stack(MonitoringSettings(), URLS, PORTS, tmp_path)

    assert (here.exporter, here.console) == ("127.0.0.1:8191", "http://127.0.0.1:8190")
    assert here.engine_targets == "http://127.0.0.1:8191/sd/engines"
    words = [word for one in monitors(here, tmp_path, Path("p"), Path("a")) for word in one.words]
    listening = [word for word in words if "listen-address" in word]
    assert listening == [
        "--web.listen-address=127.0.0.1:9193",
        "--cluster.listen-address=",
        "--web.listen-address=127.0.0.1:9190",
    ]


def test_a_look_on_a_laptop_mails_nobody_and_rings_nowhere(tmp_path: Path) -> None:
    real = MonitoringSettings(
        mail=Mail(smarthost="m.example:587", sender="a@b.example"),
        on_call=OnCall(operators=("a@b.example",)),
        dead_man_url="https://dead-man.example/ping",
    )

    here = of_this_stack(real, URLS, PORTS, tmp_path)

    assert (here.mail, here.on_call, here.dead_man_url) == (None, OnCall(), None)


def test_the_token_is_for_nobody_else_also_when_it_was_there_before(tmp_path: Path) -> None:
    for value in ("first", "second"):
        keep_token(tmp_path, Secret(value))

    (kept,) = tmp_path.iterdir()
    assert (kept.name, kept.read_text()) == ("alert-token", "second")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def shell(folder: Path, name: str, text: str) -> Monitor:
    # Nothing answers there: it is never ready.
    return Monitor(name, ("/bin/sh", "-c", text), "127.0.0.1:1", folder / f"{name}.log")


def test_one_that_ends_by_itself_is_told_with_what_it_last_said_and_the_other_is_ended(
    tmp_path: Path,
) -> None:
    up = tmp_path / "up"
    other = shell(tmp_path, "alertmanager", LIVES.format(up=up))
    wrong = shell(tmp_path, "prometheus", f"until [ -e {up} ]; do sleep 0.02; done; echo bad rule; exit 3")

    with pytest.raises(NeedsOperator, match="prometheus ended with code 3") as caught:
        run_until([other, wrong], threading.Event(), lambda: None)

    assert "bad rule" in caught.value.message
    assert str(wrong.log) in caught.value.remedy
    assert other.log.read_text() == "ended\n"


def test_nothing_is_left_when_somebody_ends_it(tmp_path: Path) -> None:
    stop = threading.Event()
    one = shell(tmp_path, "prometheus", LIVES.format(up=tmp_path / "up"))
    running = threading.Thread(target=run_until, args=([one], stop, lambda: None))
    running.start()
    waited = threading.Event()
    while not (tmp_path / "up").exists():
        waited.wait(0.02)

    stop.set()
    running.join()

    assert one.log.read_text() == "ended\n"
