"""One page of the whole exporter over a real ledger: complete, accepted by Prometheus' own checker, and without a secret."""

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from deployments.setup.monitoring import MonitoringTools
from tidegate.domain import (
    Evidence,
    Gate,
    GatewayStatus,
    LiveBatch,
    ModelVersion,
    Plan,
    ReleaseRequest,
    Route,
    Secret,
    ServiceRef,
    SetSpec,
    SetState,
    SetStatus,
    Upstream,
    Verdict,
    key_digest,
)
from tidegate.domain import totals as of
from tidegate.domain.health import BackupMark, Health, Judgement
from tidegate.domain.live import Timing
from tidegate.domain.totals import Gain, PipelineRun
from tidegate.ledger import Ledger
from tidegate.observability import METRICS
from tidegate.observability.collect_gpu import GpuCollector
from tidegate.observability.collect_health import ExpiryCollector, HealthCollector
from tidegate.observability.collect_host import (
    HostCollector,
    MoneyCollector,
    ObjectiveCollector,
    Spent,
    StoreCollector,
)
from tidegate.observability.collect_ledger import LedgerCollector
from tidegate.observability.collect_notices import ErrorCollector, NoticeCollector
from tidegate.observability.collect_platform import EnginePages, PlatformCollector
from tidegate.observability.collect_prefect import PrefectCollector
from tidegate.observability.collecting import Collecting
from tidegate.observability.exporter import Exporter
from tidegate.observability.health.judging import Expiring
from tidegate.observability.ledger_source import Moments
from tidegate.stack.prefect_runs import PrefectRuns

NOW = datetime.now(UTC)
REF = ServiceRef("acme", "chat")
DIGEST, GREEN, BLUE = "a" * 64, "acme--chat--green", "acme--chat--blue"
PLANTED = (
    "sk-live-51Hplanted",
    "hf_plantedplantedplanted",
    "rpa_PLANTEDKEY",
    "postgresql://user:pl4nted@db/tide",
    "Tell me about my planted diagnosis",
)
TEXT = " ".join(PLANTED)


def _unit(name: str) -> ModuleType:
    """A stand-in of the unit tests: test folders are no packages."""
    file = Path(__file__).parents[2] / "unit" / "observability" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"page_{name}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Platform:
    """Two sets, with everything that a platform may tell of them."""

    name = "runpod"

    def list_owned(self) -> Sequence[SetStatus]:
        ready = SetStatus(
            name=GREEN, state=SetState.READY, host="h", port=1, memory_bytes=5, usd_per_hour=1.5, message=TEXT,
            load_seconds=3.0, memory_deaths=1, since=NOW + timedelta(minutes=1),
        )  # fmt: skip
        return [ready, ready.model_copy(update={"name": BLUE})]

    def metrics(self, name: str) -> Mapping[str, float]:
        gpu = {f"gpu0_{what}": 1.0 for what in ("utilization", "memory_used_bytes", "memory_total_bytes")}
        more = {f"gpu0_{what}": 1.0 for what in ("temperature_celsius", "energy_joules", "xid_faults")}
        tokens = {"prompt_tokens_total": 5.0, "prompt_tokens_cached_total": 2.0, "kv_cache_usage_ratio": 0.5}
        return gpu | more | tokens | {f'leak{{prompt="{TEXT.replace(" ", "_")}"}}': 1.0}


class PrefectServer:
    """The calls of PrefectApi that a look makes."""

    def __enter__(self) -> "PrefectServer":
        return self

    def __exit__(self, *_: object) -> None:
        return

    def work_pools(self) -> list[str]:
        return ["control"]

    def workers(self, pool: str) -> list[Any]:
        return [SimpleNamespace(is_online=True)]

    def find(self, path: str) -> list[dict[str, Any]]:
        if path == "/flows/filter":
            return [{"id": "f", "name": "release"}]
        return [{"flow_id": "f", "schedules": [{"active": True, "schedule": {"interval": 20}}]}]

    def find_runs(self, where: dict[str, Any], most: int) -> list[dict[str, Any]]:
        late = {"expected_start_time": (NOW - timedelta(hours=1)).isoformat(), "work_pool_name": "control"}
        base = {"id": "r1", "flow_id": "f", "name": TEXT, "parameters": {"prompt": TEXT}, **late}
        if "COMPLETED" in where["flow_runs"]["state"]["type"]["any_"]:
            return [base | {"state_type": "COMPLETED", "end_time": NOW.isoformat(), "total_run_time": 2.0}]
        return [base | {"state_type": "SCHEDULED"}]


class Notices:
    def outbox_counts(self) -> Mapping[tuple[str, str, str], int]:
        return {("acme", "mail", "sent"): 3}

    def oldest_undelivered(self) -> datetime:
        return NOW

    def error_totals(self) -> Sequence[Any]:
        return [SimpleNamespace(org="acme", code="TG-1100", count=2)]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """Something of everything, with a secret in every text that somebody may write."""
    with Ledger.open(f"sqlite:///{tmp_path_factory.mktemp('page') / 'ledger.sqlite3'}") as opened:
        _fill(opened)
        yield opened


def _fill(ledger: Ledger) -> None:
    for version, digest in (("1", "b" * 64), ("2", DIGEST)):
        ledger.register_version(
            ModelVersion(
                org="acme",
                name="pipit",
                version=version,
                digest=digest,
                size_bytes=1,
                path=f"/x/{PLANTED[3]}",
                registered_at=NOW,
            )
        )
    wanted = ReleaseRequest(
        org="acme", service="chat", model="pipit", version="2", requested_by=TEXT, reason=TEXT
    )
    release = ledger.request_release(wanted, DIGEST, key="k")
    epoch = ledger.acquire_lock(REF, release.id)
    assert epoch is not None
    plan = Plan(
        green_set=GREEN, green_digest=DIGEST, blue_set=BLUE, blue_digest="b" * 64, blue_version="pipit:1",
        ladder=(10, 100), gates=("structure",), policy_digest="p",
    )  # fmt: skip
    ledger.append(release.id, epoch, "entered", "planned", {"reason": TEXT}, plan=plan)
    for name, digest in ((BLUE, "b" * 64), (GREEN, DIGEST)):
        spec = SetSpec(
            name=name,
            org="acme",
            service="chat",
            release_id=release.id,
            digest=digest,
            artifact_path=PLANTED[3],
        )
        ledger.record_set(spec, platform="runpod", epoch=epoch, state="wanted")
    for state in ("provisioning", "warming", "shifting"):
        ledger.append(release.id, epoch, "entered", state, {"reason": TEXT})
    ledger.append(release.id, epoch, "observed", "gate:structure", {"verdict": "pass"})
    row = Evidence(
        gate=Gate.STRUCTURE, check="file.digest", verdict=Verdict.FAIL, summary=TEXT, data={"x": TEXT}
    )
    ledger.add_evidence(release.id, [row], digest=DIGEST, policy_digest="p", epoch=epoch)
    upstreams = tuple(
        Upstream(set_name=name, host="h", port=1, digest=DIGEST, release_id=release.id)
        for name in (BLUE, GREEN)
    )
    ledger.put_route(
        Route(org="acme", service="chat", upstreams=upstreams, weights={BLUE: 90, GREEN: 10}), epoch=epoch
    )
    ledger.report_gateway(
        GatewayStatus(
            gateway="gateway-1", observed_generation=1, seen_at=NOW, error=TEXT, active_requests={BLUE: 1}
        )
    )
    ledger.hold_service(REF, reason=TEXT, actor=TEXT)
    ledger.quarantine("acme", "c" * 64, reason=TEXT, release_id=release.id)
    ledger.note_finding("weights.drift", "chat", TEXT, ref=REF)
    ledger.register_api_key("acme", "app", key_digest(Secret(PLANTED[0]), "acme/app"), created_by="ann")
    ledger.rotate_api_key(
        "acme", "app", key_digest(Secret(PLANTED[1]), "acme/app"), created_by="ann", overlap=timedelta(days=1)
    )
    measured = {name: Timing(counts={1: 1}, sum_s=0.1) for name in of.TIMED}
    batch: dict[str, Any] = {
        "gateway": "g", "org": "acme", "service": "chat", "set_name": GREEN, "started_at": NOW, "ended_at": NOW,
        "requests": 1, "codes": {"2xx": 1}, "timings": measured, "tokens_in": 1, "tokens_out": 1,
    }  # fmt: skip
    ledger.record_live([LiveBatch(**batch), LiveBatch(**batch | {"is_probe": True})])
    ledger.record_runs([PipelineRun("r0", "release", "completed", 2.0, NOW)])
    ledger.add_totals([Gain(of.COST, ("acme", "chat", "runpod"), 1.0)])
    ledger.note_last(of.RECONCILED, (), NOW.timestamp())
    labels = "acme", "chat", "pipit", "bank"
    ledger.note_last(of.EVAL_SCORE, (*labels, "score", "candidate"), 0.9)
    ledger.note_last(of.EVAL_LAST_RUN, labels, NOW.timestamp())
    ledger.record_health(
        "audit", Judgement(Health.FAILED, TEXT, TEXT, measures={"intact": 0.0}), took_s=1.0, interval_s=300.0
    )
    ledger.note_backup(BackupMark("made", TEXT, NOW, 1, 1.0))


@pytest.fixture(scope="module")
def exporter(ledger: Ledger, tmp_path_factory: pytest.TempPathFactory) -> Exporter:
    folder = tmp_path_factory.mktemp("home")
    replay, pages, moments, notices = _unit("nvml_replay"), EnginePages(), Moments(ledger), Notices()
    collecting = Collecting(
        [
            LedgerCollector(
                ledger, moments, platforms=["runpod"], called=["runpod"], flows=["release"],
                clock=NOW.timestamp,
            ),
            PlatformCollector(Platform(), moments, ledger, pages),
            HostCollector(folder, lambda: {"prefect": True}),
            StoreCollector(folder),
            MoneyCollector(lambda: [Spent("acme", 10.0, 1.0, {"runpod": 0.5})]),
            ObjectiveCollector(moments.services, {}.get),
            HealthCollector(ledger, ["host", "audit"], lambda: NOW),
            ExpiryCollector(lambda: [Expiring("acme", "client_key", TEXT, NOW)]),
            PrefectCollector(lambda: PrefectRuns(PrefectServer()), ledger, lambda: NOW),  # type: ignore[arg-type]
            GpuCollector(replay.Nvml([replay.H100])),
            NoticeCollector(notices),
            ErrorCollector(notices),
        ]
    )  # fmt: skip
    collecting.look_all()
    assert [one.problem for one in collecting.standings if one.problem] == []
    assert collecting.register.refused == 0
    return Exporter(collecting, pages.all)


@pytest.fixture(scope="module")
def page(exporter: Exporter) -> str:
    return exporter.answer("/metrics", "127.0.0.1:1").body.decode()


def test_every_metric_that_has_a_source_today_is_shown_and_no_other(page: str) -> None:
    shown = set(re.findall(r"^# TYPE (\S+) ", page, re.MULTILINE))
    assert shown == {one.name for one in METRICS if one.source != "later"}


def test_prometheus_own_checker_accepts_the_page(page: str, tools: MonitoringTools) -> None:
    checked = subprocess.run(
        [tools.promtool, "check", "metrics"], input=page, capture_output=True, text=True, timeout=120
    )
    assert checked.stdout + checked.stderr == ""
    assert checked.returncode == 0


def test_no_secret_address_or_text_of_anybody_is_in_anything_that_is_answered(exporter: Exporter) -> None:
    paths = ("/metrics", "/healthz", "/readyz", "/sd/engines", f"/engines/{GREEN}/metrics")
    answers = {path: exporter.answer(path, "127.0.0.1:1").body.decode() for path in paths}
    assert "llamacpp_prompt_tokens_total" in answers[paths[-1]]
    for path, answer in answers.items():
        assert [
            one for one in (*PLANTED, "planted", "PLANTED", "diagnosis", "@", "://") if one in answer
        ] == [], path


def test_every_line_has_declared_labels_only(page: str) -> None:
    allowed = {label.name for one in METRICS for label in one.labels} | {"le"}
    names = set(re.findall(r'[{,]([a-z_]+)="', page))
    assert names <= allowed
