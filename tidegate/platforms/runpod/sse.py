"""Server-sent events: the wire format of RunPod's logs and of streamed completions. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """One event. `id` is the last id that the stream gave, as the standard says; it is opaque."""

    data: str
    id: str | None = None
    name: str = "message"


def events(lines: Iterable[str]) -> Iterator[Event]:
    """Events of a stream; comments and unknown fields are skipped, an unfinished event is dropped."""
    data: list[str] = []
    last_id: str | None = None
    name = "message"
    for line in lines:
        if not line:
            if data:
                yield Event("\n".join(data), last_id, name)
            data, name = [], "message"
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "id" and "\0" not in value:
            last_id = value
        elif field == "event":
            name = value
