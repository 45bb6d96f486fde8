"""Commands that need no stack: what they print, and how they refuse."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tidegate.access import PREFECT_AUTH, SecretStore, api_key_name
from tidegate.cli.app import app
from tidegate.stack.processes import identify
from tidegate.stack.record import Identity, ProcessRecord, StackRecord, write_record
from tidegate.stack.specification import ProcessStatus


def all_commands(typer_app: Any, prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    own = [(*prefix, command.name or command.callback.__name__) for command in typer_app.registered_commands]
    below = [
        name
        for group in typer_app.registered_groups
        if not group.hidden
        for name in all_commands(group.typer_instance, (*prefix, group.name))
    ]
    return own + below


@pytest.mark.parametrize("command", all_commands(app), ids=" ".join)
def test_every_command_explains_itself_with_an_example(run: Any, command: tuple[str, ...]):
    result = run(*command, "--help")

    assert result.exit_code == 0
    assert f"tidegate {' '.join(command)}" in " ".join(result.stdout.split())


def test_agents_are_hidden(run: Any):
    assert "agent" not in run("--help").stdout


def test_a_key_is_printed_only_on_explicit_request(run: Any, home: Path):
    key = SecretStore(home / "secrets", {}).ensure(api_key_name("swaggystacks")).reveal()

    assert run("keys", "show", "swaggystacks").stdout.strip() == key
    assert json.loads(run("keys", "show", "swaggystacks", "--json").stdout)["value"] == key


def test_the_prefect_password_is_printed_only_on_explicit_request(run: Any, home: Path):
    value = SecretStore(home / "secrets", {}).ensure(PREFECT_AUTH).reveal()

    assert run("keys", "prefect").stdout.strip() == value


def test_an_unknown_organization_is_bad_input_with_the_known_ones(run: Any):
    result = run("keys", "show", "nobody")

    assert result.exit_code == 2
    assert "Use one of: scientiacapital, swaggystacks." in result.stderr


def test_a_key_that_was_not_made_yet_says_what_makes_it(run: Any):
    result = run("keys", "show", "swaggystacks")

    assert result.exit_code == 2
    assert "It is made by: tidegate up." in result.stderr


def test_errors_are_json_where_json_was_asked_for(run: Any):
    result = run("keys", "show", "nobody", "--json")

    assert result.exit_code == 2
    error = json.loads(result.stdout)["error"]
    assert error["code"] == "TG-2002"
    assert error["remedy"]


def test_a_missing_argument_is_bad_input(run: Any):
    assert run("release", "swaggystacks/support-chat").exit_code == 2


def test_logs_are_listed_shown_and_refused_by_name(run: Any, home: Path):
    (home / "logs").mkdir(parents=True)
    (home / "logs" / "prefect.log").write_text("".join(f"line {number}\n" for number in range(9)))

    assert "prefect" in run("logs").stdout
    assert run("logs", "prefect", "-n", "2").stdout == "line 7\nline 8\n"
    refused = run("logs", "ghost")
    assert refused.exit_code == 2
    assert "Choose one of: prefect." in refused.stderr


def test_down_without_a_stack_says_so(run: Any):
    result = run("down")

    assert (result.exit_code, result.stdout) == (0, "Nothing was running.\n")


@pytest.fixture
def living(home: Path) -> Any:
    """A record whose supervisor is this process: up, as far as others can see."""

    def write(state: str) -> None:
        me = identify(os.getpid()) or Identity(os.getpid(), "")
        prefect = ProcessRecord(
            "prefect", "service", ProcessStatus.BACKOFF, "x.log", restarts=4, last_exit="ended"
        )
        urls = {"gateway": "http://127.0.0.1:1", "prefect": "http://127.0.0.1:2"}
        home.mkdir(parents=True, exist_ok=True)
        write_record(home, StackRecord(str(home), state, me, 1.0, urls, {"gateway": 1}, (prefect,)))

    return write


def test_a_second_up_reports_the_healthy_stack(run: Any, living: Any):
    living("ready")

    result = run("up")

    assert result.exit_code == 0
    assert f"Already up, supervisor pid {os.getpid()}" in result.stdout
    assert "http://127.0.0.1:1" in result.stdout


def test_a_second_up_fails_when_the_stack_is_not_healthy(run: Any, living: Any):
    living("degraded")

    result = run("up")

    assert result.exit_code == 1
    assert "It is degraded." in result.stderr


def test_up_as_json_is_the_record(run: Any, living: Any):
    living("ready")

    answer = json.loads(run("up", "--json").stdout)

    assert answer["already_up"] is True
    assert answer["processes"][0]["name"] == "prefect"


@pytest.mark.parametrize("text", ["pipit", "pipit:", ":v2"])
def test_a_model_without_its_version_is_bad_input(run: Any, text: str):
    result = run("release", "swaggystacks/support-chat", text)

    assert result.exit_code == 2
    assert "Write MODEL:VERSION" in result.stderr


def test_a_service_without_its_organization_is_bad_input(run: Any):
    result = run("release", "support-chat", "pipit:v2")

    assert result.exit_code == 2
    assert "ORGANIZATION/SERVICE" in result.stderr


def test_a_rollback_needs_a_reason(run: Any):
    assert run("rollback", "swaggystacks/support-chat").exit_code == 2
    assert run("rollback", "swaggystacks/support-chat", "--reason", " ").exit_code == 2
