"""Mail and webhooks over TLS: certificates are checked against the name, passwords are shown to the right server only."""

import importlib.util
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tidegate.domain import Secret
from tidegate.domain.channel import Channel, ChannelRef
from tidegate.observability.notifications import Post, SendFailed
from tidegate.observability.notifications.mail import MailSender
from tidegate.observability.notifications.messages import Message
from tidegate.observability.notifications.webhook import WebhookSender

PASSWORD = "mail-password-of-acme"


def _beside(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"tls_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


room = _beside("conftest")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a server called hook.test, which also is localhost; signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hook.test")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("hook.test"), x509.DNSName("localhost")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    plain = serialization.NoEncryption()
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(text + made.public_bytes(serialization.Encoding.PEM))
    return path


def server_side(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trust(certificate: Path) -> Any:
    return lambda: ssl.create_default_context(cafile=str(certificate))


def post(channel: dict[str, Any], **secrets: str) -> Post:
    message = Message("n-1", ChannelRef("acme", "x"), (room.happening(),))
    values = {name.replace("__", "."): Secret(value) for name, value in secrets.items()}
    return Post(message, Channel.model_validate(channel), values)


@pytest.fixture
def mailbox(certificate: Path) -> Iterator[Any]:
    """It takes mail from those who encrypt and log in, and from nobody else."""
    box = room.Mailbox(port=room.free_port())
    controller = Controller(
        box,
        hostname="127.0.0.1",
        port=box.port,
        tls_context=server_side(certificate),
        require_starttls=True,
        authenticator=room.login,
        auth_required=True,
    )
    controller.start()
    yield box
    controller.stop()


def mail_post(port: int, password: str) -> Post:
    server = {"host": "localhost", "port": port, "sender": "t@acme.example"}
    mail = {**server, "username": "acme", "password": "mail-password"}
    channel = {"kind": "email", "address": "acme-mail", "mail": mail}
    return post(channel, address="ada@example.org", mail__password=password)


def test_mail_goes_out_encrypted_and_after_a_login(mailbox: Any, trust: Any):
    begun: list[int] = []
    answer = MailSender(trust).send(mail_post(mailbox.port, PASSWORD), lambda: begun.append(1))
    assert answer.startswith("250")
    assert (len(mailbox.mails), begun) == (1, [1])


def test_a_wrong_password_is_final_and_never_shown(mailbox: Any, trust: Any):
    begun: list[int] = []
    with pytest.raises(SendFailed, match="535") as caught:
        MailSender(trust).send(mail_post(mailbox.port, "another-password"), lambda: begun.append(1))
    assert caught.value.is_final
    assert "another-password" not in str(caught.value)
    assert (mailbox.mails, begun) == ([], [])


def test_a_mail_server_that_nobody_vouches_for_gets_neither_password_nor_mail(mailbox: Any):
    with pytest.raises(SendFailed, match="CERTIFICATE_VERIFY_FAILED"):
        MailSender().send(mail_post(mailbox.port, PASSWORD), lambda: None)
    assert mailbox.mails == []


@pytest.fixture
def secure_sink(certificate: Path) -> Iterator[Any]:
    made = room.new_sink()
    made.server.socket = server_side(certificate).wrap_socket(made.server.socket, server_side=True)
    thread = threading.Thread(target=made.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def hook_post(url: str) -> Post:
    channel = {"kind": "webhook", "address": "acme-hook", "allow_private": True}
    return post(channel, address=url, signing_key="a-key-of-one-hundred-bits")


def test_a_webhook_is_reached_at_the_looked_up_address_by_the_name_of_its_certificate(
    secure_sink: Any, trust: Any
):
    asked: list[str] = []

    def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    begun: list[int] = []
    url = f"https://user:pass@hook.test:{secure_sink.port}/in?x=1"
    answer = WebhookSender(resolver, trust=trust).send(hook_post(url), lambda: begun.append(1))
    ((path, headers, _),) = secure_sink.requests
    assert (answer, asked, begun, path) == ("HTTP 200", ["hook.test"], [1], "/in?x=1")
    assert headers["host"] == f"hook.test:{secure_sink.port}"
    assert headers["authorization"] == "Basic dXNlcjpwYXNz"


def test_a_webhook_with_the_certificate_of_another_name_gets_nothing(secure_sink: Any, trust: Any):
    begun: list[int] = []
    sender = WebhookSender(lambda host, port: ["127.0.0.1"], trust=trust)
    with pytest.raises(SendFailed, match="CERTIFICATE_VERIFY_FAILED"):
        sender.send(hook_post(f"https://other.test:{secure_sink.port}/"), lambda: begun.append(1))
    assert (secure_sink.requests, begun) == ([], [])


@pytest.mark.parametrize(
    "url", ["ftp://hook.test/", "https://", "hook.test", "https://hook.test:99999/", "https://h\u00f6/"]
)
def test_an_address_that_is_no_url_is_final(url: str):
    with pytest.raises(SendFailed) as caught:
        WebhookSender(lambda host, port: ["127.0.0.1"]).send(hook_post(url), lambda: None)
    assert caught.value.is_final


def test_plain_http_is_for_inside_only():
    public = Post(
        Message("n-1", ChannelRef("acme", "x"), (room.happening(),)),
        Channel.model_validate({"kind": "webhook", "address": "acme-hook"}),
        {"address": Secret("http://hook.test/"), "signing_key": Secret("k")},
    )
    with pytest.raises(SendFailed, match="must be https"):
        WebhookSender(lambda host, port: ["8.8.8.8"]).send(public, lambda: None)
