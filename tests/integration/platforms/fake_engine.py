"""A stand-in for llama-server that starts in a moment. Its "model" is a JSON file that says how to behave.

{"behaviour": "serve" | "die" | "die_first" | "wrong_alias" | "never_ready" | "stubborn" | "hungry" | "bad_alloc"}
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for name in ("--host", "--model", "--alias", "--log-colors", "--fit", "--cors-origins"):
        parser.add_argument(name)
    for name in ("--port", "--ctx-size", "--parallel", "--threads", "--threads-batch", "--cache-ram"):
        parser.add_argument(name, type=int)
    for name in ("--no-kv-unified", "--jinja", "--metrics", "--no-slots", "--no-webui", "--offline"):
        parser.add_argument(name, action="store_true")
    parser.add_argument("--log-timestamps", action="store_true")
    return parser.parse_args()


class Handler(BaseHTTPRequestHandler):
    alias = ""
    is_ready = True
    ballast = bytearray()

    def do_GET(self) -> None:
        if not self.is_ready:
            self.reply(503, {"error": {"message": "Loading model"}})
        elif self.path == "/health":
            self.reply(200, {"status": "ok"})
        elif self.path == "/v1/models":
            self.reply(200, {"data": [{"id": self.alias}]})
        elif self.path == "/metrics":
            self.send(200, b"# HELP x\nllamacpp:tokens_predicted_total 42\n")
        else:
            self.reply(404, {"error": {"message": "no such path"}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if not body.get("messages"):
            self.reply(400, {"error": {"message": "messages is missing"}})
            return
        answer = {"message": {"role": "assistant", "content": "Paris."}, "finish_reason": "stop"}
        self.reply(200, {"model": self.alias, "choices": [answer], "environment": dict(os.environ)})

    def reply(self, status: int, value: object) -> None:
        self.send(status, json.dumps(value).encode())

    def send(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is the parent class's)
        print(format % args, file=sys.stderr, flush=True)


def main() -> None:
    options = parse()
    behaviour = json.loads(Path(options.model).read_text())["behaviour"]
    server = ThreadingHTTPServer((options.host, options.port), Handler)
    Handler.alias = "f" * 64 if behaviour == "wrong_alias" else options.alias
    Handler.is_ready = behaviour != "never_ready"
    mark = Path("was_here")
    if behaviour == "die" or (behaviour == "die_first" and not mark.exists()):
        mark.touch()
        print("error: the tensors of this model do not add up", file=sys.stderr, flush=True)
        os._exit(1)
    if behaviour == "bad_alloc":
        words = "llama_init_from_model: failed to initialize the context: std::bad_alloc"
        print(
            f"0.00.718.813 E {words}", "srv    operator(): cleaning up before exit...", sep="\n", flush=True
        )
        os._exit(1)
    if behaviour == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    if behaviour == "hungry":
        Handler.ballast = bytearray(os.urandom(1024)) * (200 * 1024)
    print("listening", options.port, flush=True)
    stop = threading.Event()
    if behaviour != "stubborn":
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stop.wait()


if __name__ == "__main__":
    main()
