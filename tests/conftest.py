"""For every test: one BLAS thread, and which tests may run beside which when several processes run them.

Two BLAS threads would fight for the cores with the servers that tests start. A folder of integration tests
shares its servers, so its tests stay in one process; those that start a whole stack stay in one together,
because two stacks at once are more than a small machine carries. All others keep out of it: nothing takes longer.
"""

import os
from collections import Counter
from pathlib import PurePosixPath
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

WHOLE_STACKS = "whole stacks"
ROOMS_OF_WHOLE_STACKS = frozenset({"runpod_worker"})


def group_of(nodeid: str) -> str:
    """Tests of one group run in one process: a file of unit tests, a room of integration tests, all whole stacks."""
    path = PurePosixPath(nodeid.partition("::")[0])
    _, floor, *rooms = path.parts
    if floor == "e2e" or (floor == "integration" and rooms[0] in ROOMS_OF_WHOLE_STACKS):
        return WHOLE_STACKS
    return rooms[0] if floor == "integration" else str(path)


class Rooms(LoadScopeScheduling):
    """Gives whole groups to processes that are free."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Rooms:
    return Rooms(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item: pytest.Item) -> None:
    """Processes run each id once. pytest 9 makes ids of tests without the operation that schemathesis puts into their
    names, and of 44 tests one would run."""
    _, bracket, operation = item.name.partition("[")
    if bracket and item.id.params is None:
        item._id = item.id.with_params(operation.removesuffix("]"))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long groups are given out first, so that the end does not wait for one of them. Within, the order is random.
    Raises: UsageError when two tests have one id, of which processes would run one."""
    twice = [nodeid for nodeid, times in Counter(item.nodeid for item in items).items() if times > 1]
    if twice:
        raise pytest.UsageError(f"Two tests have the id {twice[0]}: give them names of their own.")
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _rank(group_of(item.nodeid)))


def _rank(group: str) -> int:
    if group == WHOLE_STACKS:
        return 0
    return 2 if group.endswith(".py") else 1
