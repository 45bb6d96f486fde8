"""Files appear whole, private, and by one writer."""

import stat

import pytest

from tidegate.domain import Refused
from tidegate.gateway.files import read_json, single_writer, write_whole


def test_a_file_is_replaced_by_rename_and_private(tmp_path):
    path = tmp_path / "xds" / "rds.json"
    write_whole(path, b"{}")
    before = path.stat().st_ino

    write_whole(path, b'{"a": 1}')

    assert path.stat().st_ino != before
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["rds.json"]


@pytest.mark.parametrize("content", [None, b"", b"{", b"[1]", b"\xff\xfe"])
def test_what_is_no_json_object_reads_as_nothing(tmp_path, content):
    path = tmp_path / "state.json"
    if content is not None:
        path.write_bytes(content)

    assert read_json(path) is None


def test_a_second_writer_is_refused_until_the_first_is_gone(tmp_path):
    lock = tmp_path / "writer.lock"
    with single_writer(lock), pytest.raises(Refused, match="already runs"), single_writer(lock):
        pass

    with single_writer(lock):
        assert lock.exists()
