"""Holds, quarantine with near copies, and the fence around both, on both databases."""

from datetime import UTC, datetime

import pytest

from tidegate.domain import Fenced, ModelVersion, NotFound, Refused, ReleaseRequest, ServiceRef

REF = ServiceRef("acme", "chat")
FAILED, COPY, OTHER = "a" * 64, "b" * 64, "c" * 64
AT = datetime(2026, 11, 26, tzinfo=UTC)


def register(ledger, digest: str, tensors: str | None, org: str = "acme") -> None:
    ledger.register_version(
        ModelVersion(
            org=org,
            name="pipit",
            version=digest[:1],
            digest=digest,
            size_bytes=1,
            path="/x",
            tensor_digest=tensors,
            registered_at=AT,
        )
    )


def request(ledger, key: str = "k", **fields: str):
    wanted = ReleaseRequest(org="acme", service="chat", model="pipit", version="1", **fields)
    return ledger.request_release(wanted, FAILED, key=key)


# ---- quarantine


def test_a_copy_with_the_same_tensors_is_in_quarantine_with_the_file_that_failed(ledger):
    for digest, tensors in ((FAILED, "t1"), (COPY, "t1"), (OTHER, "t2")):
        register(ledger, digest, tensors)
    ledger.quarantine("acme", FAILED, reason="leaks", release_id="r-1")
    assert ledger.quarantined("acme", COPY).digest == FAILED
    assert ledger.quarantine_reason("acme", COPY) == f"same tensors as {FAILED[:12]}: leaks"
    assert ledger.quarantined("acme", OTHER) is None


def test_a_copy_is_known_in_its_own_organization_only(ledger):
    register(ledger, FAILED, "t1")
    register(ledger, COPY, "t1", org="bolt")
    ledger.quarantine("acme", FAILED, reason="leaks", release_id="r-1")
    assert ledger.quarantined("bolt", COPY) is None


def test_files_of_which_nothing_is_known_are_no_copies_of_each_other(ledger):
    for digest in (FAILED, COPY):
        register(ledger, digest, None)
    ledger.quarantine("acme", FAILED, reason="leaks", release_id="r-1")
    assert ledger.quarantined("acme", COPY) is None


def test_what_is_found_out_later_about_tensors_reaches_versions_and_quarantine(ledger):
    register(ledger, FAILED, None)
    ledger.quarantine("acme", FAILED, reason="leaks", release_id="r-1")
    register(ledger, COPY, None)
    for digest in (FAILED, COPY):
        ledger.note_tensors("acme", digest, "t1")
    assert ledger.quarantined("acme", COPY).digest == FAILED
    ledger.note_tensors("acme", COPY, "t9")
    assert ledger.version_by_digest("acme", COPY).tensor_digest == "t1", "what is known stays"


def test_lifting_a_quarantine_frees_the_copies_and_stays_in_the_list_of_all(ledger):
    register(ledger, FAILED, "t1")
    register(ledger, COPY, "t1")
    ledger.quarantine("acme", FAILED, reason="leaks", release_id="r-1")
    lifted = ledger.lift_quarantine("acme", FAILED, actor="noor", reason="the bank was wrong")
    assert (lifted.lifted_by, lifted.lift_reason) == ("noor", "the bank was wrong")
    assert ledger.quarantined("acme", COPY) is None
    assert ledger.list_quarantine("acme") == []
    assert [one.digest for one in ledger.list_quarantine("acme", lifted=True)] == [FAILED]
    with pytest.raises(NotFound):
        ledger.lift_quarantine("acme", FAILED, actor="noor", reason="again")


def test_a_file_that_fails_again_is_in_quarantine_again(ledger):
    ledger.quarantine("acme", FAILED, reason="leaks", release_id="r-1")
    ledger.lift_quarantine("acme", FAILED, actor="noor", reason="wrong")
    ledger.quarantine("acme", FAILED, reason="it does leak", release_id="r-2")
    assert ledger.quarantine_reason("acme", FAILED) == "it does leak"


# ---- holds


@pytest.mark.parametrize(
    ("fields", "is_refused"),
    [
        ({"trigger": "training"}, True),
        ({"trigger": "nightly"}, True),
        ({"trigger": "schedule"}, True),
        ({"trigger": "manual", "requested_by": "schedule:nightly"}, True),
        ({"trigger": "manual", "requested_by": "service:training"}, True),
        ({"trigger": "manual", "requested_by": "ann"}, False),
        ({"trigger": "rollback", "requested_by": "schedule:nightly"}, False),
    ],
)
def test_a_hold_stops_what_asks_by_itself_and_never_people_or_the_way_back(
    ledger, fields: dict[str, str], is_refused: bool
):
    ledger.hold_service(REF, reason="wrong prices", actor="ann")
    if not is_refused:
        assert request(ledger, **fields).id
        return
    with pytest.raises(Refused, match=r"acme/chat is held by ann: wrong prices") as caught:
        request(ledger, **fields)
    assert "tidegate hold lift acme/chat" in caught.value.remedy
    assert ledger.list_releases() == []
    ledger.lift_hold(REF, actor="noor", reason="right again")
    assert request(ledger, **fields).id


def test_a_release_under_way_is_found_again_while_the_service_is_held(ledger):
    first = request(ledger, trigger="training")
    ledger.hold_service(REF, reason="wrong prices", actor="ann")
    assert request(ledger, trigger="training").id == first.id


def test_a_hold_of_one_service_leaves_the_others_alone(ledger):
    ledger.hold_service(ServiceRef("acme", "draft"), reason="x", actor="ann")
    assert request(ledger, trigger="training").id


def test_a_second_hold_is_the_first_one_until_it_is_lifted_by_name(ledger):
    first = ledger.hold_service(REF, reason="wrong prices", actor="ann")
    assert ledger.hold_service(REF, reason="me too", actor="bob") == first
    lifted = ledger.lift_hold(REF, actor="noor", reason="right again")
    assert (lifted.number, lifted.lifted_by, lifted.stands) == (first.number, "noor", False)
    assert ledger.lift_hold(REF, actor="noor", reason="again") is None
    second = ledger.hold_service(REF, reason="wrong again", actor="ann")
    assert [one.number for one in ledger.list_holds()] == [second.number]
    assert [one.number for one in ledger.list_holds(REF, lifted=True)] == [second.number, first.number]


# ---- the fence


def test_an_owner_that_was_replaced_quarantines_nothing_holds_nothing_and_is_not_alive(ledger):
    release = request(ledger)
    stale = ledger.acquire_lock(REF, release.id)
    epoch = ledger.acquire_lock(REF, release.id)
    ledger.heartbeat(release.id, "new", epoch)
    late = [
        lambda: ledger.quarantine("acme", FAILED, reason="x", release_id=release.id, epoch=stale),
        lambda: ledger.hold_service(REF, reason="x", actor="a", release_id=release.id, epoch=stale),
        lambda: ledger.heartbeat(release.id, "old", stale),
        lambda: ledger.add_evidence(release.id, [], digest=FAILED, policy_digest="p", epoch=stale),
    ]
    for write in late:
        with pytest.raises(Fenced):
            write()
    assert ledger.quarantined("acme", FAILED) is None
    assert ledger.hold_of(REF) is None
    assert ledger.get_release(release.id).owner == "new"
    ledger.quarantine("acme", FAILED, reason="x", release_id=release.id, epoch=epoch)
    ledger.hold_service(REF, reason="x", actor="a", release_id=release.id, epoch=epoch)
    assert ledger.hold_of(REF).release_id == release.id


def test_the_owner_of_another_release_writes_nothing_for_this_one(ledger):
    first, second = request(ledger), request(ledger, key="other")
    epoch = ledger.acquire_lock(REF, second.id)
    with pytest.raises(Fenced):
        ledger.quarantine("acme", FAILED, reason="x", release_id=first.id, epoch=epoch)
    with pytest.raises(Fenced):
        ledger.heartbeat(first.id, "me", epoch)
