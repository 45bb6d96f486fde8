"""Every check against an endpoint that is faulty in exactly one way."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tidegate.domain import Evidence, Gate, Secret, Verdict, fold
from tidegate.probes import IDENTITY_CHECKS, PROBE_CHECKS, ProbeTarget, probe_endpoint

DIGEST = "ab" * 32
KEY = "probe-key-000"
TARGET = ProbeTarget(
    base_url="http://gate/org/svc/v1",
    key=Secret(KEY),
    headers={"x-tidegate-pin": "set-1"},
    model="svc",
    context_tokens=256,
    expected_digest=DIGEST,
    expected_release="rel-1",
)


class Endpoint:
    """A sound endpoint; a test replaces one of its answers."""

    model = DIGEST
    models: tuple[str, ...] = (DIGEST,)
    release = "rel-1"
    text = "Paris."
    end = b"data: [DONE]\n\n"
    finish: str | None = "stop"

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        response = self.answer(request)
        response.headers["x-tidegate-release"] = self.release
        return response

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.headers["authorization"] != f"Bearer {KEY}":
            return self.wrong_key()
        if request.url.path.endswith("/models"):
            return httpx.Response(200, json={"data": [{"id": name} for name in self.models]})
        body = json.loads(request.content)
        words = len(body["messages"][0]["content"].split())
        if words > 256:
            return self.too_long(words)
        if body["model"] != "svc":
            return self.unknown(body["model"])
        return self.stream() if body.get("stream") else self.chat()

    def chat(self, **changes: Any) -> httpx.Response:
        choice = {"message": {"content": self.text}, "finish_reason": self.finish}
        body = {
            "model": self.model,
            "choices": [choice],
            "usage": {"prompt_tokens": 9, "completion_tokens": 3},
        }
        return httpx.Response(200, json=body | changes)

    def stream(self) -> httpx.Response:
        chunks = [{"delta": {"content": part}, "finish_reason": None} for part in ("Par", "is.")]
        chunks.append({"delta": {}, "finish_reason": self.finish})
        payload = b"".join(
            b"data: " + json.dumps({"choices": [chunk]}).encode() + b"\n\n" for chunk in chunks
        )
        return httpx.Response(200, content=payload + self.end, headers={"content-type": "text/event-stream"})

    def too_long(self, words: int) -> httpx.Response:
        return httpx.Response(400, json={"error": {"type": "exceed_context_size_error"}})

    def unknown(self, name: str) -> httpx.Response:
        return self.chat()

    def wrong_key(self) -> httpx.Response:
        return httpx.Response(401, json={"error": "no"})


def probe(endpoint: Callable[[httpx.Request], httpx.Response]) -> dict[str, Evidence]:
    rows = probe_endpoint(
        TARGET, now=lambda: datetime(2026, 1, 1, tzinfo=UTC), transport=httpx.MockTransport(endpoint)
    )
    assert {row.check for row in rows} == PROBE_CHECKS | IDENTITY_CHECKS
    assert KEY not in json.dumps([row.model_dump(mode="json") for row in rows])
    return {row.check: row for row in rows}


def failed(rows: dict[str, Evidence]) -> set[str]:
    return {check for check, row in rows.items() if row.verdict is not Verdict.PASS}


def test_a_sound_endpoint_passes_both_gates():
    endpoint = Endpoint()
    rows = list(probe(endpoint).values())
    assert fold(Gate.IDENTITY, rows, IDENTITY_CHECKS).verdict is Verdict.PASS
    assert fold(Gate.PROBES, rows, PROBE_CHECKS).verdict is Verdict.PASS
    assert all(request.headers["x-tidegate-pin"] == "set-1" for request in endpoint.requests)
    assert len(endpoint.requests) <= 9


def test_the_fingerprint_is_kept_as_a_hash():
    data = probe(Endpoint())["identity.fingerprint"].data
    assert len(data["sha256"]) == 64
    assert data["characters"] == 6


@pytest.mark.parametrize(
    ("change", "checks"),
    [
        ({"model": "cd" * 32}, {"identity.digest", "probe.unknown_model"}),
        ({"models": ("cd" * 32,)}, {"probe.health"}),
        ({"release": "rel-0"}, {"identity.digest"}),
        ({"end": b""}, {"probe.stream"}),
        ({"finish": None}, {"probe.chat", "probe.stream"}),
        ({"text": ""}, {"identity.fingerprint", "probe.chat", "probe.stream"}),
        ({"text": "Rome."}, {"probe.stream"}),
        ({"chat": lambda **_: httpx.Response(200, text="<html>")}, {"identity.digest", "identity.fingerprint", "probe.chat", "probe.stream", "probe.unknown_model"}),
        ({"stream": lambda: httpx.Response(200, json={})}, {"probe.stream"}),
        ({"wrong_key": lambda: Endpoint().chat()}, {"probe.wrong_key"}),
        ({"wrong_key": lambda: httpx.Response(500)}, {"probe.wrong_key"}),
        ({"unknown": lambda name: Endpoint().chat(model=name)}, {"probe.unknown_model"}),
        ({"unknown": lambda name: httpx.Response(502)}, {"probe.unknown_model"}),
        ({"too_long": lambda words: httpx.Response(500, json={"error": "x"})}, {"probe.too_long_prompt"}),
        ({"too_long": lambda words: httpx.Response(400, text="<html>")}, {"probe.too_long_prompt"}),
        ({"too_long": lambda words: httpx.Response(503, json={"error": "x"})}, {"probe.too_long_prompt"}),
    ],
)  # fmt: skip
def test_one_fault_fails_its_checks_and_no_other(change: dict[str, Any], checks: set[str]):
    endpoint = Endpoint()
    for name, value in change.items():
        setattr(endpoint, name, value)
    rows = probe(endpoint)
    assert failed(rows) == checks
    assert all(rows[check].verdict is Verdict.FAIL for check in checks)


def test_an_unknown_model_may_also_be_refused():
    endpoint = Endpoint()
    endpoint.unknown = lambda name: httpx.Response(404, json={"error": "no such model"})  # pyright: ignore[reportAttributeAccessIssue]
    assert failed(probe(endpoint)) == set()


def test_silent_truncation_of_a_long_prompt_is_named():
    endpoint = Endpoint()
    endpoint.too_long = lambda words: endpoint.chat()  # pyright: ignore[reportAttributeAccessIssue]
    found = probe(endpoint)["probe.too_long_prompt"]
    assert found.verdict is Verdict.FAIL
    assert "silently cut to 9 tokens" in found.summary


def test_a_hang_on_a_long_prompt_is_a_fail_and_not_an_error():
    def hang(words: int) -> httpx.Response:
        raise httpx.ReadTimeout("no reply")

    endpoint = Endpoint()
    endpoint.too_long = hang  # pyright: ignore[reportAttributeAccessIssue]
    assert probe(endpoint)["probe.too_long_prompt"].verdict is Verdict.FAIL


def test_two_different_greedy_answers_have_no_fingerprint():
    endpoint, answers = Endpoint(), iter(["Paris.", "Rome."])
    endpoint.chat = lambda **_: Endpoint.chat(endpoint, choices=[{"message": {"content": next(answers, "x")}, "finish_reason": "stop"}])  # pyright: ignore[reportAttributeAccessIssue] # fmt: skip
    assert probe(endpoint)["identity.fingerprint"].verdict is Verdict.FAIL


def test_a_stream_that_breaks_off_is_a_fail():
    class Cut(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield b'data: {"choices":[]}\n\n'
            raise httpx.RemoteProtocolError("peer closed connection")

    endpoint = Endpoint()
    endpoint.stream = lambda: httpx.Response(200, stream=Cut(), headers={"content-type": "text/event-stream"})  # pyright: ignore[reportAttributeAccessIssue]
    found = probe(endpoint)["probe.stream"]
    assert found.verdict is Verdict.FAIL
    assert "broke off" in found.summary


def test_an_unreachable_endpoint_is_an_error_with_the_reason_and_without_the_key():
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError(f"connection refused with {KEY}")

    rows = probe(refuse)
    assert {row.verdict for row in rows.values()} == {Verdict.ERROR}
    assert "ConnectError: connection refused with ***" in rows["probe.health"].summary


def test_an_endpoint_that_quotes_the_key_does_not_bring_it_into_evidence():
    rows = probe(lambda request: httpx.Response(500, text=f"bad {request.headers['authorization']}"))
    assert failed(rows) == PROBE_CHECKS | IDENTITY_CHECKS
