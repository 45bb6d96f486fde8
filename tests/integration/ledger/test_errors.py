"""Errors are counted in both databases, stay few, and their totals never fall."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from tidegate.domain import NotFound, ReleaseRequest
from tidegate.domain.error_tracking import SeenError
from tidegate.ledger import errors as errors_module

NOW = datetime(2026, 11, 26, 3, 0, tzinfo=UTC)


def seen(message="The ledger is busy.", **changed):
    values = {"code": "TG-1100", "kind": "Transient", "place": "step deploy", "raised_in": "tidegate.x"}
    return SeenError(message=message, **{"remedy": "Try again.", **values, **changed})


@pytest.fixture
def clocked(open_ledger):
    """A ledger, and a way to let time pass for it."""
    time = [NOW]
    ledger = open_ledger(clock=lambda: time[0])

    def pass_time(**spent):
        time[0] += timedelta(**spent)

    return ledger, pass_time


def test_the_same_error_again_is_one_row_that_counts(clocked):
    ledger, pass_time = clocked
    ledger.note_error(seen("Epoch 1 is not the current one.", org="acme", release_id="r-1"))
    pass_time(minutes=5)
    ledger.note_error(seen("Epoch 7 is not the current one.", org="acme"), count=3)

    (found,) = ledger.errors()

    assert (found.count, found.first_seen, found.last_seen) == (4, NOW, NOW + timedelta(minutes=5))
    assert (found.message, found.release_id) == ("Epoch 7 is not the current one.", "r-1")


def test_each_organization_and_service_has_its_own_row(clocked):
    ledger, _ = clocked
    for org, service in (("acme", "chat"), ("acme", "mail"), ("bolt", "chat"), ("", "")):
        ledger.note_error(seen(org=org, service=service))

    assert len({error.fingerprint for error in ledger.errors()}) == 1
    assert len(ledger.errors()) == 4
    assert [error.service for error in ledger.errors(org="acme", service="mail")] == ["mail"]
    assert ledger.open_errors()["acme", "chat", "TG-1100"] == 1


def test_errors_are_found_by_code_release_age_and_the_start_of_a_fingerprint(clocked):
    ledger, pass_time = clocked
    ledger.note_error(seen(release_id="r-1"))
    pass_time(hours=2)
    ledger.note_error(seen(code="TG-3000"))

    assert [error.code for error in ledger.errors()] == ["TG-3000", "TG-1100"]
    assert [error.code for error in ledger.errors(code="TG-1100")] == ["TG-1100"]
    assert [error.code for error in ledger.errors(release_id="r-1")] == ["TG-1100"]
    assert [error.code for error in ledger.errors(since=NOW + timedelta(hours=1))] == ["TG-3000"]
    fingerprint = seen(release_id="r-1").fingerprint
    assert [error.code for error in ledger.errors(fingerprint=fingerprint[:8])] == ["TG-1100"]
    assert ledger.errors(fingerprint="%") == []


def test_an_error_of_a_release_is_one_of_its_service(clocked):
    ledger, _ = clocked
    request = ReleaseRequest(org="acme", service="chat", model="m", version="v1")
    release = ledger.request_release(request, "d" * 64, key="k")

    ledger.note_error(seen(release_id=release.id))
    ledger.note_error(seen(release_id="r-gone"))

    assert {(error.org, error.service) for error in ledger.errors()} == {("acme", "chat"), ("", "")}


def test_a_settled_error_is_open_again_when_it_comes_back(clocked):
    ledger, _ = clocked
    ledger.note_error(seen(org="acme"))
    (settled,) = ledger.resolve_errors(seen().fingerprint, actor="noor")
    assert (settled.resolved_at, settled.resolved_by) == (NOW, "noor")
    assert ledger.errors() == []
    assert len(ledger.errors(only_open=False)) == 1
    with pytest.raises(NotFound):
        ledger.resolve_errors(seen().fingerprint, actor="noor")

    ledger.note_error(seen(org="acme"))

    (found,) = ledger.errors()
    assert (found.count, found.resolved_at, found.resolved_by) == (2, None, "")
    assert [entry["actor"] for entry in ledger.audit_entries(action="error.resolved")] == ["noor"]


def test_only_so_many_are_kept_and_totals_never_fall(clocked, monkeypatch):
    ledger, pass_time = clocked
    monkeypatch.setattr(errors_module, "MAX_KEPT", 5)
    ledger.note_error(seen("settled", place="0"))
    ledger.resolve_errors(seen("settled", place="0").fingerprint, actor="noor")
    for number in range(1, 13):
        pass_time(seconds=1)
        ledger.note_error(seen("words", place=f"place {number}"), count=number)

    kept = ledger.errors(only_open=False)

    assert [error.place for error in kept] == [f"place {number}" for number in (12, 11, 10, 9, 8)]
    (total,) = ledger.error_totals()
    assert (total.code, total.org, total.count) == ("TG-1100", "", 1 + sum(range(1, 13)))


def test_a_flood_of_one_place_pushes_out_its_own_and_none_of_another(clocked, monkeypatch):
    ledger, pass_time = clocked
    monkeypatch.setattr(errors_module, "MAX_OF_ONE_PLACE", 3)
    ledger.note_error(seen("The platform is gone.", place="step deploy"))
    for word in ("red", "green", "blue", "white", "black"):
        pass_time(seconds=1)
        ledger.note_error(seen(f"The body has a {word} field.", place="console POST"))

    kept = [error.message for error in ledger.errors()]

    assert kept == [f"The body has a {word} field." for word in ("black", "white", "blue")] + [
        "The platform is gone."
    ]
    assert [total.count for total in ledger.error_totals()] == [6]


def test_writers_at_once_lose_no_count(open_ledger):
    ledgers = [open_ledger() for _ in range(4)]

    def write(ledger):
        for _ in range(5):
            ledger.note_error(seen())

    threads = [threading.Thread(target=write, args=(ledger,)) for ledger in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [error.count for error in ledgers[0].errors()] == [20]
