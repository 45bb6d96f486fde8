"""Bootstrap of Prefect: pools that are described, and a deploy only when something changed."""

from pathlib import Path
from typing import Any

import pytest

from tidegate.domain import InvalidInput, NeedsOperator
from tidegate.settings import SOURCE_ROOT
from tidegate.stack.bootstrap import EMBEDDED_POOL_TYPE, deploy_if_changed, read_pools, source_digest


class Server:
    """A server's deployments, and how often they were made."""

    def __init__(self, *known: str):
        self.known = list(known)
        self.deploys = 0

    @property
    def api(self) -> Any:
        return self

    def deployments(self) -> list[str]:
        return self.known

    def deploy(self) -> None:
        self.deploys += 1
        self.known = ["release/release"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for folder in ("flows", "tasks", "tidegate/domain", "organizations"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "prefect.yaml").write_text("name: x\n")
    (tmp_path / "flows" / "release.py").write_text("1\n")
    (tmp_path / "organizations" / "acme.yaml").write_text("name: acme\n")
    return tmp_path


@pytest.mark.parametrize("changed", ["prefect.yaml", "flows/release.py", "organizations/acme.yaml"])
def test_a_change_of_what_deployments_are_made_of_is_seen(source: Path, changed: str):
    before = source_digest(source, source / "organizations")
    (source / changed).write_text("another\n")

    assert source_digest(source, source / "organizations") != before


def test_an_unchanged_source_has_the_same_digest(source: Path):
    assert source_digest(source, source / "organizations") == source_digest(source, source / "organizations")


STAMP = '{"source": "abc", "deployments": ["release/release"]}'


def test_what_is_deployed_already_is_not_deployed_again(tmp_path: Path):
    (tmp_path / "deployed.json").write_text(STAMP)
    server = Server("release/release")

    assert deploy_if_changed(server.api, "abc", tmp_path, server.deploy, print) is False
    assert server.deploys == 0


@pytest.mark.parametrize(
    ("stamp", "known"),
    [
        (None, ()),
        (None, ("release/release",)),
        (STAMP.replace("abc", "old"), ("release/release",)),
        (STAMP, ()),
    ],
)
def test_a_new_source_or_an_empty_database_is_deployed_once(
    tmp_path: Path, stamp: str | None, known: tuple[str, ...]
):
    if stamp:
        (tmp_path / "deployed.json").write_text(stamp)
    server = Server(*known)

    assert deploy_if_changed(server.api, "abc", tmp_path, server.deploy, print) is True
    assert deploy_if_changed(server.api, "abc", tmp_path, server.deploy, print) is False
    assert server.deploys == 1


def test_a_deploy_that_failed_is_tried_again(tmp_path: Path):
    server = Server()

    def fail() -> None:
        raise NeedsOperator("prefect deploy failed", remedy="Correct it.")

    with pytest.raises(NeedsOperator):
        deploy_if_changed(server.api, "abc", tmp_path, fail, print)

    assert deploy_if_changed(server.api, "abc", tmp_path, server.deploy, print) is True


def test_the_declared_pools_are_complete_and_locked():
    pools = {pool["name"]: pool for pool in read_pools(SOURCE_ROOT / "deployments" / "pools")}

    assert set(pools) >= {"control", "gpu"}
    for pool in pools.values():
        variables = pool["base_job_template"]["variables"]
        assert variables["additionalProperties"] is False
        assert pool["type"] != EMBEDDED_POOL_TYPE or variables["properties"] == {}


@pytest.mark.parametrize(
    "text", ['{"name": "x"}', "[]", '{"name": "x", "type": "p", "base_job_template": {}, "y": 1}']
)
def test_a_file_that_describes_no_pool_is_named(tmp_path: Path, text: str):
    (tmp_path / "x.json").write_text(text)

    with pytest.raises(InvalidInput, match=r"x\.json does not describe a work pool"):
        read_pools(tmp_path)


def test_an_empty_folder_of_pools_is_an_error(tmp_path: Path):
    with pytest.raises(InvalidInput, match="no work pool"):
        read_pools(tmp_path)
