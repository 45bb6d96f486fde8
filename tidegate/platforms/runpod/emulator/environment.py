"""An emulator as a process of its own, for tests and drills: started on free ports, ended with everything in it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tidegate.domain import NeedsOperator, Secret, Transient

START_LIMIT_S = 60.0
STOP_LIMIT_S = 20.0
LOOK_EVERY_S = 0.05
# One process with many workers, on a machine that may be busy with them.
ANSWER_LIMIT_S = 60.0
MODULE = "tidegate.platforms.runpod.emulator"
# A test polls far more often than the documented budget of a key allows.
GENEROUS = {"rate_minute": "100000", "rate_hour": "1000000", "rate_day": "10000000"}


class EmulatorControl:
    """The operator's view of a running emulator: `/emulator/...` with the operator's key."""

    def __init__(self, api_url: str, key: Secret):
        self._http = httpx.Client(
            base_url=api_url, headers={"Authorization": f"Bearer {key.reveal()}"}, timeout=ANSWER_LIMIT_S
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def call(self, method: str, path: str, data: object = None) -> Any:
        """Raises: NeedsOperator when the emulator refuses, Transient when it does not answer."""
        try:
            reply = self._http.request(method, f"/emulator/{path}", content=json.dumps(data).encode())
        except httpx.HTTPError as error:
            raise Transient(
                f"The emulator does not answer: {error}.", remedy="Start it: tidegate runpod-emulator."
            ) from error
        body = reply.json()
        if reply.is_error:
            texts = "; ".join(body.get("errors", []))
            raise NeedsOperator(f"The emulator refuses: {body.get('detail')} {texts}".strip())
        return body

    def state(self) -> dict[str, Any]:
        """Endpoints, pods and workers with their process ids, whatever faults make others believe."""
        return self.call("GET", "state")

    def set_stock(self, gpu: str, units: int, data_center: str | None = None) -> None:
        place = {"dataCenter": data_center} if data_center else {}
        self.call("PUT", "stock", {"gpu": gpu, "units": units, **place})

    def add_key(self, organization: str, scopes: Sequence[str]) -> Secret:
        """A further key with fewer scopes."""
        return Secret(
            self.call("POST", "keys", {"organization": organization, "scopes": list(scopes)})["key"]
        )

    def revoke_key(self, key: Secret) -> None:
        """The key is unknown from now on: every call with it is 401."""
        self.call("DELETE", "keys", {"key": key.reveal()})


class Faults:
    """Sets and clears faults; see `faults.KNOBS` for what there is."""

    def __init__(self, control: EmulatorControl):
        self._control = control

    def set(
        self,
        knob: str,
        value: bool | float | str = True,
        *,
        scope: str = "*",
        at_s: float = 0.0,
        for_s: float | None = None,
        count: int | None = None,
    ) -> None:
        event: dict[str, Any] = {"knob": knob, "value": value, "scope": scope, "at": at_s}
        if for_s is not None:
            event["for"] = for_s
        if count is not None:
            event["count"] = count
        self._control.call("PUT", "faults", event)

    def play(self, timeline: Sequence[Mapping[str, Any]]) -> None:
        """Events `{at, for, knob, value, scope}` in seconds from now."""
        self._control.call("POST", "timelines", list(timeline))

    def clear(self, knob: str | None = None) -> None:
        self._control.call("DELETE", "faults" if knob is None else f"faults/{knob}")

    def active(self) -> list[dict[str, Any]]:
        return self._control.call("GET", "faults")["faults"]


class MockRunPodEnvironment:
    """`with MockRunPodEnvironment() as runpod:` gives URLs, a key per organization, faults, and no leftovers.

    Without `home` its state lives in a temporary folder that is removed at the end. `told_data_url` is what callers
    are told as the data plane, for a drill that puts a relay before it.
    """

    def __init__(
        self,
        *,
        home: Path | None = None,
        organizations: Sequence[str] = ("swaggystacks", "scientiacapital"),
        images: Mapping[str, str] | None = None,
        timings: Mapping[str, float] | None = None,
        worker_env: Mapping[str, str] | None = None,
        credit_usd: float = 1000.0,
        catalog: Path | None = None,
        told_data_url: str = "",
    ):
        self._is_temporary = home is None
        self.home = home or Path(tempfile.mkdtemp(prefix="tidegate-runpod-"))
        self._arguments = [
            *_options("--org", organizations),
            *_options("--image", [f"{name}={command}" for name, command in (images or {}).items()]),
            *_options("--worker-env", [f"{name}={value}" for name, value in (worker_env or {}).items()]),
            *_options(
                "--timing", [f"{name}={text}" for name, text in {**GENEROUS, **(timings or {})}.items()]
            ),
            *([] if catalog is None else ["--catalog", str(catalog)]),
            f"--credit-usd={credit_usd}",
            *([f"--told-data-url={told_data_url}"] if told_data_url else []),
        ]
        self._ports: tuple[int, int] = (0, 0)
        self._process: subprocess.Popen[bytes] | None = None
        self._facts: dict[str, Any] = {}

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @property
    def api_url(self) -> str:
        return self._facts["api_url"]

    @property
    def data_url(self) -> str:
        return self._facts["data_url"]

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What the emulator's process said."""
        return (self.home / "emulator.log").read_text()

    def key(self, organization: str) -> Secret:
        """The first key of an organization: every scope."""
        return Secret((self.home / "keys" / f"{organization}.key").read_text().strip())

    def volume_folder(self, volume_id: str) -> Path:
        """Where the files of a network volume lie on this machine."""
        return self.home / "volumes" / volume_id

    def start(self) -> None:
        """Start, or start again on the same ports with the state that is there.

        Raises:
            Transient: when it does not come up; the message holds the end of its log.
        """
        (self.home / "emulator.json").unlink(missing_ok=True)
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.home / "emulator.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", MODULE, "--home", str(self.home), *self._arguments),
                    *(f"--api-port={self._ports[0]}", f"--data-port={self._ports[1]}"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._facts = self._wait_for_facts()
        self._ports = tuple(int(self._facts[name].rpartition(":")[2]) for name in ("api_url", "data_url"))  # pyright: ignore[reportAttributeAccessIssue]  two
        self.control = EmulatorControl(self.api_url, self.key("operator"))
        self.faults = Faults(self.control)

    def stop(self) -> None:
        """SIGTERM: the emulator ends its workers and pods, then itself."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: its workers live on until the next start ends them."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if hasattr(self, "control"):
            self.control.close()
        process.send_signal(number)
        try:
            process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _end(self) -> None:
        self.stop()
        end_everything_of(self.home)
        if self._is_temporary:
            shutil.rmtree(self.home, ignore_errors=True)

    def _wait_for_facts(self) -> dict[str, Any]:
        assert self._process is not None
        path = self.home / "emulator.json"
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            if path.exists():
                return json.loads(path.read_text())
            time.sleep(LOOK_EVERY_S)
        raise Transient(f"The emulator has not started. Its log ends with:\n{self.log[-2000:]}")


def end_everything_of(home: Path) -> None:
    """Kill what a killed emulator has left behind, by its own records."""
    import sqlite3

    from tidegate.platforms.runpod.emulator.container import end_processes_of
    from tidegate.platforms.runpod.emulator.persistence import Documents

    path = home / "state.sqlite"
    if not path.exists():
        return
    try:
        documents = Documents(path)
    except sqlite3.Error as error:
        raise NeedsOperator(f"The emulator's state in {path} cannot be read: {error}.") from error
    for row in documents.load("process"):
        end_processes_of(row["id"])
        documents.delete("process", row["id"])
    documents.close()


def _options(name: str, values: Sequence[str]) -> list[str]:
    return [f"{name}={value}" for value in values]


def running_emulator(home: Path) -> dict[str, Any]:
    """URLs and key files of the emulator that runs in a folder.

    Raises:
        Transient: when none does.
    """
    try:
        facts = json.loads((home / "emulator.json").read_text())
        os.kill(facts["pid"], 0)
    except (OSError, ValueError, KeyError) as error:
        raise Transient(
            f"No emulator runs in {home}.", remedy=f"Start it: tidegate runpod-emulator start --home {home}"
        ) from error
    return facts
