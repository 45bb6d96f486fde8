from pathlib import Path

import pytest

from tidegate.domain import InvalidInput
from tidegate.platforms.runpod.emulator.images import Images, parse_mapping, rewritten_paths
from tidegate.platforms.runpod.emulator.timings import Timings

images = Images(worker_source=Path("/src"), commands={"flow": ("prefect", "{args}"), "echo": ("echo",)})


def test_the_worker_image_runs_the_real_entrypoint():
    command = images.command("registry.example/tidegate-worker@sha256:abc")
    assert command is not None
    assert command[1:] == ["-m", "tidegate_worker"]


def test_an_unknown_image_cannot_be_pulled():
    assert images.command("nobody/knows:latest") is None


def test_arguments_go_where_the_mapping_wants_them():
    assert images.command("my/flow:1", "flow-run execute 'a b'") == ["prefect", "flow-run", "execute", "a b"]
    assert images.command("my/echo:1", "ignored") == ["echo"]


def test_a_container_sees_nothing_of_our_environment_but_what_it_needs(monkeypatch):
    monkeypatch.setenv("TIDEGATE_SECRET_X", "hidden")
    env = images.environment(Path("/home"), {"A": "1"})
    assert env["HOME"] == "/home"
    assert env["A"] == "1"
    assert "TIDEGATE_SECRET_X" not in env


@pytest.mark.parametrize("value", ["/runpod-volume/x.gguf", "file:///runpod-volume/x.gguf"])
def test_paths_on_a_volume_lead_to_its_folder_here(value):
    moved = rewritten_paths({"U": value, "V": "/runpod-volumes/x"}, "/runpod-volume", Path("/here"))
    assert moved["U"].endswith("/here/x.gguf")
    assert moved["V"] == "/runpod-volumes/x"


@pytest.mark.parametrize("text", ["no-command", "=x", "name=", "name='open"])
def test_a_mapping_that_names_no_command_is_refused(text):
    with pytest.raises(InvalidInput):
        parse_mapping(text)


def test_timings_are_set_by_name_in_their_own_type():
    changed = Timings().with_texts({"lease_lost_s": "3", "rate_minute": "7"})
    assert (changed.lease_lost_s, changed.rate_minute) == (3.0, 7)


@pytest.mark.parametrize("texts", [{"no_such": "1"}, {"tick_s": "soon"}])
def test_a_timing_without_meaning_is_refused(texts):
    with pytest.raises(InvalidInput):
        Timings().with_texts(texts)
