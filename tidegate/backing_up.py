"""The composition of backups: folders and secrets of this installation, and what the ledger is told of how they went."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta

from tidegate.access import SecretStore
from tidegate.backup import Archive, Backups, Checked, Kept, Sealed
from tidegate.domain import Place, Refused, Secret, SecretReference, TidegateError
from tidegate.domain.health import BackupMark
from tidegate.ledger import Ledger
from tidegate.observability.concealing import conceal
from tidegate.settings import Settings
from tidegate.steps.ports import Ports

KEEP = 14
MAX_AGE = timedelta(days=30)
FAILED, UNVERIFIED = "backup.failed", "backup.unverified"
SUBJECT = "ledger"


def backups_of(settings: Settings) -> Backups:
    """Opens nothing: what is to be restored may be all that there is."""
    folders = (settings.organizations_dir, settings.policies_dir)
    return Backups(Archive(settings.backups_dir), settings.ledger_url, folders)


def create_backup(
    ports: Ports, *, passphrase: Secret | None = None, keep: int = KEEP, max_age: timedelta = MAX_AGE
) -> tuple[Kept, list[str]]:
    """One more backup; returns it and the names of those that were removed for it. A failure stands as a finding until
    a backup succeeds, and people are told of it once.

    Raises: what `Backups.create` raises.
    """
    backups, ledger, begun = backups_of(ports.settings), ledger_of(ports), time.monotonic()
    with _noted(ledger, FAILED, "Make one by hand: tidegate backup create."):
        kept = backups.create(_sealed(ports, passphrase) if passphrase is not None else None)
        assert kept.manifest is not None, "create() reads it back"
        # Before old ones are removed: it is there, whatever becomes of them.
        took_s = round(time.monotonic() - begun, 3)
        ledger.note_backup(
            BackupMark("made", kept.name, kept.manifest.made_at, kept.manifest.size_bytes, took_s)
        )
        removed = backups.archive.clear(ports.clock(), keep, max_age)
    return kept, removed


def verify_backup(ports: Ports, name: str = "") -> Checked:
    """Restore one as a test. That it cannot be restored stands as a finding until one can.

    Raises: what `Backups.verify` raises.
    """
    backups, ledger = backups_of(ports.settings), ledger_of(ports)
    with _noted(ledger, UNVERIFIED, "Make another one, and verify that: tidegate backup create.") as note:
        checked = backups.verify(name)
        if checked.problems:
            note(f"The backup {checked.kept.name} is not whole once restored: {checked.problems[0]}.")
            return checked
    size = checked.kept.manifest.size_bytes if checked.kept.manifest else 0
    ledger.note_backup(
        BackupMark("verified", checked.kept.name, ports.clock(), size, round(checked.took_s, 3))
    )
    return checked


def passphrase_at(reference: str, secrets: SecretStore) -> Secret:
    """Raises: Refused for one that is kept in the store that it is to seal, or that is not there."""
    if SecretReference.parse(reference).place is Place.STORE:
        raise Refused(
            "The passphrase must not lie in the secret store: it would be lost together with the secrets.",
            remedy="Name a variable or a file elsewhere: --passphrase env:NAME, or file:/absolute/path.",
        )
    found = secrets.get(reference)
    if found is None:
        raise Refused(
            f"There is no passphrase at {reference}.", remedy="Put it there, or correct the reference."
        )
    return found


def ledger_of(ports: Ports) -> Ledger:
    ledger = ports.ledger
    assert isinstance(ledger, Ledger), "load() opens it"
    return ledger


def _sealed(ports: Ports, passphrase: Secret) -> Sealed:
    """The secrets that lie in our own store: what is kept elsewhere is backed up where it is."""
    store = ports.secrets
    assert isinstance(store, SecretStore), "load() makes it"
    found = {name: value for name in store.names() if (value := store.get(name)) is not None}
    artifacts: dict[str, int] = {}
    for path in sorted(ports.settings.store_dir.rglob("*")):
        if path.is_file() and len(path.name) == 64:
            artifacts[path.name] = path.stat().st_size
    return Sealed(passphrase, found, artifacts)


@contextmanager
def _noted(ledger: Ledger, kind: str, remedy: str) -> Generator[Callable[[str], None]]:
    """A finding while it does not succeed. What must be told itself is the error, not a trouble with telling it."""
    told: list[str] = []
    try:
        yield told.append
    except TidegateError as error:
        _note(ledger, kind, error.message, error.remedy or remedy)
        raise
    except Exception as error:
        # A defect of ours is no backup either.
        _note(ledger, kind, f"{type(error).__name__}: {conceal(str(error))}", remedy)
        raise
    if told:
        _note(ledger, kind, told[0], remedy)
    else:
        ledger.resolve_finding(kind, SUBJECT)


def _note(ledger: Ledger, kind: str, summary: str, remedy: str) -> None:
    ledger.note_finding(kind, SUBJECT, summary, remedy=remedy)
