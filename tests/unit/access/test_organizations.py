"""Organizations and policies from YAML: what is merged, and what every error tells."""

from pathlib import Path

import pytest

from tidegate.access import load_organizations
from tidegate.domain import InvalidInput, NotFound, ServiceRef
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

    assert load_organizations(*folders)["acme"].services["chat"].policy.shift.ladder == (10, 50, 100)


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
