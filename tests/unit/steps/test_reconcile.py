"""What one sweep does with releases under way: real ledger and organizations, no set and no gateway."""

import threading

import pytest

from tidegate.domain import ReleaseState, ServiceRef, Transient
from tidegate.steps.reality import read_intended
from tidegate.steps.reconcile import reconcile

State = ReleaseState


def test_releases_that_lost_their_owners_are_driven_at_once_and_not_one_after_the_other(office):
    wanted = [office.release("acme").id]
    office.register("bolt")
    wanted.append(office.release("bolt").id)
    both = threading.Barrier(2, timeout=60)

    def checks():
        both.wait()
        raise Transient("The network is away.")

    office.ports.make_checks = checks
    told = reconcile(office.ports).problems
    assert sorted(line.partition(":")[0] for line in told) == sorted(wanted)


@pytest.mark.parametrize(
    ("state", "is_tended"),
    [
        (State.PARKED, False),
        (State.PROVISIONING, False),
        (State.AWAIT_APPROVAL, False),
        (State.JUDGING, True),
        (State.HOLD, True),
        (State.ROLLED_BACK, True),
    ],
)
def test_what_serves_is_looked_after_until_a_release_has_a_set_beside_it(office, state, is_tended):
    office.enter(office.release("acme"), state)
    assert read_intended(office.ports, ServiceRef("acme", "chat")).is_tended is is_tended
