"""An OpenAI-compatible server whose truth is known: raw asyncio, so that it holds 10,000 chunks per second.

| path | answer |
|---|---|
| `/v1/chat/completions`, `/v1/completions` | by the default shape; `/NAME/v1/...` by the shape of that name |
| `/v1/models`, `/health`, `/tokenize` | as llama-server has them |
| `GET /truth`, `DELETE /truth` | what was really written and when; forget it |
| `PUT /truth/shapes/NAME` | add or replace a shape |
"""

import asyncio
import json
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, cast

from pydantic import ValidationError

from tidegate.benchmark.truth.answer import Answer, Ask, error_body, tokenize
from tidegate.benchmark.truth.record import RequestTruth
from tidegate.benchmark.truth.shape import FaultKind, Shape
from tidegate.benchmark.truth.writing import Connection, PlainWriting, Slots, StreamWriting

MAX_REQUEST_BYTES = 16 * 1024**2
MAX_RECORDS = 200_000


class TruthServer:
    """Answers by shapes and remembers what it wrote. One event loop; nothing here is shared with threads."""

    def __init__(self, shapes: Mapping[str, Shape]):
        self.shapes = dict(shapes)
        self.records: deque[RequestTruth] = deque(maxlen=MAX_RECORDS)
        self.began_ns = time.monotonic_ns()
        self._slots: dict[str, Slots] = {}
        self._count = 0
        self._clients: set[_Client] = set()

    async def listen(self, host: str, port: int) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: _Client(self), host, port, backlog=4096)

    def close_connections(self) -> None:
        for client in list(self._clients):
            client.abort()

    def joined(self, client: "_Client") -> None:
        self._clients.add(client)

    def left(self, client: "_Client") -> None:
        self._clients.discard(client)

    def slots_of(self, name: str) -> Slots:
        if name not in self._slots:
            self._slots[name] = Slots(self.shapes[name].slots)
        return self._slots[name]

    def put_shape(self, name: str, shape: Shape) -> None:
        self.shapes[name] = shape
        self._slots.pop(name, None)

    def begin(self, name: str, path: str, headers: Mapping[str, str], body: dict[str, Any]) -> RequestTruth:
        seed: Any = body.get("seed")
        record = RequestTruth(
            number=self._count,
            id=headers.get("x-request-id", ""),
            shape=name,
            path=path,
            received_ns=time.monotonic_ns(),
            seed=seed if isinstance(seed, int) else None,
            is_stream=body.get("stream") is True,
        )
        self._count += 1
        self.records.append(record)
        return record

    def truth(self) -> dict[str, Any]:
        return {
            "clock": "monotonic",
            "began_ns": self.began_ns,
            "seen": self._count,
            "requests": [record.as_dict() for record in self.records],
        }


class _Client(asyncio.Protocol):
    """One connection: reads a request, answers it to the end, reads the next."""

    def __init__(self, server: TruthServer):
        self._server = server
        self._unread = b""
        self._writing: StreamWriting | PlainWriting | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._server.joined(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.left(self)
        if self._writing is not None:
            self._writing.leave()
            self._writing = None

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._unread += data
        if self._writing is None:
            self._next()

    def _next(self) -> None:
        head, blank, rest = self._unread.partition(b"\r\n\r\n")
        if not blank:
            if len(head) > MAX_REQUEST_BYTES:
                self._refuse(431)
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
        }
        method, _, target = first.partition(" ")
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not length.isdigit() or int(length) > MAX_REQUEST_BYTES:
            self._refuse(411)
            return
        if len(rest) < int(length):
            return
        self._unread = rest[int(length) :]
        self._route(method, target.partition(" ")[0].partition("?")[0], headers, rest[: int(length)])

    def _route(self, method: str, path: str, headers: Mapping[str, str], raw: bytes) -> None:
        says_close = headers.get("connection", "").lower() == "close"
        name, _, rest = path.partition("/v1/")
        name = name.strip("/")
        if method == "POST" and rest in ("chat/completions", "completions") and name in self._server.shapes:
            body = _object(raw)
            if body is None:
                self._reply(400, {"error": error_body(400)}, says_close)
                return
            record = self._server.begin(name, path, headers, body)
            self._answer(record, Ask.read(record.number, rest.startswith("chat"), body), says_close)
        else:
            status, reply = self._about(method, path, rest, raw)
            self._reply(status, reply, says_close)

    def _about(self, method: str, path: str, rest: str, raw: bytes) -> tuple[int, Any]:
        """Everything that is not an answer of a model."""
        if method == "GET" and rest == "models":
            return 200, {"object": "list", "data": [{"id": "truth", "object": "model", "owned_by": "truth"}]}
        if method == "GET" and path == "/health":
            return 200, {"status": "ok"}
        if method == "POST" and path.endswith("/tokenize"):
            return 200, {"tokens": tokenize(str((_object(raw) or {}).get("content") or ""))}
        if path == "/truth" and method in ("GET", "DELETE"):
            truth = self._server.truth()
            if method == "DELETE":
                self._server.records.clear()
            return 200, truth
        if method == "PUT" and path.startswith("/truth/shapes/"):
            try:
                shape = Shape.model_validate_json(raw)
            except ValidationError as error:
                return 422, {"error": {"message": str(error)}}
            self._server.put_shape(path.removeprefix("/truth/shapes/"), shape)
            return 200, {}
        return 404, {"error": error_body(404)}

    def _answer(self, record: RequestTruth, ask: Ask, says_close: bool) -> None:
        assert self._transport is not None
        shape = self._server.shapes[record.shape]
        chance = shape.chance(record.number)
        fault = shape.fault(chance)
        record.fault = fault.kind.value if fault else ""
        if fault and fault.kind is FaultKind.STATUS:
            record.status, record.headers_ns = fault.status, time.monotonic_ns()
            self._reply(fault.status, {"error": error_body(fault.status)}, says_close)
            record.ended_ns = time.monotonic_ns()
            return
        connection = Connection(
            self._transport, shape, says_close or shape.connection == "close", self._server.began_ns
        )
        kind = StreamWriting if ask.is_stream else PlainWriting
        answer = Answer(shape, ask, fault, chance)
        self._writing = kind(connection, record, answer, self._server.slots_of(record.shape), self._ended)
        self._writing.wait_for_turn()

    def _ended(self, keeps: bool) -> None:
        self._writing = None
        assert self._transport is not None
        if not keeps:
            self._transport.close()
        elif self._unread:
            self._next()

    def _reply(self, status: int, body: Any, says_close: bool) -> None:
        assert self._transport is not None
        data = json.dumps(body).encode()
        ending = "connection: close\r\n" if says_close else ""
        head = f"HTTP/1.1 {status} Truth\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n{ending}\r\n"
        self._transport.write(head.encode() + data)
        if says_close:
            self._transport.close()
        elif self._unread:
            self._next()

    def _refuse(self, status: int) -> None:
        self._unread = b""
        self._reply(status, {"error": error_body(status)}, True)


def _object(raw: bytes) -> dict[str, Any] | None:
    try:
        body: Any = json.loads(raw)
    except ValueError:
        return None
    return cast("dict[str, Any]", body) if isinstance(body, dict) else None
