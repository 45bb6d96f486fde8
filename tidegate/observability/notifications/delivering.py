"""Carries one claimed message to its channel and writes down what became of it."""

import logging
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Protocol

from tidegate.access import webhook_key_name
from tidegate.domain import Fenced, Organization, Permanent, Secret, TidegateError
from tidegate.domain.channel import Channel, ChannelKind, ChannelRef
from tidegate.domain.deliveries import Arrived, Claimed, Delivery, NextTry, Outcome, Unsure
from tidegate.domain.error_tracking import DEFECT_REMEDY, FORGET, NoteError, innermost
from tidegate.observability.notifications.deciding import next_try
from tidegate.observability.notifications.messages import Message, trial_event
from tidegate.observability.notifications.outbox import Outbox
from tidegate.observability.notifications.sending import Post, Sender, SendFailed, Unanswered

log = logging.getLogger(__name__)
LEASE = timedelta(seconds=60)
"""Longer than any sender takes to its first byte, and again from there to the answer."""
SIGNING_KEY = "signing_key"
KNOWN_BY_ID: frozenset[ChannelKind] = frozenset({"webhook"})
"""Channels whose receivers know a message by its id, and can therefore be sent it again when in doubt."""


class Secrets(Protocol):
    def get(self, reference: str) -> Secret | None: ...
    def ensure(self, reference: str) -> Secret: ...


Organizations = Callable[[], Mapping[str, Organization]]


class Courier:
    """Delivers what is claimed. Never raises for what a channel did: that is an outcome."""

    def __init__(
        self,
        outbox: Outbox,
        organizations: Organizations,
        secrets: Secrets,
        senders: Mapping[ChannelKind, Sender],
        clock: Callable[[], datetime],
        note_error: NoteError = FORGET,
    ):
        self._note = note_error
        self._outbox = outbox
        self._organizations = organizations
        self._secrets = secrets
        self._senders = senders
        self._clock = clock

    def deliver(self, claimed: Claimed) -> Delivery | None:
        """The delivery as it stands afterwards; None when it was somebody else's by then."""
        try:
            outcome = self._outcome(claimed)
        except Fenced as error:
            log.info("%s", error.message)
            return None
        found = self._outbox.finish_delivery(claimed, outcome)
        if found is not None:
            self._tell(found)
        return found

    def channel(self, ref: ChannelRef) -> Channel | None:
        organization = self._organizations().get(ref.org)
        return organization.notifications.get(ref.name) if organization else None

    def _outcome(self, claimed: Claimed) -> Outcome:
        channel = self.channel(claimed.delivery.ref)
        if channel is None or channel.kind != claimed.delivery.channel_kind:
            return NextTry(None, "the channel is no longer configured")
        has_begun = False

        def begin() -> None:
            nonlocal has_begun
            self._outbox.begin_sending(claimed, LEASE)
            has_begun = True

        try:
            post = Post(
                Message(claimed.delivery.id, claimed.delivery.ref, claimed.events, claimed.delivery.attempts),
                channel,
                self._secrets_of(claimed.delivery.ref, channel),
            )
            receipt = self._senders[channel.kind].send(post, begin)
        except SendFailed as error:
            return self._after(claimed, error)
        except Unanswered as error:
            return Unsure(str(error))
        except Fenced:
            raise
        except TidegateError as error:
            # A person may mend what needs one while it is tried again.
            return self._after(claimed, SendFailed(error.message, is_final=isinstance(error, Permanent)))
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not keep the channel for a whole lease
            return self._after_defect(claimed, error, has_begun=has_begun)
        return Arrived(receipt)

    def _after_defect(self, claimed: Claimed, error: Exception, *, has_begun: bool) -> Outcome:
        """What no sender foresaw. Its text is told nowhere: it may quote an address."""
        kind = claimed.delivery.channel_kind
        what = f"{type(error).__name__} in {innermost(error.__traceback__) or 'a library'}"
        known = Permanent(f"A message of kind {kind} was not handled: {what}.", remedy=DEFECT_REMEDY)
        log.error("%s to %s: %s", claimed.delivery.id, claimed.delivery.ref, known.message)
        self._note(known, "notifier", org=claimed.delivery.org)
        if has_begun and kind not in KNOWN_BY_ID:
            return Unsure(what)
        return self._after(claimed, SendFailed(what))

    def _secrets_of(self, ref: ChannelRef, channel: Channel) -> dict[str, Secret]:
        """Read for each message, so that a changed one counts at once. One that is not there may be on its way: whoever
        changes it may take the old one first. Raises: SendFailed."""
        found: dict[str, Secret] = {}
        for field, reference in channel.secrets.items():
            secret = self._secrets.get(reference)
            if secret is None:
                raise SendFailed(f"there is no secret at '{reference}' (its {field})")
            found[field] = secret
        if channel.kind == "webhook" and SIGNING_KEY not in found:
            found[SIGNING_KEY] = self._secrets.ensure(webhook_key_name(ref.org, ref.name))
        return found

    def _after(self, claimed: Claimed, error: SendFailed) -> NextTry:
        reason = str(error)
        if error.is_final:
            return NextTry(None, reason)
        one = claimed.delivery
        at = next_try(
            one.id,
            one.attempts,
            self._clock(),
            is_urgent=any(event.is_urgent for event in claimed.events),
            retry_after_s=error.retry_after_s,
        )
        return NextTry(at, reason if at is not None else f"given up after {one.attempts} tries: {reason}")

    def _tell(self, found: Delivery) -> None:
        log.info(
            "%s to %s: %s%s", found.id, found.ref, found.state, f", {found.error}" if found.error else ""
        )


def try_channel(
    outbox: Outbox,
    courier: Courier,
    ref: ChannelRef,
    channel: Channel,
    actor: str,
    now: datetime,
    new_claim: Callable[[], str] = lambda: secrets.token_hex(8),
) -> Delivery:
    """Send a test message at once, by the same rows and senders as any other; says what became of it."""
    claim = new_claim()
    event = trial_event(ref, f"test/{ref}/{claim}", actor, now)
    claimed = outbox.begin_test(event, ref, channel.kind, claim, LEASE)
    return courier.deliver(claimed) or claimed.delivery
