"""Signed reads from S3 and its look-alikes (RunPod's volumes, MinIO): AWS Signature Version 4 for GET, nothing else."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from tidegate_worker.problems import CONFIGURATION, WorkerProblem

ALGORITHM = "AWS4-HMAC-SHA256"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class S3Access:
    """Where and as whom to ask. `endpoint` is None for Amazon itself."""

    region: str
    key_id: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    endpoint: str | None = None


def s3_access(environment: Mapping[str, str]) -> S3Access:
    """From the variables that Amazon's own tools read. Raises: WorkerProblem when a key is missing."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        if not environment.get(name):
            raise WorkerProblem(
                f"{name} is not set, but the model's URL is an s3:// one.",
                remedy="Set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give a presigned https:// URL.",
                exit_code=CONFIGURATION,
                field=name,
            )
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL") or None
    if endpoint is not None and urlsplit(endpoint).scheme not in ("http", "https"):
        raise WorkerProblem(
            "AWS_ENDPOINT_URL_S3 is no http(s) URL.",
            remedy="Give one such as https://s3api-eu-ro-1.runpod.io",
            exit_code=CONFIGURATION,
            field="AWS_ENDPOINT_URL_S3",
        )
    return S3Access(
        region=environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1",
        key_id=environment["AWS_ACCESS_KEY_ID"],
        secret_key=environment["AWS_SECRET_ACCESS_KEY"],
        session_token=environment.get("AWS_SESSION_TOKEN") or None,
        endpoint=endpoint,
    )


def object_url(access: S3Access, bucket: str, key: str) -> str:
    """Path style, which every look-alike speaks and Amazon still does."""
    endpoint = access.endpoint or f"https://s3.{access.region}.amazonaws.com"
    return f"{endpoint.rstrip('/')}/{quote(bucket, safe='')}/{quote(key, safe='/-_.~')}"


def signed_headers(access: S3Access, url: str, now: datetime | None = None) -> dict[str, str]:
    """Headers of a GET of `url`. Others, such as Range, may be added: they are not part of the signature."""
    stamp = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    parts = urlsplit(url)
    headers = {"host": parts.netloc, "x-amz-content-sha256": EMPTY_SHA256, "x-amz-date": stamp}
    if access.session_token:
        headers["x-amz-security-token"] = access.session_token
    names = ";".join(sorted(headers))
    canonical = "\n".join(
        [
            "GET",
            parts.path or "/",
            parts.query,
            *(f"{name}:{headers[name]}" for name in sorted(headers)),
            "",
            names,
            EMPTY_SHA256,
        ]
    )
    scope = f"{stamp[:8]}/{access.region}/s3/aws4_request"
    to_sign = "\n".join([ALGORITHM, stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    signature = hmac.new(_signing_key(access, stamp[:8]), to_sign.encode(), hashlib.sha256).hexdigest()
    headers["authorization"] = (
        f"{ALGORITHM} Credential={access.key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return headers


def _signing_key(access: S3Access, day: str) -> bytes:
    key = f"AWS4{access.secret_key}".encode()
    for step in (day, access.region, "s3", "aws4_request"):
        key = hmac.new(key, step.encode(), hashlib.sha256).digest()
    return key
