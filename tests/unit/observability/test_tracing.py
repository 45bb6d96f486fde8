"""Spans for others carry the ids of our logs; without an endpoint nothing of it is loaded."""

import gzip
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tidegate.correlation import bind, end_tracing, span, trace_of_release
from tidegate.observability.tracing import export_spans


def _finish(
    exporter: InMemorySpanExporter, names: int
) -> list[tuple[str, str, str, str | None, dict[str, object]]]:
    rows = [
        (
            one.name,
            f"{one.context.trace_id:032x}",
            f"{one.context.span_id:016x}",
            f"{one.parent.span_id:016x}" if one.parent else None,
            dict(one.attributes or {}),
        )
        for one in exporter.get_finished_spans()
    ]
    assert len(rows) == names
    return rows


def test_spans_have_the_ids_that_the_log_has_and_name_their_parents():
    exporter = InMemorySpanExporter()
    provider = export_spans("test", exporter)
    try:
        with (
            bind(release_id="r-1", org="acme"),
            span("release") as outer,
            span("create set", set="s") as inner,
        ):
            pass
        provider.force_flush()
        created, release = _finish(exporter, 2)
    finally:
        end_tracing()
        provider.shutdown()

    trace = trace_of_release("r-1")
    assert release[:4] == ("release", trace, outer["span_id"], None)
    assert created[:4] == ("create set", trace, inner["span_id"], outer["span_id"])
    assert created[4] == {"tidegate.release_id": "r-1", "tidegate.org": "acme", "tidegate.set": "s"}


def test_an_error_is_told_by_its_type_and_never_by_its_text():
    exporter = InMemorySpanExporter()
    provider = export_spans("test", exporter)
    try:
        with pytest.raises(ValueError, match="sk-"), span("step"):
            raise ValueError("sk-abcdefghijkl")
        provider.force_flush()
        ((_, _, _, _, attributes),) = _finish(exporter, 1)
        told = exporter.get_finished_spans()[0].to_json()
    finally:
        end_tracing()
        provider.shutdown()

    assert attributes == {"error.type": "ValueError"}
    assert "sk-abc" not in told


def test_nothing_of_it_is_loaded_without_an_endpoint():
    program = (
        "import sys, os\nfrom tidegate.cli.agents import log_to_stdout\nlog_to_stdout()\n"
        "print(any(name.startswith('opentelemetry') for name in sys.modules), 'structlog' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False", "True"]


def test_spans_reach_the_endpoint_of_the_environment_by_http(monkeypatch: pytest.MonkeyPatch):
    taken: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            taken.append((self.path, gzip.decompress(body) if self.headers.get("content-encoding") else body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        provider = export_spans("flow")
        try:
            with bind(release_id="r-1"), span("drive a release"):
                pass
            provider.force_flush()
        finally:
            end_tracing()
            provider.shutdown()
            server.shutdown()
            thread.join()

    ((path, body),) = taken
    assert path == "/v1/traces"
    assert bytes.fromhex(trace_of_release("r-1")) in body
    assert b"drive a release" in body
