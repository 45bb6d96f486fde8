"""Yes, no and `None` of Apprise, and addresses that are refused before anything is sent."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tidegate.domain import Secret
from tidegate.domain.channel import Channel, ChannelRef
from tidegate.domain.events import Event
from tidegate.observability.notifications import Post, SendFailed
from tidegate.observability.notifications.apprise_channel import AppriseSender
from tidegate.observability.notifications.messages import Message

# Apprise asks for a module of the standard library that Python 3.13 no longer has, and does without.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


class Target:
    template_tokens: dict[str, Any] = {"host": {}}  # noqa: RUF012

    def __init__(self, host: str):
        self.host, self.port = host, None


class Told(list[Any]):
    """What `Apprise` is to us: targets, and a word for all of them."""

    def __init__(self, answer: bool | None, *targets: Target):
        super().__init__(targets)
        self.answer = answer
        self.said: dict[str, Any] = {}

    def notify(self, **said: Any) -> bool | None:
        self.said = said
        return self.answer


def post(kind: str = "chat", url: str | None = "slack://a/b/c", **event: Any) -> Post:
    values = {"key": "k", "kind": "hold", "severity": "critical", "topic": "t", "title": "burning"}
    happened = Event.model_validate(values | {"at": datetime(2026, 11, 26, tzinfo=UTC)} | event)
    channel = Channel.model_validate({"kind": kind, "address": "some-url"})
    secrets = {} if url is None else {"address": Secret(url)}
    return Post(Message("n-1", ChannelRef("acme", "x"), (happened,)), channel, secrets)


def send(one: Post, told: Told, **options: Any) -> list[int]:
    begun: list[int] = []
    AppriseSender(lambda url: told, **options).send(one, lambda: begun.append(1))
    return begun


def test_what_is_told_says_what_how_bad_and_only_once():
    told = Told(True, Target("x"))
    assert send(post(), told, resolver=lambda host, port: ["8.8.8.8"]) == [1]
    assert told.said["title"] == "[tidegate] CRITICAL: burning"
    assert str(told.said["notify_type"].value) == "failure"


def test_the_end_of_a_trouble_is_told_as_good_news():
    told = Told(True, Target("x"))
    send(post(is_resolved=True), told, resolver=lambda host, port: ["8.8.8.8"])
    assert str(told.said["notify_type"].value) == "success"


@pytest.mark.parametrize(("answer", "is_final"), [(None, True), (False, False)])
def test_nobody_to_tell_is_a_fault_of_configuration_and_no_is_tried_again(
    answer: bool | None, is_final: bool
):
    with pytest.raises(SendFailed) as caught:
        send(post(), Told(answer, Target("x")), resolver=lambda host, port: ["8.8.8.8"])
    assert caught.value.is_final is is_final


def test_an_address_that_apprise_does_not_know_is_final_and_nothing_began():
    begun: list[int] = []
    with pytest.raises(SendFailed, match="does not know this address") as caught:
        AppriseSender(lambda url: Told(True)).send(post(), lambda: begun.append(1))
    assert (caught.value.is_final, begun) == (True, [])


def test_a_chat_on_a_host_inside_the_network_is_refused():
    with pytest.raises(SendFailed, match="allow_private"):
        send(post(), Told(True, Target("chat.internal")), resolver=lambda host, port: ["10.0.0.1"])


@pytest.mark.parametrize(
    ("kind", "url"),
    [("chat", "dbus://"), ("chat", "file:///x"), ("chat", "mailto://x"), ("desktop", "slack://a/b/c")],
)
def test_an_address_of_another_kind_is_refused(kind: str, url: str):
    with pytest.raises(SendFailed, match="its address is none of a") as caught:
        send(post(kind, url), Told(True, Target("x")))
    assert caught.value.is_final


def test_a_desktop_without_an_address_is_this_machines():
    asked: list[str] = []

    def make(url: str) -> Told:
        asked.append(url)
        return Told(True, Target(""))

    AppriseSender(make).send(post("desktop", None), lambda: None)
    assert asked == ["dbus://"]


def test_an_address_of_several_is_refused_because_a_second_try_would_tell_the_first_twice():
    begun: list[int] = []
    with pytest.raises(SendFailed, match="more than one address") as caught:
        AppriseSender(lambda url: Told(True, Target("x"), Target("y"))).send(post(), lambda: begun.append(1))
    assert (caught.value.is_final, begun) == (True, [])


def test_nothing_that_happened_calls_people_or_leads_elsewhere_by_the_markup_of_a_chat():
    told = Told(True, Target("x"))
    words = "<!channel> <@U1> @everyone [bill](https://evil.example) <https://evil.example|bill>"
    send(post(title=words, text=words), told, resolver=lambda host, port: ["8.8.8.8"])
    for said in (told.said["title"], told.said["body"]):
        for mark in ("<!", "<@U", "@everyone", "](", "<https"):
            assert mark not in said
    assert told.said["body_format"] == "text"


def test_an_address_of_mail_in_a_text_stays_as_it_is():
    told = Told(True, Target("x"))
    send(post(text="ask ada@example.org, a < b"), told, resolver=lambda host, port: ["8.8.8.8"])
    assert "ask ada@example.org, a < b" in told.said["body"]


@pytest.mark.parametrize(
    "url",
    [
        "slack://a/b/c?template=/home/x/secret.json",
        "fcm://p/k?keyfile=..%2Fkey",
        "discord://a/b?Template=x.json",
    ],
)
def test_an_address_that_has_a_file_of_this_machine_sent_is_refused(url: str):
    with pytest.raises(SendFailed, match="names a file") as caught:
        send(post("chat", url), Told(True, Target("x")))
    assert caught.value.is_final


@pytest.mark.parametrize("url", ["irc://chat.example/#room", "MQTTS://broker.example/topic"])
def test_a_chat_whose_connections_cannot_be_watched_needs_leave_to_be_inside(url: str):
    with pytest.raises(SendFailed, match="allow_private") as caught:
        send(post("chat", url), Told(True, Target("x")))
    assert caught.value.is_final
