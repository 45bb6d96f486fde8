"""The keys of a log line, in their order: declared once, for every process, the documents and the tests.

A line may hold further keys of its event (`gateway`, `attempts`); these are the ones that mean the same everywhere.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class LogKey:
    """One key, what it means, and an example."""

    name: str
    meaning: str
    example: str


KEYS: tuple[LogKey, ...] = (
    LogKey("ts", "When, in UTC, with milliseconds", "2026-11-26T17:54:13.482Z"),
    LogKey("level", "`debug`, `info`, `warning`, `error` or `critical`", "warning"),
    LogKey("event", "What happened: a fixed short text, the same each time", "set %s is given up: %s"),
    LogKey("message", "The event with its values, where it has some", "set a--b--c is given up: no worker"),
    LogKey("process", "Which process wrote it, as `tidegate status` names it", "platform"),
    LogKey("logger", "Which part of it", "tidegate.platforms.local.platform"),
    LogKey("org", "Organization", "swaggystacks"),
    LogKey("service", "Service, without its organization", "support-chat"),
    LogKey("release_id", "Release", "rel-01J9Z"),
    LogKey("set", "Set", "swaggystacks--support-chat--0a1b2c3d4e-5f6a7b8c"),
    LogKey("slot", "`stable`, `candidate` or `shadow`", "candidate"),
    LogKey("platform", "Where the set runs", "runpod"),
    LogKey("flow_run_id", "Run of the flow, as Prefect names it", "0197c1f4-6e0e-7d43-9f30-5f6f0a0c9b1e"),
    LogKey("task_run_id", "Run of the task within it", "0197c1f4-7a2b-7c11-8d2c-0d4f7e1b2a3c"),
    LogKey("request_id", "A client's request, or ours to a platform", "9f2c11ee0d1b4e7aa3c5d7e9f1b3c5d7"),
    LogKey(
        "trace_id",
        "Trace of W3C; a release has one, which follows from its id",
        "4bf92f3577b34da6a3ce929d0e0e4736",
    ),
    LogKey("span_id", "Piece of work within the trace", "00f067aa0ba902b7"),
    LogKey("duration_ms", "How long it took", "182.4"),
    LogKey("error.type", "Class of the error", "Refused"),
    LogKey("error.code", "Its stable code, where it is one of ours", "TG-2003"),
    LogKey("error.message", "Its text", "The quota of this account is used up."),
    LogKey(
        "error.stack",
        "Where it was raised, without values of variables",
        "Traceback (most recent call last): ...",
    ),
)
NAMES = tuple(key.name for key in KEYS)
ORDER = {name: place for place, name in enumerate(NAMES)}
LEVELS = ("debug", "info", "warning", "error", "critical")


def keys_table() -> str:
    """The table of docs/logging.md."""
    rows = [f"| `{key.name}` | {key.meaning} | `{key.example}` |" for key in KEYS]
    return "\n".join(("| key | meaning | example |", "|---|---|---|", *rows))
