"""A small OpenAI-compatible server for tests: answers by a function, and says which file it serves."""

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class FakeModel:
    """What it answers, what it calls itself, and what it was sent."""

    answer: Callable[[str], str]
    name: str = "ab" * 32
    key: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    base_url: str = ""

    @property
    def asked(self) -> int:
        """Questions, without the one that asks who it is."""
        return sum(body["max_tokens"] > 1 for body in self.bodies)

    def reply(self, body: dict[str, Any]) -> dict[str, Any]:
        self.bodies.append(body)
        text = self.answer(body["messages"][-1]["content"])
        return {
            "model": self.name,
            "system_fingerprint": "b1-test",
            "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"completion_tokens": 1, "prompt_tokens": 1},
        }


@contextmanager
def served(model: FakeModel) -> Iterator[FakeModel]:
    """Until the context ends, at a port of its own."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            is_known = not model.key or self.headers.get("authorization") == f"Bearer {model.key}"
            content = json.dumps(model.reply(body) if is_known else {"error": "key"}).encode()
            self.send_response(200 if is_known else 401)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is not ours
            return None

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        model.base_url = f"http://127.0.0.1:{server.server_port}/v1"
        try:
            yield model
        finally:
            server.shutdown()
            thread.join()
