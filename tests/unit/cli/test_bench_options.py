"""`tidegate bench` before anything is sent: every wrong option is named, with what to write instead, and exit code 2."""

import json
from pathlib import Path
from typing import Any

import pytest

from tidegate.cli import bench_options as options
from tidegate.cli.bench_limits import read_limits
from tidegate.cli.bench_plan import Asked, for_server, for_way, make_plan
from tidegate.cli.endpoint_access import base_url
from tidegate.domain import InvalidInput

URL = "http://127.0.0.1:9/v1"
CANARY = "sk-canary-0123456789abcdef"


def load(**given: Any) -> options.Load:
    nothing: dict[str, Any] = {
        "rate": "", "concurrency": None, "sweep": "", "search": False, "arrivals": "", "burstiness": None,
        "duration": "", "requests": None, "trace": None, "speed": None,
    }  # fmt: skip
    return options.read_load(**(nothing | given))


def test_without_options_four_requests_are_kept_going_for_thirty_seconds():
    assert load() == options.Load("closed", concurrency=4, duration_s=30)
    plan = make_plan(load(), Asked())
    assert (plan.concurrency, plan.duration_s, plan.blocks, plan.stream) == (4, 30, 1, True)


def test_a_rate_means_poisson_arrivals_unless_said_otherwise():
    assert load(rate="4").mode == "poisson"
    assert load(rate="4", arrivals="constant").mode == "constant"
    assert load(rate="4", arrivals="gamma", burstiness=0.5).burstiness == 0.5


def test_a_sweep_is_of_concurrency_or_with_arrivals_of_rates():
    assert load(sweep="1,2,4") == options.Load("closed", levels=(1, 2, 4), duration_s=30)
    assert load(sweep="0.5,1", arrivals="constant").rate == 0.5


def test_fields_beyond_openai_are_sent_only_to_servers_that_know_them():
    plan = make_plan(load(), Asked())
    unknown, llama, vllm = (for_server(plan, Asked(), owner) for owner in ("openai", "llamacpp", "vllm"))
    assert (unknown.ignore_eos, unknown.cache_prompt) == (False, None)
    assert (llama.ignore_eos, llama.cache_prompt) == (True, False)
    assert (vllm.ignore_eos, vllm.cache_prompt) == (True, None)
    assert for_server(plan, Asked(cache_prompt=True), "openai").cache_prompt is True


def test_connections_are_kept_where_making_one_takes_a_handshake():
    plan = make_plan(load(), Asked())
    ways = [["http://a/v1"], ["https://a/v1"], ["http://a/v1", "https://b/v1"]]
    assert [for_way(plan, urls).keep_alive for urls in ways] == [False, True, True]


def test_a_run_is_one_window_unless_it_is_to_be_compared():
    assert make_plan(load(requests=100), Asked()).blocks == 1
    assert make_plan(load(duration="2m"), Asked()).blocks == 1
    assert make_plan(load(duration="2m"), Asked(blocks=10)).blocks == 10
    assert make_plan(load(), Asked(), has_two=True).blocks == 10
    assert make_plan(load(requests=4), Asked(), has_two=True).blocks == 4


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"rate": "x"}, "--rate"),
        ({"rate": "nan"}, "--rate"),
        ({"rate": "0"}, "--rate"),
        ({"rate": "1", "concurrency": 2}, "--concurrency"),
        ({"concurrency": 0}, "--concurrency"),
        ({"sweep": "4,2"}, "--sweep"),
        ({"sweep": "1"}, "--sweep"),
        ({"sweep": "1,a"}, "--sweep"),
        ({"sweep": "0.5,1"}, "--sweep"),
        ({"sweep": "1,2", "search": True}, "--search"),
        ({"arrivals": "never"}, "--arrivals"),
        ({"arrivals": "poisson"}, "--rate"),
        ({"arrivals": "poisson", "concurrency": 2}, "--arrivals"),
        ({"burstiness": 2.0}, "--burstiness"),
        ({"rate": "1", "arrivals": "gamma", "burstiness": -1.0}, "--burstiness"),
        ({"duration": "soon"}, "--duration"),
        ({"duration": "0s"}, "--duration"),
        ({"duration": "25h"}, "--duration"),
        ({"duration": "3s", "requests": 5}, "--requests"),
        ({"requests": 0}, "--requests"),
        ({"trace": Path("/no/such")}, "--trace"),
        ({"trace": Path("/no/such"), "rate": "1"}, "--trace"),
        ({"speed": 2.0}, "--trace-speed"),
    ],
)
def test_a_wrong_load_is_refused_by_the_name_of_its_option(given: dict[str, Any], field: str):
    with pytest.raises(InvalidInput) as caught:
        load(**given)
    assert caught.value.context["field"] == field
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("text", "value"), [("30", 30), ("30s", 30), ("2m", 120), ("500ms", 0.5), ("1h", 3600)]
)
def test_times_are_written_with_their_unit(text: str, value: float):
    assert options.seconds("--duration", text) == value


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://h:8080", "http://h:8080/v1"),
        ("http://h:8080/v1/", "http://h:8080/v1"),
        ("https://h/v1/chat/completions", "https://h/v1"),
        ("http://h/a/b/v1/completions", "http://h/a/b/v1"),
        ("http://[::1]:80/v1", "http://[::1]:80/v1"),
    ],
)
def test_a_url_may_be_written_as_people_write_it(url: str, base: str):
    assert base_url(url) == base


def test_a_queue_of_runpod_keeps_its_path():
    assert base_url("https://api.runpod.ai/v2/abc/run", is_queue=True) == "https://api.runpod.ai/v2/abc"


@pytest.mark.parametrize(
    "url", ["ftp://h/v1", "http://", "http://h:99999/v1", f"http://u:{CANARY}@h/v1", f"http://h/v1?key={CANARY}", "http://[::1/v1"]
)  # fmt: skip
def test_a_url_that_cannot_be_used_or_shows_a_secret_is_refused_without_repeating_it(url: str):
    with pytest.raises(InvalidInput) as caught:
        base_url(url)
    assert caught.value.context["field"] == "URL"
    assert CANARY not in str(caught.value.as_dict())


def test_keys_come_from_a_variable_or_a_file(tmp_path: Path):
    file = tmp_path / "key"
    file.write_text(CANARY + "\n")
    by_variable = options.read_access([], "MY_KEY", None, {"MY_KEY": CANARY})
    by_file = options.read_access(["x-team: search", "x-key: @MY_KEY"], "", file, {"MY_KEY": "v"})
    assert by_variable.key.reveal() == by_file.key.reveal() == CANARY
    assert by_file.headers == {"x-team": "search", "x-key": "v"}
    assert CANARY not in repr(by_file)


@pytest.mark.parametrize(
    ("headers", "key_env", "content", "field"),
    [
        ([], CANARY, None, "--key-env"),
        ([], "NOT_SET", None, "--key-env"),
        ([], "A", "x", "--key-file"),
        ([], "", "two words", "--key-file"),
        ([], "", "", "--key-file"),
        ([f"Authorization: Bearer {CANARY}"], "", None, "--header"),
        ([f"x-api-key: {CANARY}"], "", None, "--header"),
        (["no colon"], "", None, "--header"),
        (["x: @NOT_SET"], "", None, "--header"),
        (["x: a\nb"], "", None, "--header"),
        (["x-a: 1"] * 33, "", None, "--header"),
    ],
)
def test_a_wrong_key_or_header_is_refused_without_being_shown(
    tmp_path: Path, headers: list[str], key_env: str, content: str | None, field: str
):
    file = None
    if content is not None:
        file = tmp_path / "key"
        file.write_text(content)
    with pytest.raises(InvalidInput) as caught:
        options.read_access(headers, key_env, file, {"A": "a"})
    assert caught.value.context["field"] == field
    assert CANARY not in str(caught.value.as_dict())


def test_prompts_are_lines_or_json_lines(tmp_path: Path):
    file = tmp_path / "prompts"
    file.write_text('Hello\n\n{"prompt": "a"}\n{"messages": [{"role": "user", "content": "b"}]}\n')
    assert options.read_prompts(file) == ("Hello", "a", "b")
    assert options.read_prompts(None) == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no prompt"),
        (b"\xff\xfe", "no UTF-8"),
        (b'ok\n{"prompt": ', "line 2: this begins like JSON"),
        (b'{"other": 1}', "line 1: there is no prompt"),
        (b'{"messages": [{"role": "user", "content": 7}]}', "line 1: there is no prompt"),
        (b'{"messages": ["x"]}', "line 1: there is no prompt"),
    ],
)
def test_wrong_prompts_are_refused_with_file_and_line(tmp_path: Path, content: bytes, message: str):
    file = tmp_path / "prompts"
    file.write_bytes(content)
    with pytest.raises(InvalidInput, match=message) as caught:
        options.read_prompts(file)
    assert caught.value.context["field"] == "--prompts"


def test_limits_are_ratios_with_an_optional_floor():
    found = read_limits(["ttft_p95=1.1", "itl_p50=1.05,1"])
    assert found is not None
    assert {name: (one.max_ratio, one.floor_ms) for name, one in found.metrics.items()} == {
        "ttft_p95": (1.1, 5.0), "itl_p50": (1.05, 1.0),
    }  # fmt: skip
    assert read_limits([]) is None


@pytest.mark.parametrize(
    "text", ["ttft_p95", "nothing_p95=1.1", "ttft_p95=x", "ttft_p95=0", "ttft_p95=1,-1", "ttft_p95=1,2,3"]
)
def test_a_wrong_limit_is_refused(text: str):
    with pytest.raises(InvalidInput) as caught:
        read_limits([text])
    assert caught.value.context["field"] == "--limit"


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (["lst"], "URL"),
        (["acme/chat"], "org"),
        (["--rate", "4"], "URL"),
        ([URL, "--search"], "--slo"),
        ([URL, "--slo", "speed=1"], "slo"),
        ([URL, "--good", "0.9"], "--good"),
        ([URL, "--slo", "ttft=1", "--good", "1.5"], "--good"),
        ([URL, "--sweep", "1,2", "--against", URL], "--against"),
        ([URL, "--repeat-of", "x.json"], "RUN"),
        ([URL, "--repeat-of", "x.json", "--rate", "2"], "--rate"),
        ([URL, "--limit", "ttft_p95=1.2"], "--limit"),
        ([URL, "--max-tokens", "0"], "--max-tokens"),
        ([URL, "--blocks", "0"], "--blocks"),
        ([URL, "--blocks", "9", "--requests", "3"], "--blocks"),
        ([URL, "--runpod-queue", "--completions"], "--completions"),
        ([URL, "--output-dir", "/proc/none"], "--output-dir"),
        (["--self-check", URL], "--self-check"),
        (["compare", "none.json", "none.json"], "RUN"),
        (["show", "load-none"], "RUN"),
        (["export", "load-none", "--format", "pdf"], "--format"),
    ],
)
def test_wrong_input_exits_with_2_names_its_field_and_shows_no_traceback(
    run, arguments: list[str], field: str
):
    done = run("bench", *arguments, "--json")
    assert done.exit_code == 2, done.output
    error = json.loads(done.stdout)["error"]
    assert error["context"].get("field") == field or field == "org"
    assert error["message"]
    assert "Traceback" not in done.output


def test_a_server_that_is_not_there_is_not_judged_and_no_regression(run):
    done = run("bench", URL, "--json")
    assert done.exit_code == 3
    assert "cannot be reached" in json.loads(done.stdout)["error"]["message"]


def test_an_unknown_option_is_a_mistake_of_usage(run):
    assert run("bench", URL, "--no-such-option").exit_code == 2


def test_help_shows_the_options_of_a_run_and_the_other_commands(run):
    text = run("bench", "--help").stdout
    for words in (
        "[URL | ORG/SERVICE]",
        "--rate",
        "--slo",
        "compare",
        "export",
        "Exit codes",
        "--self-check",
    ):
        assert words in text
    assert run("bench", "compare", "--help").exit_code == 0
    assert "  run " not in text
