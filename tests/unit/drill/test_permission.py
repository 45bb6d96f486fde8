"""Only services that are marked for it are drilled, and others only by name."""

from pathlib import Path

import pytest
import yaml

from tidegate.access import load_organizations
from tidegate.domain import NotFound, Organization, Refused, ServiceRef
from tidegate.drill import may_drill
from tidegate.drill.source import CLOUD_SERVICE, merged, write_source
from tidegate.drill.staging import drilled_services
from tidegate.settings import SOURCE_ROOT

CHAT = ServiceRef("acme", "chat")


def organizations(stage: str) -> dict[str, Organization]:
    made = Organization.model_validate(
        {"name": "acme", "display_name": "Acme", "services": {"chat": {"stage": stage}, "other": {}}}
    )
    return {"acme": made}


@pytest.mark.parametrize("stage", ["demo", "staging"])
def test_a_marked_service_may_be_drilled(stage: str):
    may_drill(organizations(stage), CHAT)


def test_a_service_in_production_is_refused_unless_it_is_named():
    with pytest.raises(Refused, match="acme/chat is not marked for drills"):
        may_drill(organizations("production"), CHAT)
    with pytest.raises(Refused):
        may_drill(organizations("production"), CHAT, allowed="acme/other")
    may_drill(organizations("production"), CHAT, allowed="acme/chat")


def test_a_service_is_in_production_unless_it_says_otherwise():
    with pytest.raises(Refused):
        may_drill(organizations("demo"), ServiceRef("acme", "other"))


def test_an_unknown_service_is_not_found():
    with pytest.raises(NotFound):
        may_drill(organizations("demo"), ServiceRef("acme", "nothing"))


def test_the_schedule_drills_staging_only():
    assert drilled_services(organizations("staging"), "") == ["acme/chat"]
    assert drilled_services(organizations("demo"), "") == []
    assert drilled_services(organizations("demo"), "acme/chat") == ["acme/chat"]


def test_the_installation_of_a_drill_is_made_of_the_services_own_policy(tmp_path: Path):
    write_source(SOURCE_ROOT / "deployments", tmp_path, with_cloud=True)
    made = load_organizations(tmp_path / "organizations", tmp_path / "policies")["swaggystacks"]
    assert set(made.services) == {"support-chat", CLOUD_SERVICE}
    policy = yaml.safe_load((tmp_path / "policies" / "swaggystacks.yaml").read_text())
    original = yaml.safe_load((SOURCE_ROOT / "deployments/policies/swaggystacks.yaml").read_text())
    assert policy["quality"] == original["quality"]
    assert policy["shift"]["ladder"] == [50, 100]


def test_what_is_laid_over_a_policy_leaves_the_rest_of_each_part():
    assert merged({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": None}}) == {"a": {"b": None, "c": 2}, "d": 3}
