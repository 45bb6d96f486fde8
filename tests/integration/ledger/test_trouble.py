"""Databases that are locked, gone, foreign or damaged: a domain error with a remedy, never a password."""

import socket
import sqlite3
import traceback
from collections.abc import Callable
from urllib.parse import quote

import pytest

from tidegate.domain import NeedsOperator, ReleaseRequest, ServiceRef, TidegateError, Transient
from tidegate.ledger import Ledger

REF = ServiceRef("acme", "chat")
REQUEST = ReleaseRequest(org="acme", service="chat", model="pipit", version="1")


def fail(call: Callable[[], object], kind: type[TidegateError]) -> TidegateError:
    with pytest.raises(kind) as caught:
        call()
    assert caught.value.remedy
    shown = "".join(traceback.format_exception(caught.value)) + str(caught.value.as_dict())
    assert "correct horse" not in shown
    assert "correct%20horse" not in shown
    return caught.value


def test_a_locked_sqlite_ledger_is_transient_and_still_readable(tmp_path):
    path = tmp_path / "ledger.sqlite3"
    with Ledger.open(f"sqlite:///{path}?timeout=0.05") as ledger:
        release = ledger.request_release(REQUEST, "a" * 64, key="k")
        blocker = sqlite3.connect(path, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        error = fail(lambda: ledger.heartbeat(release.id, "me"), Transient)
        assert error.code == "TG-1100"
        assert ledger.get_release(release.id).owner == ""
        with Ledger.open(f"sqlite:///{path}?timeout=0.05") as late:
            assert late.get_release(release.id) == release
        blocker.close()
        ledger.heartbeat(release.id, "me")


def test_a_service_that_is_held_in_postgres_is_transient_and_others_go_on(postgres, postgres_url):
    url = f"{postgres_url}?options={quote('-c lock_timeout=50ms')}"
    with Ledger.open(url) as ledger, postgres.connect("ledger") as blocker:
        release = ledger.request_release(REQUEST, "a" * 64, key="k")
        with blocker.transaction():
            blocker.execute("SELECT * FROM services FOR UPDATE")
            error = fail(lambda: ledger.append(release.id, 0, "note", "x"), Transient)
            assert error.code == "TG-1100"
            ledger.request_release(REQUEST.model_copy(update={"service": "draft"}), "a" * 64, key="draft")
        assert ledger.append(release.id, 0, "note", "x").seq == 2
    postgres.empty("ledger")


def test_cut_connections_are_replaced(postgres, postgres_url):
    with Ledger.open(postgres_url) as ledger, postgres.connect() as other:
        ledger.generation()
        other.execute(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = 'ledger'"
        )
        assert ledger.generation() == 0


def test_a_database_that_does_not_answer_is_transient():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        url = f"postgresql+psycopg://tidegate:correct%20horse@127.0.0.1:{port}/ledger"
        error = fail(lambda: Ledger.open(url), Transient)
    assert error.code == "TG-1101"
    assert f"postgresql://127.0.0.1:{port}/ledger" in error.message


@pytest.mark.parametrize("place", ["authority", "query"])
def test_a_wrong_password_is_not_shown(postgres, place):
    url = postgres.url("postgres", password="correct horse wrong")
    if place == "query":
        url = f"postgresql+psycopg://tidegate@127.0.0.1:{postgres.port}/postgres?password=correct%20horse%20wrong"
    error = fail(lambda: Ledger.open(url), TidegateError)
    assert "credentials" in error.remedy


def test_a_database_that_does_not_exist_is_told(postgres):
    error = fail(lambda: Ledger.open(postgres.url("nowhere")), TidegateError)
    assert "/nowhere" in error.message


def test_a_file_that_is_no_database_needs_an_operator(tmp_path):
    path = tmp_path / "ledger.sqlite3"
    path.write_bytes(b"not a database, but long enough to be mistaken for one" * 100)
    assert fail(lambda: Ledger.open(f"sqlite:///{path}"), NeedsOperator).code == "TG-3100"


def test_a_folder_that_cannot_be_made_needs_an_operator(tmp_path):
    (tmp_path / "file").write_text("in the way")
    error = fail(lambda: Ledger.open(f"sqlite:///{tmp_path}/file/ledger.sqlite3"), NeedsOperator)
    assert "cannot be made" in error.message


def test_sqlite_writes_survive_a_power_cut_and_check_their_references(tmp_path):
    path = tmp_path / "ledger.sqlite3"
    with Ledger.open(f"sqlite:///{path}") as ledger, ledger._database.read() as session:
        told = [session.connection().exec_driver_sql(f"PRAGMA {name}").scalar() for name in
                ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")]  # fmt: skip
    assert told == ["wal", 2, 1, 10_000]


@pytest.mark.parametrize("quoted", ["a%b", "with space", "naïve"])
def test_a_sqlite_ledger_may_lie_in_any_folder(tmp_path, quoted):
    with Ledger.open(f"sqlite:///{tmp_path}/{quoted}/ledger.sqlite3") as ledger:
        assert ledger.list_releases() == []
    assert (tmp_path / quoted / "ledger.sqlite3").exists()
