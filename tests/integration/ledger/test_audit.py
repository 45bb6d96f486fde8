"""The audit log in both databases: written with what it speaks of, in one chain, and refused to whoever changes it."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from tidegate.domain import Fenced, ModelVersion, NotFound, Refused, ReleaseRequest, ServiceRef
from tidegate.domain.audit import Anchor, Interface
from tidegate.ledger.captured import Sealed

REF = ServiceRef("acme", "chat")
DIGEST = "d" * 64
WRITERS = 6
REST = "at, actor, interface, action, org, service, release_id, subject, reason, evidence, former, hash"


def ask(ledger, **said):
    request = ReleaseRequest(
        org="acme", service="chat", model="m", version="v1", requested_by="ada", reason="better", **said
    )
    return ledger.request_release(request, DIGEST, key=f"acme/chat/{DIGEST}/manual")


def told(ledger):
    return [(entry["action"], entry["actor"]) for entry in reversed(ledger.audit_entries(limit=100))]


@pytest.fixture
def raw(url):
    """Statements by somebody who has the database and not our code."""
    engine = create_engine(url)

    def run(*statements):
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))

    yield run
    engine.dispose()


@pytest.fixture
def force(backend, raw):
    """The same by somebody who may also switch the triggers off."""

    def run(statement):
        if backend == "postgresql":
            raw("SET session_replication_role = replica", statement)
        else:
            raw(
                "DROP TRIGGER audit_refuses_update",
                "DROP TRIGGER audit_refuses_delete",
                "DROP TRIGGER audit_keeps_order",
                statement,
            )

    return run


def test_a_release_leaves_its_wish_the_words_of_people_and_its_end(ledger):
    release = ask(ledger)
    assert ask(ledger).id == release.id
    epoch = ledger.acquire_lock(REF, release.id)
    ledger.heartbeat(release.id, "host:1")
    ledger.append(release.id, epoch, "entered", "hold", {"reason": "too few samples"})
    ledger.append(release.id, epoch, "note", "approve", {"actor": "noor", "reason": "looked at it"})
    ledger.append(release.id, epoch, "intent", "create", {"set": "x"})
    ledger.append(release.id, epoch, "abort", "stop", {"actor": "lin", "reason": "no", "trigger": "abort"})
    ledger.append(release.id, epoch, "entered", "rolled_back", {"reason": "asked"})

    assert told(ledger) == [
        ("release.requested", "ada"),
        ("release.hold", "host:1"),
        ("release.approved", "noor"),
        ("release.stopped", "lin"),
        ("release.rolled_back", "host:1"),
    ]
    newest = ledger.audit_entries(limit=1)[0]
    assert (newest["org"], newest["service"], newest["release_id"]) == ("acme", "chat", release.id)
    assert newest["evidence"] == {"digest": DIGEST, "epoch": epoch, "evidence_rows": 0}
    assert ledger.verify_audit().is_whole


def test_holds_quarantine_keys_aliases_and_gateways_are_told_by_name(ledger):
    now = datetime.now(UTC)
    version = ModelVersion(
        org="acme", name="m", version="v1", digest=DIGEST, size_bytes=1, path="/m", registered_at=now
    )
    ledger.register_version(version, actor="lin")
    ledger.register_version(version, actor="noor")
    ledger.hold_service(REF, reason="prices", actor="ops")
    ledger.hold_service(REF, reason="again", actor="ops")
    ledger.lift_hold(REF, actor="noor", reason="right")
    ledger.quarantine("acme", DIGEST, reason="leaks", release_id="", actor="ops")
    ledger.lift_quarantine("acme", DIGEST, actor="noor", reason="wrong bank")
    ledger.create_api_key("acme", "web", "1" * 64, created_by="ada")
    ledger.rotate_api_key("acme", "web", "2" * 64, overlap=timedelta(0), created_by="ada")
    ledger.revoke_api_keys("acme", "web", actor="ada")
    ledger.set_alias(REF, "champion", version, actor="lin", reason="by hand", epoch=ledger.current_epoch(REF))
    ledger.set_alias(REF, "champion", version, actor="lin", reason="again", epoch=ledger.current_epoch(REF))
    ledger.forget_gateway("g-9", actor="ops")

    assert told(ledger) == [
        ("version.registered", "lin"),
        ("hold.set", "ops"),
        ("hold.lifted", "noor"),
        ("quarantine.set", "ops"),
        ("quarantine.lifted", "noor"),
        ("key.issued", "ada"),
        ("key.rotated", "ada"),
        ("key.revoked", "ada"),
        ("alias.moved", "lin"),
    ]
    moved = ledger.audit_entries(action="alias.")[0]
    assert moved["evidence"] == {"epoch": 0, "new": "m:v1", "new_digest": DIGEST}
    assert ledger.verify_audit().is_whole


def test_who_removed_what_clients_had_asked_is_told_and_how_much_it_was(ledger):
    now = datetime.now(UTC)
    ledger.record_captured(REF, [Sealed("c-1", now, now + timedelta(hours=1), b"x")], keep=10)
    ledger.forget_captured(REF, actor="ada")
    ledger.forget_captured(REF, actor="ada")

    (purged,) = ledger.audit_entries(action="captures.")
    assert (purged["actor"], purged["service"], purged["evidence"]) == ("ada", "chat", {"requests": 1})


def test_what_did_not_happen_is_not_told(ledger):
    release = ask(ledger)
    with pytest.raises(Fenced):
        ledger.append(release.id, 99, "entered", "done")
    with pytest.raises(NotFound):
        ledger.lift_quarantine("acme", DIGEST, actor="ops", reason="none")
    ledger.create_api_key("acme", "web", "1" * 64, created_by="ada")
    with pytest.raises(Refused):
        ledger.create_api_key("acme", "web", "2" * 64, created_by="ada")

    assert told(ledger) == [("release.requested", "ada"), ("key.issued", "ada")]


def test_the_interface_of_a_process_stands_in_its_entries(open_ledger):
    open_ledger(interface=Interface.API).note_deed("drill.played", actor="ops", org="acme")
    open_ledger(interface=Interface.SCHEDULE).note_deed("drill.played", actor="nightly", org="acme")

    found = open_ledger().audit_entries()

    assert [entry["interface"] for entry in found] == ["schedule", "api"]


def test_a_configuration_is_told_when_it_is_another_one(ledger):
    for digest in ("a" * 64, "a" * 64, "b" * 64):
        ledger.note_configuration("acme", digest, actor="ada", parts={})

    newest, first = ledger.audit_entries()
    assert first["evidence"] == {"digest": "a" * 64}
    assert newest["evidence"] == {"digest": "b" * 64, "former": "a" * 64}


def test_texts_that_a_database_would_change_are_hashed_as_they_are_kept(ledger):
    ledger.hold_service(REF, reason="nul \0 and lone \ud800", actor="ö\0")

    assert ledger.verify_audit().is_whole


def test_writers_at_once_make_one_chain(open_ledger):
    ledgers = [open_ledger() for _ in range(WRITERS)]
    start = threading.Barrier(WRITERS)

    def write(number):
        start.wait()
        for turn in range(5):
            # Half of them hold the row of a service while they wait for their turn.
            if number % 2:
                ledgers[number].note_deed("x", actor=f"{number}")
            else:
                ledgers[number].hold_service(
                    ServiceRef("acme", f"s{number}-{turn}"), reason="r", actor=f"{number}"
                )

    threads = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = open_ledger().verify_audit()
    assert (found.is_whole, found.entries) == (True, WRITERS * 5)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'nobody' WHERE number = 1",
        "DELETE FROM audit WHERE number = 2",
        f"INSERT INTO audit SELECT number + 7, {REST} FROM audit WHERE number = 2",
    ],
    ids=["update", "delete", "insert"],
)
def test_the_database_itself_refuses_to_change_the_log(ledger, raw, statement):
    for _ in range(2):
        ledger.note_deed("x", actor="ada")

    with pytest.raises(DBAPIError, match="entries of the audit log"):
        raw(statement)

    assert ledger.verify_audit().entries == 2


def test_no_way_around_the_triggers_is_left(ledger, raw, backend):
    ledger.note_deed("x", actor="ada")
    ways = {
        "postgresql": "TRUNCATE audit",
        # SQLite runs no trigger on removal for the row that this replaces.
        "sqlite": f"INSERT OR REPLACE INTO audit SELECT number, {REST} FROM audit",
    }

    with pytest.raises(DBAPIError, match="entries of the audit log"):
        raw(ways[backend])


@pytest.mark.parametrize(
    ("statement", "number"),
    [
        ("UPDATE audit SET actor = 'nobody' WHERE number = 2", 2),
        ("UPDATE audit SET evidence = '{ }' WHERE number = 3", 3),
        ("UPDATE audit SET at = 'yesterday' WHERE number = 1", 1),
        ("DELETE FROM audit WHERE number = 2", 2),
        ("UPDATE audit SET number = number + 100 WHERE number = 1", 1),
        ("DELETE FROM audit WHERE number >= 3", 3),
        ("DELETE FROM audit", 1),
    ],
)
def test_whoever_switches_the_triggers_off_is_found_out(ledger, force, statement, number):
    for turn in range(4):
        ledger.note_deed("x", actor=f"{turn}")
    anchor = ledger.verify_audit().newest

    force(statement)

    found = ledger.verify_audit([anchor])
    assert found.broken is not None
    assert found.broken.number == number


def test_the_log_is_read_by_what_one_looks_for(ledger):
    at = datetime.now(UTC)
    ledger.note_deed("token.issued", actor="ada", ref=REF, subject="release")
    ledger.note_deed("drill.played", actor="ops", org="bolt")

    def actions(**sought):
        return [entry["action"] for entry in ledger.audit_entries(**sought)]

    assert actions(org="acme") == ["token.issued"]
    assert actions(org="acme", service="other") == []
    assert actions(actor="ops") == ["drill.played"]
    assert actions(action="token.") == ["token.issued"]
    assert actions(since=at + timedelta(hours=1)) == []
    assert actions(since=at - timedelta(hours=1), limit=1) == ["drill.played"]
    assert ledger.audit_entry(1)["subject"] == "release"
    with pytest.raises(NotFound):
        ledger.audit_entry(99)
    assert ledger.verify_audit([Anchor(2, ledger.audit_entry(2)["hash"])]).is_whole
