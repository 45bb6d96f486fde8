"""The store under crashes and under several writers, with real processes."""

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from tidegate.store import ArtifactStore

SIZE = 64 * 1024**2
WRITER = """
import os, signal, sys
from tidegate.store import ArtifactStore
def at(done, total):
    if done * 2 >= total and sys.argv[3] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
print(ArtifactStore(sys.argv[1]).add(sys.argv[2], progress=at).digest)
"""


def _writer(store: Path, source: Path, how: str) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-c", WRITER, str(store), str(source), how]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _source(folder: Path) -> tuple[Path, str]:
    path = folder / "model.gguf"
    block = os.urandom(1024**2)
    path.write_bytes(block * (SIZE // len(block)))
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_writer_killed_in_the_middle_leaves_nothing_under_the_digest(tmp_path: Path):
    source, digest = _source(tmp_path)
    process = _writer(tmp_path / "store", source, "die")
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    store = ArtifactStore(tmp_path / "store")
    assert store.path_of(digest) is None
    assert len(list((store.root / "incoming").glob("*.part"))) == 1
    assert store.add(source).digest == digest
    assert store.verify(digest)


def test_writers_at_the_same_time_store_one_whole_file(tmp_path: Path):
    source, digest = _source(tmp_path)
    processes = [_writer(tmp_path / "store", source, "live") for _ in range(4)]
    replies = [process.communicate() for process in processes]
    assert [reply[0].decode().strip() for reply in replies] == [digest] * 4, replies
    store = ArtifactStore(tmp_path / "store")
    files = [path for path in store.root.rglob("*") if path.is_file()]
    assert [str(path) for path in files] == [store.path_of(digest)]
    assert store.verify(digest)
