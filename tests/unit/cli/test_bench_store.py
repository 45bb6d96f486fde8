"""Results are kept and found again: in the ledger where there is one, in the data folder where there is none."""

from pathlib import Path

import pytest

from tests.unit.benchmark.report_samples import pair_report, run_report, sweep_report
from tidegate.cli.bench_store import find, find_run, keep, listed
from tidegate.domain import InvalidInput, MeasurementKind, NotFound, ServiceRef
from tidegate.ledger import Ledger
from tidegate.settings import Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"TIDEGATE_HOME": str(tmp_path / "home")})


@pytest.fixture
def with_ledger(settings: Settings) -> Settings:
    Ledger.open(settings.ledger_url).close()
    return settings


def test_without_an_installation_results_are_files_and_that_is_said(settings: Settings):
    kept = keep(run_report(), settings=settings)
    assert "No installation" in kept.note
    assert Path(kept.where).is_file()
    assert find("load-sam", settings) == run_report()
    assert [one.id for one in listed(10, settings=settings)] == ["load-sample1"]
    assert not Path(settings.ledger_url.removeprefix("sqlite:///")).exists()


def test_with_an_installation_results_are_in_the_ledger_with_their_service(with_ledger: Settings):
    kept = keep(run_report(), ServiceRef("acme", "chat"), "a" * 64, with_ledger)
    assert (kept.where, kept.note) == ("the ledger", "")
    with Ledger.open(with_ledger.ledger_url) as ledger:
        [stored] = ledger.measurements(kind=MeasurementKind.LOAD, org="acme", digest="a" * 64)
    assert stored.summary["runs"][0]["requests"]["planned"] == 240
    assert find("load-sample1", with_ledger) == run_report()
    assert "secret" not in stored.model_dump_json()


def test_keeping_the_same_twice_is_once(with_ledger: Settings):
    for _ in range(2):
        keep(run_report(), settings=with_ledger)
    assert len(listed(10, settings=with_ledger)) == 1


def test_results_of_both_places_are_listed_together(settings: Settings):
    keep(run_report(), settings=settings)
    Ledger.open(settings.ledger_url).close()
    keep(sweep_report(), settings=settings)
    assert {one.id for one in listed(10, settings=settings)} == {"load-sample1", "sweep-sample1"}
    assert find("load-sample1", settings).what == "run"


def test_a_ledger_that_cannot_be_used_loses_no_result(settings: Settings):
    path = Path(settings.ledger_url.removeprefix("sqlite:///"))
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no database, but a file of more than one page" * 200)
    kept = keep(run_report(), settings=settings)
    assert "ledger could not be used" in kept.note
    assert Path(kept.where).is_file()


def test_one_run_of_a_sweep_or_a_pair_is_named_by_its_load_or_side(settings: Settings):
    for report in (sweep_report(), pair_report()):
        keep(report, settings=settings)
    assert find_run("sweep-sample1@10", settings).id == "load-at10"
    assert find_run("pair-sample1@base", settings).id == "load-base"
    with pytest.raises(InvalidInput, match="holds 3 runs: 5, 10, 20") as caught:
        find_run("sweep-sample1", settings)
    assert "sweep-sample1@5" in caught.value.remedy
    with pytest.raises(NotFound, match="no run '7'"):
        find_run("sweep-sample1@7", settings)


def test_files_are_found_by_path_and_what_is_none_is_refused(settings: Settings, tmp_path: Path):
    file = tmp_path / "run.json"
    file.write_bytes(run_report().as_json().encode())
    assert find(str(file), settings) == run_report()
    with pytest.raises(NotFound, match="does not exist"):
        find(str(tmp_path / "none.json"), settings)
    for name in ("load-none", "x" * 5000):
        with pytest.raises(NotFound, match="No run begins with"):
            find(name, settings)


def test_a_damaged_file_hides_no_other(settings: Settings):
    keep(run_report(), settings=settings)
    folder = settings.home / "benchmarks"
    (folder / "broken.json").write_text("{")
    assert len(listed(10, settings=settings)) == 1


def test_a_beginning_that_two_have_is_refused(settings: Settings):
    keep(run_report(), settings=settings)
    keep(run_report(id_="load-sample2"), settings=settings)
    with pytest.raises(InvalidInput, match="several runs"):
        find("load-sam", settings)
