"""`tidegate keys`: what it prints, once, and what it refuses. Effects at the gateway are tested beside it."""

import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tidegate.access import SecretStore, api_key_name

ORG = "swaggystacks"


def listed(run: Any, *arguments: str) -> list[dict[str, Any]]:
    return json.loads(run("keys", "list", *arguments, "--json").stdout)


def test_a_created_key_is_the_only_thing_on_standard_output(run: Any):
    result = run("keys", "create", ORG, "--name", "web-app")

    assert re.fullmatch(r"tg_swaggystacks_[A-Za-z0-9_-]{43}\n", result.stdout)
    assert "not shown again" in result.stderr
    assert result.stdout.strip() not in result.stderr


def test_two_created_keys_differ(run: Any):
    assert (
        run("keys", "create", ORG, "--name", "a").stdout != run("keys", "create", ORG, "--name", "b").stdout
    )


def test_a_list_tells_everything_but_the_key(run: Any):
    key = run("keys", "create", ORG, "--name", "web-app", "--expires", "30d", "--by", "ann").stdout.strip()

    (row,) = listed(run, ORG)

    assert (row["name"], row["state"], row["created_by"]) == ("web-app", "live", "ann")
    life = datetime.fromisoformat(row["expires_at"]) - datetime.fromisoformat(row["created_at"])
    assert life == timedelta(days=30)
    assert key not in run("keys", "list", ORG).stdout
    assert "digest" not in row


def test_json_gives_the_key_and_its_id(run: Any):
    made = json.loads(run("keys", "create", ORG, "--json").stdout)

    assert made["key"].startswith(f"tg_{ORG}_")
    assert made["id"] == listed(run, ORG)[0]["id"]


def test_ended_keys_are_listed_on_request(run: Any):
    run("keys", "create", ORG, "--name", "old")
    run("keys", "revoke", ORG, "old")

    assert listed(run, ORG) == []
    assert [row["state"] for row in listed(run, ORG, "--all")] == ["revoked"]


def test_one_generation_can_be_revoked_by_its_id(run: Any):
    former = json.loads(run("keys", "create", ORG, "--name", "app", "--json").stdout)
    following = json.loads(run("keys", "rotate", ORG, "app", "--json").stdout)

    assert former["id"] in run("keys", "revoke", ORG, former["id"]).stdout

    assert [row["id"] for row in listed(run, ORG)] == [following["id"]]


def test_another_organizations_key_cannot_be_revoked(run: Any):
    run("keys", "create", ORG, "--name", "app")

    assert run("keys", "revoke", "scientiacapital", "app").exit_code == 2
    assert [row["state"] for row in listed(run, ORG)] == ["live"]


@pytest.mark.parametrize("text", ["", "soon", "5", "-1h", "1y", "24 h"])
def test_what_is_no_duration_is_refused_before_a_key_is_made(run: Any, text: str):
    run("keys", "create", ORG, "--name", "app")

    result = run("keys", "rotate", ORG, "app", "--overlap", text)

    assert result.exit_code == 2
    assert "For example 30d" in result.stderr
    assert len(listed(run, ORG, "--all")) == 1


@pytest.mark.parametrize("name", ["local", "two words", "a/b", "", "x" * 65])
def test_a_name_that_means_something_else_is_refused(run: Any, name: str):
    assert run("keys", "create", ORG, "--name", name).exit_code == 2
    assert listed(run, "--all") == []


def test_an_unknown_organization_gets_no_key(run: Any):
    result = run("keys", "create", "nobody")

    assert result.exit_code == 2
    assert "Use one of: scientiacapital, swaggystacks." in result.stderr


def test_a_local_key_that_the_environment_gives_is_rotated_there(run: Any, home: Path):
    result = run("keys", "rotate", ORG, "local", TIDEGATE_SECRET_ORG_SWAGGYSTACKS_API_KEY="given-elsewhere")

    assert result.exit_code == 2
    assert "TIDEGATE_SECRET_ORG_SWAGGYSTACKS_API_KEY" in result.stderr


def test_a_local_key_that_was_never_registered_cannot_be_rotated(run: Any, home: Path):
    former = SecretStore(home / "secrets", {}).ensure(api_key_name(ORG))

    assert run("keys", "rotate", ORG, "local").exit_code == 2
    assert SecretStore(home / "secrets", {}).get(api_key_name(ORG)) == former
