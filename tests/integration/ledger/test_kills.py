"""SIGKILL at any moment: what was acknowledged is kept, nothing is half written, and the next owner goes on."""

import random
import sqlite3

import pytest

from tidegate.domain import ReleaseRequest, ServiceRef
from tidegate.ledger import Ledger
from tidegate.ledger.migrations import HEAD

REF = ServiceRef("acme", "chat")


@pytest.fixture
def moments() -> random.Random:
    return random.Random(20261121)


def test_killed_writers_leave_a_whole_ledger(open_ledger, rivals, url, moments, backend):
    ledger = open_ledger()
    wanted = ReleaseRequest(org="acme", service="chat", model="pipit", version="1")
    release = ledger.request_release(wanted, "a" * 64, key="k").id
    acknowledged: list[int] = []
    for _ in range(12):
        moment = (moments.randint(1, 5), moments.uniform(0, 0.03))
        (told,) = rivals.run(url, ["write_forever", release], kill=moment)
        assert "error" not in told
        acknowledged += told["done"]
        entries = ledger.entries(release)
        assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
        assert set(acknowledged) <= {entry.seq for entry in entries}
        assert len(entries) - 1 - len(acknowledged) <= 12, "a kill may hide at most one acknowledgement"
        assert ledger.generation() == max((route.generation for route in ledger.list_routes()), default=0)
    assert ledger.current_epoch(REF) == 12
    epoch = ledger.acquire_lock(REF, release)
    assert ledger.append(release, epoch, "note", "the next owner").seq == len(entries) + 1
    if backend == "sqlite":
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        connection.close()


def test_a_ledger_whose_first_opener_was_killed_opens(rivals, empty_url, moments, revision_of):
    rivals.run(empty_url, ["open"], kill=(0, moments.uniform(0.02, 0.2)))
    with Ledger.open(empty_url) as ledger:
        assert ledger.generation() == 0
    assert revision_of(empty_url) == HEAD
