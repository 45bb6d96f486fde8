"""Cuts a byte stream into server-sent events (WHATWG HTML, section 9.2.6). Pure."""

import re

LINE_END = re.compile(rb"\r\n|\n|\r")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
DONE = b"[DONE]"

Event = tuple[bytes, bytes]
"""Name and data; most events have no name."""


class EventSplitter:
    """Gives the same events wherever reads, characters and line ends were cut.

    An event counts only when its blank line has come. Comments, `retry:` and `id:` lines are passed over.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._name = b""
        self._is_first = True

    def feed(self, piece: bytes) -> list[bytes]:
        """Data of the events that this piece completed."""
        return [data for _, data in self.events(piece)]

    def events(self, piece: bytes) -> list[Event]:
        """The events that this piece completed."""
        # The common case, which costs a fifth: one read, one event of one line, nothing left from before.
        if (
            piece[:6] == b"data: "
            and piece.find(b"\n") == len(piece) - 2
            and piece[-1:] == b"\n"
            and b"\r" not in piece
            and not (self._rest or self._data or self._name)
        ):
            return [(b"", piece[6:-2])]
        text = self._rest + piece
        if self._is_first:
            if BYTE_ORDER_MARK.startswith(text):
                self._rest = text
                return []
            text, self._is_first = text.removeprefix(BYTE_ORDER_MARK), False
        # A carriage return at the end may be the first half of CRLF: it waits for the next piece.
        held = b"\r" if text.endswith(b"\r") else b""
        *lines, rest = LINE_END.split(text[: len(text) - len(held)])
        self._rest = rest + held
        return [event for line in lines if (event := self._line(line)) is not None]

    def ended(self) -> list[Event]:
        """What counts although the stream ended without its blank line: the [DONE] of servers that leave it out."""
        rest = self._rest.rstrip(b"\r\n")
        name, _, value = rest.partition(b":")
        waiting = [*self._data, value.strip()] if name == b"data" else self._data
        is_done = len(waiting) == 1 and waiting[0].strip() == DONE
        return [(self._name, DONE)] if is_done else []

    def _line(self, line: bytes) -> Event | None:
        if line:
            name, _, value = line.partition(b":")
            if name == b"data":
                self._data.append(value.removeprefix(b" "))
            elif name == b"event":
                self._name = value.removeprefix(b" ")
            return None
        event = (self._name, b"\n".join(self._data)) if self._data else None
        self._data, self._name = [], b""
        return event
