"""A short run of a schema fuzzer over the control plane: few examples of each operation, always the same ones."""

import json

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from tests.contracts.runpod import DOCUMENT
from tests.integration.runpod_emulator.conftest import SHORT
from tidegate.platforms.runpod.emulator import MockRunPodEnvironment


def document():
    """The vendor's document without one contradiction: it calls request URLs `uri`, and its own examples end in
    `{job_id}`, which no URI may."""
    told = json.loads(DOCUMENT.read_text())
    for url in told["components"]["schemas"]["QueueBasedRequestUrls"]["properties"].values():
        del url["format"]
    return told


schema = schemathesis.openapi.from_dict(document()).exclude(
    path_regex=r"/v2/clusters|/v2/billing/clusters|/logs$"
)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]


@pytest.fixture(scope="module")
def fuzzed():
    """An emulator of its own: what the fuzzer makes must not crowd the others. Nothing it asks for can run."""
    with MockRunPodEnvironment(timings=SHORT, organizations=["swaggystacks"], credit_usd=1e6) as environment:
        yield environment


@schema.parametrize()
@settings(
    max_examples=4,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_reply_is_one_that_the_document_allows(case, fuzzed):
    headers = {"Authorization": f"Bearer {fuzzed.key('swaggystacks').reveal()}"}
    case.call_and_validate(base_url=fuzzed.api_url, headers=headers, checks=CHECKS, timeout=60)
