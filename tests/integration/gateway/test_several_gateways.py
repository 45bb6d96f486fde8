"""Two gateways as real processes on one ledger: who is waited for, what a silent one keeps, and how one is replaced."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import Result
from typer.testing import CliRunner

from tidegate import wiring
from tidegate.access import api_key_name
from tidegate.cli.app import app
from tidegate.domain import GatewayStatus, Route, ServiceRef
from tidegate.release.confirmation import alive, is_confirmed, silent_sets
from tidegate.settings import SOURCE_ROOT, load_settings
from tidegate.steps import Ports

REF = ServiceRef("swaggystacks", "chat")
NAMES = ("gateway-1", "gateway-2")
START_S = 240.0
"""Two whole programs start at once, and load everything that they are made of."""


@dataclass
class Pair:
    """Both gateways, the ledger between them, and somebody who starts an agent again when it ended."""

    environ: dict[str, str]
    ports: Ports
    client: httpx.Client
    eventually: Callable[..., Any]
    listens: dict[str, int]
    key: str
    agents: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str) -> None:
        command = [sys.executable, "-m", "tidegate.cli", "agent", "gateway", f"--name={name}"]
        with self.log(name).open("ab") as log:
            self.agents[name] = subprocess.Popen(
                [*command, f"--port={self.listens[name]}"], env=self.environ, stdout=log, stderr=log
            )

    def log(self, name: str) -> Path:
        return Path(self.environ["TIDEGATE_HOME"]) / f"{name}.log"

    def command(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, ["gateways", *arguments], env=self.environ)

    def run(self, *arguments: str) -> dict[str, Any]:
        done = self.command(*arguments, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.listens[name]}/{REF}/v1/chat/completions"

    def ask(self, name: str, body: dict[str, Any] | None = None) -> httpx.Response:
        return self.client.post(
            self.url(name), json=body or {}, headers={"authorization": f"Bearer {self.key}"}
        )

    def ask_or_be_refused(self, name: str, body: dict[str, Any]) -> httpx.Response:
        """Raises before an answer began: nobody had taken the request. An answer that breaks off is no text's end."""
        request = self.client.build_request(
            "POST", self.url(name), json=body, headers={"authorization": f"Bearer {self.key}"}
        )
        reply = self.client.send(request, stream=True)
        try:
            reply.read()
        except httpx.TransportError as error:
            raise AssertionError(f"an answer was cut: {error!r}") from error
        finally:
            reply.close()
        return reply

    def served_by(self, name: str) -> str:
        """The set that answers, or why there is none."""
        try:
            reply = self.ask(name)
        except httpx.TransportError as error:
            return type(error).__name__
        return reply.headers.get("x-tidegate-set", str(reply.status_code))

    def statuses(self) -> list[GatewayStatus]:
        return self.ports.ledger.gateways()

    def status(self, name: str) -> GatewayStatus:
        return next(one for one in self.statuses() if one.gateway == name)

    def speaking(self) -> list[str]:
        return [one.gateway for one in alive(self.statuses(), datetime.now(UTC))]

    def put(self, weights: dict[Any, int]) -> None:
        route = Route(
            org=REF.org,
            service=REF.service,
            upstreams=tuple(one.upstream for one in weights),
            weights={one.name: weight for one, weight in weights.items()},
            newest=next(reversed(weights)).name,
        )
        self.ports.ledger.put_route(route, epoch=self.ports.ledger.current_epoch(REF))

    def confirmed(self) -> bool:
        return is_confirmed(self.statuses(), datetime.now(UTC), REF, self.ports.ledger.get_route(REF))

    def switch(self, weights: dict[Any, int], among: Sequence[str] = NAMES) -> None:
        """On a busy machine a gateway may be silent for so long that nobody waits for it: here these are."""
        self.put(weights)
        wanted = list(among)
        self.eventually(
            lambda: self.speaking() == wanted and self.confirmed() and self.speaking() == wanted,
            bool,
            f"confirmation by {wanted}",
        )

    def envoy_pid(self, name: str) -> int:
        return json.loads((self.ports.settings.gateway_dir / name / "envoy.pid").read_text())["pid"]


@pytest.fixture(scope="module")
def pair(tmp_path_factory, client, eventually, claimed_port):
    home = tmp_path_factory.mktemp("pair")
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(SOURCE_ROOT),
        "TIDEGATE_HOME": str(home),
    }
    ports = wiring.load(load_settings(environ))
    wiring.provision_secrets(ports)
    secret = ports.secrets.get(api_key_name(REF.org))
    assert secret is not None
    listens = {name: claimed_port(home / name) for name in NAMES}
    made = Pair(environ, ports, client, eventually, listens, secret.reveal())
    try:
        for name in NAMES:
            made.start(name)
        eventually(made.speaking, lambda names: names == list(NAMES), "both gateways", START_S)
        yield made
    finally:
        for agent in made.agents.values():
            agent.send_signal(signal.SIGCONT)
            agent.terminate()
        for agent in made.agents.values():
            agent.wait(START_S)
    # Who says goodbye is not waited for, and nothing is kept for it.
    assert {(one.state, one.routed_sets) for one in made.statuses()} == {("stopped", ())}
    ports.ledger.close()


@pytest.fixture
def both(pair, old_and_new, eventually):
    """The old set serves at both gateways."""
    pair.switch({old_and_new[0]: 100})
    for name in NAMES:
        eventually(lambda name=name: pair.served_by(name), lambda seen: seen == "set-old", f"{name} serves")
    return pair


def test_a_switch_is_done_when_both_gateways_have_it(both, old_and_new):
    old, new = old_and_new
    both.switch({old: 100, new: 0})

    both.switch({old: 0, new: 100})

    wanted = both.ports.ledger.get_route(REF).generation
    assert [one.observed[str(REF)] for one in both.statuses()] == [wanted, wanted]
    assert all(set(one.routed_sets) == {"set-old", "set-new"} for one in both.statuses())
    assert [both.served_by(name) for name in NAMES] == ["set-new", "set-new"]


def test_a_suspended_gateway_is_left_behind_keeps_its_sets_and_comes_back_with_the_newest_routes(
    both, old_and_new, eventually
):
    new = old_and_new[1]
    agent = both.agents["gateway-2"]
    agent.send_signal(signal.SIGSTOP)
    try:
        both.put({new: 100})
        eventually(both.speaking, lambda names: names == ["gateway-1"], "silence of the suspended gateway")
        eventually(both.confirmed, bool, "confirmation without it")

        assert "gateway-2" in silent_sets(both.statuses(), datetime.now(UTC))["set-old"]
        assert [both.served_by(name) for name in NAMES] == ["set-new", "set-old"]
        # Its Envoy dies too: what it comes back with must not be what it had.
        os.kill(both.envoy_pid("gateway-2"), signal.SIGKILL)
        eventually(lambda: both.served_by("gateway-2"), lambda seen: seen == "ConnectError", "a closed port")
    finally:
        agent.send_signal(signal.SIGCONT)

    answers: list[str] = []

    def first_answer() -> bool:
        answers.append(both.served_by("gateway-2"))
        return answers[-1].startswith("set-")

    eventually(first_answer, bool, "an answer of the healed gateway")
    assert answers[-1] == "set-new"
    assert "set-old" not in answers
    eventually(both.speaking, lambda names: names == list(NAMES), "both speak")
    eventually(
        lambda: both.status("gateway-2").routed_sets,
        lambda seen: seen == ("set-new",),
        "nothing kept any more",
    )


def test_a_drained_gateway_finishes_its_stream_says_goodbye_and_comes_back(
    both, old_and_new, pool, eventually
):
    deaths = both.log("gateway-2").read_text().count("Envoy died")
    body = {"stream": True, "until": "drain-seen", "delay_s": 0.05}
    stream = pool.submit(both.ask, "gateway-2", body)
    eventually(lambda: both.status("gateway-2").active_requests, lambda seen: "set-old" in seen, "the stream")
    both.run("drain", "gateway-2", "--timeout", "0")
    eventually(lambda: both.served_by("gateway-2"), lambda seen: seen == "ConnectError", "a closed port")
    # Its set is still needed, and said to be.
    assert both.status("gateway-2").state == "serving"
    assert "set-old" in both.status("gateway-2").routed_sets
    old_and_new[0].behave("drain-seen")
    assert stream.result(60).text.endswith("data: [DONE]\n\n")

    both.run("drain", "gateway-2")
    assert "gateway-2" not in both.speaking()
    assert both.status("gateway-2").routed_sets == ()
    both.switch({old_and_new[1]: 100}, among=["gateway-1"])
    assert both.run("resume", "gateway-2")["done"]
    # On a busy machine its new Envoy may still wait for the first check of the set.
    served_by = eventually(
        lambda: both.served_by("gateway-2"), lambda seen: seen.startswith("set-"), "an answer of a set"
    )
    assert served_by == "set-new"
    # It was ended on purpose, and its new Envoy has reported since.
    eventually(lambda: both.status("gateway-2").healthy_sets, lambda seen: "set-new" in seen, "a report")
    assert both.log("gateway-2").read_text().count("Envoy died") == deaths


def test_an_upgrade_under_load_cuts_no_request_and_no_stream(both, old_and_new, pool, over, eventually):
    failures: list[str] = []
    unaccepted: list[httpx.TransportError] = []

    def load(is_stream: bool) -> int:
        done = 0
        while not over.is_set():
            try:
                reply = both.ask_or_be_refused("gateway-1", {"stream": is_stream, "chunks": 5})
            except httpx.TransportError as error:
                unaccepted.append(error)
                continue
            if reply.status_code != 200 or (is_stream and not reply.text.endswith("[DONE]\n\n")):
                failures.append(f"{reply.status_code} {reply.text[:80]}")
            done += 1
        return done

    before, boot = both.envoy_pid("gateway-1"), both.status("gateway-1").boot
    body = {"stream": True, "until": "upgrade-done", "delay_s": 0.05}
    long = pool.submit(both.ask, "gateway-1", body)
    eventually(lambda: both.status("gateway-1").active_requests, lambda seen: "set-old" in seen, "the stream")
    running = [pool.submit(load, is_stream) for is_stream in (False, False, True)]
    both.run("upgrade", "gateway-1", "--timeout", "0")
    both.agents["gateway-1"].wait(60)
    both.start("gateway-1")
    eventually(
        lambda: both.status("gateway-1"),
        lambda seen: seen.boot != boot and seen.observed_generation > 0,
        "the new agent",
    )
    started = time.monotonic()
    eventually(lambda: time.monotonic() - started, lambda waited: waited > 0.5, "load on the new Envoy")
    assert both.envoy_pid("gateway-1") != before
    # The former Envoy still has the stream: its set is in use.
    eventually(
        lambda: both.status("gateway-1").active_requests.get("set-old", 0),
        lambda count: count >= 1,
        "the stream of the former Envoy",
    )
    over.set()
    counts = [one.result(60) for one in running]
    assert not long.done()
    old_and_new[0].behave("upgrade-done")
    assert long.result(60).text.endswith("data: [DONE]\n\n")
    assert failures == []
    # Connections that a starved Envoy had not accepted when its port closed: at one moment, so one of each client.
    assert len(unaccepted) <= len(running)
    assert all(counts)


def test_a_gateway_that_serves_cannot_be_forgotten_and_a_silent_one_can(both):
    refused = both.command("forget", "gateway-1")

    assert refused.exit_code == 2
    assert "drain gateway-1" in refused.stderr
    gone = GatewayStatus(
        gateway="gone",
        observed_generation=1,
        seen_at=datetime(2026, 1, 1, tzinfo=UTC),
        routed_sets=("set-x",),
    )
    both.ports.ledger.report_gateway(gone)
    assert silent_sets(both.statuses(), datetime.now(UTC))["set-x"] == ("gone",)
    assert both.run("forget", "gone")["kept_sets"] == ["set-x"]
    assert "set-x" not in silent_sets(both.statuses(), datetime.now(UTC))
