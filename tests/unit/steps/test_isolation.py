"""Two organizations with equal names and equal files at the steps: nothing of one reaches the other."""

from pathlib import Path

import pytest

from tidegate import steps
from tidegate.domain import (
    InvalidInput,
    NotFound,
    Refused,
    ReleaseState,
    Route,
    ServiceRef,
    Upstream,
    set_name,
)
from tidegate.steps.artifacts import check_file_inference
from tidegate.steps.costs import month_to_date_usd
from tidegate.steps.evaluation import JOB_RESULTS, evaluate, job_token
from tidegate.steps.files import check_file
from tidegate.steps.nightly import services_with_traffic
from tidegate.validation import ValidationStatus

ACME, BOLT = ServiceRef("acme", "chat"), ServiceRef("bolt", "chat")


@pytest.mark.parametrize("service", ["bolt-only", "nothing"])
def test_an_organization_has_no_service_of_another(office, service: str):
    with pytest.raises(NotFound, match=f"Organization acme has no service '{service}'"):
        office.release("acme", service=service)
    with pytest.raises(NotFound):
        steps.request_rollback(office.ports, ServiceRef("acme", service), "root", "why not")
    assert office.ledger.list_releases() == []


def test_an_organization_does_not_answer_for_the_service_of_another_under_its_name(office):
    """`chat` exists in both: the organization in the reference counts."""
    with pytest.raises(NotFound):
        office.ports.organizations["acme"].service(BOLT)


def test_an_organization_releases_no_version_of_another(office):
    office.register("bolt", name="finch", version="secret", digest="9")
    with pytest.raises(NotFound, match="acme has no model version finch:secret"):
        office.release("acme", version="secret")


def test_equal_requests_of_two_organizations_are_two_releases(office):
    mine, theirs = office.release("acme"), office.release("bolt")
    assert mine.id != theirs.id
    assert mine.digest == theirs.digest
    steps.request_rollback(office.ports, ACME, "root", "stop mine")
    assert not [entry for entry in office.ledger.entries(theirs.id) if entry.kind == "abort"]


def test_one_organization_does_not_spend_the_budget_of_another(office):
    office.enter(office.release("bolt"), ReleaseState.DONE, usd=9.0)
    mine = office.enter(office.release("acme"), ReleaseState.VALIDATING)
    assert month_to_date_usd(office.ports, mine) == 0.0


def test_what_one_organization_had_validated_says_nothing_to_another(office):
    """Equal policies and equal files: the kept outcome is still the one of a service."""
    policy = office.ports.service(ACME).policy
    assert policy == office.ports.service(BOLT).policy
    office.ledger.record_result("structure", f"{BOLT}|{policy.digest}|{'1' * 64}", {"passed": True})
    part = check_file_inference(office.ports, ACME, "1" * 64)
    assert {result.status for result in part.results} == {ValidationStatus.NOT_JUDGED}
    assert "did not pass the structural gate" in part.results[0].message


def test_gpu_work_of_one_organization_never_answers_for_anothers(office):
    """Results are read by token: a run for one subject under the token of another would be its evidence."""
    theirs = office.release("bolt")
    for work, subject in (("inference", f"{ACME}@{'1' * 64}"), ("quality", "r-mine"), ("nightly", str(ACME))):
        token = job_token(work, f"{BOLT}@{'1' * 64}" if work == "inference" else theirs.id, "0")
        with pytest.raises(InvalidInput, match="is not of"):
            evaluate(office.ports, work, subject, token)
        assert office.ledger.result(JOB_RESULTS, token) is None


@pytest.mark.parametrize("folder", ["store", "secrets"])
@pytest.mark.parametrize("is_linked", [False, True])
def test_nothing_is_read_by_path_from_the_store_or_the_secrets(office, folder: str, is_linked: bool):
    """The store keeps files of every organization side by side."""
    inside = office.folder / folder / "99" / "theirs.gguf"
    inside.parent.mkdir(parents=True)
    inside.write_bytes(b"GGUF of bolt")
    path: Path = inside
    if is_linked:
        path = office.folder / "mine.gguf"
        path.symlink_to(inside)
    with pytest.raises(Refused, match="inside Tidegate's own folder"):
        steps.register_model(office.ports, "acme", "finch", "v9", path)
    with pytest.raises(Refused, match="inside Tidegate's own folder"):
        check_file(office.ports, ACME, str(path))


def test_the_nightly_schedule_looks_only_where_it_has_a_role(office):
    for ref in (ACME, BOLT):
        name = set_name(ref, "1" * 64, "r-1")
        upstream = Upstream(set_name=name, host="h", port=1, digest="1" * 64, release_id="r-1")
        route = Route(org=ref.org, service=ref.service, upstreams=(upstream,), weights={name: 100})
        office.ledger.put_route(route, epoch=0)
    assert services_with_traffic(office.ports) == [ACME, BOLT]
    office.change("bolt", ', "schedule:nightly": viewer', "")
    assert services_with_traffic(office.ports) == [ACME]


def test_an_organization_whose_file_names_anothers_credential_does_not_load(office):
    with pytest.raises(InvalidInput, match="'fake-credential-bolt' is bolt's"):
        office.change("acme", "fake-credential-acme", "fake-credential-bolt")
