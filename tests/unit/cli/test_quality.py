"""`tidegate quality` against small servers: what it asks, keeps, writes and exits with."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.openai_server import FakeModel, served

Run = Callable[..., Any]
QUESTIONS = 60


def says(text: str) -> str:
    return text.removeprefix("say ")


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    lines = [
        {
            "id": f"q{n}", "topic": "even" if n % 2 == 0 else "odd", "prompt": f"say {n}", "expect": str(n),
            "scorer": "exact", "tags": ["first"] if n < 10 else [],
        }
        for n in range(QUESTIONS)
    ]  # fmt: skip
    path = tmp_path / "numbers.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def good() -> Iterator[FakeModel]:
    with served(FakeModel(says)) as model:
        yield model


@pytest.fixture
def bad() -> Iterator[FakeModel]:
    """Wrong in every fifth question."""
    wrong = {f"say {n}" for n in range(0, QUESTIONS, 5)}
    with served(FakeModel(lambda text: "no" if text in wrong else says(text), name="cd" * 32)) as model:
        yield model


def result_of(run: Run, *arguments: str, **environ: str) -> tuple[int, dict[str, Any]]:
    done = run("quality", *arguments, "--json", **environ)
    return done.exit_code, json.loads(done.stdout)


def test_a_bank_is_asked_scored_kept_and_shown_again(run: Run, good: FakeModel, bank: Path):
    done = run("quality", "run", good.base_url, str(bank), "--label", "mine")
    assert done.exit_code == 0, done.stderr
    assert f"{QUESTIONS} of {QUESTIONS} right" in done.stdout
    listed = json.loads(run("quality", "list", "--json").stdout)
    assert [(one["label"], one["kind"], one["digest"]) for one in listed] == [("mine", "quality", "ab" * 32)]
    shown = run("quality", "show", listed[0]["id"][:12])
    assert shown.stdout.startswith("# mine: passes")


def test_the_same_file_is_not_asked_twice_unless_that_is_wanted(run: Run, good: FakeModel, bank: Path):
    run("quality", "run", good.base_url, str(bank), "--concurrency", "1")
    first = good.asked
    _, again = result_of(run, "run", good.base_url, str(bank), "--concurrency", "1")
    assert good.asked == first == QUESTIONS
    assert f"{QUESTIONS} answers were kept" in again["candidate"]["notes"][0]
    run("quality", "run", good.base_url, str(bank), "--concurrency", "1", "--no-resume")
    assert good.asked == 2 * QUESTIONS


def test_a_server_that_does_not_say_what_it_serves_is_asked_every_time(run: Run, bank: Path):
    with served(FakeModel(says, name="gpt")) as model:
        run("quality", "run", model.base_url, str(bank))
        _, found = result_of(run, "run", model.base_url, str(bank))
    assert model.asked == 2 * QUESTIONS
    assert any("does not say which file" in note for note in found["candidate"]["notes"])


def test_only_the_wished_for_questions_are_asked(run: Run, good: FakeModel, bank: Path):
    _, by_tag = result_of(run, "run", good.base_url, str(bank), "--tags", "first", "--tags", "odd")
    assert len(by_tag["candidate"]["results"]) == 35
    _, limited = result_of(run, "run", good.base_url, str(bank), "--limit", "7")
    assert len(limited["candidate"]["results"]) == 7
    refused = run("quality", "run", good.base_url, str(bank), "--tags", "nothing")
    assert refused.exit_code == 2
    assert "It has: even, first, odd" in refused.stderr


def test_a_score_below_the_minimum_is_exit_code_1(run: Run, bad: FakeModel, bank: Path):
    code, found = result_of(run, "run", bad.base_url, str(bank), "--min-score", "0.9")
    assert (code, found["verdict"]) == (1, "fail")


def test_a_worse_candidate_fails_and_what_it_lost_stands_side_by_side(
    run: Run, good: FakeModel, bad: FakeModel, bank: Path, tmp_path: Path
):
    folder = tmp_path / "reports"
    done = run(
        "quality", "compare", good.base_url, bad.base_url, "--bank", str(bank), "--output-dir", str(folder)
    )
    assert done.exit_code == 1, done.stderr
    assert "12 lost and 0 won" in done.stdout
    assert sorted(path.suffix for path in folder.iterdir()) == [".html", ".json", ".md"]
    page = next(folder.glob("*.html")).read_text()
    assert "<pre>say 15</pre>" in page
    assert "<script" not in page


def test_a_better_candidate_passes(run: Run, good: FakeModel, bad: FakeModel, bank: Path):
    code, found = result_of(run, "compare", bad.base_url, good.base_url, "--bank", str(bank))
    assert (code, found["verdict"]) == (0, "pass")
    assert found["floor"]["other_score"] == 0


def test_too_few_questions_are_exit_code_3_and_say_how_many_would_do(run: Run, good: FakeModel, bank: Path):
    with served(FakeModel(says, name="ef" * 32)) as other:
        code, found = result_of(
            run, "compare", good.base_url, other.base_url, "--bank", str(bank), "--limit", "20"
        )
    assert (code, found["verdict"]) == (3, "not_judged")
    assert any("about 32 more questions would decide" in row["summary"] for row in found["rows"])


def test_early_stopping_asks_less(run: Run, good: FakeModel, bad: FakeModel, bank: Path):
    arguments = ("compare", good.base_url, bad.base_url, "--bank", str(bank), "--early-stop", "--no-floor")
    code, found = result_of(run, *arguments, "--repeat", "2")
    assert code == 1
    assert len(found["candidate"]["results"]) < QUESTIONS
    assert found["candidate"]["settings"]["early_stopping"] is True


def test_two_stored_results_are_compared_later(run: Run, good: FakeModel, bad: FakeModel, bank: Path):
    _, first = result_of(run, "run", good.base_url, str(bank), "--repeat", "2")
    _, second = result_of(run, "run", bad.base_url, str(bank), "--repeat", "2")
    code, found = result_of(run, "compare", first["id"], second["id"])
    assert (code, found["what"]) == (1, "comparison")
    assert found["floor"]["compared"] == QUESTIONS


def test_a_target_without_a_bank_and_a_pair_of_one_file_are_refused(run: Run, good: FakeModel, bank: Path):
    no_bank = run("quality", "compare", good.base_url, good.base_url)
    assert (no_bank.exit_code, "--bank" in no_bank.stderr) == (2, True)
    same = run("quality", "compare", good.base_url, good.base_url, "--bank", str(bank))
    assert (same.exit_code, "same file" in same.stderr) == (2, True)


def test_a_key_is_read_from_a_variable_and_is_in_no_output(run: Run, bank: Path, tmp_path: Path):
    with served(FakeModel(says, key="k-very-secret")) as model:
        refused = run("quality", "run", model.base_url, str(bank))
        assert refused.exit_code == 2
        assert "HTTP 401" in refused.stderr
        done = run(
            "quality", "run", model.base_url, str(bank), "--key-env", "MODEL_KEY", "-o", str(tmp_path / "out"),
            MODEL_KEY="k-very-secret",
        )  # fmt: skip
    assert done.exit_code == 0
    written = "".join(path.read_text() for path in (tmp_path / "out").iterdir())
    assert "k-very-secret" not in done.stdout + done.stderr + written


@pytest.mark.parametrize(
    ("target", "says_what"),
    [
        ("http://user:pw@host/v1", "everyone who lists processes"),
        ("https://host/v1?key=1", "everyone who lists processes"),
        ("ftp://host/v1", "no URL of HTTP"),
        ("nothing-of-the-kind", "no URL, no file and no service"),
        ("missing.gguf", "There is no file"),
    ],
)
def test_a_target_that_is_none_is_told_so_without_repeating_secrets(
    run: Run, bank: Path, target: str, says_what: str
):
    done = run("quality", "run", target, str(bank))
    assert done.exit_code == 2
    assert says_what in done.stderr
    assert "pw" not in done.stderr


def test_a_server_that_is_not_there_is_no_verdict(run: Run, bank: Path):
    done = run("quality", "run", "http://127.0.0.1:9/v1", str(bank))
    assert done.exit_code == 3
    assert "does not answer" in done.stderr


def test_a_judge_gives_advice_beside_the_scores(run: Run, good: FakeModel, bad: FakeModel, bank: Path):
    def prefer(text: str) -> str:
        first, second = text.split("<answer-A>\n")[1].split("\n</answer-A>")[0], text.split("<answer-B>\n")[1]
        second = second.split("\n</answer-B>")[0]
        return "T" if first == second else "B" if first == "no" else "A"

    with served(FakeModel(prefer, name="judge-1")) as judge:
        code, found = result_of(
            run, "compare", good.base_url, bad.base_url, "--bank", str(bank), "--judge", judge.base_url,
            "--judge-model", "judge-1",
        )  # fmt: skip
    row = next(row for row in found["rows"] if row["check"] == "quality.judge")
    assert code == 1
    assert (row["verdict"], row["data"]["lost"]) == ("not_judged", 12)
    unpinned = run("quality", "compare", "a.gguf", "b.gguf", "--bank", str(bank), "--judge", "http://j/v1")
    assert (unpinned.exit_code, "--judge-model" in unpinned.stderr) == (2, True)
