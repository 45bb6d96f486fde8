"""stack.json: written whole, read back equal, ignored when it is not ours."""

import os
from pathlib import Path

from tidegate.stack.launching import running_stack
from tidegate.stack.processes import identify
from tidegate.stack.record import Identity, ProcessRecord, StackRecord, read_record, write_record
from tidegate.stack.specification import ProcessStatus


def record(home: Path, supervisor: Identity) -> StackRecord:
    processes = (
        ProcessRecord(
            "prefect", "service", ProcessStatus.READY, "/logs/prefect.log", Identity(7, "boot:1"), "f00d"
        ),
        ProcessRecord(
            "bootstrap", "task", ProcessStatus.DONE, "/logs/bootstrap.log", restarts=1, last_exit="ended"
        ),
    )
    return StackRecord(
        str(home), "ready", supervisor, 1.5, {"gateway": "http://g"}, {"gateway": 1}, processes
    )


def test_what_is_written_is_read_back(tmp_path: Path):
    written = record(tmp_path, Identity(1, "boot:2"))
    write_record(tmp_path, written)

    assert read_record(tmp_path) == written
    assert [path.name for path in tmp_path.iterdir()] == ["stack.json"]


def test_a_missing_torn_or_foreign_file_is_no_record(tmp_path: Path):
    assert read_record(tmp_path) is None
    for text in ("", '{"format": 1, "home"', "[]", '{"format": 99}'):
        (tmp_path / "stack.json").write_text(text)
        assert read_record(tmp_path) is None


def test_a_stack_runs_only_while_exactly_its_supervisor_lives(tmp_path: Path):
    me = identify(os.getpid())
    assert me is not None

    write_record(tmp_path, record(tmp_path, me))
    assert running_stack(tmp_path) is not None

    write_record(tmp_path, record(tmp_path, Identity(me.pid, "another boot:1")))
    assert running_stack(tmp_path) is None
