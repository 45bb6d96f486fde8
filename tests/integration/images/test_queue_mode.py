"""A worker of a queue endpoint: RunPod's own SDK and a real engine against the least platform that it needs."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.integration.images.queue_platform import KEY, QueuePlatform, queue_platform
from tests.integration.images.worker_process import DIGEST, MODELS, Worker, worker
from tests.integration.platforms.watching import has_ended, until

MESSAGES = [{"role": "user", "content": "What is the capital of France?"}]
CHAT = {"messages": MESSAGES, "temperature": 0, "max_tokens": 16}
WRONG_DIGEST, ENGINE_FAILED = 65, 70
LOWEST_OF_OUTGOING_CONNECTIONS = 32_768


@pytest.fixture(scope="module")
def platform() -> Iterator[QueuePlatform]:
    with queue_platform() as serving:
        yield serving


@pytest.fixture(scope="module")
def running(platform: QueuePlatform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    with worker(tmp_path_factory.mktemp("worker"), **platform.environment()) as started:
        started.until_ready()
        yield started


@pytest.mark.usefixtures("running")
class TestJobs:
    def test_a_list_of_messages_gets_one_answer(self, platform: QueuePlatform) -> None:
        (job,) = platform.submit(CHAT)

        (answer,) = platform.result(job)["output"]

        assert answer["text"] == "Paris."
        assert answer["finish_reason"] == "stop"
        assert answer["model"] == DIGEST
        assert answer["usage"]["completion_tokens"] > 0

    def test_a_prompt_is_streamed_when_asked(self, platform: QueuePlatform) -> None:
        (job,) = platform.submit({"prompt": "hello", "stream": True, "sampling_params": {"max_tokens": 40}})

        result = platform.result(job)
        chunks = platform.chunks[job]

        assert result["output"] == chunks
        assert "".join(chunk["text"] for chunk in chunks)
        assert chunks[-1]["finish_reason"] in ("stop", "length")

    def test_the_models_route_names_the_digest(self, platform: QueuePlatform) -> None:
        (job,) = platform.submit({"openai_route": "/v1/models"})

        (models,) = platform.result(job)["output"]

        assert [model["id"] for model in models["data"]] == [DIGEST]

    def test_the_chat_route_answers_in_openais_form(self, platform: QueuePlatform) -> None:
        (job,) = platform.submit({"openai_route": "/v1/chat/completions", "openai_input": CHAT})

        (answer,) = platform.result(job)["output"]

        assert answer["choices"][0]["message"]["content"] == "Paris."
        assert answer["object"] == "chat.completion"

    def test_a_streamed_chat_comes_framed_as_server_sent_events(self, platform: QueuePlatform) -> None:
        request = {"openai_route": "/v1/chat/completions", "openai_input": {**CHAT, "stream": True}}
        (job,) = platform.submit(request)

        platform.result(job)
        chunks = platform.chunks[job]
        events = "".join(chunks).split("\n\n")

        assert all(chunk.endswith("\n\n") for chunk in chunks)
        assert events[-2:] == ["data: [DONE]", ""]
        deltas = [json.loads(event.removeprefix("data: "))["choices"] for event in events[:-2]]
        said = "".join(choice[0]["delta"].get("content") or "" for choice in deltas if choice)
        assert said == "Paris."

    @pytest.mark.parametrize(
        ("given", "says"),
        [
            ({"openai_route": "/v1/images"}, "/v1/images"),
            ({"prompt": "a", "max_tokenz": 3}, "max_tokenz"),
            ({"openai_route": "/v1/chat/completions", "openai_input": {"messages": "no list"}}, "messages"),
        ],
    )
    def test_a_wrong_job_fails_with_an_error_in_openais_form(
        self, platform: QueuePlatform, given: dict[str, object], says: str
    ) -> None:
        (job,) = platform.submit(given)

        error = json.loads(platform.result(job)["error"])

        assert says in error["message"]
        assert 400 <= error["code"] < 600

    def test_it_reports_who_it_is(self, platform: QueuePlatform) -> None:
        (job,) = platform.submit({"report": True})

        (report,) = platform.result(job)["output"]

        assert (report["mode"], report["digest"], report["state"]) == ("QUEUE", DIGEST, "ready")

    def test_it_takes_as_many_jobs_at_once_as_the_engine_has_sequences(
        self, platform: QueuePlatform, running: Worker
    ) -> None:
        # One poll may bring both or each its own: how many the SDK asks for follows from what it had in hand then.
        engine = running.engine()
        engine.suspend()
        try:
            jobs = platform.submit(*[CHAT] * 4)
            until(lambda: len(platform.in_hand()) == 2)
        finally:
            engine.resume()

        for job in jobs:
            platform.result(job)

        assert platform.most_in_hand == 2

    def test_its_engine_listens_where_no_outgoing_connection_does(self, running: Worker) -> None:
        assert _port(running.engine()) < LOWEST_OF_OUTGOING_CONNECTIONS

    def test_it_shows_its_key_and_pings(self, platform: QueuePlatform) -> None:
        until(lambda: platform.pings)
        assert platform.keys == {KEY}


def test_a_stopped_job_ends_inside_the_engine_too(tmp_path: Path) -> None:
    with queue_platform() as platform, worker(tmp_path, **platform.environment()) as started:
        started.until_ready()
        engine = started.engine()
        engine.suspend()
        (job,) = platform.submit({"prompt": "hello", "max_tokens": 200})
        until(lambda: platform.taken and any(job in ping for ping in platform.pings))
        until(lambda: _connections(engine))

        platform.stop(job)
        until(lambda: not any(job in ping for ping in platform.pings[-1:]))

        assert platform.done[job] == []
        engine.resume()
        (after,) = platform.submit(CHAT)
        assert platform.result(after)["output"][0]["text"] == "Paris."


def test_sigterm_lets_a_running_job_finish_and_posts_it(tmp_path: Path) -> None:
    with queue_platform() as platform, worker(tmp_path, **platform.environment()) as started:
        started.until_ready()
        engine = started.engine()
        engine.suspend()
        (job,) = platform.submit(CHAT)
        until(lambda: _connections(engine))

        platform.drain()
        started.terminate()
        started.until_event("draining")
        engine.resume()

        assert started.wait() == 0, started.said()
        assert platform.result(job)["output"][0]["text"] == "Paris."
        assert not engine.is_running()
    assert started.events("drained")


def test_a_drain_ends_at_its_limit_and_the_job_says_that_it_failed(tmp_path: Path) -> None:
    with (
        queue_platform() as platform,
        worker(tmp_path, **platform.environment(), TIDEGATE_DRAIN_S="1") as started,
    ):
        started.until_ready()
        engine = started.engine()
        engine.suspend()
        (job,) = platform.submit(CHAT)
        until(lambda: _connections(engine))

        platform.drain()
        started.terminate()
        started.until_event("drain_limit_reached")
        # It is killed a second later, which may have come already.
        with suppress(psutil.NoSuchProcess):
            engine.resume()

        assert started.wait() == 0, started.said()
        assert platform.result(job)
    assert started.events("drain_cut_short")


def test_a_dead_engine_fails_the_running_job_and_ends_the_worker(tmp_path: Path) -> None:
    with queue_platform() as platform, worker(tmp_path, **platform.environment()) as started:
        started.until_ready()
        family = psutil.Process(started.process.pid).children(recursive=True)
        engine = started.engine()
        engine.suspend()
        (job,) = platform.submit(CHAT)
        until(lambda: _connections(engine))

        engine.kill()

        assert started.wait() == ENGINE_FAILED
        assert json.loads(platform.result(job)["error"])["code"] == 503
        # Not even the SDK's heartbeat goes on saying that this worker lives.
        until(lambda: all(has_ended(process) for process in family))


def test_a_worker_with_the_wrong_model_never_takes_a_job(tmp_path: Path) -> None:
    with queue_platform() as platform:
        platform.submit(CHAT)
        settings = platform.environment() | {"TIDEGATE_MODEL_URL": str(MODELS / "pipit-v1.gguf")}
        with worker(tmp_path, **settings) as started:
            assert started.wait() == WRONG_DIGEST
        assert platform.taken == []


def _connections(engine: psutil.Process) -> int:
    """Clients of a suspended engine: those that the system accepted for it count, too."""
    port = _port(engine)
    return sum(
        c.status == psutil.CONN_ESTABLISHED and bool(c.raddr) and c.raddr.port == port
        for c in psutil.net_connections("tcp")
    )


def _port(engine: psutil.Process) -> int:
    return next(c.laddr.port for c in engine.net_connections("tcp") if c.status == psutil.CONN_LISTEN)
