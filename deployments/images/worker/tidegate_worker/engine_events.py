"""The engine's stream of events, cut where events end, and what stands in them. Values in, values out."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

EVENT_END = b"\n\n"
DONE = "[DONE]"


class EventCutter:
    """Gives whole events out of arbitrary pieces of a stream."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> bytes:
        """All events that are whole now, framed as they came; empty when none is."""
        self._rest += piece
        end = self._rest.rfind(EVENT_END)
        if end < 0:
            return b""
        whole, self._rest = self._rest[: end + len(EVENT_END)], self._rest[end + len(EVENT_END) :]
        return whole


@dataclass
class Answer:
    """A completion as it grows, from the events of either route."""

    model: str
    text: str = ""
    finish_reason: str | None = None
    usage: dict[str, object] | None = None
    error: object = None
    tokens: int = field(default=0)

    def add(self, events: bytes) -> str:
        """The text that these events add."""
        added = ""
        for event in _payloads(events):
            if "error" in event:
                self.error = event["error"]
            self.usage = event.get("usage") or self.usage
            for choice in event.get("choices") or []:
                piece = choice.get("text") or (choice.get("delta") or {}).get("content") or ""
                self.finish_reason = choice.get("finish_reason") or self.finish_reason
                self.tokens += bool(piece)
                added += piece
        self.text += added
        return added

    def ending(self) -> dict[str, object]:
        return {"finish_reason": self.finish_reason, "usage": self.usage, "model": self.model}


def _payloads(events: bytes) -> Iterator[dict[str, Any]]:
    # Not `splitlines`, which also cuts at characters that a text may hold.
    for line in events.decode("utf-8", "replace").split("\n"):
        # A line may also be a comment that keeps the connection open, and an error has a name of its own.
        kind, _, text = line.partition(":")
        if kind not in ("data", "error") or text.strip() == DONE:
            continue
        try:
            value = json.loads(text)
        except ValueError:
            continue
        if isinstance(value, dict):
            yield cast("dict[str, Any]", value) if kind == "data" else {"error": value}
