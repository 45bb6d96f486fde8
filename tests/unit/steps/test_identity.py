"""Five workers behind one address: a lying or lagging one is found in one round, and nothing is proven beside it."""

import json
import threading
from collections import Counter
from dataclasses import dataclass, field

import httpx
import pytest

from tests.unit.steps.five_servers import front_door
from tidegate.domain import Gate, ReleaseState, Secret, ServiceRef, SetSpec, Verdict
from tidegate.probes.target import ProbeTarget
from tidegate.probes.workers import Heard, WorkerAnswer, hear_workers, questions_by_chance
from tidegate.steps.checks import REQUIRED
from tidegate.steps.evaluation import JOB_RESULTS
from tidegate.steps.identity import FINGERPRINTS, IdentityRound, workers_row

ACME = ServiceRef("acme", "chat")
TRUE, OLD = "1" * 64, "9" * 64
WORKERS = 5


def reply(digest: str, word: str, logprob: float = -0.1) -> dict:
    token = {"token": word, "logprob": logprob, "top_logprobs": [{"token": "zz", "logprob": logprob - 5}]}
    choice = {"message": {"content": word}, "finish_reason": "stop", "logprobs": {"content": [token]}}
    return {"model": digest, "choices": [choice]}


@dataclass
class Fleet:
    """An address that gives each request to the worker whose turn it is."""

    digests: dict[int, str] = field(default_factory=dict)
    words: dict[int, str] = field(default_factory=dict)
    silent: frozenset[int] = frozenset()
    is_named: bool = True
    release: str = ""
    asked: Counter[int] = field(default_factory=Counter)
    prompts: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        with self.lock:
            turns = [number for number in range(WORKERS) if number not in self.silent]
            worker = turns[self.asked.total() % len(turns)] if turns else -1
            self.asked[worker] += 1
            self.prompts.add(body["messages"][0]["content"])
        if worker < 0:
            return httpx.Response(503, json={"error": "no worker"})
        headers = {"x-tidegate-release": self.release}
        if self.is_named:
            headers["x-runpod-worker-id"] = f"w{worker}"
        said = reply(self.digests.get(worker, TRUE), self.words.get(worker, "Paris"))
        return httpx.Response(200, json=said, headers=headers)


@pytest.fixture
def stage(office):
    """A release of acme whose new set has five workers."""
    office.environ["TIDEGATE_SECRET_TIDEGATE_PROBE_KEY"] = "tg_probe_0123456789abcdef0123456789"
    office.ports = office.load()
    office.platform.metrics = lambda name: {"workers_running": 3.0, "workers_idle": 2.0}
    release = office.enter(office.release("acme"), ReleaseState.WARMING)
    spec = SetSpec(
        name="green", org="acme", service="chat", release_id=release.id, digest=TRUE, artifact_path="/x",
        context_tokens=64, parallel=1, threads=1, max_memory_bytes=2**27,
    )  # fmt: skip
    office.ledger.record_set(spec, platform="fake", epoch=release.epoch, state="ready")
    return Stage(office, release)


@dataclass
class Stage:
    office: object
    release: object

    def prove(self, fleet: Fleet) -> dict:
        fleet.release = self.release.id
        return IdentityRound(self.office.ports, self.release, httpx.MockTransport(fleet)).prove(["green"])


def test_five_sound_workers_are_proven_and_what_they_said_is_kept(stage):
    found = stage.prove(Fleet())
    assert found == {
        "proven": ["green"], "failed": {}, "open": {}, "workers": {"green": {"heard": 5, "expected": 5}},
    }  # fmt: skip
    assert stage.office.ledger.result(FINGERPRINTS, f"acme|fake|{TRUE}")["said"]["text"] == "Paris"


@pytest.mark.parametrize("is_known", [True, False])
def test_one_of_five_that_serves_another_file_under_the_right_digest_is_found_in_one_round(stage, is_known):
    if is_known:
        stage.prove(Fleet())
    found = stage.prove(Fleet(words={3: "Rome"}))
    assert found["proven"] == []
    assert (
        "worker w3: it reports the right digest and it says 'Rome', not 'Paris'" in found["failed"]["green"]
    )
    assert "w1" not in found["failed"]["green"]


def test_one_of_five_that_still_serves_the_old_file_is_found_in_one_round(stage):
    found = stage.prove(Fleet(digests={2: OLD}))
    assert found["failed"] == {"green": f"worker w2: it reports {OLD[:12]}, not {TRUE[:12]}"}


def test_five_that_agree_on_another_file_than_the_proven_one_are_found(stage):
    stage.prove(Fleet())
    found = stage.prove(Fleet(words=dict.fromkeys(range(WORKERS), "Rome")))
    assert "worker w0" in found["failed"]["green"]


def test_five_that_agree_on_another_file_than_the_validated_one_are_found(stage):
    """Nothing was proven yet: what the file itself said in its validation stands beside them."""
    part = {
        "test_queries": [{"id": "ask-1", "prompt": "Capital?", "purpose": "one question"}],
        "test_responses": [{"id": "ask-1", "text": "Paris lies on the Seine."}],
    }
    token = f"inference:acme/chat@{TRUE}:{stage.release.id}-0"
    stage.office.ledger.record_result(JOB_RESULTS, token, {"part": part})
    fleet = Fleet(words=dict.fromkeys(range(WORKERS), "Rome"))
    found = stage.prove(fleet)
    assert "not what the file said when it was validated" in found["failed"]["green"]
    assert fleet.prompts == {"Capital?"}
    assert stage.prove(Fleet())["proven"] == ["green"]


def test_a_worker_that_does_not_answer_leaves_the_set_open(stage):
    found = stage.prove(Fleet(silent=frozenset({4})))
    assert found["proven"] == []
    assert found["open"] == {"green": "4 of 5 workers answered"}


def test_a_set_that_nobody_answers_for_or_that_nobody_knows_is_open(stage):
    assert "HTTP 503" in stage.prove(Fleet(silent=frozenset(range(WORKERS))))["open"]["green"]
    found = IdentityRound(stage.office.ports, stage.release).prove(["nobody"])
    assert found["open"] == {"nobody": "the ledger knows no such set"}


def test_another_release_that_answers_for_the_set_is_found(stage):
    fleet = Fleet()
    found = IdentityRound(stage.office.ports, stage.release, httpx.MockTransport(fleet)).prove(["green"])
    assert f"not {stage.release.id}" in found["failed"]["green"]


def test_workers_without_names_are_asked_until_chance_leaves_none_out(stage):
    fleet = Fleet(is_named=False)
    assert stage.prove(fleet)["proven"] == ["green"]
    assert fleet.asked.total() >= questions_by_chance(WORKERS)
    assert stage.prove(Fleet(is_named=False, words={3: "Rome"}))["failed"]


@pytest.mark.parametrize(
    ("fleet", "verdict"),
    [
        (Fleet(), Verdict.PASS),
        (Fleet(words={3: "Rome"}), Verdict.FAIL),
        (Fleet(silent=frozenset({4})), Verdict.ERROR),
    ],
)
def test_a_round_is_a_row_of_the_identity_gate_that_stops_the_release(stage, fleet, verdict):
    row = workers_row(stage.prove(fleet), "green")
    assert row.verdict is verdict
    assert row.check in REQUIRED[Gate.IDENTITY]


def says(word: str, digest: str = TRUE):
    return lambda body: (200, reply(digest, word))


@pytest.mark.parametrize("is_named", [True, False])
@pytest.mark.parametrize(
    ("other", "told"),
    [
        (says("Rome"), "it reports the right digest and it says 'Rome', not 'Paris'"),
        (says("Paris", OLD), f"it reports {OLD[:12]}, not {TRUE[:12]}"),
    ],
)
def test_one_of_five_real_servers_that_serves_another_file_is_found_in_one_round(
    stage, other, told, is_named
):
    """Five processes' worth of sockets behind a door that chooses by chance, and the client that a release has."""
    five = dict.fromkeys(range(WORKERS), says("Paris")) | {3: other}
    with front_door(five, stage.release.id, is_named=is_named) as address:
        stage.office.ports.gateway_url = lambda: address
        found = IdentityRound(stage.office.ports, stage.release).prove(["green"])
    assert found["proven"] == []
    assert told in found["failed"]["green"]
    assert not is_named or "worker w3" in found["failed"]["green"]


@pytest.mark.parametrize("is_named", [True, False])
def test_five_real_servers_are_proven_and_one_that_fails_leaves_them_open(stage, is_named):
    for broken in ({}, {2: lambda body: (503, {"error": "busy"})}):
        five = dict.fromkeys(range(WORKERS), says("Paris")) | broken
        with front_door(five, stage.release.id, is_named=is_named) as address:
            stage.office.ports.gateway_url = lambda url=address: url
            found = IdentityRound(stage.office.ports, stage.release).prove(["green"])
        assert found["failed"] == {}
        assert (found["proven"], set(found["open"])) == (([], {"green"}) if broken else (["green"], set()))


def test_questions_suffice_by_the_union_bound():
    assert questions_by_chance(1) == 1
    for workers in range(2, 20):
        assert workers * (1 - 1 / workers) ** questions_by_chance(workers) <= 1e-3


def test_an_engine_without_log_probabilities_is_asked_without():
    def engine(request: httpx.Request) -> httpx.Response:
        if "logprobs" in json.loads(request.content):
            return httpx.Response(400, json={"error": "no logprobs"})
        return httpx.Response(200, json={"model": TRUE, "choices": [{"message": {"content": "Paris"}}]})

    target = ProbeTarget("http://x/v1", Secret("k" * 20), model=TRUE, context_tokens=8, expected_digest=TRUE)
    heard = hear_workers(target, "q", 4, 1, transport=httpx.MockTransport(engine))
    assert [one.said.text for one in heard.answered if one.said] == ["Paris"]
    assert heard.missing == ""


def test_an_unreachable_address_is_no_exception():
    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    target = ProbeTarget("http://x/v1", Secret("k" * 20), model=TRUE, context_tokens=8, expected_digest=TRUE)
    heard = hear_workers(target, "q", 4, 2, transport=httpx.MockTransport(broken))
    assert "ConnectError" in heard.missing


def test_nobody_asked_proves_nothing():
    assert Heard((), 1).missing == "nobody was asked"
    assert Heard((WorkerAnswer(problem="HTTP 500"),), 1).missing == "HTTP 500"
