"""What stays, what is sealed, and what a damaged backup is worth."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tidegate.access import SecretStore
from tidegate.backing_up import passphrase_at
from tidegate.backup.archive import Archive, damaged, entry_of, write_private
from tidegate.backup.manifest import MANIFEST, Manifest, Verification, expired
from tidegate.backup.sealing import seal, unseal
from tidegate.domain import NeedsOperator, NotFound, Refused, Secret, Transient

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
PHRASE = Secret("correct horse battery staple")


def name_of(number: int) -> str:
    return f"20261126T12{number:02d}00Z-00000{number:x}"


def manifest(number: int, days_old: float = 0.0, **files) -> Manifest:
    return Manifest(
        name=name_of(number),
        made_at=NOW - timedelta(days=days_old),
        tidegate="0",
        database="sqlite",
        revision="0008",
        rows={"releases": 3},
        files=files,
    )


def names(found: list[Manifest]) -> list[str]:
    return [one.name for one in found]


def test_the_newest_stay_and_the_rest_goes():
    found = [(manifest(number, number), False) for number in range(5)]
    assert names(expired(found, NOW, keep=2, max_age=timedelta(days=30))) == [
        name_of(2),
        name_of(3),
        name_of(4),
    ]


def test_what_is_too_old_goes_however_few_there_are():
    found = [(manifest(0, 1), False), (manifest(1, 40), False)]
    assert names(expired(found, NOW, keep=10, max_age=timedelta(days=30))) == [name_of(1)]


def test_the_newest_and_the_newest_verified_stay_however_old():
    found = [(manifest(0, 100), False), (manifest(1, 200), True), (manifest(2, 300), True)]
    assert names(expired(found, NOW, keep=1, max_age=timedelta(days=30))) == [name_of(2)]
    assert expired([], NOW, keep=1, max_age=timedelta(days=1)) == []


def write(archive: Archive, number: int, days_old: float = 0.0) -> None:
    with archive.draft(name_of(number)) as draft:
        (draft / "ledger").write_text("rows")
        told = manifest(number, days_old, ledger=entry_of(draft / "ledger"))
        write_private(draft / MANIFEST, told.model_dump_json().encode())


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "backups")


def test_a_backup_appears_whole_or_not_at_all(archive: Archive):
    def half() -> None:
        with archive.draft(name_of(1)) as draft:
            (draft / "ledger").write_text("half of it")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert archive.all() == []
    assert list(archive.root.iterdir()) == []


def test_a_disk_that_cannot_be_written_is_told_with_a_remedy(tmp_path: Path):
    (tmp_path / "backups").write_text("a file where the folder belongs")
    with (
        pytest.raises(Transient, match="cannot be written") as caught,
        Archive(tmp_path / "backups").draft("x"),
    ):
        pass
    assert "TIDEGATE_BACKUP_DIR" in caught.value.remedy


def test_backups_are_for_their_owner_only(archive: Archive):
    write(archive, 1)
    kept = archive.get()
    assert kept.folder.stat().st_mode & 0o077 == 0
    assert (kept.folder / MANIFEST).stat().st_mode & 0o077 == 0


def test_the_newest_is_meant_when_none_is_named(archive: Archive):
    for number in (1, 3, 2):
        write(archive, number)
    assert archive.get().name == name_of(3)
    assert archive.get(name_of(1)).name == name_of(1)
    with pytest.raises(NotFound):
        archive.get("../../etc")


def test_a_damaged_manifest_is_shown_and_of_no_use(archive: Archive):
    write(archive, 1)
    (archive.get().folder / MANIFEST).write_text("{")
    (kept,) = archive.all()
    assert "damaged" in kept.trouble
    with pytest.raises(NeedsOperator, match="of no use"):
        archive.get()


def test_a_manifest_of_another_backup_is_refused(archive: Archive):
    write(archive, 1)
    folder = archive.get().folder
    (folder / MANIFEST).write_text(manifest(2).model_dump_json())
    with pytest.raises(NeedsOperator, match="manifest is that of"):
        archive.get()


def test_a_changed_or_missing_file_is_seen(archive: Archive):
    write(archive, 1)
    kept = archive.get()
    assert damaged(kept) == []
    (kept.folder / "ledger").write_text("other")
    assert damaged(kept) == ["ledger is not what was written"]
    (kept.folder / "ledger").unlink()
    assert damaged(kept) == ["ledger is missing"]


def test_old_ones_and_abandoned_drafts_are_cleared(archive: Archive):
    for number, days_old in ((1, 50), (2, 40), (3, 0)):
        write(archive, number, days_old)
    archive.note_verified(archive.get(name_of(1)), Verification(at=NOW, rows=3, took_s=0.1))
    abandoned = archive.root / ".unfinished-x"
    abandoned.mkdir()
    long_ago = (NOW - timedelta(days=2)).timestamp()
    os.utime(abandoned, (long_ago, long_ago))
    assert archive.clear(NOW, keep=10, max_age=timedelta(days=30)) == [name_of(2)]
    assert sorted(path.name for path in archive.root.iterdir()) == [name_of(1), name_of(3)]


def test_what_was_sealed_opens_with_its_passphrase_and_in_its_backup_only():
    content = json.dumps({"secrets": {"prefect-auth": "hush"}}).encode()
    sealed = seal(content, PHRASE, name_of(1))
    assert b"hush" not in sealed
    assert unseal(sealed, PHRASE, name_of(1)) == content
    for phrase, name, bytes_ in (
        (Secret("another passphrase"), name_of(1), sealed),
        (PHRASE, name_of(2), sealed),
        (PHRASE, name_of(1), sealed[:-1] + bytes([sealed[-1] ^ 1])),
        (PHRASE, name_of(1), b"short"),
    ):
        with pytest.raises(Refused, match="cannot be opened"):
            unseal(bytes_, phrase, name)


def test_a_passphrase_that_could_be_guessed_is_refused():
    with pytest.raises(Refused, match="fewer than 12"):
        seal(b"", Secret("short"), name_of(1))


def test_a_passphrase_must_lie_elsewhere_than_what_it_seals(tmp_path: Path):
    store = SecretStore(tmp_path, {"PHRASE": "correct horse battery staple"})
    assert passphrase_at("env:PHRASE", store).reveal() == PHRASE.reveal()
    with pytest.raises(Refused, match="must not lie in the secret store"):
        passphrase_at("backup-passphrase", store)
    with pytest.raises(Refused, match="no passphrase at"):
        passphrase_at("env:OTHER", store)
