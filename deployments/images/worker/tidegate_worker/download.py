"""One resumable download into one file. Broken connections are gone on with; refusals are not.

Which bytes are right is not judged here: the digest over the finished file decides.
"""

import http.client
import os
import random
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from tidegate_worker.model_location import RemoteModel
from tidegate_worker.problems import NO_MODEL, NO_SPACE, SOURCE_UNREACHABLE, Stopped, WorkerProblem

CHUNK_BYTES = 1 << 20
READ_TIMEOUT_S = 30.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0
# In a row without a single new byte.
MAX_FRUITLESS_ATTEMPTS = 6
RANGE_REFUSED = 416
TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})

Progress = Callable[[int, int | None], None]


class _Interrupted(Exception):
    """The source stopped answering; asking again from where it stopped may help."""


class _SameHostOnly(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but carries no signature to another host and never leaves TLS."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        follow = super().redirect_request(req, fp, code, msg, headers, newurl)
        if follow is None:
            return None
        if urlsplit(req.full_url).scheme == "https" and urlsplit(newurl).scheme != "https":
            raise urllib.error.HTTPError(req.full_url, code, "redirect away from TLS", headers, fp)
        if urlsplit(newurl).netloc != urlsplit(req.full_url).netloc:
            kept = {name: value for name, value in follow.header_items() if name.lower() == "range"}
            return urllib.request.Request(newurl, headers=kept)
        return follow


def download(
    model: RemoteModel,
    into: Path,
    stopping: threading.Event,
    progress: Progress,
    *,
    first_pause_s: float = FIRST_PAUSE_S,
) -> None:
    """Fill `into`, going on from what it holds already.

    Raises:
        WorkerProblem: when the source refuses, stays away, or the disk is too small.
        Stopped: as soon as `stopping` is set.
    """
    opener = urllib.request.build_opener(_SameHostOnly)
    fruitless = 0
    while True:
        before = _size(into)
        try:
            _receive(opener, model, into, stopping, progress)
            return
        except (_Interrupted, OSError, http.client.HTTPException) as trouble:
            fruitless = 0 if _size(into) > before else fruitless + 1
            if fruitless >= MAX_FRUITLESS_ATTEMPTS:
                raise WorkerProblem(
                    f"{model.shown} did not give one more byte in {fruitless} attempts ({_name(trouble)}).",
                    remedy="Check that the source is up and reachable from this data centre.",
                    exit_code=SOURCE_UNREACHABLE,
                    field="TIDEGATE_MODEL_URL",
                ) from trouble
        pause_s = min(LONGEST_PAUSE_S, first_pause_s * 2**fruitless) * random.uniform(0.5, 1.0)
        if stopping.wait(pause_s):
            raise Stopped


def _receive(
    opener: urllib.request.OpenerDirector,
    model: RemoteModel,
    into: Path,
    stopping: threading.Event,
    progress: Progress,
) -> None:
    offset = _size(into)
    request = urllib.request.Request(model.url, headers=dict(model.headers()))
    if offset:
        request.add_header("Range", f"bytes={offset}-")
    try:
        reply = opener.open(request, timeout=READ_TIMEOUT_S)
    except urllib.error.HTTPError as refusal:
        with refusal:
            if _is_complete(refusal, offset):
                return
            if refusal.code == RANGE_REFUSED and offset:
                into.unlink()
            raise _meaning(refusal, model) from refusal
    with reply:
        starts_at, total = _span(reply, offset)
        _check_space(into, starts_at, total)
        with into.open("r+b" if starts_at else "wb") as file:
            file.seek(starts_at)
            received = _copy(reply, file, starts_at, total, stopping, progress)
    if total is not None and received < total:
        raise _Interrupted(f"the connection ended at byte {received} of {total}")


def _copy(
    reply: http.client.HTTPResponse,
    file: IO[bytes],
    position: int,
    total: int | None,
    stopping: threading.Event,
    progress: Progress,
) -> int:
    while chunk := reply.read1(CHUNK_BYTES):
        file.write(chunk)
        position += len(chunk)
        progress(position, total)
        if stopping.is_set():
            raise Stopped
    return position


def _span(reply: http.client.HTTPResponse, offset: int) -> tuple[int, int | None]:
    """Where the reply's bytes begin, and how many the whole has, if it says."""
    if reply.status == http.client.PARTIAL_CONTENT:
        # "bytes 100-199/1000"; a source may answer with another span than the one asked for.
        span, _, whole = reply.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        first = span.partition("-")[0]
        if not first.isdigit() or int(first) > offset:
            raise _Interrupted("the source answered with a span that was not asked for")
        return int(first), int(whole) if whole.isdigit() else None
    length = reply.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def _is_complete(refusal: urllib.error.HTTPError, offset: int) -> bool:
    """A range that begins at the end is refused, with the length: then nothing is missing."""
    length = refusal.headers.get("Content-Range", "").rpartition("/")[2]
    return refusal.code == RANGE_REFUSED and length.isdigit() and int(length) == offset


def _meaning(refusal: urllib.error.HTTPError, model: RemoteModel) -> Exception:
    if refusal.code in TRY_AGAIN or refusal.code == RANGE_REFUSED:
        return _Interrupted(f"status {refusal.code}")
    return WorkerProblem(
        f"{model.shown} answered {refusal.code}.",
        remedy="Check that the model lies there, and that the key or presigned URL is still good.",
        exit_code=NO_MODEL,
        field="TIDEGATE_MODEL_URL",
    )


def _check_space(into: Path, starts_at: int, total: int | None) -> None:
    if total is None:
        return
    free = shutil.disk_usage(into.parent).free
    held = _size(into)
    if total - starts_at > free + held - starts_at:
        raise WorkerProblem(
            f"The model needs {total - held} more bytes and {into.parent} has {free}.",
            remedy="Give the container a larger disk, or serve the model from a network volume.",
            exit_code=NO_SPACE,
            field="TIDEGATE_MODEL_CACHE_DIR",
        )


def _size(path: Path) -> int:
    return os.path.getsize(path) if path.exists() else 0


def _name(trouble: Exception) -> str:
    """Never the text of a library's error: it may hold the URL with its signature."""
    return (
        f"{type(trouble).__name__}: {trouble}"
        if isinstance(trouble, _Interrupted)
        else type(trouble).__name__
    )
