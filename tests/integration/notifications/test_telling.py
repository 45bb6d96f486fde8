"""From the change in the ledger to the mail and the signed request, over real servers."""

import importlib.util
import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from tidegate.domain import ReleaseRequest
from tidegate.domain.channel import ChannelRef
from tidegate.domain.deliveries import DeliveryState, NextTry
from tidegate.observability.notifications import try_channel
from tidegate.observability.notifications.notifier import POLL_S
from tidegate.observability.notifications.webhook import signatures


def _beside(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"told_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


office_room = _beside("conftest")
happening, HOOK_TOKEN, RECIPIENT, SIGNING_KEY = (
    office_room.happening,
    office_room.HOOK_TOKEN,
    office_room.RECIPIENT,
    office_room.SIGNING_KEY,
)
# Apprise asks for a module of the standard library that Python 3.13 no longer has, and does without.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


def advance(found: Any, rounds: int = 3) -> None:
    """Looks at the outbox, with messages carried away in this thread."""
    for _ in range(rounds):
        found.notifier.advance(found.courier.deliver)


def states(found: Any) -> dict[str, list[str]]:
    told: dict[str, list[str]] = {}
    for one in found.ledger.deliveries():
        told.setdefault(one.channel, []).append(one.state.value)
    return told


def test_a_release_that_ends_is_told_by_mail_and_webhook_once_each(office, mailbox, sink):
    found = office.open()
    wanted = ReleaseRequest(org="acme", service="chat", model="pipit", version="v1")
    release = found.ledger.request_release(wanted, "a" * 64, key="k")
    found.ledger.append(release.id, 0, "entered", "rejected", {"reason": "bad file", "gate": "structure"})
    advance(found)
    (mail,) = mailbox.mails
    (body,) = sink.bodies
    assert mail["To"] == RECIPIENT
    assert "failed the gate structure" in mail["Subject"]
    assert "bad file" in mail.get_body(("plain",)).get_content()
    assert [event["kind"] for event in body["events"]] == ["gate_failed"]
    assert body["events"][0]["release_id"] == release.id
    assert states(found) == {"mail": ["sent"], "hook": ["sent"]}


def test_what_is_urgent_is_on_its_way_within_one_look_and_looks_are_at_most_a_second_apart(
    office, mailbox, sink
):
    found = office.open()
    found.ledger.record_events([happening()])
    advance(found, 1)
    assert (len(mailbox.mails), len(sink.requests)) == (1, 1)
    assert POLL_S <= 1
    for one in found.ledger.deliveries():
        assert one.event_at <= one.created_at <= one.sending_at <= one.ended_at


def test_a_webhook_can_be_verified_by_its_id_its_time_and_its_key(office, sink):
    from tidegate.domain import Secret

    found = office.open()
    found.ledger.record_events([happening()])
    advance(found)
    ((path, headers, body),) = sink.requests
    expected = signatures(Secret(SIGNING_KEY), headers["webhook-id"], int(headers["webhook-timestamp"]), body)
    assert headers["webhook-signature"] == expected
    assert headers["webhook-id"].startswith("n-")
    assert headers["host"] == f"127.0.0.1:{sink.port}"
    assert path.startswith(f"/{HOOK_TOKEN}")


def test_a_webhook_that_fails_is_tried_again_as_its_same_self(office, sink):
    found = office.open()
    sink.answers += [(500, {}), (503, {"Retry-After": "0"})]
    found.ledger.record_events([happening()])
    office_room.wait_for(lambda: advance(found) or "sent" in states(found)["hook"], lambda: states(found))
    ids = {headers["webhook-id"] for _, headers, _ in sink.requests}
    assert (len(sink.requests), len(ids), len({body for _, _, body in sink.requests})) == (3, 1, 1)
    assert [headers["tidegate-attempt"] for _, headers, _ in sink.requests] == ["1", "2", "3"]


@pytest.mark.parametrize(("status", "said"), [(302, "redirects are not followed"), (410, "gone for good")])
def test_a_webhook_that_leads_elsewhere_or_is_gone_is_dead_at_once(office, sink, status, said):
    found = office.open()
    sink.answers.append((status, {"Location": f"http://127.0.0.1:{sink.port}/elsewhere"}))
    found.ledger.record_events([happening()])
    advance(found)
    assert [path for path, _, _ in sink.requests if "elsewhere" in path] == []
    (dead,) = found.ledger.deliveries(channel="hook")
    assert (dead.state, said in dead.error) == (DeliveryState.DEAD, True)
    (finding,) = [one for one in found.ledger.findings() if one.kind == "notification.failing"]
    assert finding.subject == "acme/hook"
    found.ledger.retry_delivery(dead.id[:6])
    advance(found)
    assert states(found)["hook"] == ["sent"]
    assert [one.kind for one in found.ledger.findings()] == []


def test_a_webhook_inside_the_network_is_refused_unless_it_is_allowed(office, sink):
    del office.channels["hook"]["allow_private"]
    office.secret("acme-hook", f"https://127.0.0.1:{sink.port}/x")
    office.write()
    found = office.open()
    found.ledger.record_events([happening()])
    advance(found)
    (dead,) = found.ledger.deliveries(channel="hook")
    assert (dead.state, sink.requests) == (DeliveryState.DEAD, [])
    assert "allow_private" in dead.error


def test_a_mail_server_that_refuses_for_now_is_tried_again_and_one_that_refuses_for_good_is_not(
    office, mailbox
):
    found = office.open()
    mailbox.refuse = "451 later please"
    found.ledger.record_events([happening(1)])
    advance(found, 1)
    assert states(found)["mail"] == ["waiting"]
    mailbox.refuse = ""
    office_room.wait_for(lambda: advance(found) or states(found)["mail"] == ["sent"])
    mailbox.refuse = "554 not here"
    found.ledger.record_events([happening(2)])
    office_room.wait_for(lambda: advance(found) or "dead" in states(found)["mail"])
    assert len(mailbox.mails) == 1


def test_a_mail_server_that_breaks_off_after_the_text_leaves_the_mail_unconfirmed(office, mailbox):
    found = office.open()
    mailbox.drop = True
    found.ledger.record_events([happening()])
    advance(found, 5)
    (unsure,) = found.ledger.deliveries(channel="mail")
    assert (unsure.state, mailbox.offered) == (DeliveryState.UNCONFIRMED, 1)


def test_a_slack_style_chat_is_told_through_apprise(office, sink):
    office.channels = {"chat": {"kind": "chat", "address": "acme-chat", "allow_private": True}}
    office.secret("acme-chat", f"mmost://127.0.0.1:{sink.port}/chat0token0of0acme0123456")
    office.write()
    found = office.open()
    found.ledger.record_events([happening(title="burning <!channel>")])
    advance(found)
    assert states(found) == {"chat": ["sent"]}
    (body,) = sink.bodies
    assert "burning" in body["text"]


@pytest.mark.parametrize("url", ["nonsense://x", "file:///tmp/x", "dbus://"])
def test_a_chat_address_that_is_none_is_told_as_a_fault_of_configuration(office, url):
    office.channels = {"chat": {"kind": "chat", "address": "acme-chat"}}
    office.secret("acme-chat", url)
    office.write()
    found = office.open()
    found.ledger.record_events([happening()])
    advance(found)
    (dead,) = found.ledger.deliveries()
    assert (dead.state, dead.attempts) == (DeliveryState.DEAD, 1)


def test_no_address_password_or_key_is_in_the_ledger_a_log_or_an_error(office, mailbox, sink, caplog):
    caplog.set_level(logging.DEBUG)
    office.secret("acme-chat", f"mmost://127.0.0.1:{sink.port}/{HOOK_TOKEN.replace('-', '0')}")
    office.channels["chat"] = {"kind": "chat", "address": "acme-chat", "allow_private": True}
    office.channels["gone"] = {"kind": "webhook", "address": "acme-gone"}
    office.secret("acme-gone", f"https://no-such-host.invalid/{HOOK_TOKEN}")
    office.write()
    found = office.open()
    mailbox.refuse = f"554 {RECIPIENT} is nobody"
    sink.answers += [(500, {}), (500, {})]
    found.ledger.record_events([happening()])
    advance(found, 1)
    told = str([one.model_dump() for one in found.ledger.deliveries()]) + str(found.ledger.findings())
    # The mail server of this test writes down what it is sent.
    logged = "\n".join(record.getMessage() for record in caplog.records if record.name != "mail.log")
    database = b"".join(path.read_bytes() for path in office.settings.home.glob("ledger.sqlite3*"))
    for secret in (HOOK_TOKEN, HOOK_TOKEN.replace("-", "0"), RECIPIENT, SIGNING_KEY, "no-such-host"):
        assert secret not in told
        assert secret not in logged
        assert secret.encode() not in database
    assert "dead" in states(found)["mail"]


def test_the_test_command_tells_past_quiet_hours_and_says_what_came_of_it(office, mailbox):
    from datetime import UTC, datetime

    office.channels["mail"]["quiet_hours"] = {"start": "00:00", "end": "23:59:59.999999"}
    office.write()
    found = office.open()
    ref = ChannelRef("acme", "mail")
    channel = found.courier.channel(ref)
    told = try_channel(found.ledger, found.courier, ref, channel, "ada", datetime.now(UTC))
    assert told.state is DeliveryState.SENT
    assert "ada asked" in mailbox.mails[0].get_body(("plain",)).get_content()
    advance(found)
    assert len(mailbox.mails) == 1


def test_quiet_hours_hold_back_what_is_not_urgent(office, mailbox):
    office.channels["mail"]["quiet_hours"] = {"start": "00:00", "end": "23:59:59.999999"}
    office.write()
    found = office.open()
    found.ledger.record_events([happening(1, severity="warning"), happening(2)])
    advance(found)
    assert [mail["X-Tidegate-Severity"] for mail in mailbox.mails] == ["critical"]
    assert states(found)["mail"] == ["sent"]


def test_a_channel_that_is_removed_is_told_nothing_more_and_one_that_is_added_counts_at_once(
    office, mailbox, sink
):
    found = office.open()
    found.ledger.record_events([happening(1)])
    found.notifier.advance(lambda claimed: found.ledger.finish_delivery(claimed, _later(found)), most=16)
    del office.channels["hook"]
    office.write()
    found.ledger.record_events([happening(2)])
    office_room.wait_for(lambda: advance(found) or "dead" in states(found)["hook"], lambda: states(found))
    office_room.wait_for(lambda: advance(found) or len(mailbox.mails) == 2, lambda: states(found))
    assert sink.requests == []


def _later(found: Any) -> NextTry:
    from datetime import UTC, datetime

    return NextTry(datetime.now(UTC), "not now")


def test_two_notifiers_at_once_send_each_message_once(office, mailbox, sink):
    """Each with its own connection, both looking as fast as they can while events come in."""
    office.channels["mail"]["digest"] = office.channels["hook"]["digest"] = {"after": 1000}
    office.channels["mail"]["rate"] = office.channels["hook"]["rate"] = {"burst": 1000}
    office.write()
    both, stop = [office.open(), office.open()], threading.Event()
    threads = [threading.Thread(target=one.notifier.run, args=(stop, 0.01)) for one in both]
    for thread in threads:
        thread.start()
    writer = office.open()
    for number in range(12):
        writer.ledger.record_events([happening(number)])
    office_room.wait_for(
        lambda: len(mailbox.mails) >= 12 and len(sink.requests) >= 12, lambda: states(writer)
    )
    stop.set()
    for thread in threads:
        thread.join()
    assert len({mail["Message-ID"] for mail in mailbox.mails}) == len(mailbox.mails) == 12
    assert len({headers["webhook-id"] for _, headers, _ in sink.requests}) == len(sink.requests) == 12
    delays = [one.delay_s for one in writer.ledger.deliveries(limit=100)]
    assert len(delays) == 24
    assert all(delay is not None and delay >= 0 for delay in delays)
