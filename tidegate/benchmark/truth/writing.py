"""Writes one answer at its times and stamps what was written. The only part of the truth server with a clock."""

import asyncio
import json
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from tidegate.benchmark.truth.answer import Answer, End, Kind, Write
from tidegate.benchmark.truth.record import RequestTruth
from tidegate.benchmark.truth.shape import FaultKind, Shape

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Slots:
    """So many answers at once; the others wait in the order in which they came."""

    def __init__(self, count: int | None):
        self._free = count
        self._waiting: deque[Callable[[], None]] = deque()

    def enter(self, begin: Callable[[], None]) -> None:
        """Call `begin` now or when its turn comes."""
        if self._free is None:
            begin()
        elif self._free > 0:
            self._free -= 1
            begin()
        else:
            self._waiting.append(begin)

    def give_up(self, begin: Callable[[], None]) -> None:
        """Leave the queue without having had a turn."""
        self._waiting.remove(begin)

    def leave(self) -> None:
        if self._waiting:
            self._waiting.popleft()()
        elif self._free is not None:
            self._free += 1


@dataclass(frozen=True)
class Connection:
    transport: asyncio.Transport
    shape: Shape
    says_close: bool
    server_began_ns: int

    @property
    def keeps(self) -> bool:
        return not self.says_close and self.shape.connection == "keep" and self.shape.body == "chunked"

    def head(self, more: str) -> bytes:
        ending = "connection: close\r\n" if self.says_close or self.shape.body == "until_close" else ""
        return f"HTTP/1.1 200 OK\r\nserver: truth\r\n{ending}{more}\r\n".encode()

    def reset(self) -> None:
        """End with a TCP reset instead of an orderly close."""
        raw: socket.socket = self.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.transport.abort()


class _Writing:
    """Common to both kinds of answers: the turn, the timer and the end."""

    def __init__(
        self,
        connection: Connection,
        record: RequestTruth,
        answer: Answer,
        slots: Slots,
        on_end: Callable[[bool], None],
    ):
        self._connection, self._record, self._answer = connection, record, answer
        self._slots, self._on_end = slots, on_end
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.Handle | None = None
        self._has_turn = False
        self._due_ns = 0

    def wait_for_turn(self) -> None:
        self._slots.enter(self._take_turn)

    def leave(self) -> None:
        """The client has gone."""
        self._record.left_early = self._record.ended_ns is None
        if self._timer is not None:
            self._timer.cancel()
        if self._has_turn:
            self._give_turn_back()
        elif self._record.started_ns is None:
            self._slots.give_up(self._take_turn)

    def _take_turn(self) -> None:
        self._has_turn = True
        self._record.started_ns = self._due_ns = time.monotonic_ns()
        self._begin()

    def _begin(self) -> None:
        raise NotImplementedError

    def _after(self, work_ns: int, then: Callable[[], None]) -> None:
        """Call after this much of the server's work; late writes do not move the later ones."""
        began = self._connection.server_began_ns
        self._due_ns = began + self._answer.shape.later(self._due_ns - began, work_ns)
        self._timer = self._loop.call_at(self._due_ns / 1e9, then)

    def _stamp(self) -> int:
        now_ns = time.monotonic_ns()
        self._record.late_ns = max(self._record.late_ns, now_ns - self._due_ns)
        return now_ns

    def _end(self, keeps: bool) -> None:
        self._record.ended_ns = time.monotonic_ns()
        self._timer = None
        self._give_turn_back()
        self._on_end(keeps)

    def _give_turn_back(self) -> None:
        self._has_turn = False
        self._slots.leave()


class PlainWriting(_Writing):
    """An answer in one body."""

    def _begin(self) -> None:
        if self._answer.end() is End.NEVER:
            return
        work_ns, body = self._answer.whole()
        self._body = json.dumps(body, ensure_ascii=False).encode()
        self._after(work_ns, self._write)

    def _write(self) -> None:
        record, transport, fault = self._record, self._connection.transport, self._answer.fault
        more = f"content-type: application/json\r\ncontent-length: {len(self._body)}\r\n"
        record.status, record.headers_ns = 200, self._stamp()
        if fault is not None and fault.kind is FaultKind.ERROR_EVENT:
            self._body = b'{"error": {"message": "an error that was asked for"}}'
            more = f"content-type: application/json\r\ncontent-length: {len(self._body)}\r\n"
        is_whole = fault is None or fault.kind is FaultKind.ERROR_EVENT
        sent = self._body if is_whole else self._body[: len(self._body) // 2]
        record.content_ns.append(record.headers_ns)
        record.answer_ns, record.tokens = record.headers_ns, self._answer.tokens
        transport.write(self._connection.head(more) + sent)
        if self._answer.end() is End.RESET:
            self._connection.reset()
        self._end(is_whole and self._connection.keeps)


class StreamWriting(_Writing):
    """An answer in server-sent events."""

    def _begin(self) -> None:
        fault = self._answer.fault
        if fault is not None and fault.kind is FaultKind.HANG and fault.after == 0:
            return
        self._writes = self._answer.writes()
        self._is_chunked = self._answer.shape.body == "chunked"
        self._record.status, self._record.headers_ns = 200, self._stamp()
        framing = "transfer-encoding: chunked\r\n" if self._is_chunked else ""
        self._connection.transport.write(
            self._connection.head(f"content-type: text/event-stream\r\n{framing}")
        )
        self._advance()

    def _advance(self) -> None:
        """Plan the next write, or end."""
        write = next(self._writes, None)
        if write is None:
            self._finish()
            return
        self._write = write
        if write.wait_ns == 0:
            self._due()
        else:
            self._after(write.wait_ns, self._due)

    def _due(self) -> None:
        write, size = self._write, self._answer.shape.write_bytes
        head, tail = (b"%x\r\n" % len(write.data), b"\r\n") if self._is_chunked else (b"", b"")
        data = head + write.data + tail
        if size is not None:
            parts = [data[start : start + size] for start in range(0, len(data), size)]
            self._write_parts(parts, (len(head) + len(write.data) - 1) // size)
            return
        self._note(write, self._stamp())
        self._connection.transport.write(data)
        self._advance()

    def _write_parts(self, parts: list[bytes], until_complete: int) -> None:
        """One part in each turn of the loop, so that they are likely to be read apart. The one that counts is
        that with the last byte of the event."""
        if until_complete == 0:
            self._note(self._write, self._stamp())
        self._connection.transport.write(parts[0])
        if len(parts) > 1:
            self._timer = self._loop.call_soon(self._write_parts, parts[1:], until_complete - 1)
        else:
            self._advance()

    def _note(self, write: Write, now_ns: int) -> None:
        record, kind = self._record, write.kind
        if kind is Kind.CONTENT or kind is Kind.REASONING:
            record.content_ns.append(now_ns)
            record.tokens += write.tokens
            if kind is Kind.CONTENT and record.answer_ns is None:
                record.answer_ns = now_ns
        elif kind is Kind.FINISH:
            record.finish_ns = now_ns
        elif kind is Kind.DONE:
            record.done_ns = now_ns

    def _finish(self) -> None:
        end = self._answer.end()
        if end is End.NEVER:
            return
        if end is End.RESET:
            self._connection.reset()
        elif end is End.ORDERLY and self._is_chunked:
            self._connection.transport.write(b"0\r\n\r\n")
        self._end(end is End.ORDERLY and self._connection.keeps)
