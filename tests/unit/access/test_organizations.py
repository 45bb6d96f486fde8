"""Organizations and policies from YAML: what is merged, and what every error tells."""

import traceback
from pathlib import Path

import pytest

from tidegate.access import load_organizations
from tidegate.domain import InvalidInput, NotFound, Permission, Refused, ServiceRef
from tidegate.domain.policy import Rung
from tidegate.settings import SOURCE_ROOT

ORGANIZATION = """
name: acme
display_name: Acme
services:
  chat:
    models: [finch]
"""


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    organizations, policies = tmp_path / "organizations", tmp_path / "policies"
    organizations.mkdir()
    policies.mkdir()
    (organizations / "acme.yaml").write_text(ORGANIZATION)
    (policies / "acme.yaml").write_text("shift: {look_s: 7, min_requests: 9}\n")
    return organizations, policies


def test_the_declared_organizations_load_with_different_policies():
    loaded = load_organizations(
        SOURCE_ROOT / "deployments/organizations", SOURCE_ROOT / "deployments/policies"
    )

    assert set(loaded) == {"swaggystacks", "scientiacapital"}
    chat = loaded["swaggystacks"].service(ServiceRef("swaggystacks", "support-chat"))
    desk = loaded["scientiacapital"].service(ServiceRef("scientiacapital", "research-desk"))
    assert desk.policy.quality.margin < chat.policy.quality.margin
    assert chat.policy.digest != desk.policy.digest


def test_the_organizations_policy_reaches_its_services(folders: tuple[Path, Path]):
    policy = load_organizations(*folders)["acme"].services["chat"].policy

    assert (policy.shift.look_s, policy.shift.min_requests) == (7, 9)


def test_an_override_of_a_service_wins_and_leaves_the_other_values(folders: tuple[Path, Path]):
    (folders[0] / "acme.yaml").write_text(ORGANIZATION + "    policy: {shift: {look_s: 1}}\n")

    policy = load_organizations(*folders)["acme"].services["chat"].policy

    assert (policy.shift.look_s, policy.shift.min_requests) == (1, 9)


def test_an_empty_policy_file_means_the_defaults(folders: tuple[Path, Path]):
    (folders[1] / "acme.yaml").write_text("# nothing\n")

    assert load_organizations(*folders)["acme"].services["chat"].policy.shift.rungs == (
        Rung(weight=10),
        Rung(weight=50),
        Rung(weight=100),
    )


def test_a_misspelt_field_is_refused_with_the_right_spelling(folders: tuple[Path, Path]):
    (folders[1] / "acme.yaml").write_text("shift: {min_request: 9}\n")

    with pytest.raises(InvalidInput) as caught:
        load_organizations(*folders)

    assert "policies/acme.yaml" in caught.value.message
    assert caught.value.context["field"] == "shift.min_request"
    assert caught.value.remedy == "Did you mean 'min_requests'?"


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        ("shift: {ladder: [50, 10, 100]}", "shift"),
        ("shift: {look_s: -1}", "shift.look_s"),
        ("shift: {min_requests: yes}", "shift.min_requests"),
        ("quality: {margin: '0.05'}", "quality.margin"),
        ("shift: {max_latency_ratio: .inf}", "shift.max_latency_ratio"),
        ("shift: {look_s: 2026-01-01}", "shift.look_s"),
    ],
)
def test_a_bad_value_is_refused_by_the_name_of_its_field(folders: tuple[Path, Path], policy: str, field: str):
    (folders[1] / "acme.yaml").write_text(policy + "\n")

    with pytest.raises(InvalidInput) as caught:
        load_organizations(*folders)

    assert caught.value.context["field"] == field
    assert caught.value.remedy


def test_a_key_that_stands_twice_is_refused_with_its_line(folders: tuple[Path, Path]):
    (folders[1] / "acme.yaml").write_text("shift:\n  look_s: 2\n  look_s: 3\n")

    with pytest.raises(InvalidInput, match=r"line 3: the key 'look_s' stands twice"):
        load_organizations(*folders)


def test_broken_yaml_is_refused_with_its_line(folders: tuple[Path, Path]):
    (folders[0] / "acme.yaml").write_text("name: acme\nservices: [\n")

    with pytest.raises(InvalidInput, match=r"acme\.yaml is not valid YAML: line 3"):
        load_organizations(*folders)


def test_a_file_that_names_another_organization_is_refused(folders: tuple[Path, Path]):
    (folders[0] / "acme.yaml").write_text(ORGANIZATION.replace("name: acme", "name: other"))

    with pytest.raises(InvalidInput, match="called acme"):
        load_organizations(*folders)


def test_a_missing_policy_file_is_named(folders: tuple[Path, Path]):
    (folders[1] / "acme.yaml").unlink()

    with pytest.raises(NotFound, match="has no policy file"):
        load_organizations(*folders)


def test_an_empty_folder_is_an_error_not_an_empty_answer(tmp_path: Path):
    with pytest.raises(NotFound, match="no organization"):
        load_organizations(tmp_path, tmp_path)


def write(folders: tuple[Path, Path], text: str, name: str = "acme") -> None:
    (folders[0] / f"{name}.yaml").write_text(ORGANIZATION.replace("acme", name) + text)
    (folders[1] / f"{name}.yaml").write_text("")


def test_what_was_valid_before_roles_and_limits_still_is(folders: tuple[Path, Path]):
    acme = load_organizations(*folders)["acme"]

    assert not acme.has_identities
    assert acme.services["chat"].allows_model("finch", {})
    assert acme.allows_platform("local")


def test_people_and_machines_have_roles(folders: tuple[Path, Path]):
    write(folders, "people: {ada: approver}\nmachines: {'service:training': releaser}\n")

    acme = load_organizations(*folders)["acme"]

    assert acme.may("ada", Permission.APPROVE)
    assert acme.may("service:training", Permission.RELEASE)
    assert not acme.may("service:training", Permission.APPROVE)
    assert not acme.may("nobody", Permission.VIEW)
    with pytest.raises(Refused, match="'nobody' is nobody in organization acme") as caught:
        acme.require("nobody", Permission.RELEASE)
    assert "role releaser or higher" in caught.value.remedy


def test_a_model_may_be_allowed_by_name_and_publisher(folders: tuple[Path, Path]):
    rules = ORGANIZATION.replace("[finch]", "[wren, {name: finch-*, publisher: acme-labs}]")
    (folders[0] / "acme.yaml").write_text(rules)

    chat = load_organizations(*folders)["acme"].services["chat"]

    assert chat.allows_model("wren")
    assert chat.allows_model("finch-2", ("acme-labs", "another"))
    assert not chat.allows_model("finch-2", ("somebody",))
    assert not chat.allows_model("finch-2")


@pytest.mark.parametrize(
    ("text", "field", "said"),
    [
        ("people: {ada: owner}\n", "people.ada", "viewer"),
        ("people: {Ada: admin}\n", "people.Ada.[key]", "match"),
        ("machines: {training: viewer}\n", "machines.training.[key]", "match"),
        ("limits: {clouds: [moon]}\n", "limits.clouds.0", "community"),
        ("limits: {max_price_per_hour_usd: -1}\n", "limits.max_price_per_hour_usd", "greater"),
        ("monthly_budget_usd: lots\n", "monthly_budget_usd", "number"),
        ("notifications: {ops: {kind: pigeon, address: x-y}}\n", "notifications.ops.kind", "webhook"),
        ("platforms: [runpod]\n", "", "services.chat.platform is 'local'"),
    ],
)
def test_a_wrong_organization_is_refused_by_file_and_field(
    folders: tuple[Path, Path], text: str, field: str, said: str
):
    write(folders, text)

    with pytest.raises(InvalidInput) as caught:
        load_organizations(*folders)

    assert caught.value.context["field"] == field
    assert "acme.yaml" in caught.value.message
    assert said in caught.value.message
    assert caught.value.remedy


def test_an_approver_must_have_a_role_that_may_approve(folders: tuple[Path, Path]):
    write(folders, "people: {ada: releaser}\n")
    (folders[1] / "acme.yaml").write_text("approval: {before_commit: true, approvers: [ada]}\n")

    with pytest.raises(InvalidInput, match="names 'ada', who has no role that may approve"):
        load_organizations(*folders)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("credentials: {runpod: %s}\n", "credentials.runpod"),
        ("notifications: {ops: {kind: webhook, address: %s}}\n", "notifications.ops.address"),
        ("api_key: %s\n", "api_key"),
        ("display_name: %s\n", "display_name"),
    ],
)
def test_a_secret_written_into_the_file_is_refused_and_never_shown(
    folders: tuple[Path, Path], text: str, field: str
):
    secret = "rpa_0123456789ABCDEFGHIJ0123"
    (folders[0] / "acme.yaml").write_text(
        ORGANIZATION.replace("display_name: Acme\n", "" if "display" in text else "display_name: Acme\n")
        + text % secret
    )

    with pytest.raises(InvalidInput) as caught:
        load_organizations(*folders)

    assert caught.value.context["field"] == field
    assert "env:NAME" in caught.value.remedy
    shown = "".join(traceback.format_exception(caught.value)) + str(caught.value.as_dict())
    assert secret not in shown


def test_a_long_random_credential_is_refused_without_being_shown(folders: tuple[Path, Path]):
    secret = "h4k2j5h6k2j4h5kj2h3k4jh5"
    write(folders, f"credentials: {{runpod: {secret}}}\n")

    with pytest.raises(InvalidInput, match=r"credentials\.runpod: the value is no reference") as caught:
        load_organizations(*folders)

    assert secret not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "reference",
    [
        "env:SHARED_KEY",
        "runpod-credential-bolt",
        "local-credential-bolt",
        "org-bolt-api-key",
        "request-keys-bolt",
        "env:TIDEGATE_SECRET_LOCAL_CREDENTIAL_BOLT",
        "file:/home/tidegate/.tidegate/secrets/local-credential-bolt",
        "tidegate-probe-key",
        "prefect-auth",
        "request-keys-acme",
        "console-api-token",
        "alert-webhook-token",
        "engine-keys-acme",
        "capture-key-bolt",
        "webhook-key-bolt-ops",
    ],
)
def test_no_organization_may_name_a_secret_of_another_or_of_tidegate(
    folders: tuple[Path, Path], reference: str
):
    write(folders, f"credentials: {{runpod: '{reference}'}}\n")
    theirs = "credentials: {runpod: 'env:SHARED_KEY'}\nnotifications: {ops: {kind: webhook, address: 'env:HOOK'}}\n"
    write(folders, theirs, name="bolt")

    with pytest.raises(InvalidInput, match=r"the secret '.*' is (acme|bolt|Tidegate)'s"):
        load_organizations(*folders)


def test_no_mail_server_is_shown_a_secret_that_is_not_its_organizations(folders: tuple[Path, Path]):
    mail = "{host: mail.example.org, sender: a@example.org, username: a, password: console-api-token}"
    write(folders, f"notifications: {{ops: {{kind: email, address: ops-mail, mail: {mail}}}}}\n")

    with pytest.raises(InvalidInput, match="'console-api-token' is Tidegate's") as caught:
        load_organizations(*folders)

    assert caught.value.context["field"] == "notifications.ops.mail.password"


def test_equal_file_names_in_folders_of_their_own_are_two_secrets(folders: tuple[Path, Path]):
    for name in ("acme", "bolt"):
        write(folders, f"credentials: {{runpod: 'file:/run/secrets/{name}/runpod.key'}}\n", name=name)

    assert set(load_organizations(*folders)) == {"acme", "bolt"}


def test_scientiacapital_has_releases_approved_before_they_are_committed_and_swaggystacks_has_not():
    loaded = load_organizations(
        SOURCE_ROOT / "deployments/organizations", SOURCE_ROOT / "deployments/policies"
    )

    desk = loaded["scientiacapital"].services["research-desk"]
    assert desk.policy.approval.before_commit
    assert set(desk.policy.approval.approvers) == {"noor", "emre", "service:demo"}
    assert loaded["scientiacapital"].limits.clouds == ("secure",)
    assert not loaded["swaggystacks"].services["support-chat"].policy.approval.before_commit
