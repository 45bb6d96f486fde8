"""Lines become batches: each counts once, also when the reader dies, a file is renamed or nobody takes the batches."""

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.domain import LiveBatch, Transient
from tidegate.domain.live import ALL, PLAIN, SHADOW, SMALL, STREAM, total
from tidegate.domain.live_edges import TTFT_OBJECTIVE_S, TTFT_S
from tidegate.gateway.boots import Boot, Reading, boots, new_boot
from tidegate.gateway.measured import Fact
from tidegate.gateway.meter import Meter
from tidegate.gateway.windows import Windows

T0 = 1_795_700_000.0


def line(at: float = T0, *, kind: str = "request", set_name: str = "green", **changes) -> bytes:
    row = {
        "kind": kind, "at": f"{at:.6f}", "service": "acme/chat", "client": "acme/app", "status": 200, "flags": "-",
        "set": set_name, "length": "10", "ms": 0, "path": "/acme/chat/v1/chat/completions", "attempts": 1,
        "asked": 1000, "began": 2000, "wanted": "stream", "answer": "stream 1000 9000 1000 5 1 0 0 stop 5 7",
    }  # fmt: skip
    return json.dumps({**row, **changes}).encode() + b"\n"


@dataclass
class Sink:
    """A ledger in memory: a batch that comes again changes nothing."""

    batches: dict[tuple[object, ...], LiveBatch] = field(default_factory=dict)
    calls: Counter[tuple[object, ...]] = field(default_factory=Counter)
    is_down: bool = False

    def record_live(self, batches: Sequence[LiveBatch]) -> None:
        if self.is_down:
            raise Transient("The ledger does not answer.")
        for batch in batches:
            self.calls[batch.key] += 1
            self.batches.setdefault(batch.key, batch)

    def counts(self, slice_name: str = ALL) -> dict[str, int]:
        return {
            name: count
            for name, count in total(b for b in self.batches.values() if b.slice == slice_name).items()
            if count
        }


class Bench:
    """A meter with a clock of ours and Envoys that are only files."""

    def __init__(self, config):
        self.config = config
        self.sink = Sink()
        self.now = T0
        self.locks: dict[str, int] = {}
        self.restart()

    def restart(self) -> None:
        """As after a kill: nothing but files is left."""
        self.meter = Meter(self.config, self.sink, clock=lambda: self.now)

    def envoy(self) -> Boot:
        boot, lock = new_boot(self.config)
        self.locks[boot.name] = lock
        return boot

    def end(self, boot: Boot) -> None:
        os.close(self.locks.pop(boot.name))

    def step(self, seconds: float = 0.0) -> None:
        self.now += seconds
        self.meter.step(None)


@pytest.fixture
def bench(config):
    made = Bench(config)
    yield made
    for lock in made.locks.values():
        os.close(lock)


def write(path: Path, *lines: bytes) -> None:
    with path.open("ab") as file:
        file.write(b"".join(lines))


def test_lines_become_one_batch_a_window_and_slice(bench):
    boot = bench.envoy()
    write(boot.log, line(T0), line(T0 + 0.5), line(T0 + 1), line(T0, kind="attempt"), line(T0, kind="copy"))

    bench.step(10)

    assert bench.sink.counts() == {"requests": 3, "attempts": 1}
    assert bench.sink.counts(STREAM) == {"requests": 3, "attempts": 3}
    assert bench.sink.counts(SMALL) == {"requests": 3, "attempts": 1}
    assert bench.sink.counts(SHADOW) == {"requests": 1, "attempts": 1}
    windows = sorted(b.started_at.timestamp() - T0 for b in bench.sink.batches.values() if b.slice == ALL)
    assert windows == [0, 1]


def test_a_window_stays_open_until_its_lines_had_time_to_come(bench):
    boot = bench.envoy()
    write(boot.log, line(T0 + 0.9))

    bench.step(1.0 + bench.config.live_grace_s - 0.1)
    assert bench.sink.counts() == {}
    bench.step(0.2)
    assert bench.sink.counts() == {"requests": 1}


def test_a_line_that_comes_late_counts_in_the_next_batch(bench):
    boot = bench.envoy()
    write(boot.log, line(T0))
    bench.step(5)
    write(boot.log, line(T0))
    bench.step(5)

    assert bench.sink.counts() == {"requests": 2}
    assert set(bench.sink.calls.values()) == {1}


def test_half_a_line_waits_for_its_other_half(bench):
    boot = bench.envoy()
    whole = line(T0)
    write(boot.log, whole[:30])
    bench.step(3)
    write(boot.log, whole[30:])
    bench.step(3)

    assert bench.sink.counts() == {"requests": 1}


def test_foreign_and_broken_lines_cost_nothing_but_themselves(bench):
    boot = bench.envoy()
    write(
        boot.log,
        b"\n\xff\x00{]\n",
        line(T0),
        b'{"kind":"request","at":[]}\n',
        line(T0)[:50] + b"\n",
        line(T0),
    )

    bench.step(5)

    assert bench.sink.counts() == {"requests": 2}


def test_a_reader_that_was_killed_goes_on_where_it_was(bench):
    boot = bench.envoy()
    write(boot.log, line(T0), line(T0 + 0.1))
    bench.step(0.5)
    bench.restart()
    write(boot.log, line(T0 + 0.2))
    bench.step(5)

    assert bench.sink.counts() == {"requests": 3}


def test_batches_wait_for_a_sink_that_is_away_also_over_a_restart(bench):
    boot = bench.envoy()
    write(boot.log, line(T0))
    bench.sink.is_down = True
    with pytest.raises(Transient):
        bench.step(5)
    bench.restart()
    bench.sink.is_down = False
    bench.step()

    assert bench.sink.counts() == {"requests": 1}


def test_a_batch_that_was_sent_just_before_a_crash_is_the_same_when_it_is_sent_again(bench):
    boot = bench.envoy()
    write(boot.log, line(T0))
    bench.step(5)
    write(boot.log, line(T0 + 5))
    bench.restart()
    bench.step(5)

    assert bench.sink.counts() == {"requests": 2}
    assert max(bench.sink.calls.values()) == 2


def test_what_an_absent_sink_never_got_is_told_as_lost(bench, monkeypatch):
    boot = bench.envoy()
    bench.sink.is_down = True
    monkeypatch.setattr("tidegate.gateway.meter._MOST_PENDING", 6)
    for number in range(4):
        write(boot.log, line(T0 + 2 * number))
        with pytest.raises(Transient):
            bench.step(2 + number)
    bench.sink.is_down = False
    bench.step(5)

    counts = bench.sink.counts()
    assert counts["requests"] + counts["lost"] == 4
    assert counts["lost"] > 0


def test_a_renamed_log_is_read_to_its_end_and_goes(bench):
    boot = bench.envoy()
    write(boot.log, line(T0))
    bench.step(0.1)
    boot.log.rename(boot.aside)
    write(boot.aside, line(T0))
    bench.step(0.1)
    assert boot.aside.exists()
    write(boot.aside, line(T0))
    write(boot.log, line(T0))
    bench.step(5)

    assert not boot.aside.exists()
    assert bench.sink.counts() == {"requests": 4}


def test_a_reader_that_died_right_after_renaming_reads_nothing_twice(bench):
    boot = bench.envoy()
    write(boot.log, line(T0), line(T0))
    bench.step(0.1)
    boot.log.rename(boot.aside)
    write(boot.log, line(T0))
    bench.restart()
    bench.step(5)
    bench.step()
    boot.log.rename(boot.aside)
    write(boot.log, line(T0 + 5))
    bench.restart()
    bench.step(5)

    assert bench.sink.counts() == {"requests": 4}


def test_two_envoys_of_one_gateway_are_read_apart_and_the_one_that_ended_goes(bench):
    old, new = bench.envoy(), bench.envoy()
    write(old.log, line(T0))
    write(new.log, line(T0), line(T0))
    bench.step(0.1)
    write(old.log, line(T0))
    bench.end(old)
    bench.step(5)
    bench.restart()
    bench.step(5)

    assert bench.sink.counts() == {"requests": 4}
    assert [boot.name for boot in boots(bench.config)] == [new.name]


def test_the_last_lines_are_sent_when_the_gateway_stops(bench):
    boot = bench.envoy()
    write(boot.log, line(T0))
    bench.end(boot)

    bench.meter.finish()

    assert bench.sink.counts() == {"requests": 1}
    assert boots(bench.config) == []


def test_a_state_file_that_is_no_longer_readable_counts_nothing_twice(bench):
    boot = bench.envoy()
    write(boot.log, line(T0), line(T0 + 1))
    bench.step(5)
    bench.config.path("live-read.json").write_text('{"windows": 3}')
    bench.restart()
    bench.step(5)

    assert bench.sink.counts() == {"requests": 2}


def test_of_a_log_that_grew_too_long_only_the_newest_lines_are_read(bench):
    boot = bench.envoy()
    write(boot.log, *(line(T0) for _ in range(100)))

    few = Reading()
    read = list(few.lines(boot, most_bytes=len(line()) * 10))

    assert 0 < len(read) <= 10
    assert list(few.lines(boot, most_bytes=1 << 20)) == []


@dataclass
class Counters:
    """Envoy's admin interface as far as the meter asks it."""

    boot: Boot
    requests: int = 0
    active: int = 0

    def close(self) -> None:
        return

    def post(self, path: str) -> None:
        return

    def get_json(self, path: str) -> dict[str, object]:
        return {"command_line_options": {"service_zone": self.boot.name}}

    def get(self, path: str, **query: str) -> str:
        return f'envoy_gw_requests{{set="green",service="acme/chat",status="200",flags="-"}} {self.requests}'

    def numbers(self, pattern: str) -> dict[str, int]:
        return {"cluster.green.upstream_rq_active": self.active}


def test_what_envoy_counted_and_nobody_logged_is_lost_once_it_had_time_to_come(bench):
    boot = bench.envoy()
    write(boot.log, line(T0), line(T0))
    counters = Counters(boot, requests=5)
    bench.meter.step(counters)
    bench.now += 9
    bench.meter.step(counters)
    assert bench.sink.counts() == {"requests": 2}
    bench.now += 3
    bench.meter.step(counters)
    bench.step(5)

    assert bench.sink.counts() == {"requests": 2, "lost": 3}
    bench.step(30)
    assert bench.sink.counts() == {"requests": 2, "lost": 3}


def test_of_an_envoy_that_was_killed_what_was_in_flight_is_lost_too(bench):
    boot = bench.envoy()
    write(boot.log, line(T0))
    bench.meter.step(Counters(boot, requests=1, active=2))
    bench.end(boot)
    bench.step(5)
    bench.step(5)

    assert bench.sink.counts() == {"requests": 1, "lost": 2}


def test_counters_of_another_envoy_say_nothing_about_this_one(bench):
    old, new = bench.envoy(), bench.envoy()
    bench.meter.step(Counters(old, requests=7))
    bench.end(new)
    bench.step(20)

    assert bench.sink.counts() == {}


def test_no_key_prompt_or_client_reaches_the_reports(bench):
    boot = bench.envoy()
    write(boot.log, line(T0, client="acme/alice", prompt="tell me a secret"))
    bench.step(5)

    text = "".join(batch.model_dump_json() for batch in bench.sink.batches.values())
    text += bench.config.path("live-read.json").read_text()
    assert "alice" not in text
    assert "secret" not in text


FACT = Fact("request", T0, "acme", "chat", "green", False, (ALL,))


@given(st.lists(st.tuples(st.floats(-30, 30), st.floats(0, 3)), max_size=40))
@settings(max_examples=100, deadline=None)
def test_whatever_the_order_and_the_clock_each_fact_is_in_exactly_one_batch(moves):
    windows, sent, now = Windows("g", 1.0), [], T0
    for number, (lag, pause) in enumerate(moves):
        now += pause
        windows.add(replace(FACT, ended=now - lag, failed=number % 3 == 0), now)
        stored = windows.to_json()
        windows = Windows("g", 1.0)
        windows.restore(json.loads(json.dumps(stored)))
        sent += windows.close(now - 0.75)
    sent += windows.close_all()

    assert total(sent)["requests"] == len(moves)
    assert total(sent)["failed"] == len(range(0, len(moves), 3))
    assert len({batch.key for batch in sent}) == len(sent)


def test_a_batch_counts_ends_tokens_and_times_by_the_exact_edges():
    windows = Windows("g", 1.0)
    for ttft_ms in (1999.9, 2000.0, 2000.1):
        windows.add(replace(FACT, ttft_ms=ttft_ms, total_ms=2500.0, tokens_in=7, tokens_out=3), T0)
    windows.add(replace(FACT, code="5xx"), T0)
    stored = windows.to_json()
    windows = Windows("g", 1.0)
    windows.restore(json.loads(json.dumps(stored)))
    (batch,) = windows.close_all()

    objective = TTFT_S.index(TTFT_OBJECTIVE_S)
    assert batch.codes == {"2xx": 3, "5xx": 1}
    assert batch.timings["ttft_ms"].counts == {objective: 2, objective + 1: 1}
    assert batch.timings["ttft_ms"].sum_s == pytest.approx(6.0)
    assert batch.timings["total_ms"].sum_s == pytest.approx(7.5)
    assert (batch.tokens_in, batch.tokens_out) == (21, 9)


def test_slices_that_repeat_a_request_do_not_count_its_end_again():
    windows = Windows("g", 1.0)
    windows.add(replace(FACT, slices=(ALL, PLAIN)), T0)

    assert {batch.slice: batch.codes for batch in windows.close_all()} == {ALL: {"2xx": 1}, PLAIN: {}}
