"""A tiny worker for both kinds of endpoints, in the place of the real image: standard library only.

Load balancing: an HTTP server on PORT, health on PORT_HEALTH. Queue: the take, ping, done protocol by hand.
STANDIN_CRASH exits at once; STANDIN_SLOW_S delays health, and STANDIN_HEALTHY_ONCE until the file that it names is there.
"""

import http.server
import json
import os
import signal
import sys
import threading
import time
import urllib.parse
import urllib.request

SLOW_S = float(os.environ.get("STANDIN_SLOW_S", "0"))
HEALTHY_ONCE = os.environ.get("STANDIN_HEALTHY_ONCE")
STARTED = time.monotonic()


class Engine(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path.startswith("/stream"):
            return self.stream(dict(urllib.parse.parse_qsl(self.path.partition("?")[2])))
        self.answer(
            200, {"path": self.path, "worker": os.environ["RUNPOD_POD_ID"], "headers": dict(self.headers)}
        )

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer(200, {"echo": body.decode(), "worker": os.environ["RUNPOD_POD_ID"]})

    def stream(self, wanted):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(int(wanted.get("n", 5))):
            data = f"data: {number}\n\n".encode()
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.wfile.flush()
            time.sleep(0.02)
            wait_for(wanted.get("until"))
        self.wfile.write(b"0\r\n\r\n")

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        return


class Health(Engine):
    def do_GET(self):
        is_early = time.monotonic() - STARTED < SLOW_S
        self.send_response(204 if is_early or not is_there(HEALTHY_ONCE) else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()


def wait_for(path):
    """Until somebody makes the file, if one is named."""
    while not is_there(path):
        time.sleep(0.02)


def is_there(path):
    return not path or os.path.exists(path)


def serve(port, handler):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def call(template, job_id="", data=None):
    url = template.replace("$RUNPOD_POD_ID", os.environ["RUNPOD_POD_ID"])
    url = url.replace("$ID", job_id or os.environ["RUNPOD_POD_ID"])
    request = urllib.request.Request(
        url, data=data, headers={"Authorization": os.environ["RUNPOD_AI_API_KEY"]}
    )
    with urllib.request.urlopen(request, timeout=90) as reply:
        return reply.status, reply.read()


def ping_for_ever(current):
    while True:
        try:
            call(os.environ["RUNPOD_WEBHOOK_PING"] + (f"&job_id={current[0]}" if current else ""))
        except OSError:
            return
        time.sleep(int(os.environ["RUNPOD_PING_INTERVAL"]) / 1000)


def work():
    current = []
    threading.Thread(target=ping_for_ever, args=(current,), daemon=True).start()
    while True:
        status, raw = call(os.environ["RUNPOD_WEBHOOK_GET_JOB"] + "&job_in_progress=0")
        if status != 200:
            continue
        job = json.loads(raw)
        if "input" not in job:
            continue
        current[:] = [job["id"]]
        print(f"working on {job['id']}", flush=True)
        result = handle(job)
        current.clear()
        call(os.environ["RUNPOD_WEBHOOK_POST_OUTPUT"], job["id"], json.dumps(result).encode())


def handle(job):
    wanted = job["input"]
    time.sleep(float(wanted.get("sleep_s", 0)))
    wait_for(wanted.get("until"))
    if wanted.get("fail"):
        return {"error": "asked to fail"}
    for number in range(wanted.get("chunks", 0)):
        data = json.dumps({"output": f"chunk {number}"}).encode()
        call(os.environ["RUNPOD_WEBHOOK_POST_STREAM"] + "&isStream=true", job["id"], data)
        time.sleep(0.05)
    return {"output": {"echo": wanted, "worker": os.environ["RUNPOD_POD_ID"]}}


def main():
    print("stand-in worker started", flush=True)
    if os.environ.get("STANDIN_CRASH"):
        sys.exit(int(os.environ["STANDIN_CRASH"]))
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if "RUNPOD_WEBHOOK_GET_JOB" in os.environ:
        work()
    # Health last: whoever is told of a healthy worker sends it a request at once.
    serve(os.environ["PORT"], Engine)
    serve(os.environ["PORT_HEALTH"], Health)
    threading.Event().wait()


main()
