"""Several processes at once: nothing is lost, one wins, and a stale owner writes nothing (S6)."""

from tidegate.domain import ReleaseRequest, ServiceRef
from tidegate.ledger.migrations import HEAD

REF = ServiceRef("acme", "chat")
PROCESSES = 8


def request(ledger, key: str) -> str:
    wanted = ReleaseRequest(org="acme", service="chat", model="pipit", version="1")
    return ledger.request_release(wanted, "a" * 64, key=key).id


def test_rows_of_eight_writers_are_all_kept_and_numbered_without_holes(ledger, rivals, url):
    release = request(ledger, "k")
    epoch = ledger.acquire_lock(REF, release)
    told = rivals.results(url, *[["note", release, epoch, 10]] * PROCESSES)
    entries = ledger.entries(release)
    assert [entry.seq for entry in entries] == list(range(1, 2 + 10 * PROCESSES))
    assert sorted(seq for one in told for seq in one) == [entry.seq for entry in entries[1:]]
    assert len({(entry.data["pid"], entry.data["n"]) for entry in entries[1:]}) == 10 * PROCESSES


def test_exactly_one_of_eight_releases_wins_the_service(ledger, rivals, url):
    releases = [request(ledger, f"k{number}") for number in range(PROCESSES)]
    told = rivals.results(url, *[["lock", release] for release in releases])
    assert sorted(told, key=str) == [1] + [None] * (PROCESSES - 1)
    assert ledger.get_release(releases[told.index(1)]).epoch == 1
    assert ledger.current_epoch(REF) == 1


def test_one_key_asked_for_eight_times_at_once_is_one_release(ledger, rivals, url):
    told = rivals.results(url, *[["request", "k"]] * PROCESSES)
    assert len(set(told)) == 1
    assert [release.id for release in ledger.list_releases()] == [told[0]]
    assert [entry.seq for entry in ledger.entries(told[0])] == [1]


def test_owners_that_take_over_from_each_other_never_write_after_being_fenced(ledger, rivals, url):
    release = request(ledger, "k")
    told = rivals.run(url, *[["fight", release, 6]] * PROCESSES)
    assert not any("error" in one for one in told), told
    written = {seq: epoch for one in told for seq, epoch in one["done"]}
    entries = ledger.entries(release)[1:]
    assert {entry.seq: entry.epoch for entry in entries} == written
    epochs = [entry.epoch for entry in entries]
    assert epochs == sorted(epochs), "a row of an older epoch came after one of a newer epoch"
    assert ledger.current_epoch(REF) == 6 * PROCESSES


def test_generations_of_eight_writers_are_all_different_and_without_holes(ledger, rivals, url):
    told = rivals.results(url, *[["route", f"chat-{number}", 8] for number in range(PROCESSES)])
    assert sorted(generation for one in told for generation in one) == list(range(1, 1 + 8 * PROCESSES))
    assert all(one == sorted(one) for one in told)
    assert ledger.generation() == max(route.generation for route in ledger.list_routes()) == 8 * PROCESSES


def test_eight_processes_may_open_a_new_ledger_at_once(rivals, empty_url, revision_of):
    assert rivals.results(empty_url, *[["open"]] * PROCESSES) == ["open"] * PROCESSES
    assert revision_of(empty_url) == HEAD
