"""`docs/metrics.md` says what the code says, and what is counted fits what is declared."""

from pathlib import Path

import pytest

from tidegate.domain import totals
from tidegate.domain.live_edges import EDGES_S
from tidegate.observability import BY_NAME, METRICS
from tidegate.observability.documentation import RENAMED, document, main, present_name
from tidegate.observability.later import WHY_LATER
from tidegate.settings import SOURCE_ROOT

STORED = [
    value for name, value in vars(totals).items() if name.isupper() and str(value).startswith("tidegate_")
]


def test_the_document_is_what_the_declarations_say() -> None:
    written = (SOURCE_ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert written == document(), "write it again: python -m tidegate.observability.documentation"


def test_it_is_written_where_it_is_wanted(tmp_path: Path) -> None:
    main(tmp_path / "metrics.md")
    assert (tmp_path / "metrics.md").read_text(encoding="utf-8") == document()


@pytest.mark.parametrize("former", RENAMED)
def test_every_former_name_has_a_present_one(former: str) -> None:
    assert present_name(former) != former


def test_a_reserved_name_says_why_and_no_other_does() -> None:
    assert {one.name for one in METRICS if one.source == "later"} == set(WHY_LATER)


@pytest.mark.parametrize("name", [*STORED, *totals.TIMED.values()])
def test_what_the_ledger_counts_is_declared(name: str) -> None:
    assert BY_NAME[name].source != "later"


def test_histograms_of_the_ledger_have_the_edges_by_which_it_counts() -> None:
    for figure, name in totals.TIMED.items():
        assert BY_NAME[name].buckets == EDGES_S[figure]
    assert BY_NAME[totals.SET_READY_SECONDS].buckets == totals.OPERATION_S
    assert BY_NAME[totals.SET_LOAD_SECONDS].buckets == totals.OPERATION_S
    assert BY_NAME[totals.SET_OPERATION_SECONDS].buckets == totals.OPERATION_S
    assert BY_NAME[totals.PLATFORM_CALL_SECONDS].buckets == totals.CALL_S
    assert BY_NAME[totals.PIPELINE_SECONDS].buckets == totals.PIPELINE_S
