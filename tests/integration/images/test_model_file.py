"""Fetching a model from sources that cut, refuse and lie, and from S3; nothing but the right digest comes out."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.integration.images.model_server import Header, Source, serving
from tidegate_worker.download import download
from tidegate_worker.model_file import bring_model
from tidegate_worker.model_location import RemoteModel, locate_model
from tidegate_worker.problems import NO_MODEL, SOURCE_UNREACHABLE, WRONG_DIGEST, Stopped, WorkerProblem

CONTENT = bytes(range(256)) * 4096
DIGEST = hashlib.sha256(CONTENT).hexdigest()
S3_KEYS = {"AWS_ACCESS_KEY_ID": "user_1", "AWS_SECRET_ACCESS_KEY": "rps_2", "AWS_REGION": "EU-RO-1"}


def bring(source: Source, cache: Path, digest: str = DIGEST, path: str = "/m.gguf") -> Path:
    return bring_model(
        locate_model(source.url + path, {}), digest, cache, threading.Event(), lambda received, total: None
    )


def test_a_broken_connection_is_gone_on_with_where_it_broke(tmp_path: Path) -> None:
    with serving(Source(CONTENT, broken=3, breaks=200_000)) as source:
        path = bring(source, tmp_path)

    assert path.read_bytes() == CONTENT
    ranges = [headers.get("range") for _, headers in source.asked]
    assert ranges == [None, "bytes=200000-", "bytes=400000-", "bytes=600000-"]


def test_what_a_former_worker_fetched_is_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / f"{DIGEST}.part").write_bytes(CONTENT[:1000])
    with serving(Source(CONTENT)) as source:
        bring(source, tmp_path)

    assert [headers.get("range") for _, headers in source.asked] == ["bytes=1000-"]


def test_a_part_of_another_file_is_thrown_away_and_fetched_anew(tmp_path: Path) -> None:
    (tmp_path / f"{DIGEST}.part").write_bytes(b"x" * 1000)
    with serving(Source(CONTENT)) as source:
        assert bring(source, tmp_path).read_bytes() == CONTENT


def test_a_part_that_is_whole_already_is_only_proven(tmp_path: Path) -> None:
    (tmp_path / f"{DIGEST}.part").write_bytes(CONTENT)
    with serving(Source(CONTENT)) as source:
        assert bring(source, tmp_path).read_bytes() == CONTENT


def test_a_part_that_is_too_long_is_fetched_anew(tmp_path: Path) -> None:
    (tmp_path / f"{DIGEST}.part").write_bytes(CONTENT + b"x")
    with serving(Source(CONTENT)) as source:
        assert bring(source, tmp_path).read_bytes() == CONTENT


def test_a_source_without_ranges_is_read_from_the_start_again(tmp_path: Path) -> None:
    with serving(Source(CONTENT, broken=1, breaks=1000, has_ranges=False)) as source:
        assert bring(source, tmp_path).read_bytes() == CONTENT


def test_a_model_that_is_there_is_not_fetched_again_but_proven_again(tmp_path: Path) -> None:
    with serving(Source(CONTENT)) as source:
        path = bring(source, tmp_path)
        bring(source, tmp_path)
        assert len(source.asked) == 1

        path.write_bytes(b"rotten")
        assert bring(source, tmp_path).read_bytes() == CONTENT


def test_workers_that_share_a_cache_fetch_once(tmp_path: Path) -> None:
    with serving(Source(CONTENT)) as source, ThreadPoolExecutor(3) as pool:
        paths = {each.result() for each in [pool.submit(bring, source, tmp_path) for _ in range(3)]}

    assert len(paths) == 1
    assert len(source.asked) == 1


def test_wrong_bytes_are_refused_and_not_kept(tmp_path: Path) -> None:
    with serving(Source(CONTENT[:-1])) as source, pytest.raises(WorkerProblem) as refused:
        bring(source, tmp_path)

    assert refused.value.exit_code == WRONG_DIGEST
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


def test_a_refusal_is_final_and_does_not_show_the_signature(tmp_path: Path) -> None:
    with (
        serving(Source(CONTENT, allows=lambda path, headers: False)) as source,
        pytest.raises(WorkerProblem) as refused,
    ):
        bring(source, tmp_path, path="/m.gguf?X-Amz-Signature=secret")

    assert refused.value.exit_code == NO_MODEL
    assert len(source.asked) == 1
    assert "secret" not in refused.value.message


def test_a_source_that_stays_away_is_given_up_on(tmp_path: Path) -> None:
    model = RemoteModel("http://127.0.0.1:9/x?key=secret", "http://127.0.0.1:9/x", dict)
    with pytest.raises(WorkerProblem) as refused:
        download(
            model, tmp_path / "part", threading.Event(), lambda received, total: None, first_pause_s=0.001
        )

    assert refused.value.exit_code == SOURCE_UNREACHABLE
    assert "secret" not in refused.value.message


def test_a_stop_ends_a_download_and_keeps_what_came(tmp_path: Path) -> None:
    stopping = threading.Event()
    with serving(Source(CONTENT)) as source, pytest.raises(Stopped):
        bring_model(
            locate_model(f"{source.url}/m", {}),
            DIGEST,
            tmp_path,
            stopping,
            lambda received, total: stopping.set(),
        )

    assert (tmp_path / f"{DIGEST}.part").stat().st_size > 0


def test_an_object_of_s3_is_fetched_with_a_signature_that_amazons_library_agrees_to(tmp_path: Path) -> None:
    with serving(Source(CONTENT, broken=1, breaks=5000, allows=_is_signed)) as source:
        environment = S3_KEYS | {"AWS_ENDPOINT_URL_S3": source.url}
        model = locate_model("s3://volume1/models/pipit v2.gguf", environment)
        path = bring_model(model, DIGEST, tmp_path, threading.Event(), lambda received, total: None)

    assert path.read_bytes() == CONTENT
    assert source.asked[0][0] == "/volume1/models/pipit%20v2.gguf"
    assert len(source.asked) == 2


def test_an_object_of_s3_with_the_wrong_key_is_refused(tmp_path: Path) -> None:
    with serving(Source(CONTENT, allows=_is_signed)) as source:
        environment = S3_KEYS | {"AWS_ENDPOINT_URL_S3": source.url, "AWS_SECRET_ACCESS_KEY": "other"}
        model = locate_model("s3://volume1/m.gguf", environment)
        with pytest.raises(WorkerProblem) as refused:
            bring_model(model, DIGEST, tmp_path, threading.Event(), lambda received, total: None)

    assert refused.value.exit_code == NO_MODEL


def _is_signed(path: str, headers: Header) -> bool:
    """Computes the signature anew with Amazon's own library, and takes none that is older than a minute."""
    request: Any = AWSRequest("GET", f"http://{headers['host']}{path}")
    for name in ("x-amz-date", "x-amz-content-sha256"):
        request.headers[name] = headers[name]
    request.context["timestamp"] = headers["x-amz-date"]
    signer: Any = S3SigV4Auth(Credentials("user_1", "rps_2"), "s3", "EU-RO-1")
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    sent = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    is_fresh = abs((datetime.now(UTC) - sent).total_seconds()) < 60
    return is_fresh and headers["authorization"].endswith(f"Signature={signature}")
