"""What the exporter promises for services, and that nothing in its process holds up a scrape for long."""

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidegate.domain import ServiceRef
from tidegate.domain.error_tracking import FORGET
from tidegate.exporting import answer_promptly, promised
from tidegate.notifying import FreshOrganizations

CHAT = ServiceRef("acme", "chat")
ORGANIZATION = """
name: acme
display_name: Acme
services:
  chat:
    models: [finch]
"""


@pytest.fixture
def as_it_was() -> Iterator[None]:
    threshold, interval = gc.get_threshold(), sys.getswitchinterval()
    yield
    gc.set_threshold(*threshold)
    gc.unfreeze()
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("as_it_was")
def test_many_objects_of_one_look_cause_no_full_collection():
    full: list[str] = []

    def count(phase: str, about: dict[str, int]) -> None:
        if about["generation"] == 2:
            full.append(phase)

    answer_promptly()
    gc.callbacks.append(count)
    try:
        kept = [[number] for number in range(400_000)]
    finally:
        gc.callbacks.remove(count)

    assert len(kept) == 400_000
    assert full == []


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for folder, text in (("organizations", ORGANIZATION), ("policies", "")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "acme.yaml").write_text(text)
    return tmp_path


def test_a_promise_follows_the_files_without_a_restart(home: Path):
    fresh = FreshOrganizations(home / "organizations", home / "policies")
    usual = promised(fresh, CHAT)

    (home / "policies" / "acme.yaml").write_text("objectives: {availability: 0.999, ttft: 0.8}\n")
    stricter = promised(fresh, CHAT)

    assert usual is not None
    assert stricter is not None
    assert (usual.availability, usual.ttft) == (0.99, 0.95)
    assert (stricter.availability, stricter.ttft) == (0.999, 0.8)
    assert promised(fresh, ServiceRef("acme", "gone")) is promised(fresh, ServiceRef("gone", "chat")) is None


def test_files_that_are_wrong_leave_the_promise_and_are_told(home: Path):
    told: list[str] = []

    class Kept:
        def __call__(self, error: BaseException, place: str, **_: object) -> None:
            told.append(place)

        flush = FORGET.flush

    fresh = FreshOrganizations(home / "organizations", home / "policies", Kept())
    (home / "organizations" / "acme.yaml").write_text("name: [")

    assert promised(fresh, CHAT) is not None
    assert told == ["organizations"]
