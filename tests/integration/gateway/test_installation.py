"""Keys and credentials as an installation wires them: command line, ledger, agent, Envoy."""

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from tidegate import wiring
from tidegate.cli.app import app
from tidegate.domain import Route, Secret, ServiceRef, SetState, SetStatus
from tidegate.settings import SOURCE_ROOT, Settings
from tidegate.stack.port_choice import choose_ports
from tidegate.steps import Ports
from tidegate.steps.reconcile import assert_addresses

ORG, OTHER = "swaggystacks", "scientiacapital"


@dataclass
class Installation:
    """A home with its gateway in a thread, and the command line beside it."""

    settings: Settings
    ports: Ports
    url: str
    client: httpx.Client

    def run(self, *arguments: str) -> str:
        environ = {"TIDEGATE_HOME": str(self.settings.home), "COLUMNS": "200", "NO_COLOR": "1"}
        result = CliRunner().invoke(app, ["keys", *arguments], env=environ)
        assert result.exit_code == 0, result.output
        return result.stdout.strip()

    def ask(self, key: str, org: str = ORG) -> int:
        return self.client.get(
            f"{self.url}/{org}/chat/v1/models", headers={"authorization": f"Bearer {key}"}
        ).status_code


@pytest.fixture(scope="module")
def installation(tmp_path_factory, sockets, client, old_and_new, eventually):
    home = tmp_path_factory.mktemp("home")
    settings = Settings(
        home=home,
        ledger_url=f"sqlite:///{home / 'ledger.sqlite3'}",
        deployments_dir=SOURCE_ROOT / "deployments",
        runtime_dir=sockets,
    )
    ports = wiring.load(settings)
    for org, upstream in zip((ORG, OTHER), old_and_new, strict=True):
        route = Route(org=org, service="chat", upstreams=(upstream.upstream,), weights={upstream.name: 100})
        ports.ledger.put_route(route, epoch=0)
    port = choose_ports(home, {"gateway": 18081}, "127.0.0.1")["gateway"]
    stop = threading.Event()
    agent = threading.Thread(
        target=wiring.run_gateway_agent, args=(settings, stop), kwargs={"port": port, "name": "installed"}
    )
    agent.start()
    made = Installation(settings, ports, f"http://127.0.0.1:{port}", client)
    eventually(lambda: _status(made), lambda status: status == 200, "an answer to the local key")
    yield made
    stop.set()
    agent.join(120)
    assert not agent.is_alive()


def _status(made: Installation) -> int:
    try:
        return made.ask(made.run("show", ORG))
    except (httpx.TransportError, AssertionError):
        return 0


def becomes(installation: Installation, eventually: Callable[..., Any], key: str, status: int) -> None:
    eventually(lambda: installation.ask(key), lambda seen: seen == status, f"status {status}")


def test_the_local_key_is_in_the_ledger_as_a_digest_only(installation):
    key = installation.run("show", ORG)

    (row,) = json.loads(installation.run("list", ORG, "--json"))[-1:]

    assert (row["name"], row["state"]) == ("local", "live")
    for file in installation.settings.home.glob("ledger.sqlite3*"):
        assert key.encode() not in file.read_bytes()
    assert installation.ask(key, OTHER) == 403


def test_a_created_key_is_good_for_its_organization_until_it_is_revoked(installation, eventually):
    key = installation.run("create", ORG, "--name", "web-app")

    assert re.fullmatch(rf"tg_{ORG}_[A-Za-z0-9_-]{{43}}", key)
    becomes(installation, eventually, key, 200)
    assert installation.ask(key, OTHER) == 403
    assert key not in installation.run("list", "--all", "--json")

    installation.run("revoke", ORG, "web-app")

    becomes(installation, eventually, key, 401)
    assert installation.ask(installation.run("show", ORG)) == 200


def test_a_rotated_key_overlaps_with_the_next(installation, eventually):
    former = installation.run("create", ORG, "--name", "batch")
    following = installation.run("rotate", ORG, "batch", "--overlap", "1h")
    becomes(installation, eventually, following, 200)
    assert installation.ask(former) == 200

    last = installation.run("rotate", ORG, "batch", "--overlap", "0")

    becomes(installation, eventually, following, 401)
    assert (installation.ask(former), installation.ask(last)) == (401, 200)


def test_a_rotated_local_key_replaces_the_secret_and_a_revoked_one_stays_revoked(installation, eventually):
    former = installation.run("show", OTHER)

    following = installation.run("rotate", OTHER, "local", "--overlap", "0")
    wiring.provision_secrets(installation.ports)

    assert installation.run("show", OTHER) == following
    eventually(lambda: installation.ask(former, OTHER), lambda status: status == 401, "the end of the former")
    assert installation.ask(following, OTHER) == 200

    installation.run("revoke", OTHER, "local")
    wiring.provision_secrets(installation.ports)

    assert [key for key in installation.ports.ledger.live_api_keys() if key.org == OTHER] == []


def test_a_stream_outlives_the_revocation_of_its_key(installation, eventually):
    key = installation.run("create", ORG, "--name", "streaming")
    becomes(installation, eventually, key, 200)
    body = {"stream": True, "chunks": 30, "delay_s": 0.1}
    url = f"{installation.url}/{ORG}/chat/v1/chat/completions"
    headers = {"authorization": f"Bearer {key}"}
    with installation.client.stream("POST", url, json=body, headers=headers) as reply:
        lines = reply.iter_lines()
        assert next(lines).startswith("data: ")
        installation.run("revoke", ORG, "streaming")
        becomes(installation, eventually, key, 401)
        assert list(lines)[-2:] == ["data: [DONE]", ""]


@pytest.mark.parametrize(
    ("org", "name", "is_given"),
    [
        (ORG, "local-credential-swaggystacks", True),
        (OTHER, "local-credential-swaggystacks", False),
        (ORG, "tidegate-probe-key", False),
        (ORG, "prefect-auth", False),
        (ORG, "org-scientiacapital-api-key", False),
        ("nobody", "local-credential-swaggystacks", False),
    ],
)
def test_a_gateway_presents_to_a_set_only_credentials_of_its_organization(installation, org, name, is_given):
    installation.ports.secrets.ensure(name)

    secret = wiring.platform_credential(installation.ports, org, name)

    assert isinstance(secret, Secret) is is_given


def test_keys_of_an_organization_that_is_not_configured_are_not_accepted(installation):
    installation.ports.ledger.create_api_key("gone", "app", "ab" * 32, created_by="ann")

    assert "gone" not in {key.org for key in wiring.client_keys(installation.ports)}


def test_the_probe_key_comes_with_the_clients_keys(installation):
    identities = {key.identity for key in wiring.client_keys(installation.ports)}

    assert {"tidegate-probe", f"{ORG}/local"} <= identities


def test_a_route_of_the_ledger_keeps_where_a_set_is_reached(installation, old_and_new):
    far = old_and_new[0].upstream.model_copy(
        update={"set_name": "far", "tls": True, "path_prefix": "/lb/ab12", "credential": "runpod-credential"}
    )
    route = Route(org="elsewhere", service="chat", upstreams=(far,), weights={"far": 0})

    installation.ports.ledger.put_route(route, epoch=0)

    stored = installation.ports.ledger.get_route(ServiceRef("elsewhere", "chat"))
    assert stored is not None
    assert stored.upstreams == (far,)


class Vendor:
    """A platform whose only set moved to another front door."""

    def __init__(self, status: SetStatus):
        self._status = status

    def status(self, name: str) -> SetStatus:
        return self._status.model_copy(update={"name": name})


@pytest.mark.parametrize("state", [SetState.READY, SetState.STARTING])
def test_a_set_that_moved_is_routed_with_its_whole_address_once_it_is_ready(installation, old_and_new, state):
    ref = ServiceRef(ORG, "support-chat")
    former = old_and_new[0].upstream.model_copy(update={"set_name": f"moved-{state}"})
    route = Route(org=ORG, service=ref.service, upstreams=(former,), weights={former.set_name: 0})
    installation.ports.ledger.put_route(route, epoch=installation.ports.ledger.current_epoch(ref))
    address = {
        "host": "localhost",
        "port": 443,
        "tls": True,
        "path_prefix": "/lb/ab12",
        "credential": "local-credential-swaggystacks",
    }
    vendor = Vendor(SetStatus(name="any", state=state, **address))
    ports = replace(installation.ports, platforms={"local": vendor})

    is_changed = assert_addresses(ports, ref)

    stored = installation.ports.ledger.get_route(ref)
    assert stored is not None
    assert is_changed is (state is SetState.READY)
    assert stored.upstreams == (former.model_copy(update=address if is_changed else {}),)
    assert not assert_addresses(ports, ref)
