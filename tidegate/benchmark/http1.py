"""Reads one HTTP/1.1 answer from bytes cut anywhere (RFC 9112). Pure: no socket and no clock.

Made for streams of many small chunks: a read that holds exactly one chunk costs one match and one slice.
Whoever feeds it says when the bytes were read; the pieces carry these stamps.
"""

import re
from collections.abc import Mapping

from tidegate.benchmark.exchange import Exchange

MAX_HEADER_BYTES = 64 * 1024
MAX_BODY_BYTES = 64 * 1024**2
MAX_INTERIM_ANSWERS = 8
HEAD_END = re.compile(rb"\r?\n\r?\n")
STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [^\r\n]*)?\Z")
FIELD_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")
MAX_SIZE_LINE_BYTES = 1024


class BrokenAnswer(Exception):
    """The bytes are no HTTP answer, or larger than this client accepts."""


class AnswerReader:
    """Fills an exchange from what its connection reads."""

    def __init__(self, exchange: Exchange, max_body_bytes: int = MAX_BODY_BYTES):
        self._exchange, self._max_body_bytes = exchange, max_body_bytes
        # The function and not the bound method: that would be a cycle, and keep the whole answer in memory.
        self._read = AnswerReader._head
        self._rest = b""
        self._left = 0
        self._body_bytes = 0
        self._interim = 0
        self._trailer_bytes = 0
        self._ends_with_connection = False
        self.is_done = False
        self.keeps_connection = False
        """The server promises to keep the connection open, and nothing in the answer speaks against it."""

    def feed(self, data: bytes, now_ns: int) -> None:
        """Take what was read at this time. Raises BrokenAnswer; what came before it stays in the exchange."""
        self._read(self, data, now_ns)

    def connection_ended(self) -> str:
        """The server closed the connection: why that leaves no whole answer, or an empty text if it does."""
        if self.is_done:
            return ""
        if self._ends_with_connection:
            self.is_done = True
            return ""
        if self._exchange.status is None:
            return (
                "the connection closed before an answer"
                if not self._rest
                else "the connection closed in the headers"
            )
        return "the connection closed in the middle of the answer"

    def _head(self, data: bytes, now_ns: int) -> None:
        self._rest += data
        found = HEAD_END.search(self._rest)
        if len(self._rest if found is None else self._rest[: found.start()]) > MAX_HEADER_BYTES:
            raise BrokenAnswer(f"headers of more than {MAX_HEADER_BYTES} bytes")
        if found is None:
            if not self._rest.startswith(b"HTTP/1."[: len(self._rest)]):
                raise BrokenAnswer("the answer is not HTTP/1.1")
            return
        lines = re.split(rb"\r?\n", self._rest[: found.start()])
        body, self._rest = self._rest[found.end() :], b""
        version, status = _status(lines[0])
        headers = _headers(lines[1:])
        if status < 200:
            self._interim += 1
            if status == 101 or self._interim > MAX_INTERIM_ANSWERS:
                raise BrokenAnswer(f"an unexpected answer {status}")
            if body:
                self._head(body, now_ns)
            return
        self._exchange.status, self._exchange.headers, self._exchange.headers_ns = status, headers, now_ns
        self._choose_body(version, status, headers)
        if body and not self.is_done:
            self._read(self, body, now_ns)
        elif body:
            self._surplus(body, now_ns)

    def _choose_body(self, version: int, status: int, headers: Mapping[str, str]) -> None:
        """How the end of the body is known (RFC 9112, section 6.3)."""
        options = {option.strip().lower() for option in headers.get("connection", "").split(",")}
        self.keeps_connection = "close" not in options if version == 1 else "keep-alive" in options
        codings, length = headers.get("transfer-encoding"), headers.get("content-length")
        compression = headers.get("content-encoding", "identity").lower()
        if compression != "identity":
            raise BrokenAnswer(f"an answer compressed with {compression!r}, which was not asked for")
        if status in (204, 304):
            self._finish()
        elif codings is not None:
            if codings.strip().lower() != "chunked":
                raise BrokenAnswer(f"an unknown transfer coding {codings!r}")
            # Both at once is a sign of a confused server or of smuggling: the connection is not used again.
            self.keeps_connection &= length is None
            self._read = AnswerReader._chunks
        elif length is not None:
            lengths = {part.strip() for part in length.split(",")}
            text = lengths.pop()
            if lengths or not (text.isascii() and text.isdigit()):
                raise BrokenAnswer(f"a content length of {length!r}")
            self._left = int(text)
            self._refuse_if_too_large(self._left)
            self._read = AnswerReader._counted
            if self._left == 0:
                self._finish()
        else:
            self.keeps_connection, self._ends_with_connection = False, True
            self._read = AnswerReader._until_close

    def _chunks(self, data: bytes, now_ns: int) -> None:
        if not self._rest and self._left == 0:
            # The hot path: one read, one chunk.
            found = CHUNK_SIZE.match(data)
            if found is not None:
                start, size = found.end(), int(found[1], 16)
                if size and len(data) == start + size + 2 and data.endswith(b"\r\n"):
                    self._keep(data[start:-2], now_ns)
                    return
        data = self._rest + data
        self._rest = b""
        at = 0
        while at < len(data) and not self.is_done:
            at = self._chunk(data, at, now_ns)
            if at < 0:
                return
        if at < len(data):
            self._surplus(data[at:], now_ns)

    def _chunk(self, data: bytes, at: int, now_ns: int) -> int:
        """Take what is there of one chunk, and say where the next begins; -1 when more must be read first.

        `_left` counts the bytes of the open chunk that are missing, its line end included.
        """
        if self._left == 0:
            found = CHUNK_SIZE.match(data, at)
            if found is None:
                if b"\n" in data[at:] or len(data) - at > MAX_SIZE_LINE_BYTES:
                    raise BrokenAnswer("a chunk without a size")
                self._rest = data[at:]
                return -1
            size, at = int(found[1], 16), found.end()
            if size == 0:
                self._read = AnswerReader._trailer
                self._trailer(data[at:], now_ns)
                return len(data)
            self._refuse_if_too_large(size)
            self._left = size + 2
        if self._left > 2:
            piece = data[at : at + self._left - 2]
            if piece:
                self._keep(piece, now_ns)
            self._left -= len(piece)
            at += len(piece)
        if self._left == 2:
            ending = data[at : at + 2]
            if ending == b"\r\n":
                self._left = 0
                return at + 2
            if ending not in (b"", b"\r"):
                raise BrokenAnswer("a chunk longer than its size")
            self._rest = ending
        return -1

    def _trailer(self, data: bytes, now_ns: int) -> None:
        """Skip the lines after the last chunk, up to the empty one."""
        self._rest += data
        self._trailer_bytes += len(data)
        if self._trailer_bytes > MAX_HEADER_BYTES:
            raise BrokenAnswer(f"a trailer of more than {MAX_HEADER_BYTES} bytes")
        while not self.is_done:
            line, end, rest = self._rest.partition(b"\n")
            if not end:
                return
            self._rest = rest
            if line in (b"", b"\r"):
                self._finish()
        if self._rest:
            self._surplus(self._rest, now_ns)

    def _counted(self, data: bytes, now_ns: int) -> None:
        piece = data[: self._left]
        self._keep(piece, now_ns)
        self._left -= len(piece)
        if self._left == 0:
            self._finish()
            if len(data) > len(piece):
                self._surplus(data[len(piece) :], now_ns)

    def _until_close(self, data: bytes, now_ns: int) -> None:
        self._keep(data, now_ns)

    def _surplus(self, data: bytes, now_ns: int) -> None:
        """Bytes after the answer that nobody asked for: this connection can no longer be trusted."""
        self.keeps_connection = False

    def _keep(self, piece: bytes, now_ns: int) -> None:
        self._refuse_if_too_large(len(piece))
        self._body_bytes += len(piece)
        self._exchange.pieces.append((now_ns, piece))

    def _refuse_if_too_large(self, more: int) -> None:
        """What is announced as too large is refused before it is read."""
        if self._body_bytes + more > self._max_body_bytes:
            raise BrokenAnswer(f"a body of more than {self._max_body_bytes} bytes")

    def _finish(self) -> None:
        self.is_done = True
        self._read = AnswerReader._surplus


def _status(line: bytes) -> tuple[int, int]:
    found = STATUS_LINE.match(line)
    if found is None:
        raise BrokenAnswer("the answer is not HTTP/1.1")
    return int(found[1]), int(found[2])


def _headers(lines: list[bytes]) -> dict[str, str]:
    """Names in lower case; a repeated field is one list (RFC 9110, section 5.3)."""
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not FIELD_NAME.match(name):
            raise BrokenAnswer("a header line without a name")
        key, text = name.decode("ascii").lower(), value.strip(b" \t").decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers
