"""`tidegate token` and `--token`: what is printed, and how it is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tidegate import steps, wiring
from tidegate.access import SecretStore, request_keys_name
from tidegate.cli.tokens import parse_lifetime
from tidegate.domain import InvalidInput, ServiceRef
from tidegate.settings import SOURCE_ROOT, Settings

MODELS = SOURCE_ROOT / "deployments" / "demo" / "models"


@pytest.fixture
def ports(home: Path) -> Any:
    settings = Settings(
        home=home,
        ledger_url=f"sqlite:///{home / 'ledger.sqlite3'}",
        deployments_dir=SOURCE_ROOT / "deployments",
        runtime_dir=home / "run",
    )
    made = wiring.load(settings)
    for org, model in (("swaggystacks", "pipit"), ("scientiacapital", "tern")):
        steps.register_model(made, org, model, "v1", MODELS / f"{model}-v1.gguf")
    yield made
    made.ledger.close()


def issue(run: Callable[..., Any], *more: str) -> Any:
    return run("token", "issue", "swaggystacks/support-chat", "pipit:v1", *more)


def test_only_the_token_is_printed(run: Any, ports: Any):
    result = issue(run, "--as", "chidi")

    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("\n") == 1
    assert result.stdout.startswith("tg1.k1.")


def test_as_json_the_token_comes_with_what_it_proves(run: Any, ports: Any):
    told = json.loads(issue(run, "--as", "chidi", "--for", "90s", "--json").stdout)

    proof = told["proof"]
    version = ports.ledger.get_version("swaggystacks", "pipit", "v1")
    assert (proof["org"], proof["service"], proof["identity"]) == ("swaggystacks", "support-chat", "chidi")
    assert (proof["digest"], proof["role"], proof["action"]) == (version.digest, "releaser", "release")


@pytest.mark.parametrize("who", ["dora", "noor", "nobody", "schedule:nightly"])
def test_nobody_without_the_role_in_this_organization_gets_one(run: Any, ports: Any, who: str):
    """`noor` is an approver, but of the other organization."""
    result = issue(run, "--as", who)

    assert result.exit_code == 2
    assert f"'{who}' is" in result.stderr
    assert "tg1." not in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--for", "2h"), "lives between"),
        (("--for", "soon"), "is no time"),
        (("--action", "delete"), "is no action"),
        (("--action", "approve"), "no release under way"),
        (("--to", "pipit:v1"), "Only a rollback"),
        (("--file", "/nowhere/x.gguf"), "There is no file"),
    ],
)
def test_bad_options_are_refused(run: Any, ports: Any, more: tuple[str, ...], said: str):
    result = issue(run, "--as", "ada", *more)

    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize("service", ["swaggystacks/research-desk", "scientiacapital/support-chat"])
def test_no_token_is_issued_across_organizations(run: Any, ports: Any, service: str):
    result = run("token", "issue", service, "pipit:v1", "--as", "ada")

    assert result.exit_code == 2
    assert "has no service" in result.stderr


def test_a_version_of_another_organization_is_not_found(run: Any, ports: Any):
    assert run("models", "show", "pipit:v1", "--org", "scientiacapital").exit_code == 2
    result = run("token", "issue", "scientiacapital/research-desk", "pipit:v1", "--as", "lin")
    assert "scientiacapital has no model version pipit:v1" in result.stderr


def test_lists_of_one_organization_hold_nothing_of_the_other(run: Any, ports: Any):
    assert "tern" not in run("models", "list", "--org", "swaggystacks").stdout
    found = steps.request_release(ports, _request("scientiacapital", "research-desk", "tern"))
    assert found.id not in run("releases", "list", "--service", "swaggystacks/support-chat").stdout
    assert found.id in run("releases", "list", "--service", "scientiacapital/research-desk").stdout


def test_a_rotation_makes_a_key_that_signs_and_keeps_the_former_for_the_overlap(
    run: Any, ports: Any, home: Path
):
    issue(run, "--as", "chidi")
    told = json.loads(run("token", "rotate", "swaggystacks", "--overlap", "30m", "--json").stdout)

    assert list(told["keys"]) == ["k2", "k1"]
    assert told["keys"]["k2"] is None
    kept = SecretStore(home / "secrets", {}).get(request_keys_name("swaggystacks"))
    assert kept is not None
    assert not any(word in json.dumps(told) for word in kept.reveal().split() if len(word) > 20)
    assert issue(run, "--as", "chidi").stdout.startswith("tg1.k2.")


def test_keys_of_an_unknown_organization_are_not_rotated(run: Any, ports: Any):
    assert run("token", "rotate", "nobody").exit_code == 2


def test_a_token_of_the_other_organization_rolls_nothing_back(run: Any, ports: Any):
    ref = ServiceRef("scientiacapital", "research-desk")
    steps.request_release(ports, _request(*ref, "tern"))
    SecretStore(ports.settings.secrets_dir, {}).ensure(request_keys_name("scientiacapital"))
    signed = issue(run, "--as", "ada").stdout.strip()
    result = run("rollback", str(ref), "--reason", "not mine", "--token", signed)

    assert result.exit_code == 2
    assert signed not in result.stdout + result.stderr
    assert "request token" in result.stderr
    active = ports.ledger.active_release(ref)
    assert not [entry for entry in ports.ledger.entries(active.id) if entry.kind == "abort"]


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("1h", 3600), ("0s", 0)])
def test_times_are_read(text: str, seconds: int):
    assert parse_lifetime(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "10", "m", "-1m", "1d", "1.5h", "10m 5s"])
def test_other_times_are_refused(text: str):
    with pytest.raises(InvalidInput, match="is no time"):
        parse_lifetime(text)


def _request(org: str, service: str, model: str) -> Any:
    from tidegate.domain import ReleaseRequest

    return ReleaseRequest(org=org, service=service, model=model, version="v1", requested_by="root")


@pytest.mark.parametrize(("by", "code"), [("ada", 0), ("bruno", 2), ("root", 0)])
def test_an_alias_is_moved_by_an_admin_or_an_operator_of_the_installation(
    run: Any, ports: Any, by: str, code: int
):
    arguments = ("swaggystacks/support-chat", "previous", "pipit:v1", "--reason", "repair", "--by", by)

    assert run("models", "alias", "set", *arguments).exit_code == code
