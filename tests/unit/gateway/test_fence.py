"""What a gateway saw once, it never goes below."""

import pytest

from tidegate.domain import Fenced, ServiceRef
from tidegate.gateway.fence import Fence

REF = ServiceRef("acme", "chat")


@pytest.fixture
def fence(tmp_path):
    return Fence(tmp_path / "fence.json")


def test_a_new_gateway_takes_everything(fence, make_route):
    fence.check_generation(0)

    assert fence.refusals([make_route({"old": 100})]) == {}


def test_a_lower_generation_is_fenced_and_the_way_out_is_told(fence, tmp_path):
    fence.remember([], 5)

    with pytest.raises(Fenced, match=r"generation 4.*fence\.json"):
        fence.check_generation(4)


def test_the_same_generation_may_come_again(fence):
    fence.remember([], 5)

    fence.check_generation(5)


def test_an_older_epoch_or_generation_of_one_service_is_refused(fence, make_route):
    fence.remember([make_route({"old": 100}, epoch=3, generation=8)], 8)

    assert "epoch 2" in fence.refusals([make_route({"old": 100}, epoch=2, generation=9)])[REF]
    assert "generation 7" in fence.refusals([make_route({"old": 100}, epoch=3, generation=7)])[REF]
    assert fence.refusals([make_route({"old": 100}, epoch=3, generation=8)]) == {}


def test_marks_survive_a_restart_and_never_fall(fence, make_route, tmp_path):
    fence.remember([make_route({"old": 100}, epoch=3, generation=8)], 8)
    fence.remember([make_route({"old": 100}, epoch=1, generation=2)], 2)

    again = Fence(tmp_path / "fence.json")

    assert again.generation == 8
    assert REF in again.refusals([make_route({"old": 100}, epoch=2, generation=9)])
