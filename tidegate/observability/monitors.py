"""Runs Prometheus and Alertmanager beside the stack of this machine, until somebody ends them. For a look, and for tests.

An installation that people rely on has them elsewhere: what runs here ends with the terminal that it was started in.
"""

import os
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tidegate.domain import NeedsOperator, Secret
from tidegate.log_files import tail
from tidegate.observability.monitoring_settings import MonitoringSettings, OnCall

TOKEN_FILE = "alert-token"
READY_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 30.0
POLL_S = 0.1
SHOWN_LOG_LINES = 8
KEPT = "3d"
"""How long Prometheus keeps what it saw: enough for a look at the last nights."""


def of_this_stack(
    standing: MonitoringSettings, urls: Mapping[str, str], ports: Mapping[str, int], folder: Path
) -> MonitoringSettings:
    """The installation's settings with the addresses of a stack that runs here. Nobody is mailed or paged outside."""
    host = "127.0.0.1"
    return standing.model_copy(
        update={
            "exporter": urls["exporter"].partition("://")[2],
            "console": urls["console"],
            "engine_targets": f"{urls['exporter']}/sd/engines",
            "alert_token_file": str(folder / TOKEN_FILE),
            "prometheus": f"{host}:{ports['prometheus']}",
            "alertmanager": f"{host}:{ports['alertmanager']}",
            "mail": None,
            "on_call": OnCall(),
            "dead_man_url": None,
        }
    )


def keep_token(folder: Path, token: Secret) -> None:
    """Where Alertmanager reads it, for nobody else's eyes."""
    draft = folder / f".{TOKEN_FILE}.{os.getpid()}"
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(token.reveal())
    draft.replace(folder / TOKEN_FILE)


@dataclass(frozen=True)
class Monitor:
    """One of the two programs: how it is started, and where it answers."""

    name: str
    words: Sequence[str]
    address: str
    log: Path

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.address}/-/ready", timeout=2) as reply:
                return reply.status == 200
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def ended(self, code: int) -> NeedsOperator:
        said = "\n".join(tail(self.log, SHOWN_LOG_LINES))
        return NeedsOperator(
            f"{self.name} ended with code {code}. It last said:\n{said}",
            remedy=f"The whole log is {self.log}. See: tidegate monitoring render --out DIR, and promtool check config.",
        )


def monitors(
    settings: MonitoringSettings, folder: Path, prometheus: Path, alertmanager: Path
) -> list[Monitor]:
    """Both, reading the rendered files below `folder`. They listen at the addresses of the settings alone."""
    return [
        Monitor(
            "alertmanager",
            (
                str(alertmanager),
                f"--config.file={folder}/alertmanager/alertmanager.yml",
                f"--storage.path={folder}/alertmanager-data",
                f"--web.listen-address={settings.alertmanager}",
                # Empty: it has no peers, and opens no port to find some.
                "--cluster.listen-address=",
            ),
            settings.alertmanager,
            folder / "alertmanager.log",
        ),
        Monitor(
            "prometheus",
            (
                str(prometheus),
                f"--config.file={folder}/prometheus/prometheus.yml",
                f"--storage.tsdb.path={folder}/prometheus-data",
                f"--storage.tsdb.retention.time={KEPT}",
                f"--web.listen-address={settings.prometheus}",
            ),
            settings.prometheus,
            folder / "prometheus.log",
        ),
    ]


def run_until(wanted: Sequence[Monitor], stop: threading.Event, on_ready: Callable[[], None]) -> None:
    """Start them, say when all are ready, and end them when `stop` is set or one of them has ended.

    Raises:
        NeedsOperator: one of them ended by itself, or is not ready in time; with the end of its log.
    """
    with ExitStack() as running:
        started = [(one, running.enter_context(_Started(one))) for one in wanted]
        deadline = time.monotonic() + READY_TIMEOUT_S
        waiting = list(wanted)
        while not stop.wait(POLL_S):
            for one, process in started:
                if (code := process.poll()) is not None:
                    raise one.ended(code)
            if not waiting:
                continue
            waiting = [one for one in waiting if not one.is_ready()]
            if not waiting:
                on_ready()
            elif time.monotonic() > deadline:
                raise NeedsOperator(
                    f"{waiting[0].name} is not ready after {READY_TIMEOUT_S:.0f} s.",
                    remedy=f"Its log is {waiting[0].log}.",
                )


class _Started:
    """A process in a group of its own, so that Ctrl-C in the terminal reaches us alone and both end in order."""

    def __init__(self, monitor: Monitor):
        self._monitor = monitor

    def __enter__(self) -> subprocess.Popen[bytes]:
        with self._monitor.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._monitor.words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        return self._process

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
