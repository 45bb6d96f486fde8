"""`tidegate policy`: show, check and replay, as people and programs see them."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.unit.steps.measured_runs import noise, run
from tidegate.domain import ModelVersion, Plan, ReleaseRequest, ServiceRef
from tidegate.ledger import Ledger
from tidegate.settings import SOURCE_ROOT
from tidegate.steps.judging import judge_rounds
from tidegate.steps.performance import ROUNDS
from tidegate.steps.rounds import Round

CHAT = "swaggystacks/support-chat"
FILE = SOURCE_ROOT / "deployments" / "policies" / "swaggystacks.yaml"


def write(folder: Path, text: str) -> str:
    path = folder / "new.yaml"
    path.write_text(text)
    return str(path)


def test_show_says_where_each_value_comes_from(run: Any):
    shown = json.loads(run("policy", "show", CHAT, "--json").stdout)

    sources = {row["field"]: row["source"] for row in shown["values"]}
    assert sources["quality.margin"].startswith("swaggystacks.yaml:")
    line = int(sources["quality.margin"].rpartition(":")[2])
    assert FILE.read_text().splitlines()[line - 1].strip().startswith("margin:")
    assert sources["performance.alpha"] == "built in"


def test_show_changed_leaves_out_what_nobody_set(run: Any):
    text = run("policy", "show", CHAT, "--changed").stdout

    assert "quality.margin" in text
    assert "performance.alpha" not in text


def test_a_service_that_does_not_exist_is_bad_input(run: Any):
    assert run("policy", "show", "swaggystacks/nothing").exit_code == 2
    assert "There is no organization 'nobody'" in run("policy", "show", "nobody/chat").stderr


def test_the_policies_of_the_project_are_sound_and_decide(run: Any):
    for org in ("swaggystacks", "scientiacapital"):
        checked = run("policy", "check", str(FILE.with_name(f"{org}.yaml")), "--strict")

        assert checked.exit_code == 0, checked.stdout


@pytest.mark.parametrize(
    ("text", "line", "said", "remedy"),
    [
        ("quality:\n  margin: 5\n", 2, "quality.margin", "Correct the value (it is 5)."),
        ("performance:\n  design:\n    block_pair: 4\n", 3, "block_pair", "Did you mean 'block_pairs'?"),
        ("performance:\n  design: {block_pairs: 8}\n  budget: {max_block_pairs: 3}\n", 1, "raise the budget", ""),
        ("quality:\n  margin: .inf\n", 2, "quality.margin is inf", "finite"),
        ("quality:\n  slices: {refunds: {margin: 2}}\n", 2, "slices.refunds.margin", ""),
    ],
)  # fmt: skip
def test_check_names_field_line_and_remedy(
    run: Any, tmp_path: Path, text: str, line: int, said: str, remedy: str
):
    checked = run("policy", "check", write(tmp_path, text))

    assert checked.exit_code == 2
    assert f"new.yaml:{line}: " in checked.stdout
    assert said in checked.stdout
    assert remedy in checked.stdout


def test_check_tells_every_error_at_once(run: Any, tmp_path: Path):
    wrong = write(tmp_path, "quality: {margin: 5, alpha: 2}\nshift: {look_s: -1}\n")

    errors = json.loads(run("policy", "check", wrong, "--json").stdout)["errors"]

    assert [error["field"] for error in errors] == ["quality.margin", "quality.alpha", "shift.look_s"]
    assert [error["line"] for error in errors] == [1, 1, 2]


def test_check_warns_of_what_the_evidence_cannot_decide_and_fails_only_when_strict(run: Any, tmp_path: Path):
    hopeless = write(tmp_path, "quality: {bank: pipit, margin: 0.02}\n")

    assert "can never decide a margin of 2 points" in run("policy", "check", hopeless).stdout
    assert run("policy", "check", hopeless).exit_code == 0
    assert run("policy", "check", hopeless, "--strict").exit_code == 1


def test_check_advises_to_rewrite_the_flat_form(run: Any, tmp_path: Path):
    flat = write(tmp_path, "performance: {requests: 24, max_ttft_p50_ratio: 1.5}\n")

    checked = run("policy", "check", flat)

    assert checked.exit_code == 0
    assert "flat form" in checked.stdout


def released(home: Path, slowdown: float, state: str = "done") -> str:
    """A release that was promoted on 6 block pairs of a candidate so many times as slow; returns its id."""
    from tidegate.access import read_policy

    policy, ref = read_policy(FILE), ServiceRef.parse(CHAT)
    home.mkdir()
    ledger = Ledger.open(f"sqlite:///{home / 'ledger.sqlite3'}")
    ledger.register_version(
        ModelVersion(
            org=ref.org, name="pipit", version="v2", digest="1" * 64, size_bytes=1, path="/x",
            registered_at=datetime(2026, 11, 26, tzinfo=UTC),
        )
    )  # fmt: skip
    wish = ReleaseRequest(org=ref.org, service=ref.service, model="pipit", version="v2")
    release = ledger.request_release(wish, "1" * 64, key="k")
    epoch = ledger.acquire_lock(ref, release.id)
    assert epoch is not None
    plan = Plan(
        green_set="g", green_digest="1" * 64, blue_set="b", blue_digest="2" * 64, blue_version="pipit:v1",
        ladder=(100,), gates=(), policy_digest=policy.digest,
    )  # fmt: skip
    planned = {"policy": policy.model_dump(mode="json")}
    ledger.append(release.id, epoch, "entered", "planned", planned, plan=plan)
    made = Round(0, 6, 1.0, 2, run("candidate", noise(1, 6, slowdown, 0.01)), run("live", [1.0] * 6))
    ledger.record_result(ROUNDS, "rounds-of-it:1", made.as_data())
    rows = [
        row.model_copy(update={"data": {**row.data, "rounds": {"key": "rounds-of-it", "count": 1}}})
        for row in judge_rounds([made], policy.performance, is_spent=True).rows
    ]
    ledger.add_evidence(release.id, rows, digest="1" * 64, policy_digest=policy.digest)
    ledger.append(release.id, epoch, "entered", state, {"reason": "as told"})
    ledger.close()
    return release.id


STRICT = "performance:\n  metrics: {ttft_p95: null, ttft_p50: {max_slowdown: 0.1, floor_ms: 1}, itl_p50: {max_slowdown: 0.1}}\n"


def test_replay_shows_which_release_would_have_ended_otherwise(
    home: Path, tmp_path: Path, request: pytest.FixtureRequest
):
    release_id = released(home, slowdown=1.3)
    command = request.getfixturevalue("run")
    strict = write(tmp_path, STRICT)

    replayed = command("policy", "replay", strict, "--service", CHAT)

    assert replayed.exit_code == 1
    assert release_id in replayed.stdout
    assert "performance.ttft: pass -> fail" in replayed.stdout
    assert "It would have stopped 1 and held 0 of 1 promoted releases" in replayed.stdout
    data = json.loads(command("policy", "replay", strict, "--since", "30", "--json").stdout)
    assert data["releases"][0]["then"] == "promoted"
    assert data["releases"][0]["now"] == "stopped"


def test_a_release_that_is_under_way_has_not_been_promoted(home: Path, request: pytest.FixtureRequest):
    released(home, slowdown=1.3, state="judging")

    replayed = request.getfixturevalue("run")("policy", "replay", str(FILE))

    assert "nothing to compare" in replayed.stdout


def test_replay_without_releases_says_so(run: Any):
    replayed = run("policy", "replay", str(FILE))

    assert replayed.exit_code == 0
    assert "nothing to compare" in replayed.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("missing.yaml",), "There is no policy file"),
        ((str(FILE), "--since", "soon"), "neither a number of days"),
        ((str(FILE), "--since", "99999999999"), "neither a number of days"),
    ],
)
def test_replay_refuses_what_it_cannot_read(run: Any, arguments: tuple[str, ...], said: str):
    replayed = run("policy", "replay", *arguments)

    assert replayed.exit_code == 2
    assert said in replayed.stderr
