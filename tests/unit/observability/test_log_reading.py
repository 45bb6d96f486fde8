"""One release and one request through the logs of all processes, by time."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tidegate.correlation import trace_of_release
from tidegate.log_files import read_line, rotate, told
from tidegate.observability.log_reading import Reader, Wanted, sources


class Home:
    """Logs of an installation, written line by line."""

    def __init__(self, root: Path):
        self.logs, self.gateways = root / "logs", root / "gateway"
        self.readers: list[Reader] = []
        self.logs.mkdir()
        (self.gateways / "gateway-1").mkdir(parents=True)

    def write(self, name: str, second: int, event: str = "told", **more: Any) -> None:
        path = self.gateways / "gateway-1" / "access.log" if name == "access" else self.logs / f"{name}.log"
        line = {
            "ts": f"2026-11-26T10:00:{second:02d}.000Z",
            "level": "info",
            "event": event,
            "process": name,
            **more,
        }
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def reader(self, **wanted: Any) -> Reader:
        self.readers.append(Reader(lambda: sources(self.logs, self.gateways), Wanted(**wanted)))
        return self.readers[-1]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    for reader in home.readers:
        reader.close()


def events(reader: Reader) -> list[str]:
    return [(line.data or {})["event"] for line in reader.read()]


def test_a_release_is_followed_through_all_processes_in_the_order_of_time(home: Home):
    home.write("worker-control", 3, "third", release_id="r-1")
    home.write("console", 1, "first", release_id="r-1", request_id="abcdefgh")
    home.write("gateway", 2, "second", trace_id=trace_of_release("r-1"))
    home.write("gateway", 2, "another", release_id="r-2")
    (home.logs / "prefect.log").write_text("a library says r-1 as it likes\n")

    assert events(home.reader(release_id="r-1")) == ["first", "second", "third"]


def test_a_request_is_found_at_the_gateway_and_wherever_else_it_came(home: Home):
    home.write("access", 1, "request", request_id="order-1234", status=200, release_id="r-1")
    home.write("access", 1, "request", request_id="order-12345", status=200)
    home.write("console", 2, "other", request_id="order-1234")

    assert events(home.reader(request_id="order-1234")) == ["request", "other"]


def test_requests_that_went_well_do_not_bury_a_release_and_those_that_failed_are_seen(home: Home):
    for status in (200, 429, 500, 0):
        home.write("access", 1, "request", release_id="r-1", status=status, set=f"s{status}")

    shown = [(line.data or {})["set"] for line in home.reader(release_id="r-1").read()]
    assert shown == ["s500", "s0"]
    assert len(list(home.reader(release_id="r-1", with_traffic=True).read())) == 4


def test_all_that_is_asked_must_hold(home: Home):
    home.write("a", 1, "old", org="acme", service="chat", level="error")
    home.write("a", 5, "mild", org="acme", service="chat")
    home.write("a", 5, "other", org="else", service="chat", level="error")
    home.write("a", 6, "hit", org="acme", service="chat", level="critical")
    since = datetime(2026, 11, 26, 10, 0, 2, tzinfo=UTC)

    assert events(home.reader(service="acme/chat", level="error", since=since)) == ["hit"]
    assert events(home.reader(service="chat", level="error", since=since)) == ["other", "hit"]


def test_renamed_parts_are_read_first_and_each_line_once_while_it_goes_on(home: Home):
    path = home.logs / "a.log"
    for number in range(3):
        home.write("a", number, f"e{number}", release_id="r-1")
        rotate(path, max_bytes=0)
    reader = home.reader(release_id="r-1")

    assert events(reader) == ["e0", "e1", "e2"]
    home.write("a", 4, "e4", release_id="r-1")
    home.write("late", 5, "e5", release_id="r-1")
    assert events(reader) == ["e4", "e5"]
    rotate(path, max_bytes=0)
    home.write("a", 6, "e6", release_id="r-1")
    assert events(reader) == ["e6"]
    assert events(reader) == []


def test_a_line_is_told_to_people_with_its_error():
    text = json.dumps(
        {
            "ts": "2026-11-26T10:00:00.000Z",
            "level": "error",
            "event": "set %s failed",
            "message": "set s-1 failed",
            "process": "platform",
            "org": "acme",
            "service": "chat",
            "release_id": "r-1",
            "attempts": 3,
            "error.type": "Refused",
            "error.code": "TG-2003",
            "error.message": "no quota",
            "error.stack": "Traceback:\n  here\n",
        }
    )

    assert told(read_line(text)).splitlines() == [
        "2026-11-26T10:00:00.000Z  error    platform          [acme/chat] set s-1 failed  release_id=r-1 attempts=3",
        "    Refused [TG-2003]: no quota",
        "    Traceback:",
        "      here",
    ]


@pytest.mark.parametrize("text", ["Worker 'control-1' started!", "{broken", "[1, 2]", ""])
def test_what_a_library_prints_as_it_likes_is_shown_as_it_is(text: str):
    assert told(read_line(text)) == text


def test_logs_larger_than_memory_are_read_little_by_little(home: Home):
    text = "x" * 200
    for number in range(10_000):
        home.write("worker-control", number * 60 // 10_000, text, release_id="r-1")

    lines = home.reader(release_id="r-1").read()
    assert next(lines).at == "2026-11-26T10:00:00.000Z"
    # What had been read to its end would not have this one.
    home.write("worker-control", 59, "written meanwhile", release_id="r-1")
    rest = list(lines)

    assert len(rest) == 10_000
    assert (rest[-1].data or {})["event"] == "written meanwhile"


def test_nothing_that_others_wrote_steers_a_terminal_or_looks_like_another_line():
    evil = "red \x1b[31m\x9b31m\x07\u202etxet\ud800\n2026-11-26T10:00:00.000Z  info     gateway  all is well"
    line = {
        "ts": "t",
        "event": evil,
        "process": evil,
        "x": evil,
        "error.type": "E",
        "error.message": evil,
        "error.stack": evil,
    }
    shown = [told(read_line(text)) for text in (json.dumps(line), f"raw {evil[:20]}")]

    assert not [one for text in shown for one in text if one != "\n" and not one.isprintable()]
    assert "\\u001b[31m" in shown[1]
    assert [one for one in shown[0].split("\n")[1:] if not one.startswith("    ")] == []


@pytest.mark.parametrize(
    "text",
    [
        '{"a":' + "[" * 100_000,
        '{"ts": null, "process": null, "level": null}',
        '{"ts": 1, "process": [1], "level": {}}',
    ],
    ids=["nested", "nothing", "other types"],
)
def test_a_line_that_somebody_made_to_break_its_reader_is_shown(text: str):
    line = read_line(text)

    assert Wanted(level="info").holds(line) is False
    assert told(line)
