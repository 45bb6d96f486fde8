"""Every check looks at a real home, what it sees is kept, and failed backups are told."""

import contextlib
import dataclasses
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Never, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tidegate import wiring
from tidegate.backing_up import backups_of, create_backup, verify_backup
from tidegate.cli.health import PREFECT_ANSWER_S
from tidegate.domain import Organization, Transient
from tidegate.domain.events import Event, EventKind
from tidegate.domain.health import Health, Judgement
from tidegate.domain.provenance import Provenance, TrustedCertificate
from tidegate.ledger import Ledger
from tidegate.observability.health import CHECKS, Check, Thresholds
from tidegate.observability.health.checks import Told
from tidegate.observability.health.endpoint import ask, socket_of
from tidegate.settings import SOURCE_ROOT, load_settings
from tidegate.stack.prefect_api import PrefectApi
from tidegate.steps.ports import Ports
from tidegate.watching import build_checks, look_once
from tidegate.watching.expiring import expiring
from tidegate.watching.looking import record

START_TIMEOUT_S = 120.0


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def ports(home: Path) -> Iterator[Ports]:
    built = wiring.load(load_settings({"TIDEGATE_HOME": str(home)}, home))
    wiring.provision_secrets(built)
    yield built
    ledger_of(built).close()


def ledger_of(ports: Ports) -> Ledger:
    assert isinstance(ports.ledger, Ledger)
    return ports.ledger


def no_server() -> Never:
    raise Transient("No Prefect server is known.", remedy="Run: tidegate up.")


def test_every_check_looks_and_what_it_sees_is_kept(ports: Ports):
    ledger = ledger_of(ports)
    checks = build_checks(ports, no_server, Thresholds())
    look_once(checks, lambda told: record(ledger, told))
    states = {state.check: state for state in ledger.health_states()}
    assert set(states) == set(CHECKS)
    # Whatever was not seen was not seen for a reason that we know, never for a defect of a look.
    assert {name for name, state in states.items() if state.text.startswith("not seen")} == {
        "prefect",
        "workers",
    }
    well = (
        "ledger",
        "ledger-integrity",
        "platforms",
        "credentials",
        "sets",
        "store",
        "notifications",
        "audit",
    )
    assert {states[name].health for name in well} == {Health.OK}
    assert states["gateways"].health is Health.UNKNOWN


def test_a_dead_ledger_fails_and_is_not_merely_unseen(ports: Ports, tmp_path: Path):
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    broken = dataclasses.replace(ports, ledger=ledger)
    (check,) = (one for one in build_checks(broken, no_server, Thresholds()) if one.name == "ledger")
    ledger.close()
    for path in tmp_path.glob("ledger.sqlite3*"):
        path.unlink()
    tmp_path.joinpath("ledger.sqlite3").mkdir()
    assert check.look().health is Health.FAILED


def test_an_audit_log_that_is_cut_at_its_end_between_two_looks_is_broken(ports: Ports, tmp_path: Path):
    """What is left of it is whole in itself: only what the last look saw can tell."""
    file = tmp_path / "ledger.sqlite3"
    with Ledger.open(f"sqlite:///{file}") as ledger:
        watched = dataclasses.replace(ports, ledger=ledger)
        (check,) = (one for one in build_checks(watched, no_server, Thresholds()) if one.name == "audit")
        assert check.look().health is Health.OK
        for turn in range(3):
            ledger.note_deed("x", actor=f"{turn}")
        assert check.look().health is Health.OK
        with contextlib.closing(sqlite3.connect(file)) as force, force:
            force.execute("DROP TRIGGER audit_refuses_delete")
            force.execute("DELETE FROM audit WHERE number = 3")
        assert ledger.verify_audit().is_whole
        found = check.look()
        assert (found.health, "entry 3" in found.text) == (Health.FAILED, True)


def test_a_file_that_is_too_damaged_to_be_asked_is_seen_to_be_damaged(ports: Ports, tmp_path: Path):
    path = tmp_path / "ledger.sqlite3"
    ledger = Ledger.open(f"sqlite:///{path}")
    broken = dataclasses.replace(ports, ledger=ledger)
    (check,) = (
        one for one in build_checks(broken, no_server, Thresholds()) if one.name == "ledger-integrity"
    )
    ledger.close()
    for leftover in tmp_path.glob("ledger.sqlite3-*"):
        leftover.unlink()
    path.write_bytes(b"no database at all " * 500)
    seen = check.look()
    assert (seen.health, "tidegate backup restore" in seen.remedy) == (Health.FAILED, True)


def test_workers_that_a_dead_server_hides_are_unknown_with_the_reason(ports: Ports):
    dead = nullcontext(SimpleNamespace(is_healthy=lambda: False))
    checks = build_checks(ports, lambda: cast("AbstractContextManager[PrefectApi]", dead), Thresholds())
    (check,) = (one for one in checks if one.name == "workers")
    seen = check.look()
    assert (seen.health, seen.remedy) == (Health.UNKNOWN, "See: tidegate logs prefect.")
    assert "Prefect server" in seen.text


def test_a_server_that_hangs_has_failed_within_the_time_of_its_check(ports: Ports):
    """Else it would be unknown every other time, and no alert would see five minutes of failure."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/api"
        checks = build_checks(ports, lambda: PrefectApi(address, timeout_s=0.1), Thresholds())
        (check,) = (one for one in checks if one.name == "prefect")
        assert check.look().health is Health.FAILED
    assert {
        name for name in ("prefect", "workers") if CHECKS[name].timeout_s <= 2 * PREFECT_ANSWER_S
    } == set()


def test_what_is_kept_holds_no_secret(ports: Ports):
    ledger = ledger_of(ports)
    said = Judgement(Health.WARNING, "refused: Bearer abcdefgh12345678")
    record(ledger, Told(Check("platforms", lambda: said), said, 0.1))
    (state,) = (one for one in ledger.health_states() if one.check == "platforms")
    assert "abcdefgh12345678" not in state.text


def certificate(path: Path, ends: datetime) -> TrustedCertificate:
    key, name = Ed25519PrivateKey.generate(), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "training")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(ends - timedelta(days=30))
        .not_valid_after(ends)
        .sign(key, None)
    )
    path.write_bytes(made.public_bytes(Encoding.PEM))
    return TrustedCertificate(name="training", path=str(path))


def test_keys_and_certificates_that_end_are_seen(ports: Ports, tmp_path: Path):
    ends = datetime(2031, 1, 2, tzinfo=UTC)
    org: Organization = ports.organizations["swaggystacks"]
    trusted = Provenance(trusted_certificates=(certificate(tmp_path / "root.pem", ends),))
    own = dataclasses.replace(ports, organizations={org.name: org.model_copy(update={"provenance": trusted})})
    ledger = ledger_of(ports)
    made = ledger.create_api_key(org.name, "web", "d" * 64, created_by="noor", lifetime=timedelta(days=9))
    found, looked_at = expiring(own, ledger)
    assert {(one.kind, one.name, one.at) for one in found} == {
        ("client_key", "web", made.expires_at),
        ("certificate", "training", ends),
    }
    assert looked_at >= 3


def test_a_failed_backup_is_told_until_one_succeeds(ports: Ports, tmp_path: Path):
    ledger = ledger_of(ports)
    ledger.route_events(lambda _: ())
    (tmp_path / "taken").write_text("a file where the folder belongs")
    bad = dataclasses.replace(
        ports, settings=dataclasses.replace(ports.settings, backup_dir=tmp_path / "taken")
    )
    with pytest.raises(Transient):
        create_backup(bad)
    (finding,) = (one for one in ledger.findings() if one.kind == "backup.failed")
    assert "cannot be written" in finding.summary
    told: list[EventKind] = []

    def note(event: Event) -> tuple[()]:
        if event.data.get("finding") == "backup.failed":
            told.append(event.kind)
        return ()

    ledger.route_events(note)
    assert told == [EventKind.BACKUP_FAILED]

    kept, _ = create_backup(ports)
    assert verify_backup(ports).problems == ()
    assert [one for one in ledger.findings() if one.kind.startswith("backup.")] == []
    assert {step: mark.name for step, mark in ledger.backup_marks().items()} == {
        "made": kept.name,
        "verified": kept.name,
    }


def test_a_backup_whose_predecessors_cannot_be_removed_was_made_and_says_so(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
):
    def cannot(archive: object, *limits: object) -> Never:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tidegate.backup.archive.Archive.clear", cannot)
    with pytest.raises(PermissionError):
        create_backup(ports)
    ledger = ledger_of(ports)
    assert ledger.backup_marks()["made"].name == backups_of(ports.settings).archive.get().name
    assert [one.summary for one in ledger.findings() if one.kind == "backup.failed"] == [
        "PermissionError: [Errno 13] Permission denied"
    ]
    monkeypatch.undo()
    create_backup(ports)
    assert [one for one in ledger.findings() if one.kind == "backup.failed"] == []


def test_a_backup_that_is_not_whole_once_restored_is_told(ports: Ports):
    kept, _ = create_backup(ports)
    (kept.folder / "ledger").write_bytes(b"no database")
    assert verify_backup(ports, kept.name).problems
    (finding,) = (one for one in ledger_of(ports).findings() if one.kind == "backup.unverified")
    assert kept.name in finding.summary
    create_backup(ports)
    assert verify_backup(ports).problems == ()


def test_a_process_says_on_its_socket_that_it_may_work_and_takes_it_away(ports: Ports, home: Path):
    settings = ports.settings
    address = socket_of(settings.runtime_dir, "notifier")
    env = {**os.environ, "TIDEGATE_HOME": str(home), "PYTHONPATH": str(SOURCE_ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", "tidegate.cli", "agent", "notifier"], env=env, stdout=subprocess.PIPE
    )
    try:
        deadline, said = time.monotonic() + START_TIMEOUT_S, ask(address, "notifier")
        while said.reasons and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)
            said = ask(address, "notifier")
        assert said.is_alive, said
        assert said.reasons == ()
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=START_TIMEOUT_S)
        assert process.returncode == 0, output
        assert not address.exists()
    finally:
        process.kill()
        process.wait()
