"""Where a model lies: a file that is there already (a volume), or something to ask for over HTTP or S3."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tidegate_worker.problems import CONFIGURATION, WorkerProblem
from tidegate_worker.s3_requests import object_url, s3_access, signed_headers

# Without user and password, which nothing here would send.
HOST = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")


@dataclass(frozen=True)
class LocalModel:
    """A file that this worker only reads."""

    path: Path


@dataclass(frozen=True)
class RemoteModel:
    """Something to download. `url` may be a presigned one, so only `shown` may be logged."""

    url: str = field(repr=False)
    shown: str
    headers: Callable[[], Mapping[str, str]] = field(repr=False)
    """Asked anew for each request: a signature is good for minutes."""


def locate_model(url: str, environment: Mapping[str, str]) -> LocalModel | RemoteModel:
    """Raises: WorkerProblem for a URL of another kind, or for S3 without keys."""
    if url.startswith("/"):
        return LocalModel(Path(url))
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return LocalModel(Path(unquote(parts.path)))
    if parts.scheme in ("http", "https") and HOST.fullmatch(parts.netloc):
        # Without the query: a presigned URL is a credential.
        return RemoteModel(url=url, shown=f"{parts.scheme}://{parts.netloc}{parts.path}", headers=dict)
    if parts.scheme == "s3" and parts.netloc and parts.path.strip("/"):
        access = s3_access(environment)
        target = object_url(access, parts.netloc, parts.path.lstrip("/"))
        return RemoteModel(
            url=target,
            shown=f"s3://{parts.netloc}{parts.path}",
            headers=lambda: signed_headers(access, target),
        )
    raise WorkerProblem(
        f"TIDEGATE_MODEL_URL is of no kind that a worker can read (scheme '{parts.scheme}').",
        remedy="Give an absolute path, or a file://, http://, https:// or s3://bucket/key URL.",
        exit_code=CONFIGURATION,
        field="TIDEGATE_MODEL_URL",
    )
