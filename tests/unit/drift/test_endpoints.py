"""Endpoints that are asked for their likeliest tokens, over a transport of our own."""

import json
import math
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from tidegate.domain import InvalidInput, Refused, Secret, Transient, Verdict
from tidegate.domain.policy import DriftLimits, DriftPolicy
from tidegate.drift.bounds_report import BoundsReport, judge_bounds
from tidegate.drift.endpoints import Endpoint, measure_bounds, shown_url
from tidegate.drift.texts import Message, PinnedText, TextSet

WORDS = ("tide", " gate", " sea", " shore")
POLICY = DriftPolicy(must_not_change=DriftLimits(max_mean_kl=0.2), min_texts=5)


def texts(count: int) -> TextSet:
    chats = tuple(
        PinnedText(
            id=f"chat-{number}",
            messages=(
                Message(role="user", content=f"Question {number}?"),
                Message(role="assistant", content="Yes."),
            ),
        )
        for number in range(count)
    )
    return TextSet(name="test", texts=chats)


class Server:
    """Writes WORDS one after the other; knows what was written from the last turn."""

    def __init__(
        self,
        shares: Sequence[float],
        *,
        most_listed: int = 500,
        continues: bool = True,
        status: int = 200,
    ):
        self.shares, self.most_listed, self.continues, self.status = shares, most_listed, continues, status
        self.bodies: list[dict[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        self.bodies.append(body)
        if self.status != 200 or body["top_logprobs"] > self.most_listed:
            return httpx.Response(self.status if self.status != 200 else 400)
        last = body["messages"][-1]
        written = last["content"] if last["role"] == "assistant" and self.continues else ""
        first = sum(word in written for word in WORDS)
        rows = [self._row(place) for place in range(first, min(len(WORDS), first + body["max_tokens"]))]
        return httpx.Response(200, json={"choices": [{"logprobs": {"content": rows}}]})

    def _row(self, place: int) -> dict[str, Any]:
        ranked = [WORDS[(place + step) % len(WORDS)] for step in range(len(self.shares))]
        listed = [
            {"token": word, "bytes": list(word.encode()), "logprob": math.log(share)}
            for word, share in zip(ranked, self.shares, strict=True)
        ]
        return {**listed[0], "top_logprobs": listed}


def measured(base: Server, cand: Server, count: int = 8) -> BoundsReport:
    with (
        Endpoint("http://base/v1", Secret("k"), transport=httpx.MockTransport(base)) as one,
        Endpoint("http://cand/v1", transport=httpx.MockTransport(cand)) as two,
    ):
        return measure_bounds(one, two, texts(count))


def verdict(report: BoundsReport) -> Verdict:
    return judge_bounds(report, POLICY)[0].verdict


def test_equal_endpoints_whose_lists_hold_nearly_everything_pass():
    report = measured(Server([0.9, 0.0999]), Server([0.9, 0.0999]))
    assert (report.texts, report.continued) == (8, 1.0)
    assert report.low is not None
    assert report.low.mean < 1e-5
    assert verdict(report) is Verdict.PASS


def test_another_distribution_fails_by_its_lower_bound_alone():
    report = measured(Server([0.9, 0.0999]), Server([0.05, 0.9499]))
    assert verdict(report) is Verdict.FAIL
    assert report.same_top is not None


def test_lists_that_leave_too_much_out_are_not_judged():
    row = judge_bounds(measured(Server([0.6, 0.1]), Server([0.6, 0.1])), POLICY)[0]
    assert row.verdict is Verdict.NOT_JUDGED
    assert "too wide" in row.summary
    assert row.summary.startswith("Not judged: A bound, not a measurement")


@pytest.mark.parametrize("side", ["baseline", "candidate"])
def test_an_endpoint_that_does_not_continue_proves_nothing(side: str):
    good, other = Server([0.9, 0.0999]), Server([0.9, 0.0999], continues=False)
    report = measured(other, good) if side == "baseline" else measured(good, other)
    assert report.refusal.startswith(f"the {side} goes on with its own next token at ")
    assert verdict(report) is Verdict.NOT_JUDGED


def test_fewer_tokens_are_asked_for_where_an_endpoint_refuses_many():
    base = Server([0.9, 0.0999], most_listed=20)
    assert measured(base, Server([0.9, 0.0999])).top_k == (20, 200)
    assert [body["top_logprobs"] for body in base.bodies[:3]] == [200, 20, 20]


def test_a_cached_prompt_is_never_asked_for():
    base = Server([0.9, 0.0999])
    measured(base, Server([0.9, 0.0999]), 1)
    assert all(body["cache_prompt"] is False and body["temperature"] == 0 for body in base.bodies)


def test_a_key_that_is_refused_ends_it():
    with pytest.raises(Refused):
        measured(Server([0.9], status=401), Server([0.9]))


def test_replies_without_likely_tokens_are_told_and_not_judged():
    report = measured(Server([0.9, 0.0999]), Server([0.9], status=500))
    assert set(report.problems.values()) == {"it answers 500"}
    assert verdict(report) is Verdict.NOT_JUDGED


def test_an_endpoint_that_is_down_is_no_verdict():
    def down(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with Endpoint("http://base/v1", transport=httpx.MockTransport(down)) as base, pytest.raises(Transient):
        measure_bounds(base, base, texts(1))


def test_an_address_is_shown_without_its_secrets():
    assert shown_url("https://me:secret@host:8443/v1?key=secret") == "https://host:8443/v1"
    with pytest.raises(InvalidInput):
        shown_url("ftp://host/v1")
