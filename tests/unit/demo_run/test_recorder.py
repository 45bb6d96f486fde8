"""What is remembered of one service: weights and answers by version, whoever has a route or had one."""

from datetime import UTC, datetime

from tidegate.benchmark.tally import Counts, TrafficSnapshot
from tidegate.demo.recorder import Recorder
from tidegate.demo.scenario import ACTS, CASTS
from tidegate.domain import ModelVersion, Route, ServiceRef, Upstream

CAST = CASTS[0]
OLD, NEW = "1" * 64, "2" * 64


class Routes:
    """A ledger with two versions and a route that the test moves."""

    def __init__(self) -> None:
        self.route: Route | None = None

    def move(self, **weights: int) -> None:
        digests = {"old": OLD, "new": NEW}
        self.route = Route(
            org=CAST.ref.org,
            service=CAST.ref.service,
            weights=weights,
            upstreams=tuple(
                Upstream(set_name=name, host="127.0.0.1", port=1, digest=digests[name], release_id="r")
                for name in weights
            ),
        )

    def get_route(self, ref: ServiceRef) -> Route | None:
        return self.route

    def version_by_digest(self, org: str, digest: str) -> ModelVersion | None:
        return ModelVersion(
            org=org,
            name=CAST.model,
            version="v1" if digest == OLD else "v2",
            digest=digest,
            size_bytes=1,
            path="/x",
            registered_at=datetime(2026, 11, 21, tzinfo=UTC),
        )


class StillClients:
    """Clients with given counts."""

    def __init__(self, now: TrafficSnapshot):
        self.now = now

    def start(self) -> None:
        return None

    def snapshot(self) -> TrafficSnapshot:
        return self.now

    def stop(self) -> TrafficSnapshot:
        return self.now


def test_weights_are_told_by_version():
    routes = Routes()
    routes.move(old=90, new=10)

    assert Recorder(CAST, ACTS, routes).sample().weights == {"v1": 90, "v2": 10}


def test_a_service_without_a_route_has_no_weights():
    assert Recorder(CAST, ACTS, Routes()).sample().weights == {}


def test_answers_of_a_set_stay_with_its_version_after_it_is_gone():
    routes, answers = (
        Routes(),
        TrafficSnapshot(sent=7, ok=7, by_set={"old": Counts(ok=4), "new": Counts(ok=3)}),
    )
    recorder = Recorder(CAST, ACTS, routes)
    recorder.attach(StillClients(answers))
    routes.move(old=50, new=50)
    recorder.sample()

    routes.move(new=100)

    assert recorder.sample().answered == {"v1": 4, "v2": 3}


def test_replies_of_no_known_set_belong_to_no_version():
    routes = Routes()
    routes.move(old=100)
    recorder = Recorder(CAST, ACTS, routes)
    recorder.attach(StillClients(TrafficSnapshot(sent=2, failed=2, by_set={"unnamed": Counts(failed=2)})))

    assert recorder.sample().answered == {}
    assert recorder.counts().failed == 2


def test_the_board_follows_what_is_told():
    recorder = Recorder(CAST, ACTS, Routes())

    recorder.begin(ACTS[0])
    recorder.tell("something happened", "loud")
    recorder.close("interrupted")

    board = recorder.board
    assert board.scene is not None
    assert (board.scene.act, board.events[-1].text, board.is_over) == (ACTS[0], "something happened", True)
    assert recorder.story().problem == "interrupted"
