"""What a service promises: shares, told apart from what decides a release."""

import pytest
from pydantic import ValidationError

from tidegate.domain.policy import ObjectivePolicy, Policy


@pytest.mark.parametrize("field", ["availability", "ttft"])
@pytest.mark.parametrize("value", [0, 1, 99.9, -0.1])
def test_a_promise_is_a_share_that_is_neither_nothing_nor_everything(field: str, value: float):
    with pytest.raises(ValidationError, match=f"objectives.{field}"):
        Policy.model_validate({"objectives": {field: value}})


def test_the_time_of_the_first_token_is_no_field_because_rules_read_one_edge():
    with pytest.raises(ValidationError, match="ttft_s"):
        Policy.model_validate({"objectives": {"ttft_s": 3.0}})


def test_a_promise_that_is_worded_anew_voids_no_approval():
    assert Policy(objectives=ObjectivePolicy(availability=0.5)).digest == Policy().digest
