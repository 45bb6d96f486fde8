"""The probes against a real llama-server."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.integration.benchmark.served_model import CONTEXT_TOKENS, KEY, Served, served_model
from tidegate.domain import Gate, Secret, Verdict, fold
from tidegate.probes import IDENTITY_CHECKS, PROBE_CHECKS, ProbeTarget, probe_endpoint

PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served_model("pipit-v2", tmp_path_factory.mktemp("engine")) as running:
        yield running


@pytest.fixture
def target(served: Served) -> ProbeTarget:
    return ProbeTarget(
        served.base_url,
        KEY,
        model="support-chat",
        context_tokens=CONTEXT_TOKENS,
        expected_digest=served.digest,
    )


def test_a_sound_engine_passes_identity_and_probes(target: ProbeTarget):
    rows = probe_endpoint(target, PATIENCE_S)
    assert {row.check: row.summary for row in rows if row.verdict is not Verdict.PASS} == {}
    assert {row.check for row in rows} == IDENTITY_CHECKS | PROBE_CHECKS


def test_another_digest_is_found_by_three_independent_looks(target: ProbeTarget):
    rows = probe_endpoint(replace(target, expected_digest="0" * 64), PATIENCE_S)
    failed = {row.check for row in rows if row.verdict is Verdict.FAIL}
    assert failed == {"identity.digest", "probe.health", "probe.unknown_model"}


def test_without_a_release_header_the_release_is_not_proven(target: ProbeTarget):
    rows = probe_endpoint(replace(target, expected_release="rel-1"), PATIENCE_S)
    assert [row.check for row in rows if row.verdict is not Verdict.PASS] == ["identity.digest"]


def test_a_probe_with_a_wrong_key_of_its_own_fails_everything_but_the_wrong_key_check(target: ProbeTarget):
    rows = probe_endpoint(replace(target, key=Secret("not-the-key")), PATIENCE_S)
    passed = {row.check for row in rows if row.verdict is Verdict.PASS}
    assert passed <= {"probe.wrong_key", "probe.unknown_model", "probe.health"}
    assert fold(Gate.IDENTITY, rows, IDENTITY_CHECKS).verdict is Verdict.FAIL


def test_a_stopped_engine_is_an_error(tmp_path_factory: pytest.TempPathFactory):
    with served_model("pipit-v2-fast", tmp_path_factory.mktemp("engine")) as running:
        gone = ProbeTarget(
            running.base_url, KEY, model="m", context_tokens=256, expected_digest=running.digest
        )
    rows = probe_endpoint(gone, timeout_s=2)
    assert {row.verdict for row in rows} == {Verdict.ERROR}
