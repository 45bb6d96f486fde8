"""Where the demonstration may live, and what it may clear."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tidegate.demo.home import (
    MARKER,
    PROVENANCE,
    choose_home,
    clear,
    foreign_work,
    is_used,
    mark,
    only_demonstration,
)
from tidegate.domain import ModelVersion, Refused
from tidegate.ledger import Ledger
from tidegate.settings import Settings


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"TIDEGATE_HOME": str(tmp_path / "home"), "PATH": "/usr/bin"}


def register(settings: Settings, name: str, provenance: dict[str, str]) -> None:
    settings.home.mkdir(exist_ok=True)
    with Ledger.open(settings.ledger_url) as ledger:
        ledger.register_version(
            ModelVersion(
                org="swaggystacks",
                name=name,
                version="v1",
                digest="a" * 64,
                size_bytes=1,
                path="/x",
                provenance=provenance,
                registered_at=datetime(2026, 11, 21, tzinfo=UTC),
            )
        )


def test_an_empty_home_is_used_as_it_is(environ: dict[str, str]):
    home = choose_home(environ)

    assert not home.is_own
    assert home.command_prefix == ""
    assert str(home.settings.home) == environ["TIDEGATE_HOME"]


def test_a_home_with_a_stack_but_no_model_is_used_as_it_is(environ: dict[str, str]):
    settings = choose_home(environ).settings
    settings.home.mkdir()
    Ledger.open(settings.ledger_url).close()

    assert not choose_home(environ).is_own
    assert not is_used(settings)


def test_a_home_with_models_of_its_own_is_left_alone(environ: dict[str, str]):
    register(choose_home(environ).settings, "house-model", {})

    home = choose_home(environ)

    assert home.is_own
    assert home.settings.home == Path(environ["TIDEGATE_HOME"]) / "demo"
    assert home.environ["TIDEGATE_HOME"] == str(home.settings.home)
    assert home.command_prefix == f"TIDEGATE_HOME={home.settings.home} "


def test_demo_models_that_a_person_registered_before_are_that_persons(environ: dict[str, str]):
    register(choose_home(environ).settings, "pipit", dict(PROVENANCE))

    assert choose_home(environ).is_own


def test_a_home_of_an_earlier_demonstration_is_used_again(environ: dict[str, str]):
    settings = choose_home(environ).settings
    mark(settings)
    register(settings, "pipit", dict(PROVENANCE))

    assert not choose_home(environ).is_own
    assert is_used(settings)


def test_a_model_of_ones_own_after_a_demonstration_protects_the_home(environ: dict[str, str]):
    settings = choose_home(environ).settings
    mark(settings)
    register(settings, "house-model", {"run": "481"})

    assert choose_home(environ).is_own
    with pytest.raises(Refused, match="house-model:v1"):
        clear(settings, print)


def test_nothing_is_cleared_when_even_the_own_home_holds_work(environ: dict[str, str]):
    register(choose_home(environ).settings, "house-model", {})
    register(choose_home(environ).settings, "house-model", {})

    with pytest.raises(Refused, match="not the demonstration's"):
        choose_home(environ)


def test_a_ledger_elsewhere_is_never_touched(environ: dict[str, str]):
    home = choose_home(environ | {"TIDEGATE_LEDGER_URL": "postgresql://production/ledger"})

    assert home.is_own
    assert home.settings.ledger_url.startswith("sqlite:///")
    assert "TIDEGATE_LEDGER_URL" not in home.environ


def test_addresses_of_another_installation_do_not_reach_the_demonstration(environ: dict[str, str]):
    foreign = {"PREFECT_API_URL": "http://production/api", "TIDEGATE_GATEWAY_URL": "http://production"}

    assert not foreign.keys() & choose_home(environ | foreign).environ.keys()


def test_clearing_keeps_keys_and_artifacts(environ: dict[str, str]):
    settings = choose_home(environ).settings
    mark(settings)
    register(settings, "pipit", dict(PROVENANCE))
    for name in ("secrets/key", "store/blob", "prefect/prefect.db", "platform/local/set"):
        (settings.home / name).parent.mkdir(parents=True)
        (settings.home / name).write_text("x")

    clear(settings, print)

    left = {path.name for path in settings.home.iterdir()}
    assert {"secrets", "store", MARKER} <= left
    assert not left & {"ledger.sqlite3", "prefect", "platform"}
    assert foreign_work(settings) == ""


def test_two_demonstrations_do_not_share_a_home(environ: dict[str, str]):
    settings = choose_home(environ).settings

    with only_demonstration(settings), pytest.raises(Refused, match="Another demonstration"):  # noqa: SIM117
        with only_demonstration(settings):
            pass
