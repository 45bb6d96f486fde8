"""Brings the model to a local path and proves its digest, before anything else reads a byte of it."""

import fcntl
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tidegate_worker.download import CHUNK_BYTES, Progress, download
from tidegate_worker.model_location import LocalModel, RemoteModel
from tidegate_worker.problems import CONFIGURATION, NO_MODEL, WRONG_DIGEST, Stopped, WorkerProblem

LOCK_PAUSE_S = 0.2


def bring_model(
    model: LocalModel | RemoteModel,
    digest: str,
    cache: Path,
    stopping: threading.Event,
    progress: Progress,
) -> Path:
    """Path of a file with exactly this digest.

    Raises:
        WorkerProblem: when there is no such file to be had.
        Stopped: as soon as `stopping` is set.
    """
    if isinstance(model, LocalModel):
        return _proven_in_place(model.path, digest, stopping)
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as trouble:
        raise WorkerProblem(
            f"{cache} cannot be made ({trouble.strerror}).",
            remedy="Name a folder that the worker's user may write to.",
            exit_code=CONFIGURATION,
            field="TIDEGATE_MODEL_CACHE_DIR",
        ) from trouble
    with _only_one(cache / f"{digest}.lock", stopping):
        return _fetched(model, digest, cache, stopping, progress)


def digest_of(path: Path, stopping: threading.Event) -> str:
    """SHA-256 of what lies on disk, which is what the engine will read."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            sha.update(chunk)
            if stopping.is_set():
                raise Stopped
    return sha.hexdigest()


def _proven_in_place(path: Path, digest: str, stopping: threading.Event) -> Path:
    try:
        found = digest_of(path, stopping)
    except OSError as trouble:
        raise WorkerProblem(
            f"{path} cannot be read ({trouble.strerror}).",
            remedy="Check that the volume is attached and holds the model there.",
            exit_code=NO_MODEL,
            field="TIDEGATE_MODEL_URL",
        ) from trouble
    if found != digest:
        raise _wrong_digest(str(path), found, digest)
    return path


def _fetched(
    model: RemoteModel, digest: str, cache: Path, stopping: threading.Event, progress: Progress
) -> Path:
    finished, part = cache / f"{digest}.gguf", cache / f"{digest}.part"
    if finished.exists():
        if digest_of(finished, stopping) == digest:
            return finished
        finished.unlink()
    resumed = part.exists()
    download(model, part, stopping, progress)
    found = digest_of(part, stopping)
    if found != digest and resumed:
        # The first half may have come from another file under the same URL: once more, from the start.
        part.unlink()
        download(model, part, stopping, progress)
        found = digest_of(part, stopping)
    if found != digest:
        part.unlink()
        raise _wrong_digest(model.shown, found, digest)
    part.rename(finished)
    return finished


@contextmanager
def _only_one(lock: Path, stopping: threading.Event) -> Iterator[None]:
    """Several workers of one host may share the cache; one fetches, the others find it done."""
    with lock.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if stopping.wait(LOCK_PAUSE_S):
                    raise Stopped from None
        yield


def _wrong_digest(where: str, found: str, wanted: str) -> WorkerProblem:
    return WorkerProblem(
        f"The model at {where} has the digest {found}, and this worker was told to serve {wanted}.",
        remedy="Upload the artifact of the release anew, or release the digest that lies there.",
        exit_code=WRONG_DIGEST,
        field="TIDEGATE_MODEL_DIGEST",
    )
