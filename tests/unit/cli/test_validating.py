"""`tidegate validate` without a process: what it prints, names, tells a webhook, and how it refuses bad options."""

import _thread
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.unit.validation.sample_reports import HOSTILE, hostile, refused, report, sound
from tidegate.cli.artifact_names import whole_artifacts
from tidegate.cli.validation_files import ReportFolder, notify, summary_of
from tidegate.cli.validation_run import Done, Quiet, is_without_fault, run_all
from tidegate.cli.validation_view import print_many, print_one
from tidegate.domain import NotFound
from tidegate.validation import ValidationReport
from tidegate.validation.report import Recommendation


@pytest.fixture(autouse=True)
def _width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")


def _done(made: ValidationReport, name: str = "a.gguf") -> Done:
    return Done(Path("/models") / name, report=made)


def _shown(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_a_refusal_says_verdict_place_and_what_to_do(capsys: pytest.CaptureFixture[str]):
    print_one(_done(refused()))
    text = _shown(capsys)
    assert text.startswith("Do not deploy; roll back: pipit-8b v4")
    assert "tokenizer.ggml.eos_token_id, byte 7412" in text
    assert "Set tokenizer.ggml.eos_token_id to the token" in text
    assert "Without a result then: inference.load" in text
    assert "blk.0.ffn_up.weight, byte 2400000000, and 7 more" in text


def test_a_sound_file_is_told_in_a_few_lines(capsys: pytest.CaptureFixture[str]):
    print_one(_done(sound()))
    text = _shown(capsys)
    assert "Deploy: pipit-8b v4" in text
    assert "What to do" not in text
    assert "Cheapest GPU that it fits: NVIDIA RTX A4000, $0.17/h." in text
    assert len(text.splitlines()) < 16


def test_a_quick_look_that_finds_nothing_is_no_refusal_and_no_permission(capsys: pytest.CaptureFixture[str]):
    update = {"profile": "quick", "recommendation": Recommendation.DO_NOT_DEPLOY}
    clean, bad = sound().model_copy(update=update), refused().model_copy(update=update)
    print_many([_done(clean), _done(clean, "b.gguf")])
    text = _shown(capsys)
    assert "Do not deploy" not in text
    assert "2 of 2 have nothing wrong in the header." in text
    assert is_without_fault(_done(clean))
    assert not _done(clean).may_be_deployed
    assert not is_without_fault(_done(bad))
    print_one(_done(clean))
    assert "It never suffices to deploy" in " ".join(_shown(capsys).split())
    print_one(_done(bad))
    assert _shown(capsys).startswith("Do not deploy")


def test_many_files_end_in_one_table_with_what_refuses_each(capsys: pytest.CaptureFixture[str]):
    missing = Done(Path("/models/c.gguf"), error=NotFound("There is no file c.", remedy="Check the path."))
    print_many([_done(sound()), _done(refused(), "b.gguf"), missing])
    text = _shown(capsys)
    rows = text[text.index("FILE ") :]
    assert "V-EOS, N-NAN, C-WORD, latency.decode" in rows
    assert "Not validated" in rows
    assert "1 of 3 may be deployed." in rows


def test_no_text_of_a_file_acts_on_the_terminal(capsys: pytest.CaptureFixture[str]):
    odd = Done(Path(f"/m/{HOSTILE.replace('/', '_')}"), report=hostile())
    print_one(odd)
    print_many([odd, odd])
    assert all(line.isprintable() for line in _shown(capsys).split("\n"))


def test_a_run_gives_results_in_the_order_of_its_files_and_goes_on_after_one_that_is_missing():
    def work(path: Path, stage: Any) -> ValidationReport:
        if path.name == "b":
            raise NotFound("gone", remedy="look")
        return sound()

    results = run_all([Path("a"), Path("b"), Path("c"), Path("a")], work, Quiet())
    assert [(done.path.name, done.may_be_deployed) for done in results] == [
        ("a", True),
        ("b", False),
        ("c", True),
    ]
    assert results[1].error is not None


def test_an_interrupt_waits_until_every_thread_has_returned():
    begun, goes_on, ended = threading.Barrier(2), threading.Event(), threading.Event()

    def work(path: Path, stage: Any) -> ValidationReport:
        if path.name == "quick":
            begun.wait(60)
            return sound()
        begun.wait(60)
        goes_on.wait(60)
        ended.set()
        return sound()

    def interrupted(done: Done) -> None:
        goes_on.set()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_all([Path("quick"), Path("slow")], work, Quiet(), on_done=interrupted, at_once=2)
    assert ended.is_set()


def test_reports_of_files_with_one_name_do_not_overwrite_each_other(tmp_path: Path):
    paths = [Path("/a/model.gguf"), Path("/b/model.gguf"), Path("/b/\x1b.gguf")]
    folder = ReportFolder(tmp_path / "out", paths, ["json", "html", "sarif"])
    results = [Done(path, report=sound()) for path in paths]
    for done in results:
        folder.write(done)
    folder.write_together(results)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [
        "_x1b.html", "_x1b.json", "model-2.html", "model-2.json", "model.html", "model.json", "validation.sarif",
    ]  # fmt: skip
    assert folder.told() == f"7 reports in {tmp_path / 'out'}"


def test_a_webhook_is_told_verdicts_and_rules_and_nothing_a_file_says():
    told = summary_of([_done(refused()), _done(report(), "empty.gguf")])
    assert told["may_be_deployed"] is False
    assert told["files"][0]["refused_by"] == ["V-EOS", "N-NAN", "C-WORD", "latency.decode"]
    assert "message" not in json.dumps(told)
    assert "/models" not in json.dumps(told)


def test_a_webhook_that_cannot_be_reached_is_a_warning_without_its_address(
    capsys: pytest.CaptureFixture[str],
):
    notify("http://127.0.0.1:9/secret-path", [_done(sound())])
    text = capsys.readouterr().err
    assert "Warning: 127.0.0.1 was not told: ConnectError." in text
    assert "secret-path" not in text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--digest", "0" * 64), "--digest is for one file."),
        (("--version", "v2"), "--version is for one file."),
        (("--profile", "slow"), "Use one of: quick, standard, deep."),
        (("--notify", "file:///etc/passwd"), "begins with http:// or https://"),
        (("--policy", "swaggystacks", "--service", "swaggystacks/support-chat"), "Give one."),
        (("--policy", "nobody"), "There is no policy file nobody."),
        (("--service", "nobody/chat"), "There is no organization 'nobody'."),
        (("--baseline", "v1:v2"), "Name the organization too"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_options_that_make_no_sense_are_bad_input_before_anything_is_read(
    run: Any, options: tuple[str, ...], said: str
):
    result = run("validate", "/nowhere/a.gguf", "/nowhere/b.gguf", *options)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_file_that_is_not_there_is_told_as_one_of_the_results(run: Any):
    result = run("validate", "/nowhere/a.gguf", "--json")
    assert result.exit_code == 2
    told = json.loads(result.stdout)
    assert told[0]["error"]["code"] == "TG-2002"
    assert told[0]["may_be_deployed"] is False


def test_the_parts_of_a_split_model_are_one_artifact_however_they_are_named(tmp_path: Path):
    parts = [tmp_path / f"m-0000{number}-of-00002.gguf" for number in (1, 2)]
    for part in parts:
        part.touch()
    assert whole_artifacts(parts) == [parts[0]]
    assert whole_artifacts([tmp_path]) == [parts[0]]
    (tmp_path / "other.gguf").touch()
    assert whole_artifacts([tmp_path, Path("/nowhere/x.gguf")]) == [tmp_path, Path("/nowhere/x.gguf")]


def test_an_interrupt_that_wakes_no_wait_still_ends_the_children(monkeypatch: pytest.MonkeyPatch):
    is_ended, seen = threading.Event(), list[bool]()
    monkeypatch.setattr("tidegate.cli.validation_run.end_children", is_ended.set)

    def work(path: Path, stage: object) -> ValidationReport:
        time.sleep(0.2)
        # Like a signal that comes just before the main thread waits: noted, and no wait ends by it.
        _thread.interrupt_main()
        seen.append(is_ended.wait(30))
        return sound()

    with pytest.raises(KeyboardInterrupt):
        run_all([Path("a.gguf")], work, Quiet())
    assert seen == [True]
