"""A log that is renamed while it is written, with nothing lost, and read across its parts."""

import os
import subprocess
import sys
from pathlib import Path

from tidegate.log_files import Following, OwnLog, forget_old, older_parts, open_log, rotate


def test_a_writer_that_follows_loses_nothing_over_many_rotations(tmp_path: Path):
    path = tmp_path / "a.log"
    with open_log(path) as log:
        own = OwnLog.here(path, (log.fileno(),))
        assert own is not None
        for number in range(50):
            if number % 5 == 0:
                rotate(path, max_bytes=0, kept=100)
            if number % 3 == 0:
                own.follow()
            os.write(log.fileno(), f"{number}\n".encode())

    parts = [part for _, part in reversed(older_parts(path))]
    lines = [line for part in (*parts, path) for line in part.read_text().split()]
    assert sorted(map(int, lines)) == list(range(50))
    assert len(parts) > 3


def test_an_output_that_is_no_file_is_never_moved(tmp_path: Path):
    path = tmp_path / "a.log"
    path.touch()
    reader, writer = os.pipe()
    try:
        assert OwnLog.here(path, (writer,)) is None
    finally:
        os.close(reader)
        os.close(writer)


def test_a_forked_run_that_was_given_a_pipe_keeps_it(tmp_path: Path):
    path = tmp_path / "a.log"
    reader, writer = os.pipe()
    with open_log(path) as log:
        own = OwnLog.here(path, (log.fileno(),))
        assert own is not None
        os.dup2(writer, log.fileno())
        rotate(path, max_bytes=-1)

        assert own.follow() is False
        os.write(log.fileno(), b"told\n")
    os.close(writer)
    with os.fdopen(reader) as told:
        assert told.read() == "told\n"


def test_a_process_whose_log_was_renamed_before_it_looked_finds_the_new_one(tmp_path: Path):
    path = tmp_path / "a.log"
    with open_log(path) as log:
        rotate(path, max_bytes=-1)
        own = OwnLog.here(path, (log.fileno(),))
        assert own is not None
        assert own.follow() is True
        os.write(log.fileno(), b"new\n")
    assert path.read_text() == "new\n"


def test_standard_output_and_error_move_together(tmp_path: Path):
    path = tmp_path / "a.log"
    program = (
        "import os, sys\nfrom tidegate.log_files import OwnLog, rotate\nfrom pathlib import Path\n"
        "path = Path(sys.argv[1])\nown = OwnLog.here(path)\nprint('old', flush=True)\nrotate(path, max_bytes=0)\n"
        "own.follow()\nprint('out', flush=True)\nprint('err', file=sys.stderr, flush=True)\n"
    )
    with open_log(path) as log:
        subprocess.run([sys.executable, "-c", program, str(path)], stdout=log, stderr=log, check=True)

    assert path.read_text() == "out\nerr\n"
    assert path.with_name("a.log.1").read_text() == "old\n"


def test_following_a_renamed_log_gives_each_line_once(tmp_path: Path):
    path = tmp_path / "a.log"
    seen: list[str] = []
    with open_log(path) as log:
        own = OwnLog.here(path, (log.fileno(),))
        assert own is not None
        following = Following(path, from_end=False)
        for number in range(12):
            if number in (4, 8):
                rotate(path, max_bytes=0)
                seen += following.read()
            if number in (5, 9):
                own.follow()
            os.write(log.fileno(), f"{number}\n".encode())
            seen += following.read()
    seen += following.read()
    following.close()
    assert seen == [str(number) for number in range(12)]


def test_following_waits_for_a_log_that_is_not_there_yet(tmp_path: Path):
    path = tmp_path / "a.log"
    following = Following(path, from_end=True)
    assert list(following.read()) == []
    path.write_text("first\nhal")
    assert list(following.read()) == ["first"]
    following.close()


def test_parts_beyond_the_number_or_the_age_are_forgotten(tmp_path: Path):
    path = tmp_path / "a.log"
    path.write_text("now\n")
    for number in range(1, 5):
        part = path.with_name(f"a.log.{number}")
        part.touch()
        os.utime(part, (1000.0 - number, 1000.0 - number))
    (tmp_path / "a.log.note").touch()

    assert [one.name for one in forget_old(path, kept=3, kept_s=1e9, now=1000.0)] == ["a.log.4"]
    assert [one.name for one in forget_old(path, kept=3, kept_s=2.5, now=1000.0)] == ["a.log.3"]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.log", "a.log.1", "a.log.2", "a.log.note"]
