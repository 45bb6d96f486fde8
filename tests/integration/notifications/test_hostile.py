"""Channels that do what they should not: hang, drip, lie about their names, answer nonsense. Nobody else waits for them."""

import importlib.util
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tidegate.access import SecretStore
from tidegate.domain import Secret
from tidegate.domain.channel import Channel, ChannelRef
from tidegate.domain.deliveries import DeliveryState
from tidegate.notifying import senders, utc_now
from tidegate.observability.notifications import Courier, Notifier, Post, SendFailed, Unanswered, network
from tidegate.observability.notifications.apprise_channel import AppriseSender
from tidegate.observability.notifications.mail import MailSender
from tidegate.observability.notifications.messages import Message
from tidegate.observability.notifications.webhook import WebhookSender

# Apprise asks for a module of the standard library that Python 3.13 no longer has, and does without.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
spec = importlib.util.spec_from_file_location("hostile_conftest", Path(__file__).with_name("conftest.py"))
assert spec is not None
assert spec.loader is not None
office_room = importlib.util.module_from_spec(spec)
spec.loader.exec_module(office_room)
happening = office_room.happening


@contextmanager
def server(serve: Any) -> Iterator[int]:
    """`serve(connection, over)` in a thread for each caller, until the block ends."""
    over = threading.Event()

    def handle(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            serve(connection, over)

    def accept(listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                threading.Thread(target=handle, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=accept, args=(listening,), daemon=True)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            over.set()
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def drip(start: bytes, again: bytes) -> Any:
    """Says something now and then, for ever: no single read takes long."""

    def serve(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(start)
        while not over.wait(0.02):
            connection.sendall(again)

    return serve


def post(channel: dict[str, Any], **secrets: str) -> Post:
    message = Message("n-1", ChannelRef("acme", "x"), (happening(),))
    made = {"signing_key": "key", **secrets} if channel["kind"] == "webhook" else secrets
    return Post(
        message, Channel.model_validate(channel), {name: Secret(value) for name, value in made.items()}
    )


def hook(port: int) -> Post:
    return post(
        {"kind": "webhook", "address": "some-url", "allow_private": True},
        address=f"http://127.0.0.1:{port}/x",
    )


def test_a_webhook_that_never_comes_to_its_answer_is_broken_off():
    with server(drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n")) as port, pytest.raises(SendFailed) as caught:
        WebhookSender(talk_s=0.3).send(hook(port), lambda: None)
    assert not caught.value.is_final


def test_a_webhook_that_took_it_and_does_not_stop_talking_is_broken_off():
    with server(drip(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n")) as port:
        assert WebhookSender(talk_s=0.3).send(hook(port), lambda: None) == "HTTP 200"


def test_a_webhook_that_says_nonsense_of_the_next_try_is_tried_as_any_other():
    def serve(connection: socket.socket, over: threading.Event) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 429 Slow\r\nRetry-After: \xb2\r\nContent-Length: 0\r\n\r\n")

    with server(serve) as port, pytest.raises(SendFailed, match="429") as caught:
        WebhookSender().send(hook(port), lambda: None)
    assert caught.value.retry_after_s is None


def mail_post(port: int, address: str = "ada@example.org") -> Post:
    carrier = {"host": "127.0.0.1", "port": port, "security": "none", "sender": "t@acme.example"}
    return post({"kind": "email", "address": "some-url", "mail": carrier}, address=address)


def smtp(to_quit: bytes, to_text: bytes = b"250 queued\r\n") -> Any:
    def serve(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(b"220 ready\r\n")
        with connection.makefile("rb") as lines:
            is_text = False
            for line in lines:
                if is_text:
                    if line == b".\r\n":
                        is_text = False
                        connection.sendall(to_text)
                    continue
                word = line[:4].upper()
                is_text = word == b"DATA"
                answers = {b"DATA": b"354 go on\r\n", b"QUIT": to_quit}
                connection.sendall(answers.get(word, b"250 fine\r\n"))

    return serve


def test_a_mail_that_was_taken_is_sent_whatever_the_server_says_to_the_goodbye():
    """Tried again it would come a second time."""
    with server(smtp(b"421 too many\r\n")) as port:
        assert MailSender().send(mail_post(port), lambda: None) == "250 queued"


def test_a_mail_server_that_drips_its_greeting_is_broken_off_and_nothing_was_begun():
    begun: list[int] = []
    with server(drip(b"", b"220-wait\r\n")) as port, pytest.raises(SendFailed):
        MailSender(talk_s=0.3).send(mail_post(port), lambda: begun.append(1))
    assert begun == []


def test_a_mail_server_that_drips_its_last_answer_leaves_it_open_whether_it_has_the_mail():
    with server(smtp(b"221 bye\r\n", b"250-" + b"x" * 20)) as port, pytest.raises(Unanswered):
        MailSender(talk_s=0.3).send(mail_post(port), lambda: None)


@pytest.mark.parametrize("address", ["a..b@example.org", "a[b@example.org", "a@example..org"])
def test_an_address_that_no_mail_can_have_is_final(address: str):
    with pytest.raises(SendFailed) as caught:
        MailSender().send(mail_post(1, address), lambda: None)
    assert caught.value.is_final


# ---- chats


def test_a_name_that_leads_elsewhere_when_it_is_asked_again_leads_a_chat_nowhere(sink: Any):
    """DNS rebinding: public when it is looked at, inside when it is connected to."""
    answers = [["8.8.8.8"], ["127.0.0.1"]]

    def resolver(host: str, port: int) -> list[str]:
        return answers.pop(0)

    chat = post({"kind": "chat", "address": "some-url"}, address=f"json://rebind.example:{sink.port}/x")
    with pytest.raises(SendFailed, match="allow_private") as caught:
        AppriseSender(resolver=resolver).send(chat, lambda: None)
    assert (caught.value.is_final, answers, sink.requests) == (True, [], [])


def test_a_chat_that_sends_elsewhere_by_a_redirect_is_followed_nowhere_inside(
    sink: Any, monkeypatch: pytest.MonkeyPatch
):
    """The first name passes for public, and so does its server here; the second one is inside, and is looked at too."""
    sink.answers.append((307, {"Location": f"http://inside.example:{sink.port}/metadata"}))
    looks = iter([["8.8.8.8"], ["127.0.0.1"], ["10.0.0.1"]])
    looked: list[str] = []

    def resolver(host: str, port: int) -> list[str]:
        looked.append(host)
        return next(looks)

    chat = post({"kind": "chat", "address": "some-url"}, address=f"json://chat.example:{sink.port}/x")
    # What is public is the register's to say; this machine has no address that is.
    monkeypatch.setattr(network, "is_public", lambda address: not address.startswith("10."))
    with pytest.raises(SendFailed, match="allow_private") as caught:
        AppriseSender(resolver=resolver).send(chat, lambda: None)
    assert (caught.value.is_final, len(sink.requests)) == (True, 1)
    assert looked == ["chat.example", "chat.example", "inside.example"]


def test_a_chat_that_never_comes_to_an_end_is_broken_off():
    chat = {"kind": "chat", "address": "some-url", "allow_private": True}
    with server(drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x")) as port:
        answer = AppriseSender(talk_s=0.3).send(
            post(chat, address=f"json://127.0.0.1:{port}/x"), lambda: None
        )
    assert answer == "told"


# ---- all together


def test_a_channel_that_hangs_keeps_nobody_else_from_being_told(office: Any, mailbox: Any):
    """The webhook's answer never comes; the mail does not wait for it."""

    def hang(connection: socket.socket, over: threading.Event) -> None:
        over.wait()

    with server(hang) as port:
        office.secret("acme-hook", f"http://127.0.0.1:{port}/x")
        found, stop = office.open(), threading.Event()
        thread = threading.Thread(target=found.notifier.run, args=(stop, 0.02))
        thread.start()
        try:
            for number in (1, 2, 3):
                found.ledger.record_events([happening(number)])
                office_room.wait_for(lambda: len(mailbox.mails) == number)  # noqa: B023
            sending = [one for one in found.ledger.deliveries() if one.state is DeliveryState.SENDING]
            assert "hook" in {one.channel for one in sending}
        finally:
            stop.set()
            thread.join(0.1)
    thread.join()


class Broken:
    """A sender with a defect that its author did not foresee."""

    def __init__(self, *, has_begun: bool):
        self._has_begun = has_begun

    def send(self, message: Post, begin: Any) -> str:
        if self._has_begun:
            begin()
        raise KeyError(message.address)


@pytest.mark.parametrize(
    ("has_begun", "mail"), [(False, DeliveryState.WAITING), (True, DeliveryState.UNCONFIRMED)]
)
def test_a_defect_keeps_no_channel_for_a_lease_and_tells_no_address(
    office: Any, caplog: pytest.LogCaptureFixture, has_begun: bool, mail: DeliveryState
):
    found = office.open()
    carriers = {**senders(), "email": Broken(has_begun=has_begun), "webhook": Broken(has_begun=has_begun)}
    told: list[str] = []

    def note(error: Any, place: str, **_: Any) -> None:
        told.append(f"{place}: {error}")

    courier = Courier(
        found.ledger,
        found.organizations,
        SecretStore(office.settings.secrets_dir, {}),
        carriers,
        utc_now,
        note,  # type: ignore[arg-type]
    )
    found.ledger.record_events([happening()])
    Notifier(found.ledger, courier, found.organizations, utc_now).advance(courier.deliver)
    states = {one.channel: one.state for one in found.ledger.deliveries()}
    assert states == {"mail": mail, "hook": DeliveryState.WAITING}
    assert len(told) == 2
    everything = caplog.text + str(told) + str(found.ledger.deliveries())
    assert office_room.RECIPIENT not in everything
    assert office_room.HOOK_TOKEN not in everything
