"""What is bound to a thread, and what of it goes to others."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext

import pytest

from tidegate.correlation import (
    bind,
    carried,
    context,
    current,
    end_tracing,
    headers,
    parse_traceparent,
    span,
    trace_of_release,
    trace_with,
)
from tidegate.correlation.context import add_source


@pytest.fixture(autouse=True)
def _nothing_else(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(context, "_sources", [])
    yield
    end_tracing()


def test_what_is_bound_holds_within_the_block_only():
    with bind(org="acme", service="chat"):
        with bind(service="other"):
            assert current() == {"org": "acme", "service": "other"}
        assert current() == {"org": "acme", "service": "chat"}
    assert current() == {}


def test_nothing_is_bound_to_no_value():
    with bind(org=None, service=""):
        assert current() == {}


def test_a_misspelt_name_is_an_error():
    with pytest.raises(ValueError, match="relase_id"), bind(relase_id="r-1"):
        pass


def test_a_release_brings_its_trace():
    with bind(release_id="r-1"):
        assert current()["trace_id"] == trace_of_release("r-1")


def test_a_thread_begins_with_nothing_unless_it_is_carried():
    seen: list[Mapping[str, str]] = []
    with bind(org="acme"):
        works = (lambda: seen.append(current()), carried(lambda: seen.append(current())))
    for work in works:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    assert seen == [{}, {"org": "acme"}]


def test_a_source_is_asked_each_time_and_overruled_by_what_is_bound():
    runs = iter([{"flow_run_id": "one"}, {"flow_run_id": "two"}, {"flow_run_id": "three"}])
    add_source(lambda: next(runs))

    assert current() == {"flow_run_id": "one"}
    assert current() == {"flow_run_id": "two"}
    with bind(flow_run_id="mine"):
        assert current() == {"flow_run_id": "mine"}


def test_a_call_to_others_carries_the_request_and_the_trace():
    with bind(request_id="request-1234", release_id="r-1"), span("step") as ids:
        sent = headers()

    parent = parse_traceparent(sent["traceparent"])
    assert sent["x-request-id"] == "request-1234"
    assert parent is not None
    assert (parent.trace_id, parent.span_id) == (trace_of_release("r-1"), ids["span_id"])


def test_a_call_for_nobody_carries_nothing():
    assert headers() == {}


def test_what_is_no_request_id_never_becomes_a_header():
    with bind(request_id="a\r\nset-cookie: x"):
        assert headers() == {}


def test_spans_of_one_work_share_their_trace_and_name_their_parent():
    told: list[tuple[str, str, str | None]] = []

    class Watching:
        def follow(
            self, name: str, ids: Mapping[str, str], parent_span_id: str | None
        ) -> AbstractContextManager[object]:
            told.append((name, ids["trace_id"], parent_span_id))
            return nullcontext()

    trace_with(Watching())
    with span("outer") as outer, span("inner") as inner:
        assert inner["span_id"] != outer["span_id"]

    assert told == [("outer", outer["trace_id"], None), ("inner", outer["trace_id"], outer["span_id"])]
