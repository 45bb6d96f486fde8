"""A notifier that is killed at any instruction loses no message, and sends none twice that its receiver cannot know."""

import contextlib
import importlib.util
import itertools
import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import tidegate
from tidegate.access import SecretStore
from tidegate.domain.deliveries import DeliveryState
from tidegate.ledger import Ledger
from tidegate.notifying import FreshOrganizations, senders, utc_now
from tidegate.observability.notifications import Courier, Notifier
from tidegate.observability.notifications.delivering import LEASE


def _beside(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"crash_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


happening = _beside("conftest").happening


def kill_at(office: Any, point: str) -> None:
    """Start a notifier, let it come to that instruction with both messages, and kill it there."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("notifier_process.py")), point, "2"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | office.environ | {"PYTHONPATH": str(Path(tidegate.__file__).parents[1])},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "reached\n"
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()


def go_on(office: Any, after: timedelta) -> dict[str, DeliveryState]:
    """The next notifier, so much later."""

    def later() -> datetime:
        return utc_now() + after

    with Ledger.open(office.settings.ledger_url, clock=later) as ledger:
        look(ledger, office, senders(), later)
        return {one.channel: one.state for one in ledger.deliveries()}


def look(outbox: Any, office: Any, carriers: Any, clock: Any, times: int = 3) -> None:
    organizations = FreshOrganizations(office.settings.organizations_dir, office.settings.policies_dir)
    courier = Courier(outbox, organizations, SecretStore(office.settings.secrets_dir, {}), carriers, clock)
    notifier = Notifier(outbox, courier, organizations, clock)
    for _ in range(times):
        notifier.advance(courier.deliver)


def test_killed_between_claim_and_send_everything_is_sent_by_the_next_one_once(office, mailbox, sink):
    office.open().ledger.record_events([happening()])
    kill_at(office, "before")
    assert (mailbox.mails, sink.requests) == ([], [])
    claimed = {"mail": DeliveryState.CLAIMED, "hook": DeliveryState.CLAIMED}
    assert go_on(office, timedelta(0)) == claimed
    assert (mailbox.mails, sink.requests) == ([], [])
    assert go_on(office, LEASE) == {"mail": DeliveryState.SENT, "hook": DeliveryState.SENT}
    assert (len(mailbox.mails), len(sink.requests)) == (1, 1)


def test_killed_between_send_and_mark_a_mail_is_not_repeated_and_a_webhook_is_by_its_same_id(
    office, mailbox, sink
):
    office.open().ledger.record_events([happening()])
    kill_at(office, "after")
    assert (len(mailbox.mails), len(sink.requests)) == (1, 1)
    assert go_on(office, LEASE) == {"mail": DeliveryState.UNCONFIRMED, "hook": DeliveryState.SENT}
    assert (len(mailbox.mails), len(sink.requests)) == (1, 2)
    (_, first, body), (_, second, again) = sink.requests
    assert (first["webhook-id"], body) == (second["webhook-id"], again)
    assert (first["tidegate-attempt"], second["tidegate-attempt"]) == ("1", "2")


# ---- killed at every step, in this process


class Killed(BaseException):
    """Nothing of ours catches it, as nothing catches SIGKILL."""


class Mortal:
    """A ledger whose caller dies right before or right after its call number `at`."""

    def __init__(self, ledger: Ledger, at: int, *, after: bool):
        self._ledger = ledger
        self._at = at
        self._after = after
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._ledger, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.calls == self._at and not self._after:
                raise Killed
            result = method(*args, **kwargs)
            if self.calls == self._at:
                raise Killed
            return result

        return call


class Counting:
    """A channel that counts what it gets by id."""

    def __init__(self) -> None:
        self.got: list[str] = []

    def send(self, post: Any, begin: Any) -> str:
        begin()
        self.got.append(post.message.delivery_id)
        return "got it"


def test_killed_before_or_after_any_of_its_calls_nothing_is_lost_or_doubled(office):
    """One run for each call that a notifier makes of the ledger, each with an event of its own."""
    times = itertools.count()
    start = utc_now()
    now = [start]
    with Ledger.open(office.settings.ledger_url, clock=lambda: now[0]) as ledger:

        def run(at: int, *, after: bool) -> tuple[int, Counting, Counting, dict[str, DeliveryState]]:
            mail, hook = Counting(), Counting()
            carriers = {"email": mail, "webhook": hook}
            ledger.record_events([happening(next(times), at=now[0])])
            mortal = Mortal(ledger, at, after=after)
            with contextlib.suppress(Killed):
                look(mortal, office, carriers, lambda: now[0], times=1)
            now[0] += LEASE
            look(ledger, office, carriers, lambda: now[0], times=1)
            states = {one.channel: one.state for one in ledger.deliveries(limit=2)}
            now[0] += timedelta(hours=3)
            return mortal.calls, mail, hook, states

        calls = run(0, after=False)[0]
        assert calls > 8
        for after, at in itertools.product((False, True), range(1, calls + 1)):
            _, mail, hook, states = run(at, after=after)
            where = f"killed {'after' if after else 'before'} call {at}"
            assert states["hook"] is DeliveryState.SENT, where
            assert len(set(hook.got)) == 1, where
            assert len(mail.got) <= 1, where
            if states["mail"] is DeliveryState.SENT:
                assert len(mail.got) == 1, where
            else:
                assert states["mail"] is DeliveryState.UNCONFIRMED, where
