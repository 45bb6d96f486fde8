"""Rows of a real ledger, through the real collector and the real rules: what was promised to fire does, and else nothing."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from deployments.setup.monitoring import MonitoringTools
from tidegate.domain import Secret, key_digest
from tidegate.domain.health import BackupMark, Health, Judgement
from tidegate.ledger import Ledger
from tidegate.observability.collect_health import ExpiryCollector, HealthCollector
from tidegate.observability.collecting import Collecting
from tidegate.observability.health.judging import Expiring, judge_audit

FOLDER = Path(__file__).resolve().parents[3] / "deployments" / "monitoring" / "prometheus" / "rules"
RULES = FOLDER / "pipeline.yml", FOLDER / "watching.yml"
BEGAN = datetime(1970, 1, 1, tzinfo=UTC)
"""When promtool's clock begins."""
NOW = BEGAN + timedelta(days=3)
WATCHED = (
    "AuditChainBroken", "BackupMissing", "BackupUnverified", "HealthCheckFailed", "HealthChecksStale", "KeyExpires",
)  # fmt: skip
KEEPS_ORDER = ("audit_refuses_update", "audit_refuses_delete", "audit_keeps_order")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite3'}", clock=lambda: NOW) as opened:
        # Something that the audit log tells of.
        opened.register_api_key("acme", "web", key_digest(Secret("k" * 40), "acme/web"), created_by="ann")
        yield opened


def look_at_the_audit_log(ledger: Ledger) -> None:
    ledger.record_health("audit", judge_audit(ledger.verify_audit()), took_s=0.1, interval_s=300.0)


def see(ledger: Ledger, check: str, health: Health) -> None:
    ledger.record_health(check, Judgement(health, "seen"), took_s=0.1, interval_s=15.0)


def back_up(ledger: Ledger, step: str, ago: timedelta) -> None:
    ledger.note_backup(BackupMark(step, "b", NOW - ago, 1, 1.0))


def firing(ledger: Ledger, ends: timedelta, tools: MonitoringTools, folder: Path) -> set[tuple[str, str]]:
    """Alert and organization of what fires an hour after `NOW`, when nothing else happens until then."""
    keys = [Expiring("acme", "client_key", "web", NOW + ends)]
    collecting = Collecting([HealthCollector(ledger, (), lambda: NOW), ExpiryCollector(lambda: keys)])
    collecting.look_all()
    assert [one.problem for one in collecting.standings] == ["", ""]
    found = re.findall(
        r"^(tidegate_(?:health|backup|audit|expiry)\S+) (\S+)$", collecting.page().decode(), re.MULTILINE
    )
    series = {**dict(found), 'up{job="tidegate"}': "1"}
    return _evaluated(series, tools, folder)


def _evaluated(series: Mapping[str, str], tools: MonitoringTools, folder: Path) -> set[tuple[str, str]]:
    """promtool says what fires only by what it expected instead."""
    at = int((NOW + timedelta(hours=1) - BEGAN).total_seconds())
    question = f'ALERTS{{alertstate="firing", alertname=~"{"|".join(WATCHED)}"}}'
    wanted = {
        "rule_files": list(map(str, RULES)),
        "evaluation_interval": "30m",
        "tests": [{
            "interval": "30m",
            "input_series": [{"series": name, "values": f"{value}x{at // 1800}"} for name, value in series.items()],
            "promql_expr_test": [{"expr": question, "eval_time": f"{at}s", "exp_samples": []}],
        }],
    }  # fmt: skip
    file = folder / "rules.json"
    file.write_text(json.dumps(wanted))
    done = subprocess.run(
        [tools.promtool, "test", "rules", str(file)], capture_output=True, text=True, timeout=120
    )
    said = done.stdout + done.stderr
    assert ("SUCCESS" in said) == (done.returncode == 0), said
    alerts = [
        dict(re.findall(r'(\w+)="([^"]*)"', one))
        for one in re.findall(r"""\{(__name__="ALERTS"[^}]*)\}""", said)
    ]
    return {(one["alertname"], one["org"]) for one in alerts}


def test_a_neglected_installation_gets_every_alert_and_each_at_whom_it_concerns(
    ledger: Ledger, tools: MonitoringTools, tmp_path: Path
) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    with engine.begin() as connection:
        for trigger in KEEPS_ORDER:
            connection.execute(text(f"DROP TRIGGER {trigger}"))
        connection.execute(text("UPDATE audit SET actor = 'nobody' WHERE number = 1"))
    engine.dispose()
    look_at_the_audit_log(ledger)
    see(ledger, "host", Health.FAILED)
    back_up(ledger, "made", timedelta(hours=30))

    assert firing(ledger, timedelta(days=2), tools, tmp_path) == {
        ("AuditChainBroken", "_installation"),
        ("BackupMissing", "_installation"),
        ("BackupUnverified", "_installation"),
        ("HealthCheckFailed", "_installation"),
        ("HealthChecksStale", "_installation"),
        ("KeyExpires", "acme"),
    }


def test_an_installation_that_is_looked_after_gets_none_but_that_nobody_looks_any_more(
    ledger: Ledger, tools: MonitoringTools, tmp_path: Path
) -> None:
    look_at_the_audit_log(ledger)
    see(ledger, "host", Health.WARNING)
    back_up(ledger, "made", timedelta(hours=1))
    back_up(ledger, "verified", timedelta(days=2))

    assert firing(ledger, timedelta(days=60), tools, tmp_path) == {("HealthChecksStale", "_installation")}


def test_where_nothing_was_ever_looked_at_or_backed_up_that_is_told(
    ledger: Ledger, tools: MonitoringTools, tmp_path: Path
) -> None:
    assert firing(ledger, timedelta(days=60), tools, tmp_path) == {
        ("BackupMissing", "_installation"),
        ("BackupUnverified", "_installation"),
        ("HealthChecksStale", "_installation"),
    }
