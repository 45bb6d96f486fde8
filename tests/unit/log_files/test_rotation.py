"""Logs: rotated under a living writer, read from the end, followed across a rotation."""

import os
from pathlib import Path

from tidegate.log_files import bound_logs, open_log, read_new, rotate, tail


def test_a_log_that_grew_too_large_is_set_aside_and_its_writer_goes_on(tmp_path: Path):
    path = tmp_path / "a.log"
    with open_log(path) as log:
        log.write(b"old\n" * 10)
        log.flush()
        assert rotate(path, max_bytes=20) is True
        log.write(b"late\n")

    assert path.read_bytes() == b""
    assert (tmp_path / "a.log.1").read_bytes() == b"old\n" * 10 + b"late\n"


def test_only_so_many_old_logs_are_kept(tmp_path: Path):
    path = tmp_path / "a.log"
    for number in range(5):
        path.write_text(f"{number}\n" * 10)
        rotate(path, max_bytes=10, kept=2)

    assert sorted(found.name for found in tmp_path.iterdir()) == ["a.log", "a.log.1", "a.log.2"]
    assert (tmp_path / "a.log.1").read_text().startswith("4")
    assert (tmp_path / "a.log.2").read_text().startswith("3")


def test_a_small_or_missing_log_is_left_alone(tmp_path: Path):
    (tmp_path / "a.log").write_text("x")

    assert rotate(tmp_path / "a.log", max_bytes=10) is False
    assert rotate(tmp_path / "ghost.log", max_bytes=10) is False


def test_the_tail_of_a_long_log_is_exact(tmp_path: Path):
    path = tmp_path / "a.log"
    path.write_text("".join(f"line {number} {'x' * 90}\n" for number in range(5000)))

    assert [line.split()[1] for line in tail(path, 1200)] == [str(number) for number in range(3800, 5000)]
    assert tail(path, 0) == []
    assert tail(tmp_path / "ghost.log", 5) == []


def test_following_gives_whole_lines_and_survives_a_rotation(tmp_path: Path):
    path = tmp_path / "a.log"
    path.write_text("one\ntwo\nhal")
    text, offset = read_new(path, 0)
    assert text == "one\ntwo\n"

    with path.open("a") as log:
        log.write("f\n")
    text, offset = read_new(path, offset)
    assert text == "half\n"

    path.write_text("new\n")
    assert read_new(path, offset)[0] == "new\n"


def test_a_new_log_can_be_read_by_its_owner_only(tmp_path: Path):
    open_log(tmp_path / "logs" / "a.log").close()

    assert (tmp_path / "logs" / "a.log").stat().st_mode & 0o077 == 0


def test_every_log_of_a_folder_is_bounded_and_other_files_are_left_alone(tmp_path: Path):
    for name in ("a.log", "supervisor.log", "stack.json"):
        (tmp_path / name).write_text("x" * 20)
    old = tmp_path / "a.log.2"
    old.touch()
    os.utime(old, (0, 0))

    bound_logs(tmp_path, max_bytes=10)

    assert sorted(one.name for one in tmp_path.iterdir()) == [
        "a.log",
        "a.log.1",
        "stack.json",
        "supervisor.log",
        "supervisor.log.1",
    ]
