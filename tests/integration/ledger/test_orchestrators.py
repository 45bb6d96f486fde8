"""Orchestrators of one service in two real processes, on both databases: one wins, and nothing is lost (S6)."""

from datetime import UTC, datetime
from pathlib import Path

from tidegate.domain import ModelVersion, ReleaseRequest, ReleaseState, ServiceRef

REF = ServiceRef("acme", "chat")
DIGESTS = {"1": "a" * 64, "2": "b" * 64}


def request(ledger, version: str) -> str:
    ledger.register_version(
        ModelVersion(
            org="acme",
            name="pipit",
            version=version,
            digest=DIGESTS[version],
            size_bytes=1,
            path="/x",
            registered_at=datetime(2026, 11, 26, tzinfo=UTC),
        )
    )
    wanted = ReleaseRequest(org="acme", service="chat", model="pipit", version=version, requested_by="ann")
    return ledger.request_release(wanted, DIGESTS[version], key=version).id


def entered(ledger, release: str) -> list[str]:
    return [entry.name for entry in ledger.entries(release) if entry.kind == "entered"]


def test_two_owners_of_one_release_who_push_each_other_aside_at_every_step_finish_it_once(
    ledger, rivals, url, tmp_path: Path
):
    first = request(ledger, "1")
    rivals.results(url, ["drive", first, str(tmp_path), "a"], ["gateway", [first], str(tmp_path)])
    release = request(ledger, "2")
    one, two, _ = rivals.results(
        url,
        ["contend", release, str(tmp_path), "one"],
        ["contend", release, str(tmp_path), "two"],
        ["gateway", [release], str(tmp_path)],
    )
    assert ledger.get_release(release).state is ReleaseState.DONE
    # Each was too late with everything that an owner writes: journal, evidence, sets, weights and the alias.
    tried = set(one["refused"]) | set(two["refused"])
    assert {"Enter", "Intend", "RunGates", "CreateSet", "PutWeights", "MoveAlias"} <= tried
    assert one["refused"]
    assert two["refused"]
    entries = ledger.entries(release)
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    assert [entry.epoch for entry in entries] == sorted(entry.epoch for entry in entries)
    states = entered(ledger, release)
    climbed = [state for state in states if state == "shifting"]
    assert len(climbed) == 2
    assert len(set(states)) == len(states) - len(climbed) + 1, "no state was entered twice"
    moves = [(row["alias"], row["new"]) for row in ledger.alias_history(REF)]
    assert moves == [("champion", "pipit:1"), ("previous", "pipit:1"), ("champion", "pipit:2")]
    plan = ledger.get_release(release).plan
    assert ledger.get_route(REF).weights == {plan.green_set: 100, plan.blue_set: 0}
    made = (tmp_path / "log").read_text().splitlines()
    assert made == [f"create {plan.blue_set}", f"create {plan.green_set}"], (
        "each set was made once, none was lost"
    )


def test_two_releases_at_once_are_carried_out_one_after_the_other(ledger, rivals, url, tmp_path: Path):
    both = [request(ledger, version) for version in DIGESTS]
    told = rivals.results(
        url,
        *[["drive", release, str(tmp_path), release] for release in both],
        ["gateway", both, str(tmp_path)],
    )
    assert told[:2] == ["done", "done"]
    first, second = sorted(both, key=lambda release: ledger.get_release(release).epoch)
    last = ledger.get_release(second)
    assert ledger.get_alias(REF, "champion").digest == last.digest
    assert ledger.get_alias(REF, "previous").digest == ledger.get_release(first).digest
    assert last.plan.blue_digest == ledger.get_release(first).digest, (
        "it was planned when the first had ended"
    )
    assert max(entry.at for entry in ledger.entries(first)) <= min(
        entry.at for entry in ledger.entries(second) if entry.epoch
    )
