"""What a batch stands for, and how its results are told."""

from pathlib import Path

import pytest

from tidegate import steps
from tidegate.domain import Evidence, Gate, InvalidInput, NotFound, Refused, ServiceRef, Verdict
from tidegate.steps.batch import batch_markdown, subjects
from tidegate.steps.files import FileResult
from tidegate.steps.versions import compare_files, named_version

ACME = ServiceRef("acme", "chat")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "candidates"
    made.mkdir()
    for name in ("a.gguf", "b.gguf", "notes.md"):
        (made / name).write_bytes(name.encode())
    return made


def test_folders_files_and_patterns_stand_for_each_file_once(office, folder: Path):
    found = subjects(office.ports, ACME, [str(folder), str(folder / "*.gguf"), str(folder / "a.gguf")], [])
    assert [Path(one.name).name for one in found] == ["a.gguf", "b.gguf"]
    assert not any(one.is_version for one in found)


def test_versions_are_those_that_the_service_may_serve(office, folder: Path):
    for version, content in (("v8", "one"), ("v9", "two")):
        file = folder / f"{version}.bin"
        file.write_text(content)
        steps.register_model(office.ports, "acme", "finch", version, file)
        steps.register_model(office.ports, "acme", "wren", version, file)
    found = subjects(office.ports, ACME, [], ["*:v[89]"])
    assert {one.name for one in found} == {"finch:v8", "finch:v9"}
    assert all(one.is_version for one in found)
    with pytest.raises(InvalidInput, match="names no registered version"):
        subjects(office.ports, ACME, [], ["wren:*"])


@pytest.mark.parametrize(
    ("paths", "reason"), [([], "nothing to validate"), (["{}/x*.gguf"], "matches no file")]
)
def test_what_stands_for_nothing_is_refused(office, folder: Path, paths: list[str], reason: str):
    with pytest.raises(InvalidInput, match=reason):
        subjects(office.ports, ACME, [path.format(folder) for path in paths], [])


def test_the_stores_own_files_are_not_read_by_path(office):
    place = office.ports.settings.store_dir / "aa"
    place.mkdir(parents=True)
    (place / "x.gguf").write_bytes(b"x")
    with pytest.raises(Refused):
        subjects(office.ports, ACME, [str(place)], [])


def test_the_report_shows_what_must_not_be_deployed_first():
    def row(check: str, verdict: Verdict, text: str) -> Evidence:
        return Evidence(gate=Gate.STRUCTURE, check=check, verdict=verdict, summary=text)

    good = FileResult("/m/a.gguf", "1" * 64, "deploy", (row("gguf.structure", Verdict.PASS, "fine"),))
    bad = FileResult("/m/b.gguf", "2" * 64, "do_not_deploy", (row("gguf.numbers", Verdict.FAIL, "3 NaN"),))
    lost = FileResult("/m/c.gguf", "", "do_not_deploy: no such file", ())
    text = batch_markdown([good, bad, lost])
    assert text.startswith("# 3 artifacts: 1 may be deployed, 2 must not")
    assert text.index("b.gguf") < text.index("c.gguf") < text.index("a.gguf")
    assert "3 NaN" in text
    assert "no such file" in text
    assert "| gguf.numbers | 1 |" in text


def test_versions_are_named_by_label_or_alias(office, folder: Path):
    file = folder / "one.bin"
    file.write_text("one")
    steps.register_model(office.ports, "acme", "finch", "v8", file)
    assert named_version(office.ports, ACME, "finch:v8").version == "v8"
    with pytest.raises(NotFound, match="no champion yet"):
        named_version(office.ports, ACME, "champion")
    with pytest.raises(InvalidInput, match="names no version"):
        named_version(office.ports, ACME, "finch")


def test_a_digest_of_another_organization_is_not_compared(office, folder: Path):
    file = folder / "one.bin"
    file.write_text("one")
    theirs = steps.register_model(office.ports, "bolt", "finch", "v8", file)
    with pytest.raises(NotFound):
        compare_files(office.ports, f"{ACME}@{theirs.digest}..{theirs.digest}")
    with pytest.raises(InvalidInput, match="names no two files"):
        compare_files(office.ports, f"{ACME}@{theirs.digest}")
