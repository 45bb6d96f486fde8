"""What checks measure becomes JSON that both databases take."""

import json
import math
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.domain import InvalidInput, Verdict
from tidegate.ledger.engine import to_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(deadline=None, max_examples=50)
@given(VALUES)
def test_everything_stored_reads_back_the_same(value):
    plain = to_json(value)
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_values_of_checks_have_a_json_form():
    told = to_json(
        {
            "path": Path("/store/a"),
            "at": datetime(2026, 11, 21, tzinfo=UTC),
            "verdict": Verdict.FAIL,
            "mean": np.float32(0.5),
            "counts": np.arange(3),
            "lost": {"deep": [math.nan, np.float64("inf")]},
        }
    )
    assert told == {
        "path": "/store/a",
        "at": "2026-11-21T00:00:00Z",
        "verdict": "fail",
        "mean": 0.5,
        "counts": [0, 1, 2],
        "lost": {"deep": [None, None]},
    }


@pytest.mark.parametrize("value", [object(), {"a": [object()]}, {"a": lambda: 1}])
def test_anything_else_is_refused(value):
    with pytest.raises(InvalidInput, match="no JSON form"):
        to_json(value)
