"""The wire against servers that behave, misbehave and vanish: always a result, never a leaked socket."""

import asyncio
import ipaddress
import socket
import ssl
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.integration.benchmark.scripted import Scripted, says, scripted
from tidegate.benchmark.wire import Exchange, ReadLags, open_wire

DEADLINE_S = 60.0
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
ENDLESS = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n"


def post(
    url: str, *, timeout_s: float = DEADLINE_S, keep_alive: bool = False, body: bytes = b"{}"
) -> Exchange:
    async def once() -> Exchange:
        async with open_wire(keep_alive=keep_alive) as wire:
            return await wire.post(url, {}, body, timeout_s)

    return asyncio.run(once())


def wait_for(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not holds():  # noqa: ASYNC110 (what is waited for happens in the server's thread)
            await asyncio.sleep(0.005)


def test_the_stamps_stand_in_the_order_of_what_happened():
    async def ask(url: str) -> Exchange:
        async with open_wire(keep_alive=False) as wire:
            return await wire.post(url, {}, b"{}", DEADLINE_S, planned_ns=7)

    before = time.monotonic_ns()
    with scripted(says(OK)) as server:
        done = asyncio.run(ask(server.url))
    assert (done.status, done.body, done.error, done.planned_ns) == (200, b"ok", "", 7)
    assert done.connected_ns is not None
    assert done.headers_ns is not None
    stamps = [before, done.connected_ns, done.sent_ns, done.headers_ns, done.pieces[0][0], done.ended_ns]
    assert stamps == sorted(stamps)
    assert all(isinstance(stamp, int) for stamp in stamps)


def test_three_hundred_requests_run_at_once():
    """The server answers none before all have come: a hidden limit would hang here."""
    everyone = 300
    came = 0

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal came
        came += 1
        while came < everyone:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        writer.write(OK)

    async def ask(url: str) -> list[Exchange]:
        async with open_wire(keep_alive=True) as wire:
            return await asyncio.gather(*(wire.post(url, {}, b"{}", DEADLINE_S) for _ in range(everyone)))

    with scripted(answer) as server:
        found = asyncio.run(ask(server.url))
    assert {(done.status, done.error) for done in found} == {(200, "")}


def test_a_limit_of_connections_holds():
    now, most = 0, 0

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.001)
        now -= 1
        writer.write(OK)

    async def ask(url: str) -> list[Exchange]:
        async with open_wire(keep_alive=True, connections=2) as wire:
            return await asyncio.gather(*(wire.post(url, {}, b"{}", DEADLINE_S) for _ in range(9)))

    with scripted(answer) as server:
        found = asyncio.run(ask(server.url))
    assert [done.status for done in found] == [200] * 9
    assert most <= 2


def test_a_kept_connection_is_used_again():
    async def ask(server: Scripted) -> None:
        async with open_wire(keep_alive=True) as wire, asyncio.timeout(DEADLINE_S):
            while len(server.requests) - server.connections < 3:
                assert (await wire.post(server.url, {}, b"{}", DEADLINE_S)).error == ""

    with scripted(says(OK)) as server:
        asyncio.run(ask(server))
        wait_for(lambda: server.open_connections == 0)


def test_a_server_that_closes_after_each_answer_against_its_word_costs_at_most_one_request():
    async def ask(url: str) -> list[Exchange]:
        async with open_wire(keep_alive=True) as wire:
            return [await wire.post(url, {}, b"{}", DEADLINE_S) for _ in range(40)]

    with scripted(says(OK, then_closes=True)) as server:
        found = asyncio.run(ask(server.url))
        assert len(server.requests) <= 40
    assert sum(done.error != "" for done in found) <= 1
    assert server.connections >= 39


@pytest.mark.parametrize(
    ("raw", "status", "error"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nok", 200, ""),
        (b"HTTP/1.1 503 Busy\r\ncontent-length: 2\r\n\r\nno", 503, ""),
        (b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n", 302, ""),
        (b"", None, "reset: the connection closed before an answer"),
        (b"HTTP/1.1 200 O", None, "reset: the connection closed in the headers"),
        (ENDLESS, 200, "reset: the connection closed in the middle of the answer"),
        (b"SSH-2.0-x\r\n\r\n", None, "broken: the answer is not HTTP/1.1"),
    ],
)
def test_whatever_a_server_says_is_a_result(raw: bytes, status: int | None, error: str):
    with scripted(says(raw, then_closes=True)) as server:
        done = post(server.url)
        assert len(server.requests) == 1
        wait_for(lambda: server.open_connections == 0)
    assert (done.status, done.error) == (status, error)
    assert done.ended_ns >= done.sent_ns


def test_a_reset_is_told_as_one_and_keeps_what_was_read():
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ENDLESS)
        await writer.drain()
        writer.transport.abort()

    with scripted(answer) as server:
        done = post(server.url)
    assert done.error.startswith("reset: ")


def test_nobody_listening_is_a_result():
    with socket.socket() as silent:
        # Held, so that nobody else listens there, and never listened to.
        silent.bind(("127.0.0.1", 0))
        done = post(f"http://localhost:{silent.getsockname()[1]}/v1")
    assert done.error == "connect: ConnectionRefusedError: Connection refused"
    assert (done.status, done.connected_ns) == (None, None)


@pytest.mark.parametrize("raw", [b"", b"HTTP/1.1 200", ENDLESS], ids=["silence", "headers", "body"])
def test_a_server_that_falls_silent_is_a_timeout_and_its_connection_is_closed(raw: bytes):
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await reader.read()

    with scripted(answer) as server:
        done = post(server.url, timeout_s=0.2, keep_alive=True)
        wait_for(lambda: server.open_connections == 0)
    assert done.error.startswith("timeout: no ")


def test_a_cancelled_request_closes_its_connection():
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ENDLESS)
        await reader.read()

    async def ask(server: Scripted) -> None:
        async with open_wire(keep_alive=True) as wire:
            task = asyncio.create_task(wire.post(server.url, {}, b"{}", DEADLINE_S))
            await until(lambda: len(server.requests) == 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await until(lambda: server.open_connections == 0)

    with scripted(answer) as server:
        asyncio.run(ask(server))


def test_the_end_of_the_wire_closes_its_kept_connections():
    with scripted(says(OK)) as server:
        assert post(server.url, keep_alive=True).status == 200
        wait_for(lambda: server.open_connections == 0)


def test_a_request_larger_than_the_sockets_buffer_arrives_whole():
    body = b"x" * (8 * 1024**2)
    with scripted(says(OK)) as server:
        assert post(server.url, body=body).status == 200
        assert server.requests[0].endswith(b"\r\n\r\n" + body)


def test_an_answer_that_comes_before_the_request_was_out_ends_the_connection():
    body = b"x" * (32 * 1024**2)
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as thread:

        def refuse_the_first() -> None:
            first, _ = listener.accept()
            with first:
                first.recv(1024)
                first.sendall(OK.replace(b"200 OK", b"413 Too Large"))
                # Comes only when the client does not go on with the first connection.
                second, _ = listener.accept()
                second.close()

        async def ask() -> list[Exchange]:
            async with open_wire(keep_alive=True) as wire:
                return [await wire.post(url, {}, body, DEADLINE_S) for _ in range(2)]

        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        served = thread.submit(refuse_the_first)
        first, second = asyncio.run(ask())
        served.result(DEADLINE_S)
    assert (first.status, first.error) == (413, "")
    assert second.error.startswith("reset: ")


def test_proxies_of_the_environment_and_cookies_are_left_alone(monkeypatch: pytest.MonkeyPatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    async def ask(url: str) -> list[Exchange]:
        async with open_wire(keep_alive=True) as wire:
            return [await wire.post(url, {}, b"{}", DEADLINE_S) for _ in range(2)]

    with scripted(says(OK.replace(b"\r\n\r\n", b"\r\nset-cookie: a=b\r\n\r\n"))) as server:
        found = asyncio.run(ask(server.url))
        assert not any(b"cookie" in request.lower() for request in server.requests)
    assert [done.status for done in found] == [200, 200]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel stamps arrivals on Linux only")
def test_the_time_that_bytes_wait_to_be_read_is_measured():
    lags = ReadLags()

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(600):
            writer.write(b"x" * 10)
            await writer.drain()
            await asyncio.sleep(0.0005)
        writer.close()

    async def ask(url: str) -> Exchange:
        async with open_wire(keep_alive=False, read_lags=lags) as wire:
            return await wire.post(url, {}, b"{}", DEADLINE_S)

    with scripted(answer) as server:
        done = asyncio.run(ask(server.url))
    assert len(done.body) == 6000
    assert len(lags.lag_ns) == len(lags.read_ns)
    if len(done.pieces) >= 40:
        assert len(lags.lag_ns) >= 1
    assert all(lag >= 0 for lag in lags.lag_ns)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return folder / "cert.pem", folder / "key.pem"


def test_a_server_with_a_trusted_certificate_is_asked_over_tls_and_any_other_is_not(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
):
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(*certificate)
    with scripted(says(ENDLESS + b"0\r\n\r\n"), server_side) as server:
        stranger = post(server.url)
        # The system's trust, as OpenSSL finds it.
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        trusted = post(server.url, keep_alive=True)
        wait_for(lambda: server.open_connections == 0)
    assert stranger.error.startswith("connect: the certificate is not trusted")
    assert (trusted.status, trusted.body, trusted.error) == (200, b"ab", "")
    assert trusted.connected_ns is not None
    assert trusted.connected_ns <= trusted.sent_ns


def test_connections_over_tls_stand_ready_before_they_are_needed(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
):
    """A request that has to wait for a handshake is sent late, and that looks like a slow client."""
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(*certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))

    async def ask(server: Scripted) -> list[Exchange]:
        async with open_wire(keep_alive=True) as wire:
            first = await wire.post(server.url, {}, b"{}", DEADLINE_S)
            await until(lambda: server.connections == 3)
            return [first, await wire.post(server.url, {}, b"{}", DEADLINE_S)]

    with scripted(says(ENDLESS + b"0\r\n\r\n"), server_side) as server:
        answers = asyncio.run(ask(server))
        wait_for(lambda: server.open_connections == 0)
        assert len(server.requests) == 2
    assert [(one.status, one.error) for one in answers] == [(200, ""), (200, "")]


def test_a_request_that_waits_for_its_answer_ends_with_the_wire():
    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await writer.wait_closed()

    async def ask(server: Scripted) -> Exchange:
        async with open_wire(keep_alive=False) as wire:
            asked = asyncio.create_task(wire.post(server.url, {}, b"{}", DEADLINE_S))
            await until(lambda: len(server.requests) == 1)
        return await asked

    with scripted(silent) as server:
        done = asyncio.run(ask(server))
    assert done.error == "reset: the wire has ended"


def test_what_is_on_its_way_when_the_wire_ends_is_closed(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
):
    """A request that goes on behind the end of the wire would leave its connection, and spares, to nobody."""
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(*certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))

    async def ask(server: Scripted) -> None:
        async with open_wire(keep_alive=True) as wire:
            early = asyncio.create_task(wire.post(server.url, {}, b"{}", DEADLINE_S))
            await asyncio.sleep(0)
        late = await wire.post(server.url, {}, b"{}", DEADLINE_S)
        assert [one.error for one in (await early, late)] == ["connect: OSError: the wire has ended"] * 2
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await until(lambda: server.open_connections == 0)

    with scripted(says(OK), server_side) as server:
        asyncio.run(ask(server))
        assert server.requests == []
