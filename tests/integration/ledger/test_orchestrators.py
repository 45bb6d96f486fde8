"""Orchestrators of one service in two real processes, on both databases: one wins, and nothing is lost (S6)."""

from datetime import UTC, datetime
from pathlib import Path

from tidegate.domain import (
    ModelVersion,
    ReleaseRequest,
    ReleaseState,
    Route,
    ServiceRef,
    SetSpec,
    Upstream,
)

REF = ServiceRef("acme", "chat")
DIGESTS = {"1": "a" * 64, "2": "b" * 64}


def register(ledger, version: str) -> ModelVersion:
    return ledger.register_version(
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


def request(ledger, version: str) -> str:
    register(ledger, version)
    wanted = ReleaseRequest(org="acme", service="chat", model="pipit", version=version, requested_by="ann")
    return ledger.request_release(wanted, DIGESTS[version], key=version).id


def serve_first_version(ledger, folder: Path) -> None:
    """As an earlier release left it."""
    version, name = register(ledger, "1"), "first"
    spec = SetSpec(
        name=name, org="acme", service="chat", release_id="r-1", digest=version.digest, artifact_path="/x"
    )
    upstream = Upstream(set_name=name, host="127.0.0.1", port=9, digest=version.digest, release_id="r-1")
    (folder / f"{name}.set").write_text(version.digest)
    ledger.record_set(spec, platform="folder", epoch=0, state="ready")
    ledger.set_alias(REF, "champion", version, actor="ann", reason="first", epoch=0)
    ledger.put_route(Route(org="acme", service="chat", upstreams=(upstream,), weights={name: 100}), epoch=0)


def entered(ledger, release: str) -> list[str]:
    return [entry.name for entry in ledger.entries(release) if entry.kind == "entered"]


def test_two_owners_of_one_release_who_push_each_other_aside_at_every_step_finish_it_once(
    ledger, rivals, url, tmp_path: Path
):
    serve_first_version(ledger, tmp_path)
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
    plan = ledger.get_release(release).plan
    moves = [(row["alias"], row["new"]) for row in ledger.alias_history(REF)]
    assert plan.blue_set == "first"
    assert moves == [("champion", "pipit:1"), ("previous", "pipit:1"), ("champion", "pipit:2")]
    assert ledger.get_route(REF).weights == {plan.green_set: 100, plan.blue_set: 0}
    made = (tmp_path / "log").read_text().splitlines()
    assert made == [f"create {plan.green_set}"], "the set was made once, and none was lost"
