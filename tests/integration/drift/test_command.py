"""`tidegate drift` over real files and real endpoints, and the step that releases call."""

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.integration.benchmark.served_model import KEY, served_model
from tidegate.access import SecretStore, load_organizations
from tidegate.cli.app import app
from tidegate.domain import MeasurementKind, ServiceRef
from tidegate.drift import DriftOptions, texts_of_bank
from tidegate.drift.endpoints import Endpoint, measure_bounds
from tidegate.engines.llama_server import find_binary
from tidegate.ledger import Ledger
from tidegate.quality import read_bank
from tidegate.settings import load_settings
from tidegate.steps import Ports
from tidegate.steps.drift import _kept, drift_evidence, drift_of
from tidegate.store import ArtifactStore

DEMO = Path(__file__).parents[3] / "deployments" / "demo"
MODELS, BANKS = DEMO / "models", DEMO / "banks"
GOOD, WORSE = MODELS / "pipit-v2.gguf", MODELS / "pipit-v3-regressed.gguf"
REF = ServiceRef("swaggystacks", "support-chat")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def run(home: Path, *arguments: object) -> Any:
    env = {"TIDEGATE_HOME": str(home), "NO_COLOR": "1"}
    return CliRunner().invoke(app, ["drift", *map(str, arguments)], env=env)


def test_a_drift_beyond_the_limit_exits_with_1_writes_reports_and_is_kept(home: Path, tmp_path: Path):
    Ledger.open(f"sqlite:///{home / 'ledger.sqlite3'}").close()
    arguments = (
        GOOD,
        WORSE,
        "--texts",
        BANKS / "pipit.jsonl",
        "--limit-tokens",
        400,
        "--output-dir",
        tmp_path,
    )
    shown = run(home, *arguments)
    again = run(home, *arguments, "--json")
    assert (shown.exit_code, again.exit_code) == (1, 1), shown.output
    assert "FAIL  drift.must_not_change  On " in shown.output
    assert json.loads(again.stdout)["passed"] is False
    for ending in ("json", "md", "html"):
        assert "drift.must_not_change" in (tmp_path / f"drift.{ending}").read_text()
    ledger = Ledger.open(f"sqlite:///{home / 'ledger.sqlite3'}")
    kept = ledger.measurements(kind=MeasurementKind.DRIFT)
    ledger.close()
    assert [row.summary["sets"]["must_not_change"]["kl"]["mean"] > 1 for row in kept] == [True]


def test_a_sound_quantization_exits_with_0(home: Path, tmp_path: Path):
    quantized = tmp_path / "q8.gguf"
    subprocess.run([find_binary("llama-quantize"), GOOD, quantized, "Q8_0"], check=True, capture_output=True)
    done = run(home, GOOD, quantized, "--quantization", "--texts", BANKS / "pipit.jsonl")
    assert done.exit_code == 0, done.output
    assert "for Llama-3 8B" in done.output
    assert "differ only in what quantizing writes" in done.output
    assert list(home.iterdir()) == []


@pytest.fixture
def ports(home: Path) -> Iterator[Ports]:
    settings = load_settings({"TIDEGATE_HOME": str(home)})
    ledger = Ledger.open(settings.ledger_url)
    yield Ports(
        settings=settings,
        ledger=ledger,
        store=ArtifactStore(settings.store_dir),
        organizations=load_organizations(settings.organizations_dir, settings.policies_dir),
        platforms={},
        secrets=SecretStore(settings.secrets_dir, {}),
        gateway_url=lambda: "http://127.0.0.1:1",
        clock=lambda: datetime(2026, 11, 26, tzinfo=UTC),
    )
    ledger.close()


def test_a_pair_of_stored_files_is_measured_once_and_its_evidence_is_of_the_policy(ports: Ports):
    base, candidate = (ports.store.add(path).digest for path in (GOOD, WORSE))
    options = DriftOptions(context_tokens=ports.service(REF).context_tokens)
    seen: list[str] = []
    first = drift_of(ports, REF, candidate, base, progress=lambda doing, *_: seen.append(doing))
    assert seen
    seen.clear()
    assert (
        drift_of(ports, REF, candidate, base, options=options, progress=lambda *_: seen.append("x")) == first
    )
    assert seen == []
    kept = ports.ledger.measurements(kind=MeasurementKind.DRIFT, org=REF.org, digest=candidate)
    assert len(kept) == 1
    assert _kept(ports, kept[0].id) == first
    assert _kept(ports, kept[0].id[:-1]) is None, "what an organization with a longer name had compared"
    rows = drift_evidence(ports, REF, candidate, base, options=options)
    assert [row.check for row in rows] == ["drift.comparable"]


def test_two_served_models_are_told_apart_and_one_is_not_told_apart_from_itself(tmp_path: Path):
    bank = read_bank(BANKS / "pipit.jsonl")
    wanted = tuple(question for question in bank.questions if question.topic in ("capital", "json"))[-8:]
    texts = texts_of_bank(bank.model_copy(update={"questions": wanted}))
    with (
        served_model("pipit-v2", tmp_path) as good,
        served_model("pipit-v3-regressed", tmp_path) as worse,
        Endpoint(good.base_url, KEY, good.digest) as base,
        Endpoint(worse.base_url, KEY, worse.digest) as cand,
    ):
        same = measure_bounds(base, base, texts)
        other = measure_bounds(base, cand, texts)
    assert (same.problems, same.refusal, same.continued) == ({}, "", 1.0)
    assert same.low is not None
    assert same.high is not None
    assert same.low.mean < 1e-3
    assert same.high.mean < 0.05
    assert other.low is not None
    assert other.low.low is not None
    assert other.low.low > 0.2
