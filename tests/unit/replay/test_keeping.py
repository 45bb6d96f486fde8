"""Sampled requests on their way to the ledger and back: sealed, bounded, of one service only."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tidegate.domain import Refused, Secret, ServiceRef
from tidegate.domain.policy import CapturePolicy
from tidegate.ledger import Ledger
from tidegate.replay.keeping import REREAD_S, CurrentPolicies, Keeper, open_requests
from tidegate.replay.sealing import Sealer

CHAT, OTHER = ServiceRef("acme", "chat"), ServiceRef("acme", "other")
KEY = Secret("k" * 43)
BODY = b'{"messages": [{"role": "user", "content": "a very private question"}], "user": "bob"}'
NOW = datetime(2026, 11, 26, tzinfo=UTC)


class Home:
    def __init__(self, folder: Path, **policy: object):
        self.now = NOW
        self.path = folder / "ledger.sqlite3"
        self.ledger = Ledger.open(f"sqlite:///{self.path}", clock=lambda: self.now)
        captured = CapturePolicy.model_validate({"percent": 10, **policy})
        self.policies = {CHAT: captured}
        self.keeper = Keeper(self.ledger, lambda: self.policies, lambda org: KEY, lambda: self.now)

    def opened(self) -> list[dict]:
        return open_requests(self.ledger, Sealer(KEY), CHAT, 100)


@pytest.fixture
def home(tmp_path: Path):
    made = Home(tmp_path, keep=3, keep_hours=1)
    yield made
    made.ledger.close()


def test_a_kept_request_comes_back_redacted(home: Home):
    assert home.keeper.keep([(CHAT, BODY)])
    assert home.opened() == [{"messages": [{"role": "user", "content": "a very private question"}]}]


def test_no_file_of_the_database_shows_what_was_asked(home: Home):
    home.keeper.keep([(CHAT, BODY)])
    home.ledger.close()
    files = [one.read_bytes() for one in home.path.parent.iterdir() if one.is_file()]
    assert files
    assert not [one for one in files if b"private question" in one]


def test_the_oldest_goes_when_there_are_too_many_and_all_go_in_time(home: Home):
    for number in range(5):
        home.now += timedelta(seconds=1)
        home.keeper.keep([(CHAT, BODY.replace(b"very", str(number).encode()))])
    assert [one["messages"][0]["content"][2] for one in home.opened()] == ["2", "3", "4"]
    home.now += timedelta(hours=2)
    assert home.opened() == []


def test_a_service_that_did_not_ask_for_it_keeps_nothing(home: Home):
    assert not home.keeper.keep([(OTHER, BODY)])
    assert home.ledger.captured(OTHER) == []


def test_what_is_no_request_is_not_kept(home: Home):
    assert not home.keeper.keep([(CHAT, body) for body in (b"", b"no json", b"[1]", b"[" * 100_000)])


def test_another_key_another_service_or_a_changed_byte_opens_nothing():
    sealed = Sealer(KEY).seal(b"content", CHAT, "1")
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for sealer, content, ref, name in (
        (Sealer(Secret("x" * 43)), sealed, CHAT, "1"),
        (Sealer(KEY), sealed, OTHER, "1"),
        (Sealer(KEY), sealed, CHAT, "2"),
        (Sealer(KEY), changed, CHAT, "1"),
        (Sealer(KEY), b"", CHAT, "1"),
    ):
        with pytest.raises(Refused, match="cannot be opened"):
            sealer.open(content, ref, name)
    assert Sealer(KEY).open(sealed, CHAT, "1") == b"content"


def test_a_short_key_seals_nothing():
    with pytest.raises(Refused, match="fewer than 32"):
        Sealer(Secret("short"))


def test_who_takes_the_consent_back_is_obeyed_while_copies_still_come(home: Home):
    read: list[float] = []
    now = [0.0]

    def files() -> dict[ServiceRef, CapturePolicy]:
        read.append(now[0])
        return home.policies

    keeper = Keeper(home.ledger, CurrentPolicies(files, lambda: now[0]), lambda org: KEY)
    assert keeper.keep([(CHAT, BODY)]) == keeper.keep([(CHAT, BODY)]) == 1
    home.policies = {}
    now[0] += REREAD_S
    assert keeper.keep([(CHAT, BODY)]) == 0
    assert read == [0.0, REREAD_S], "files are not read for every copy"
