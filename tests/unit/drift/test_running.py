"""Which models are loaded when, and what is refused before anything is loaded."""

from pathlib import Path

import pytest

from tests.unit.drift.samples import text_set
from tidegate.domain import InvalidInput, NotFound, Transient
from tidegate.drift import DriftOptions, TextSet, measure_drift
from tidegate.drift.logit_store import LogitStore, reserved
from tidegate.drift.running import together_or_in_turn
from tidegate.drift.said import ChildReport


@pytest.mark.parametrize(
    ("wanted", "seems_to_fit", "fits", "tried"),
    [
        (None, True, True, [True]),
        (None, True, False, [True, False]),
        (None, False, True, [False]),
        (True, False, False, [True]),
        (False, True, True, [False]),
    ],
)
def test_models_that_do_not_fit_together_are_loaded_in_turn(
    wanted: bool | None, seems_to_fit: bool, fits: bool, tried: list[bool]
):
    seen: list[bool] = []

    def once(is_together: bool) -> ChildReport:
        seen.append(is_together)
        return ChildReport(does_not_fit=is_together and not fits)

    together_or_in_turn(once, wanted, seems_to_fit=seems_to_fit)
    assert seen == tried


@pytest.mark.parametrize(
    ("texts", "options", "field"),
    [
        (text_set(0), DriftOptions(), "texts"),
        (text_set(3), DriftOptions(limit_tokens=0), "limit_tokens"),
        (text_set(3), DriftOptions(limit_tokens=10**9), "limit_tokens"),
        (text_set(3), DriftOptions(context_tokens=2), "context"),
    ],
)
def test_wrong_wishes_are_refused_before_a_file_is_opened(texts: TextSet, options: DriftOptions, field: str):
    with pytest.raises(InvalidInput) as caught:
        measure_drift("none.gguf", "none.gguf", {"must_not_change": texts}, options)
    assert caught.value.context["field"] == field


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path):
    with pytest.raises(NotFound):
        measure_drift(tmp_path / "a.gguf", tmp_path / "b.gguf", {"must_not_change": text_set(3)})


def test_logits_are_taken_as_they_were_put():
    import numpy as np

    rows = np.arange(40, dtype=np.float32).reshape(10, 4)
    with reserved(rows.nbytes) as descriptor:
        store = LogitStore(descriptor, 4)
        assert store.capacity == 10
        for first in (0, 4, 8):
            store.put(rows[first : first + 4])
        store.seek(2)
        taken = [block.copy() for block in store.take([3, 5])]
        with pytest.raises(ValueError, match="room"):
            store.put(rows[:1])
    assert np.array_equal(np.concatenate(taken), rows[2:])


def test_a_disk_without_room_is_told_before_anything_is_loaded():
    with pytest.raises(Transient, match="no room"), reserved(1 << 60):
        pass
