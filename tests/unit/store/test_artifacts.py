"""The content-addressed store, on a real folder."""

import hashlib
import os
import stat
from pathlib import Path

import pytest

from tidegate.domain import InvalidInput, NotFound, Transient
from tidegate.store import ArtifactStore

CONTENT = b"GGUF" + bytes(range(256)) * 64
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


def _files(store: ArtifactStore) -> list[Path]:
    return [path for path in store.root.rglob("*") if path.is_file()]


def test_a_file_is_stored_once_under_its_digest_and_read_only(store: ArtifactStore, source: Path):
    stored = store.add(source)
    assert (stored.digest, stored.size_bytes) == (DIGEST, len(CONTENT))
    path = Path(stored.path)
    assert path == store.root / "sha256" / DIGEST[:2] / f"{DIGEST}.gguf"
    assert path.read_bytes() == CONTENT
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert store.path_of(DIGEST) == stored.path
    assert store.verify(DIGEST)


def test_adding_again_changes_nothing(store: ArtifactStore, source: Path):
    first = store.add(source)
    inode = Path(first.path).stat().st_ino
    assert store.add(source) == first
    assert Path(first.path).stat().st_ino == inode
    assert len(_files(store)) == 1


def test_the_source_may_change_afterwards(store: ArtifactStore, source: Path):
    store.add(source)
    source.write_bytes(b"other")
    assert store.verify(DIGEST)


def test_a_damaged_stored_file_is_noticed_and_replaced_by_the_next_add(store: ArtifactStore, source: Path):
    path = Path(store.add(source).path)
    path.chmod(0o644)
    path.write_bytes(CONTENT[:-1] + b"x")
    assert not store.verify(DIGEST)
    store.add(source)
    assert store.verify(DIGEST)


def test_what_is_no_regular_file_is_refused(store: ArtifactStore, source: Path, tmp_path: Path):
    link, pipe, folder, empty = (tmp_path / name for name in ("link", "pipe", "folder", "empty"))
    link.symlink_to(source)
    os.mkfifo(pipe)
    folder.mkdir()
    empty.touch()
    for path in (link, pipe, folder, empty, Path("/dev/null"), Path("/dev/zero")):
        with pytest.raises(InvalidInput):
            store.add(path)
    with pytest.raises(NotFound):
        store.add(tmp_path / "missing")
    with pytest.raises(InvalidInput):
        store.add("model\0.gguf")
    assert _files(store) == []


def test_another_digest_than_expected_leaves_nothing_behind(store: ArtifactStore, source: Path):
    with pytest.raises(InvalidInput, match="expected"):
        store.add(source, expected_digest="0" * 64)
    assert _files(store) == []


def test_a_full_disk_is_noticed_before_copying(tmp_path: Path, source: Path):
    store = ArtifactStore(tmp_path / "store", free_bytes=lambda folder: 1000)
    with pytest.raises(Transient, match="1000 bytes free"):
        store.add(source)
    assert _files(store) == []


def test_a_source_that_grows_while_it_is_read_is_refused(store: ArtifactStore, source: Path):
    def grow(done: int, total: int) -> None:
        with source.open("ab") as stream:
            stream.write(b"more")

    with pytest.raises(InvalidInput, match="changed"):
        store.add(source, progress=grow)
    assert _files(store) == []


def test_a_failure_in_the_middle_leaves_no_half_written_file(store: ArtifactStore, source: Path):
    def fail(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.add(source, progress=fail)
    assert _files(store) == []
    assert store.path_of(DIGEST) is None


@pytest.mark.parametrize(
    "digest", ["", "..", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64, DIGEST + "\n"]
)
def test_what_is_not_stored_or_no_digest_has_no_path(store: ArtifactStore, digest: str):
    assert store.path_of(digest) is None
    assert not store.verify(digest)


def test_leftovers_of_a_crash_are_swept_when_they_are_old(store: ArtifactStore, source: Path):
    store.add(source)
    leftover = store.root / "incoming" / "crash.part"
    leftover.write_bytes(b"half")
    assert store.sweep() == 0
    assert store.sweep(now=leftover.stat().st_mtime + 2 * 24 * 3600) == 1
    assert not leftover.exists()
    assert store.verify(DIGEST)


def test_signatures_lie_beside_their_artifact_and_the_same_one_is_kept_once(
    store: ArtifactStore, source: Path
):
    path = Path(store.add(source).path)

    for bundle in (b"one", b"two", b"one"):
        store.add_signature(DIGEST, bundle)

    assert sorted(store.signatures(DIGEST)) == [b"one", b"two"]
    kept = [file for file in _files(store) if file != path]
    assert {file.parent for file in kept} == {path.parent / f"{DIGEST}.signatures"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in kept} == {0o444}
    assert store.verify(DIGEST)


def test_there_are_no_signatures_of_what_is_not_stored(store: ArtifactStore):
    assert store.signatures(DIGEST) == []
    assert store.signatures("../../etc") == []
    with pytest.raises(NotFound):
        store.add_signature(DIGEST, b"one")


def test_a_signature_that_cannot_be_written_is_an_error_that_may_pass(store: ArtifactStore, source: Path):
    path = Path(store.add(source).path)
    (path.parent / f"{DIGEST}.signatures").write_text("in the way")

    with pytest.raises(Transient, match="could not be stored"):
        store.add_signature(DIGEST, b"one")

    assert store.signatures(DIGEST) == []
    assert not list(store.root.glob("incoming/*"))
