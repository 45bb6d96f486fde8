"""Sets behind a vendor's front door: TLS, name, path and a credential of their own, on a server with a real certificate."""

import datetime as dt
import json
import os
import signal
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tidegate.domain import Secret

HOST = "ab12.api.localhost"
NAMES = ("*.api.localhost", "localhost")
PREFIX = "/v2/ab12/openai"
SECRET_NAME = "runpod-credential"
SECRET_VALUE = "rpa_the-credential-of-this-organization"


@dataclass(frozen=True)
class Authority:
    """A certificate authority of the tests, and what it vouched for."""

    folder: Path

    def __post_init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        self._save("authority", _certificate("Tests", key.public_key(), "Tests", key, ()), key)

    @property
    def file(self) -> Path:
        return self.folder / "authority.pem"

    def vouch(self, name: str, *hosts: str) -> tuple[Path, Path]:
        signer = serialization.load_pem_private_key(
            (self.folder / "authority.key").read_bytes(), password=None
        )
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        key = ec.generate_private_key(ec.SECP256R1())
        return self._save(name, _certificate(name, key.public_key(), "Tests", signer, hosts), key)

    def _save(
        self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
    ) -> tuple[Path, Path]:
        paths = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return paths


def _certificate(
    subject: str,
    public: ec.EllipticCurvePublicKey,
    issuer: str,
    signer: ec.EllipticCurvePrivateKey,
    hosts: tuple[str, ...],
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=not hosts, path_length=None), critical=True)
    )
    if hosts:
        names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(signer, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def certificate(authority):
    return authority.vouch("front-door", *NAMES)


@pytest.fixture(scope="module")
def remote_gateway(start_gateway, authority):
    return start_gateway("remote", ca_file=authority.file)


@pytest.fixture
def org(request):
    return f"org-{abs(hash(request.node.name)) % 10**8}"


@pytest.fixture
def service(remote_gateway, org):
    remote_gateway.secrets[org, SECRET_NAME] = Secret(SECRET_VALUE)
    made = remote_gateway.service(org)
    yield made
    remote_gateway.await_generation(remote_gateway.source.remove(org))


@pytest.fixture
def remote_set(fresh_set, certificate) -> Callable[..., Any]:
    def make(name: str, **changes: Any) -> Any:
        address = {
            "host": HOST,
            "tls": True,
            "path_prefix": PREFIX,
            "credential": SECRET_NAME,
            "certificate": certificate,
        }
        return fresh_set(name, **{**address, **changes})

    return make


def seen(reply) -> dict[str, Any]:
    assert reply.status_code == 200, reply.text
    return reply.json()["seen"]


def header(reply, name: str) -> str | None:
    return {key.lower(): value for key, value in seen(reply)["headers"].items()}.get(name)


def test_a_request_arrives_by_tls_with_name_path_and_credential(service, remote_set):
    remote = remote_set("far")
    service.switch({remote: 100})

    reply = service.ask()

    assert seen(reply)["sni"] == HOST
    assert seen(reply)["path"] == f"{PREFIX}/v1/chat/completions"
    assert header(reply, "host") == f"{HOST}:{remote.port}"
    assert header(reply, "authorization") == f"Bearer {SECRET_VALUE}"
    assert reply.headers["x-tidegate-set"] == "far"
    assert service.key not in reply.text
    assert not [name for name in seen(reply)["headers"] if name.lower().startswith(("x-envoy", "x-api-key"))]


def test_a_query_stays_on_the_path(service, remote_set):
    service.switch({remote_set("far-query"): 100})

    reply = service.gateway.client.get(
        service.url.replace("chat/completions", "models?limit=2"), headers=service.auth
    )

    assert seen(reply)["path"] == f"{PREFIX}/v1/models?limit=2"


def test_a_stream_arrives_untouched(service, remote_set):
    service.switch({remote_set("far-stream"): 100})

    reply = service.ask({"stream": True, "chunks": 3})

    assert reply.headers["content-type"] == "text/event-stream"
    events = [json.loads(line[6:]) for line in reply.text.split("\n\n")[:3]]
    assert [event["n"] for event in events] == [0, 1, 2]


def test_plain_http_below_a_path_needs_no_certificate(service, fresh_set):
    """As an emulator's load balancer offers it."""
    near = fresh_set("near", path_prefix="/lb/ab12", credential=SECRET_NAME)
    service.switch({near: 100})

    reply = service.ask()

    assert seen(reply)["path"] == "/lb/ab12/v1/chat/completions"
    assert header(reply, "host") == f"127.0.0.1:{near.port}"
    assert header(reply, "authorization") == f"Bearer {SECRET_VALUE}"


def test_each_set_gets_its_own_path_and_bearer_by_weight(service, remote_set, old_and_new):
    service.switch({old_and_new[0]: 50, remote_set("far-half"): 50})

    replies = {}
    for number in range(200):
        reply = service.ask(x_session_id=f"session-{number}")
        replies[reply.headers["x-tidegate-set"]] = reply
        if len(replies) == 2:
            break

    assert header(replies["far-half"], "authorization") == f"Bearer {SECRET_VALUE}"
    assert seen(replies["far-half"])["path"] == f"{PREFIX}/v1/chat/completions"
    assert header(replies["set-old"], "authorization") is None
    assert seen(replies["set-old"])["path"] == "/v1/chat/completions"


@pytest.mark.parametrize("busy", ["near", "far"])
def test_a_retry_carries_only_what_belongs_to_the_set_that_answers(service, remote_set, fresh_set, busy):
    """Attempts share their headers inside Envoy: without care a local set was given the vendor's bearer."""
    local, remote = fresh_set(f"near-{busy}"), remote_set(f"far-{busy}")
    service.switch({local: 50, remote: 50})
    (remote if busy == "far" else local).behave("busy")

    replies = [service.ask() for _ in range(12)]

    answering, prefix, bearer = (
        (local, "", None) if busy == "far" else (remote, PREFIX, f"Bearer {SECRET_VALUE}")
    )
    assert {reply.headers["x-tidegate-set"] for reply in replies} == {answering.name}
    assert {seen(reply)["path"] for reply in replies} == {f"{prefix}/v1/chat/completions"}
    assert {header(reply, "authorization") for reply in replies} == {bearer}


def test_a_request_that_broke_a_remote_set_is_not_sent_to_the_next(service, remote_set, fresh_set):
    local, remote = fresh_set("near-spared"), remote_set("far-crashing")
    service.switch({local: 50, remote: 50})
    session = next(
        name
        for name in (f"session-{number}" for number in range(100))
        if service.ask(x_session_id=name).headers["x-tidegate-set"] == "far-crashing"
    )
    asked = local.behave("ok")

    reply = service.ask({"crash": True}, x_session_id=session)

    assert reply.status_code == 502
    assert reply.headers["x-tidegate-set"] == "far-crashing"
    assert reply.json()["error"]["code"] == "broken_off"
    assert local.behave("ok").count("/v1/chat/completions") == asked.count("/v1/chat/completions")


def test_an_unreachable_vendor_costs_no_request_while_another_set_is_there(service, remote_set, fresh_set):
    local, remote = fresh_set("near-standing"), remote_set("far-gone")
    service.switch({local: 20, remote: 80})
    remote.kill()

    replies = [service.ask() for _ in range(30)]

    assert {(reply.status_code, reply.headers["x-tidegate-set"]) for reply in replies} == {
        (200, "near-standing")
    }


def test_the_warm_old_set_answers_at_once_for_an_unreachable_vendor_that_had_all_traffic(
    service, remote_set, fresh_set
):
    local, remote = fresh_set("near-warm"), remote_set("far-gone-alone")
    service.switch({local: 0, remote: 100}, stand_in=local.name)
    service.await_healthy(local.name)
    remote.kill()

    replies = [service.ask() for _ in range(10)]

    assert {(reply.status_code, reply.headers["x-tidegate-set"]) for reply in replies} == {(200, "near-warm")}


def test_why_a_vendor_was_not_reached_stands_in_the_log_and_not_in_the_answer(
    service, remote_set, authority, eventually
):
    false = remote_set("far-false", certificate=authority.vouch("false", "else.example.org"))
    service.gateway.await_generation(service.want({false: 100}))

    def refused() -> tuple[httpx.Response, list[str]]:
        """A door whose first check goes on is not there yet: then the log says that, and the next request tells more."""
        reply = service.ask()
        # The last line may be in the middle of being written.
        *whole, _ = service.gateway.config.access_log.read_text().split("\n")
        lines = [json.loads(line) for line in whole]
        found = [
            one["reason"]
            for one in lines
            if one["request_id"] == reply.headers["x-request-id"] and one.get("reason")
        ]
        return reply, found

    reply, reasons = eventually(refused, lambda seen: bool(seen[1]), "a reason in the log")

    assert "CERTIFICATE_VERIFY_FAILED" in reasons[0]
    assert "CERTIFICATE" not in reply.text


def test_two_remote_sets_with_two_credentials_do_not_mix_on_a_retry(service, org, remote_set):
    service.gateway.secrets[org, "second-credential"] = Secret("rpa_second")
    first = remote_set("far-first")
    second = remote_set("far-second", path_prefix="/v2/cd34/openai", credential="second-credential")
    service.switch({first: 50, second: 50})
    first.behave("busy")

    replies = [service.ask() for _ in range(8)]

    assert {header(reply, "authorization") for reply in replies} == {"Bearer rpa_second"}
    assert {seen(reply)["path"] for reply in replies} == {"/v2/cd34/openai/v1/chat/completions"}


def test_a_remote_set_that_keeps_failing_is_left_out(service, remote_set, old_and_new, eventually):
    remote = remote_set("far-sick")
    service.switch({old_and_new[0]: 50, remote: 50})
    remote.behave("busy")

    for _ in range(30):
        assert service.ask().status_code == 200

    # An ejection ends by itself: go on asking until one is seen.
    eventually(
        lambda: (service.ask(), service.gateway.source.status.healthy_sets)[1],
        lambda sets: "far-sick" not in sets,
        "an ejection",
    )
    assert {service.ask().headers["x-tidegate-set"] for _ in range(10)} == {"set-old"}


def test_a_remote_set_without_a_fallback_is_asked_however_it_fails(service, remote_set):
    remote = remote_set("far-alone")
    service.switch({remote: 100})
    remote.behave("busy")
    assert {service.ask().status_code for _ in range(10)} == {503}

    remote.behave("ok")

    assert service.ask().status_code == 200


def test_nobody_asks_a_remote_set_but_clients(service, remote_set, eventually):
    """A question about health would wake a worker that sleeps, and its time is billed."""
    remote = remote_set("far-asleep")
    service.switch({remote: 100})
    eventually(
        lambda: service.gateway.source.status.healthy_sets, lambda sets: "far-asleep" in sets, "its health"
    )
    service.ask()

    assert remote.behave("ok") == [f"{PREFIX}/v1/chat/completions"]


def test_the_probe_may_pin_a_remote_set(service, remote_set, old_and_new):
    remote = remote_set("far-pinned")
    service.switch({old_and_new[0]: 100, remote: 0})

    reply = service.ask(authorization="Bearer probe-key-of-the-tests", x_tidegate_pin="far-pinned")

    assert reply.headers["x-tidegate-set"] == "far-pinned"
    assert header(reply, "authorization") == f"Bearer {SECRET_VALUE}"


def test_two_organizations_present_their_own_credentials(remote_gateway, service, remote_set):
    other = remote_gateway.service("org-other-vendor")
    remote_gateway.secrets["org-other-vendor", "other-credential"] = Secret("rpa_of-the-other")
    service.switch({remote_set("far-mine"): 100})
    other.switch({remote_set("far-theirs", credential="other-credential"): 100})

    assert header(service.ask(), "authorization") == f"Bearer {SECRET_VALUE}"
    assert header(other.ask(), "authorization") == "Bearer rpa_of-the-other"
    remote_gateway.await_generation(remote_gateway.source.remove("org-other-vendor"))


def test_a_credential_of_another_organization_is_not_used(
    remote_gateway, service, remote_set, old_and_new, eventually
):
    remote_gateway.secrets["org-rich", "credential-of-rich"] = Secret("rpa_rich")
    service.switch({old_and_new[0]: 100})

    service.want({remote_set("far-thief", credential="credential-of-rich"): 100})

    status = eventually(
        lambda: remote_gateway.source.status, lambda seen: "credential-of-rich" in seen.error, "a refusal"
    )
    assert "rpa_rich" not in status.error
    assert service.ask().headers["x-tidegate-set"] == "set-old"
    service.switch({old_and_new[0]: 100})


def test_a_missing_credential_holds_back_one_service_and_no_other(
    remote_gateway, service, remote_set, old_and_new, eventually
):
    other = remote_gateway.service("org-unharmed")
    service.want({remote_set("far-lacking", credential="never-stored"): 100})
    eventually(lambda: remote_gateway.source.status, lambda seen: "never-stored" in seen.error, "a refusal")

    other.want({old_and_new[1]: 100})

    eventually(lambda: other.ask().status_code, lambda status: status == 200, "the other's route")
    remote_gateway.secrets[service.org, "never-stored"] = Secret("rpa_stored-now")
    eventually(lambda: service.ask().status_code, lambda status: status == 200, "the route")
    assert header(service.ask(), "authorization") == "Bearer rpa_stored-now"
    remote_gateway.await_generation(remote_gateway.source.remove("org-unharmed"))


def test_a_changed_credential_is_taken_without_a_new_route(service, org, remote_set, eventually):
    service.switch({remote_set("far-renewed"): 100})

    service.gateway.secrets[org, SECRET_NAME] = Secret("rpa_renewed")

    eventually(
        lambda: header(service.ask(), "authorization"),
        lambda value: value == "Bearer rpa_renewed",
        "the renewal",
    )


def test_a_certificate_for_another_name_is_not_accepted(service, remote_set, authority, eventually):
    impostor = remote_set("far-impostor", certificate=authority.vouch("impostor", "else.example.org"))

    service.gateway.await_generation(service.want({impostor: 100}))

    reply = service.ask()
    assert reply.status_code == 503
    assert reply.json()["error"]["code"] == "service_unavailable"
    # Envoy takes a looked-up host for healthy until its first check has ended.
    eventually(
        lambda: service.gateway.source.status.healthy_sets,
        lambda healthy: "far-impostor" not in healthy,
        "the end of the first check",
    )
    assert impostor.behave("ok") == []


def test_traffic_does_not_move_to_a_set_whose_certificate_is_wrong(
    service, remote_set, authority, old_and_new, eventually
):
    service.switch({old_and_new[0]: 100})
    stranger = remote_set("far-stranger", certificate=authority.vouch("stranger", "else.example.org"))

    service.want({old_and_new[0]: 0, stranger: 100})

    eventually(lambda: service.gateway.source.status.error, lambda error: "far-stranger" in error, "a reason")
    assert service.ask().headers["x-tidegate-set"] == "set-old"
    service.switch({old_and_new[0]: 100})


def test_a_remote_set_comes_and_goes_without_a_broken_stream(
    service, remote_set, old_and_new, pool, over, eventually
):
    service.switch({old_and_new[0]: 100})
    running = pool.submit(service.load, 300, stream_every=5, until=over)
    for number in range(3):
        remote = remote_set(f"far-guest-{number}")
        service.switch({old_and_new[0]: 100, remote: 0})
        service.switch({old_and_new[0]: 50, remote: 50})
        eventually(lambda guest=remote: guest.behave("ok"), bool, "a request to the guest")
        service.switch({old_and_new[0]: 100})
    over.set()
    tally = running.result(300)

    assert tally.failures == []
    assert {"set-old", "far-guest-0"} <= set(tally.sets)


def test_a_killed_envoy_reaches_remote_sets_again(service, remote_set, eventually):
    service.switch({remote_set("far-lasting"): 100})
    former = service.gateway.envoy_pid

    os.kill(former, signal.SIGKILL)

    eventually(lambda: service.gateway.envoy_pid, lambda pid: pid != former, "a new process")
    reply = eventually(lambda: _try(service), lambda reply: reply is not None, "an answer")
    assert header(reply, "authorization") == f"Bearer {SECRET_VALUE}"


def _try(service) -> httpx.Response | None:
    try:
        reply = service.ask()
    except httpx.TransportError:
        return None
    return reply if reply.status_code == 200 else None


def test_a_credential_stands_in_one_private_file_and_is_never_shown(
    service, remote_set, eventually, texts_below
):
    service.switch({remote_set("far-secret"): 100})
    reply = service.ask()
    root = service.gateway.config.root
    log = eventually(
        service.gateway.config.access_log.read_text, lambda text: "far-secret" in text, "the line in the log"
    )

    holders = [path for path, text in texts_below(root).items() if SECRET_VALUE in text]

    assert [path.relative_to(root).as_posix() for path in holders] == [f"sds/{SECRET_NAME}.json"]
    assert stat.S_IMODE(holders[0].stat().st_mode) == 0o600
    assert SECRET_VALUE not in log
    assert SECRET_VALUE not in json.dumps(dict(reply.headers))


def test_the_file_of_a_credential_goes_with_its_last_set(service, org, remote_set, eventually):
    service.gateway.secrets[org, "short-lived"] = Secret("rpa_short-lived")
    service.switch({remote_set("far-leaving", credential="short-lived"): 100})
    file = service.gateway.config.path("sds/short-lived.json")
    assert file.exists()

    service.gateway.await_generation(service.gateway.source.remove(org))

    eventually(file.exists, lambda exists: not exists, "removal of the file")
