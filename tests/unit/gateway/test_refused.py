"""What a gateway refused by itself, from Envoy's counters."""

import pytest

from tidegate.gateway.refused import fold_refused

PLACE = {"service": "acme/chat", "set": "", "status": "401", "flags": "-"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "auth"),
        ({"status": "403"}, "auth"),
        ({"status": "429"}, "rate_limit"),
        ({"status": "503", "flags": "UO"}, "overload"),
        ({"status": "503", "flags": "UH"}, "no_backend"),
        ({"status": "503", "flags": "NR"}, "no_backend"),
    ],
)
def test_each_refusal_has_its_reason(changes: dict[str, str], reason: str) -> None:
    assert fold_refused([({**PLACE, **changes}, 3.0)]) == {("acme", "chat", reason): 3}


@pytest.mark.parametrize(
    "changes",
    [{"set": "blue"}, {"service": ""}, {"service": "a/b/c"}, {"service": "acme/"}, {"status": "200"}],
)
def test_what_a_set_answered_or_no_service_was_asked_for_is_no_refusal_of_a_service(
    changes: dict[str, str],
) -> None:
    assert fold_refused([({**PLACE, **changes}, 3.0)]) == {}


def test_refusals_of_one_kind_are_added() -> None:
    rows = [(PLACE, 3.0), ({**PLACE, "status": "403"}, 4.0)]
    assert fold_refused(rows) == {("acme", "chat", "auth"): 7}
