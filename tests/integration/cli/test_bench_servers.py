"""`tidegate bench` against servers that refuse fields, answer at another path, or run jobs of a queue."""

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tidegate.benchmark.record import ClientHonesty
from tidegate.cli.app import app

OPTIONS = ("--max-tokens", "2", "--no-store", "--quiet", "--json")
EVENTS = (
    {"model": "m", "choices": [{"delta": {"content": "a"}}]},
    {"model": "m", "choices": [{"delta": {"content": "b"}, "finish_reason": "stop"}]},
    {"model": "m", "choices": [], "usage": {"completion_tokens": 2, "prompt_tokens": 1}},
)
UNKNOWN: dict[str, set[str]] = {
    "strict": {"ignore_eos", "cache_prompt"}, "bare": {"stream_options"}, "never": {"messages"}
}  # fmt: skip
"""Fields that each server refuses."""


class Server(http.server.BaseHTTPRequestHandler):
    """Chooses what it is by the first part of the path. Answers streams, without [DONE], and jobs."""

    bodies: dict[str, list[dict[str, Any]]]
    jobs: int

    def do_GET(self) -> None:
        kind, _, rest = self.path.strip("/").partition("/")
        if kind == "v2":
            job = {"id": rest, "status": "COMPLETED", "delayTime": 3, "executionTime": 5,
                   "output": [{"choices": [{"message": {"content": "a b"}, "finish_reason": "stop"}],
                               "usage": {"completion_tokens": 2}}]}  # fmt: skip
            self._answer(200, json.dumps(job))
        elif rest == "v1/models":
            owner = "llamacpp" if kind == "strict" else ""
            self._answer(200, json.dumps({"data": [{"id": "m", "owned_by": owner}]}))
        else:
            self._answer(404, "")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        kind, _, rest = self.path.strip("/").partition("/")
        type(self).bodies.setdefault(kind, []).append(body)
        if kind == "v2":
            type(self).jobs += 1
            self._answer(200, json.dumps({"id": f"job-{self.jobs}", "status": "IN_QUEUE"}))
        elif not rest.startswith("v1/"):
            self._answer(404, "not found")
        elif refused := UNKNOWN.get(kind, set()) & body.keys():
            told = f"unknown field {min(refused)}, {self.headers.get('authorization')}"
            self._answer(400, json.dumps({"error": {"message": told}}))
        else:
            self._answer(
                200, "".join(f"data: {json.dumps(one)}\r\n\r\n" for one in EVENTS), "text/event-stream"
            )

    def _answer(self, status: int, text: str, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        return None


class Listener(http.server.ThreadingHTTPServer):
    request_queue_size = 64


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    Server.bodies, Server.jobs = {}, 0
    with Listener(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def bench(tmp_path: Path) -> Callable[..., tuple[int, dict[str, Any]]]:
    def invoke(*arguments: str) -> tuple[int, dict[str, Any]]:
        env = {"TIDEGATE_HOME": str(tmp_path / "home"), "BENCH_KEY": "sk-canary-0123456789abcdef"}
        done = CliRunner().invoke(app, ["bench", *arguments, *OPTIONS], env=env)
        return done.exit_code, json.loads(done.stdout)

    return invoke


@pytest.mark.parametrize(
    ("kind", "left_out"), [("strict", {"ignore_eos", "cache_prompt"}), ("bare", {"stream_options"})]
)
def test_fields_that_a_server_refuses_are_left_out_before_the_run_and_told(bench, origin, kind, left_out):
    _, told = bench(f"{origin}/{kind}/v1", "-n", "4", "--key-env", "BENCH_KEY")
    [run] = told["runs"]
    assert run["requests"]["ok"] == 4
    assert "left out, because the server refuses it: HTTP 400" in run["notes"][0]
    assert all(name in run["notes"][0] for name in left_out)
    assert "sk-canary" not in json.dumps(told)
    # No request of the run was sent with them, however short its warm-up was, and answers without [DONE] are whole.
    sent = run["requests"]["warmup"] + 4
    assert not any(left_out & body.keys() for body in Server.bodies[kind][-sent:])


def test_a_field_that_somebody_asked_for_is_not_left_out(bench, origin):
    code, told = bench(f"{origin}/strict/v1", "-n", "4", "--ignore-eos")
    assert (code, told["error"]["code"]) == (2, "TG-2003")
    assert "HTTP 400: unknown field" in told["error"]["message"]


def test_a_request_that_is_refused_in_every_form_is_told_before_the_load(bench, origin):
    code, told = bench(f"{origin}/never/v1", "-n", "4")
    assert (code, "unknown field messages" in told["error"]["message"]) == (2, True)
    assert len(Server.bodies["never"]) < 24


@pytest.mark.parametrize("path", ["plain", "plain/v1/"])
def test_a_base_url_is_found_with_and_without_v1(bench, origin, path):
    _, told = bench(f"{origin}/{path}", "-n", "4")
    [run] = told["runs"]
    assert (run["target"], run["model"], run["requests"]["ok"]) == (f"{origin}/plain/v1", "m", 4)


def test_a_path_where_nothing_answers_is_told_before_the_load(bench, origin):
    code, told = bench(f"{origin}/a/b/c", "-n", "4")
    assert (code, "HTTP 404" in told["error"]["message"]) == (2, True)


def test_a_trace_is_replayed(bench, origin, tmp_path):
    rows = [{"timestamp": number / 100, "prompt": f"p{number}", "output_length": 2} for number in range(60)]
    path = tmp_path / "trace.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    _, told = bench(f"{origin}/traced/v1", "--trace", str(path), "--trace-speed", "2")
    [run] = told["runs"]
    assert (run["mode"], run["requests"]["planned"], run["requests"]["ok"]) == ("trace", 60, 60)
    sent = [body["messages"][0]["content"] for body in Server.bodies["traced"]]
    assert {f"p{number}" for number in range(60)} <= set(sent)


def test_jobs_of_a_queue_are_measured(bench, origin):
    _, told = bench(f"{origin}/v2/abc", "--runpod-queue", "-n", "3", "-c", "8")
    [run] = told["runs"]
    assert (run["requests"]["planned"], run["requests"]["ok"]) == (3, 3)
    assert Server.bodies["v2"][0]["input"]["openai_route"] == "/v1/chat/completions"
    assert Server.jobs == run["requests"]["warmup"] + 3


def test_a_search_whose_first_load_finds_this_client_too_slow_shows_that_run_and_is_not_judged(
    bench, origin, monkeypatch
):
    bound = ClientHonesty(verdict="client-bound", reasons=("the client woke late",))
    monkeypatch.setattr("tidegate.benchmark.load.judge_client", lambda *_: bound)
    code, told = bench(f"{origin}/plain/v1", "--search", "--slo", "ttft=500", "-n", "4")
    assert (code, told["search"]["answer"], told["verdict"]["word"]) == (3, "undecided", "Not judged")
    assert "this client measured itself" in told["search"]["sentence"]
    [run] = told["runs"]
    assert (run["load"], run["requests"]["ok"]) == (1, 4)
    assert run["not_gateable"]
