"""Files of the local platform: records, locks, logs, ports, credentials, artifacts."""

import hashlib
import json
import os
import socket
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tidegate.domain import CapacityShortage, InvalidInput, NeedsOperator, Refused, Secret, SetSpec, Transient
from tidegate.platforms.local.artifact import MAX_REMEMBERED, artifact_problem
from tidegate.platforms.local.credentials import Credentials
from tidegate.platforms.local.free_port import choose_port
from tidegate.platforms.local.launcher import process_identity, write_atomically
from tidegate.platforms.local.locks import locked
from tidegate.platforms.local.state import SetFolder, SetRecord, Wanted, set_names

HOST = "127.0.0.1"
KEY = Secret("a-credential-of-some-length")


@pytest.fixture
def folder(tmp_path: Path) -> SetFolder:
    folder = SetFolder(tmp_path / "sets", "a--b--c")
    spec = SetSpec(
        name=folder.name, org="aa", service="bb", release_id="r", digest="0" * 64, artifact_path="/m"
    )
    folder.save(SetRecord(spec=spec, wanted=Wanted.RUNNING, changed_at=datetime(2026, 1, 1, tzinfo=UTC)))
    return folder


def test_a_record_comes_back_as_it_was_saved(folder: SetFolder) -> None:
    record = folder.record()
    assert record is not None
    changed = folder.save(record.model_copy(update={"port": 20001, "wanted": Wanted.STOPPED}))

    assert folder.record() == changed
    assert set_names(folder.path.parent) == [folder.name]


def test_a_damaged_record_needs_an_operator(folder: SetFolder) -> None:
    (folder.path / "set.json").write_text('{"spec": 7}')

    with pytest.raises(NeedsOperator, match=r"set\.json is damaged"):
        folder.record()


@pytest.mark.parametrize("name", ["", "..", "a/b", "A--b", "-a", "a" * 200])
def test_a_name_that_is_no_set_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput):
        SetFolder(tmp_path, name)


def test_a_failed_write_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_atomically(path, "old")

    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\ud800")

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_removing_a_set_leaves_no_file_of_it(folder: SetFolder, tmp_path: Path) -> None:
    (folder.path / "engine.log").write_text("words")

    folder.remove()
    folder.remove()

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_log_of_the_previous_process_is_kept_and_reached_by_the_tail(folder: SetFolder) -> None:
    log = folder.path / "engine.log"
    log.write_text("first\nsecond\n")
    folder.rotate_log()
    log.write_text("third\n\n")

    assert folder.log_tail(3) == "second\nthird\n"
    assert folder.log_tail(0) == ""
    assert folder.last_words(5) == "third"


def test_an_overgrown_log_is_emptied_under_its_writer(folder: SetFolder) -> None:
    log = folder.path / "engine.log"
    with log.open("a") as engine:
        engine.write("old\n" * 1000)
        engine.flush()
        folder.bound_log(100)
        engine.write("new\n")

    assert log.read_text() == "new\n"
    assert (folder.path / "engine.log.1").stat().st_size == 100


def test_a_lock_is_held_against_others_until_it_is_left(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "one.lock"
    with locked(path), pytest.raises(Transient, match="'one'"), locked(path, timeout_s=0.02):
        pass

    with locked(path, timeout_s=0.02):
        pass


def test_a_lock_lives_on_in_a_child_that_inherited_it(tmp_path: Path) -> None:
    path = tmp_path / "one.lock"
    with locked(path) as descriptor:
        heir = os.dup(descriptor)
    try:
        with pytest.raises(Transient), locked(path, timeout_s=0.02):
            pass
    finally:
        os.close(heir)


def test_a_lock_whose_file_was_deleted_is_taken_anew(tmp_path: Path) -> None:
    path = tmp_path / "one.lock"
    with locked(path):
        path.unlink()
        with locked(path, timeout_s=0.02):
            pass


def test_the_preferred_port_is_taken_when_it_is_free() -> None:
    with socket.socket() as bound:
        # Bound and not listening: the system gives it to nobody else, and it is free for who asks by number.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((HOST, 0))
        port = bound.getsockname()[1]

        assert choose_port("a", HOST, preferred=port, reserved=()) == port


def test_a_port_in_use_or_reserved_is_passed_over() -> None:
    with socket.create_server((HOST, 0)) as server:
        used = server.getsockname()[1]
        chosen = choose_port("a", HOST, preferred=used, reserved=())
        assert chosen != used
        assert choose_port("a", HOST, preferred=None, reserved={chosen}) != chosen
        with pytest.raises(CapacityShortage):
            choose_port("a", HOST, preferred=None, reserved=(), ports=range(used, used + 1))


def test_a_credential_is_accepted_for_its_organization_only(tmp_path: Path) -> None:
    credentials = Credentials(tmp_path / "credentials.json")
    credentials.grant("swaggystacks", KEY)
    credentials.grant("scientiacapital", Secret("another-credential-of-some-length"))

    credentials.verify("swaggystacks", KEY)
    for org, credential in (("scientiacapital", KEY), ("nobody", KEY), ("swaggystacks", None)):
        with pytest.raises(Refused) as refused:
            credentials.verify(org, credential)
        assert refused.value.remedy


def test_a_new_grant_replaces_the_old_one(tmp_path: Path) -> None:
    credentials = Credentials(tmp_path / "credentials.json")
    credentials.grant("swaggystacks", KEY)
    credentials.grant("swaggystacks", Secret("the-next-credential-after-it"))

    with pytest.raises(Refused, match="wrong"):
        credentials.verify("swaggystacks", KEY)


def test_credentials_on_disk_are_hashed_and_private(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    Credentials(path).grant("swaggystacks", KEY)

    assert KEY.reveal() not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_credential_too_short_to_be_secret_is_invalid(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="shorter"):
        Credentials(tmp_path / "credentials.json").grant("swaggystacks", Secret("short"))


def test_an_artifact_is_known_by_its_bytes(tmp_path: Path) -> None:
    path, seen = tmp_path / "model", tmp_path / "seen.json"
    path.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()

    assert artifact_problem(path, digest, seen) is None
    assert "damaged" in (artifact_problem(path, "0" * 64, seen) or "")
    path.write_bytes(b"other weights")
    assert "damaged" in (artifact_problem(path, digest, seen) or "")


def test_what_was_read_is_remembered_within_bounds(tmp_path: Path) -> None:
    path, seen = tmp_path / "model", tmp_path / "seen.json"
    path.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    seen.write_text(json.dumps({str(number): "0" * 64 for number in range(MAX_REMEMBERED + 5)}))

    assert artifact_problem(path, digest, seen) is None

    remembered = json.loads(seen.read_text())
    assert len(remembered) == MAX_REMEMBERED
    assert digest in remembered.values()


def test_rubbish_in_the_memory_only_costs_reading_again(tmp_path: Path) -> None:
    path, seen = tmp_path / "model", tmp_path / "seen.json"
    path.write_bytes(b"weights")
    seen.write_text("rubbish")

    assert artifact_problem(path, hashlib.sha256(b"weights").hexdigest(), seen) is None


def test_the_identity_of_a_process_is_stable_and_ends_with_it() -> None:
    assert process_identity(os.getpid()) == process_identity(os.getpid()) is not None
    assert process_identity(2**22 + 1) is None
