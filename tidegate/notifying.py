"""The composition of notifications: outbox, organizations, secrets and senders. As `wiring`, it reads the environment.

It needs no platform and no store, so that the notifier starts at once and holds no credential of a platform.
"""

import logging
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from tidegate.access import SecretStore, load_organizations
from tidegate.domain import Organization, TidegateError
from tidegate.domain.channel import ChannelKind
from tidegate.domain.error_tracking import FORGET, NoteError
from tidegate.ledger import Ledger
from tidegate.observability.concealing import conceal
from tidegate.observability.error_recorder import ErrorRecorder
from tidegate.observability.notifications import Courier, Notifier, Sender
from tidegate.settings import Settings, load_settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Notifications:
    """Everything about notifications of one installation, to be closed after use."""

    ledger: Ledger
    organizations: Callable[[], Mapping[str, Organization]]
    courier: Courier
    notifier: Notifier
    note_error: NoteError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.note_error.flush()
        self.ledger.close()


def load(settings: Settings | None = None) -> Notifications:
    """Raises: what reading the organizations and opening the ledger raise."""
    settings = settings or load_settings()
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    ledger = Ledger.open(settings.ledger_url)
    store, note = SecretStore(settings.secrets_dir, os.environ), ErrorRecorder(ledger, conceal)
    try:
        organizations = FreshOrganizations(settings.organizations_dir, settings.policies_dir, note)
    except TidegateError:
        ledger.close()
        raise
    courier = Courier(ledger, organizations, store, senders(), utc_now, note)
    notifier = Notifier(ledger, courier, organizations, utc_now, note=note)
    return Notifications(ledger, organizations, courier, notifier, note)


def run_notifier(settings: Settings, stop: threading.Event) -> None:
    """Empty the outbox until `stop` is set."""
    with load(settings) as found:
        channels = sum(len(org.notifications) for org in found.organizations().values())
        log.info("%d channels of %d organizations", channels, len(found.organizations()))
        found.notifier.run(stop)


def senders() -> dict[ChannelKind, Sender]:
    """What carries messages of each kind."""
    from tidegate.observability.notifications.apprise_channel import AppriseSender
    from tidegate.observability.notifications.mail import MailSender
    from tidegate.observability.notifications.webhook import WebhookSender

    apprise = AppriseSender()
    return {"email": MailSender(), "webhook": WebhookSender(), "chat": apprise, "desktop": apprise}


def utc_now() -> datetime:
    """The clock of everything here."""
    return datetime.now(UTC)


class FreshOrganizations:
    """The organizations as their files say now. While a file is wrong, those before it count."""

    def __init__(self, organizations_dir: Path, policies_dir: Path, note: NoteError = FORGET):
        """Raises: what `load_organizations` raises."""
        self._note = note
        self._folders = (organizations_dir, policies_dir)
        self._lock = threading.Lock()
        self._seen = self._stamps()
        self._known = load_organizations(*self._folders)

    def __call__(self) -> Mapping[str, Organization]:
        with self._lock:
            stamps = self._stamps()
            if stamps != self._seen:
                self._seen = stamps
                self._reload()
            return self._known

    def _reload(self) -> None:
        try:
            self._known = load_organizations(*self._folders)
        except TidegateError as error:
            log.warning("the organizations stay as they were: %s", error.message)
            self._note(error, "organizations")

    def _stamps(self) -> tuple[tuple[str, int, int], ...]:
        files = (path for folder in self._folders for path in sorted(folder.glob("*.yaml")))
        return tuple((str(path), *_stamp(path)) for path in files)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except FileNotFoundError:
        # Removed between the listing and now: the next look lists it no more.
        return 0, 0
    return status.st_mtime_ns, status.st_size
