"""One id from the client through Envoy to the set and into the logs, and no id that could harm either."""

import json
import re

import pytest
from typer.testing import CliRunner

from tidegate.cli.app import app
from tidegate.correlation import is_request_id, parse_traceparent
from tidegate.observability.log_keys import LEVELS, NAMES

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@pytest.fixture
def ask(service, old_and_new):
    service.switch({old_and_new[0]: 100})

    def ask(**headers: str) -> tuple[dict[str, str], str]:
        """What the set saw, and the id that the client was told."""
        reply = service.ask({"model": "any"}, **headers)
        seen = {name.lower(): value for name, value in reply.json()["seen"]["headers"].items()}
        return seen, reply.headers["x-request-id"]

    return ask


def test_a_client_s_own_id_and_trace_arrive_at_the_set_and_in_the_answer(ask):
    seen, told = ask(x_request_id="order-2231.retry_1", traceparent=TRACE, tracestate="vendor=1")

    assert seen["x-request-id"] == told == "order-2231.retry_1"
    assert (seen["traceparent"], seen["tracestate"]) == (TRACE, "vendor=1")


@pytest.mark.parametrize(
    "bad", ["short", "a" * 65, "has space in it", 'quote"in-the-id', "-leading-dash", "semi;colon-id"]
)
def test_an_id_that_could_harm_a_log_is_replaced(ask, bad: str):
    assert not is_request_id(bad)
    seen, told = ask(x_request_id=bad)

    assert seen["x-request-id"] == told
    assert re.fullmatch(UUID, told)


@pytest.mark.parametrize(
    "bad",
    ["", "nonsense", TRACE.replace("00-4b", "ff-4b"), f"00-{'0' * 32}-00f067aa0ba902b7-01", TRACE + "x"],
)
def test_without_a_valid_trace_the_request_gets_its_own(ask, bad: str):
    seen, told = ask(traceparent=bad, tracestate="of-nobody=1")
    made = parse_traceparent(seen["traceparent"])

    assert made is not None
    assert made.trace_id == told.replace("-", "")
    assert "tracestate" not in seen


def test_a_client_cannot_say_what_it_asked_for_by_our_own_header(ask):
    seen, told = ask(x_tidegate_asked_id="smuggled-request-id")

    assert "x-tidegate-asked-id" not in seen
    assert re.fullmatch(UUID, told)


def test_a_refused_request_has_its_id_too(service, client, old_and_new):
    service.switch({old_and_new[0]: 100})
    reply = client.post(
        service.url, headers={"x-request-id": "refused-12345", "authorization": "Bearer nobody"}
    )

    assert (reply.status_code, reply.headers["x-request-id"]) == (401, "refused-12345")


def test_the_line_of_a_request_has_the_keys_of_every_log_and_names_request_release_and_set(
    service, ask, old_and_new, eventually
):
    ask(x_request_id="found-in-the-log", traceparent=TRACE)
    text = eventually(
        service.gateway.config.access_log.read_text,
        lambda text: "found-in-the-log" in text,
        "the line in the log",
    )
    line = next(one for one in map(json.loads, text.splitlines()) if one["request_id"] == "found-in-the-log")

    assert {
        "ts",
        "level",
        "event",
        "process",
        "org",
        "service",
        "release_id",
        "set",
        "trace_id",
    } <= line.keys() & set(NAMES)
    assert line["level"] in LEVELS
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["ts"])
    assert (line["org"], line["service"], line["event"]) == (service.org, "chat", "request")
    assert (line["set"], line["release_id"]) == (old_and_new[0].name, old_and_new[0].upstream.release_id)
    assert (line["trace_id"], line["span_id"]) == tuple(TRACE.split("-")[1:3])
    assert line["duration_ms"] >= 0


def test_tidegate_logs_finds_a_client_s_request_and_tells_where_it_went(
    service, ask, old_and_new, eventually, tmp_path, monkeypatch
):
    (tmp_path / "gateway").symlink_to(service.gateway.config.root.parent)
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path))
    seen, _ = ask(x_request_id="asked-by-a-client", traceparent=TRACE)

    def run():
        return CliRunner().invoke(app, ["logs", "--request", "asked-by-a-client"])

    told = eventually(run, lambda result: result.exit_code == 0, "the request in the logs").output
    (found,) = (
        CliRunner().invoke(app, ["logs", "--request", "asked-by-a-client", "--json"]).output.splitlines()
    )

    assert seen["x-request-id"] == "asked-by-a-client"
    assert f"[{service.org}/chat] request" in told
    assert f"set={old_and_new[0].name}" in told
    assert json.loads(found)["release_id"] == old_and_new[0].upstream.release_id
