"""`tidegate errors` and `tidegate audit`, in a home of their own."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tidegate.domain import ServiceRef
from tidegate.domain.error_tracking import SeenError
from tidegate.ledger import Ledger

SUPPORT = "swaggystacks/support-chat"


@pytest.fixture
def ledger(home: Path):
    home.mkdir()
    with Ledger.open(f"sqlite:///{home / 'ledger.sqlite3'}") as opened:
        yield opened


@pytest.fixture
def logged(ledger: Ledger) -> Ledger:
    for number in range(4):
        ledger.note_deed("token.issued", actor=f"person {number}", ref=ServiceRef.parse(SUPPORT))
    return ledger


def told(run: Any, *arguments: str) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def tamper(home: Path, statement: str) -> None:
    """By somebody who has the file."""
    with sqlite3.connect(home / "ledger.sqlite3") as connection:
        for trigger in ("audit_refuses_update", "audit_refuses_delete", "audit_keeps_order"):
            connection.execute(f"DROP TRIGGER {trigger}")
        connection.execute(statement)
    connection.close()


def seen(**changed: str) -> SeenError:
    values = {
        "code": "TG-1203",
        "kind": "ServerTrouble",
        "place": "task deploy",
        "raised_in": "tidegate.x.y",
        "message": "RunPod answered 500.",
        "remedy": "Ask again later.",
        "org": "swaggystacks",
        "service": "support-chat",
        "release_id": "r-1",
    }
    return SeenError(**{**values, **changed})


def test_an_error_that_ends_a_command_is_kept(run: Any, ledger: Ledger):
    assert run("keys", "revoke", "swaggystacks", "web-app").exit_code == 2

    (found,) = told(run, "errors", "list")

    assert (found["code"], found["place"], found["count"]) == ("TG-2002", "command keys", 1)
    assert found["raised_in"].startswith("tidegate.ledger.api_keys.")


def test_a_command_that_fails_makes_no_ledger(run: Any, home: Path):
    assert run("validate", "/nowhere.gguf").exit_code == 2

    assert not (home / "ledger.sqlite3").exists()


def test_a_ledger_that_cannot_be_used_changes_nothing_of_the_answer(run: Any, home: Path):
    home.mkdir()
    (home / "ledger.sqlite3").write_text("this is no database, and it is long enough to be looked at")

    result = run("audit", "list")

    assert (result.exit_code, result.stderr.splitlines()[-1]) == (1, "TG-3100")


def test_errors_are_listed_shown_and_settled(run: Any, ledger: Ledger):
    ledger.note_error(seen())
    ledger.note_error(seen())
    ledger.note_error(seen(org="scientiacapital", code="TG-1100"))

    (own,) = told(run, "errors", "list", "--service", SUPPORT, "--since", "1h", "--code", "TG-1203")
    assert (own["count"], own["release_id"]) == (2, "r-1")
    assert told(run, "errors", "list", "--release", "r-9") == []
    assert "RunPod answered 500." in run("errors", "list", "--org", "swaggystacks").stdout

    shown = run("errors", "show", own["fingerprint"][:6]).stdout
    assert "Ask again later." in shown
    assert "tidegate.x.y" in shown

    assert run("errors", "resolve", own["fingerprint"], "--by", "noor").exit_code == 0
    assert told(run, "errors", "list", "--service", SUPPORT) == []
    (settled,) = told(run, "errors", "list", "--service", SUPPORT, "--all")
    assert settled["resolved_by"] == "noor"


def test_an_error_that_is_not_there_is_not_shown(run: Any, ledger: Ledger):
    assert run("errors", "show", "abc").exit_code == 2
    assert run("errors", "list", "--since", "soon").exit_code == 2


def test_the_log_is_listed_shown_and_exported(run: Any, logged: Ledger, tmp_path: Path):
    entries = told(run, "audit", "list", "--service", SUPPORT, "--by", "person 3")
    assert [(entry["number"], entry["actor"]) for entry in entries] == [(4, "person 3")]
    assert "token.issued" in run("audit", "list").stdout
    assert "person 1" in run("audit", "show", "2").stdout

    assert run("audit", "export", str(tmp_path / "log.jsonl")).exit_code == 0
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["number"] for line in lines] == [1, 2, 3, 4]
    assert lines[1]["former"] == lines[0]["hash"]


def test_a_whole_log_gives_an_anchor_to_be_kept_elsewhere(run: Any, logged: Ledger, tmp_path: Path):
    anchors = tmp_path / "anchors"

    assert run("audit", "verify", "--write-anchor", str(anchors)).exit_code == 0
    logged.note_deed("drill.played", actor="ops", org="swaggystacks")
    found = told(run, "audit", "verify", "--anchor-file", str(anchors), "--write-anchor", str(anchors))

    assert found["whole"]
    assert [line.split(":")[0] for line in anchors.read_text().splitlines()] == ["4", "5"]
    assert run("audit", "verify", "--anchor", found["anchor"]).exit_code == 0


@pytest.mark.parametrize(
    ("statement", "number"),
    [
        ("UPDATE audit SET actor = 'nobody' WHERE number = 2", 2),
        ("DELETE FROM audit WHERE number = 3", 3),
        ("DELETE FROM audit WHERE number > 2", 3),
    ],
)
def test_the_first_bad_entry_is_named(run: Any, home: Path, logged: Ledger, statement: str, number: int):
    anchor = told(run, "audit", "verify")["anchor"]
    tamper(home, statement)

    result = run("audit", "verify", "--anchor", anchor)

    assert result.exit_code == 1
    assert f"broken at entry {number}" in result.stdout


def test_a_broken_log_is_not_exported(run: Any, home: Path, logged: Ledger, tmp_path: Path):
    tamper(home, "UPDATE audit SET actor = 'nobody' WHERE number = 2")

    result = run("audit", "export", str(tmp_path / "log.jsonl"))

    assert (result.exit_code, result.stderr.splitlines()[-1]) == (1, "TG-3110")
    assert not (tmp_path / "log.jsonl").exists()


def test_what_is_no_anchor_is_refused(run: Any, logged: Ledger, tmp_path: Path):
    assert run("audit", "verify", "--anchor", "abc").exit_code == 2
    assert run("audit", "verify", "--anchor-file", str(tmp_path / "none")).exit_code == 2


def test_who_issues_and_revokes_keys_is_told_without_the_key(run: Any, ledger: Ledger):
    made = run("keys", "create", "swaggystacks", "--name", "web-app", "--by", "ada").stdout.splitlines()[0]
    run("keys", "revoke", "swaggystacks", "web-app", "--by", "noor")

    entries = told(run, "audit", "list", "--action", "key.")

    assert [(one["action"], one["actor"], one["interface"]) for one in entries] == [
        ("key.revoked", "noor", "cli"),
        ("key.issued", "ada", "cli"),
    ]
    assert made not in json.dumps(entries)


def test_other_files_of_an_organization_are_told_when_they_are_first_seen(run: Any, ledger: Ledger):
    run("hold", "list")
    first = told(run, "audit", "list", "--action", "configuration.")
    run("hold", "list")

    assert {entry["org"] for entry in first} >= {"swaggystacks"}
    assert told(run, "audit", "list", "--action", "configuration.") == first
