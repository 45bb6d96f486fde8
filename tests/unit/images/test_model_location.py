"""Where a model lies, and that nothing secret of it can be shown."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from tidegate_worker.model_location import LocalModel, RemoteModel, locate_model
from tidegate_worker.problems import WorkerProblem
from tidegate_worker.s3_requests import S3Access, object_url, signed_headers

KEYS = {"AWS_ACCESS_KEY_ID": "user_1", "AWS_SECRET_ACCESS_KEY": "rps_2"}


@pytest.mark.parametrize("url", ["/runpod-volume/a b.gguf", "file:///runpod-volume/a%20b.gguf"])
def test_a_file_is_read_where_it_lies(url: str) -> None:
    assert locate_model(url, {}) == LocalModel(Path("/runpod-volume/a b.gguf"))


def test_a_presigned_url_is_shown_without_what_gives_access() -> None:
    model = locate_model("https://store.example:8443/m/x.gguf?X-Amz-Signature=abc", {})

    assert isinstance(model, RemoteModel)
    assert model.shown == "https://store.example:8443/m/x.gguf"
    assert "abc" not in repr(model)


def test_an_object_is_asked_for_at_the_endpoint_that_the_environment_names() -> None:
    environment = KEYS | {"AWS_ENDPOINT_URL_S3": "https://s3api-eu-ro-1.runpod.io/", "AWS_REGION": "EU-RO-1"}

    model = locate_model("s3://volume1/models/x y.gguf", environment)

    assert isinstance(model, RemoteModel)
    assert model.url == "https://s3api-eu-ro-1.runpod.io/volume1/models/x%20y.gguf"
    assert model.shown == "s3://volume1/models/x y.gguf"
    assert "/EU-RO-1/s3/aws4_request" in model.headers()["authorization"]
    assert "rps_2" not in repr(model)


@pytest.mark.parametrize(
    ("url", "environment", "field"),
    [
        ("s3://b/k", {}, "AWS_ACCESS_KEY_ID"),
        ("s3://b/k", {"AWS_ACCESS_KEY_ID": "x"}, "AWS_SECRET_ACCESS_KEY"),
        ("s3://b/k", KEYS | {"AWS_ENDPOINT_URL_S3": "s3api.runpod.io"}, "AWS_ENDPOINT_URL_S3"),
        ("s3://bucket-alone", KEYS, "TIDEGATE_MODEL_URL"),
        ("ftp://x/y", {}, "TIDEGATE_MODEL_URL"),
        ("file://otherhost/x", {}, "TIDEGATE_MODEL_URL"),
        ("http://host:port/x", {}, "TIDEGATE_MODEL_URL"),
        ("http://user:word@host/x", {}, "TIDEGATE_MODEL_URL"),
        ("x.gguf", {}, "TIDEGATE_MODEL_URL"),
    ],
)
def test_what_cannot_be_read_names_its_variable(url: str, environment: dict[str, str], field: str) -> None:
    with pytest.raises(WorkerProblem) as refused:
        locate_model(url, environment)

    assert refused.value.field == field
    assert "word" not in refused.value.message


@given(
    key=st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), min_size=1, max_size=40),
    secret=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1),
    token=st.none() | st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1),
)
def test_signatures_are_those_of_amazons_own_library(key: str, secret: str, token: str | None) -> None:
    access = S3Access("eu-west-1", "AKIA1", secret, token, "http://127.0.0.1:9000")
    url = object_url(access, "bucket", key)
    now = datetime.now(UTC)

    ours = signed_headers(access, url, now)

    theirs: Any = AWSRequest("GET", url, headers={"x-amz-content-sha256": ours["x-amz-content-sha256"]})
    theirs.context["timestamp"] = ours["x-amz-date"]
    signer: Any = S3SigV4Auth(Credentials("AKIA1", secret, token), "s3", "eu-west-1")
    if token:
        theirs.headers["X-Amz-Security-Token"] = token
    theirs.headers["X-Amz-Date"] = ours["x-amz-date"]
    signature = signer.signature(signer.string_to_sign(theirs, signer.canonical_request(theirs)), theirs)
    assert ours["authorization"].endswith(f"Signature={signature}")
