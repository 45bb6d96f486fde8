import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.platforms.runpod.emulator.bodies import CreateEndpoint, PatchEndpoint, parse
from tidegate.platforms.runpod.emulator.catalog import Catalog
from tidegate.platforms.runpod.emulator.endpoint_config import created, patched, release_diff
from tidegate.platforms.runpod.emulator.problems import Problem

CATALOG = Catalog()
LEAST = {
    "name": "chat",
    "type": "QUEUE",
    "image": "tidegate-worker:1",
    "scaling": {"type": "QUEUE_DELAY", "queueDelay": 4},
    "gpu": {"pools": ["ADA_24"]},
}
TEMPLATE = {
    "image": "from-template",
    "args": "serve",
    "disk": 50,
    "ports": ["8000/http"],
    "env": {"A": "template", "B": "template"},
    "registry": None,
    "serverless": True,
    "allowedCudaVersions": ["12.8"],
}


def create(template=None, **changes):
    body = {name: value for name, value in {**LEAST, **changes}.items() if value is not None}
    return created(parse(CreateEndpoint, json.dumps(body).encode()), template, CATALOG)


def patch(config, template=None, **changes):
    return patched(config, parse(PatchEndpoint, json.dumps(changes).encode()), template, CATALOG)


def refusal(make, *arguments, **changes):
    with pytest.raises(Problem) as caught:
        make(*arguments, **changes)
    return caught.value


def test_omitted_fields_get_the_documented_defaults():
    config = create()
    assert config["workers"] == {"min": 0, "max": 3, "idleTimeout": 10}
    assert config["timeout"] == 300_000
    assert config["flashboot"] == "OFF"
    assert config["gpu"] == {
        "pools": ["ADA_24"],
        "count": 1,
        "allowedCudaVersions": [],
        "minCudaVersion": None,
    }


@pytest.mark.parametrize("changes", [{"gpu": None}, {"cpu": [{"id": "cpu3c", "vcpuCount": 2}]}])
def test_gpu_and_cpu_exclude_each_other_and_one_is_needed(changes):
    assert refusal(create, **changes).status == 400


def test_an_unknown_field_is_named_in_the_vendors_words():
    problem = refusal(create, bogus=1)
    assert (problem.status, problem.errors) == (422, ("$: additional properties 'bogus' not allowed",))


def test_a_missing_field_is_named_in_the_vendors_words():
    assert refusal(create, name=None).errors == ("$: missing property 'name'",)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"type": "LOAD_BALANCER"}, 422),
        ({"scaling": {"type": "REQUEST_COUNT", "requestCount": 1}, "workers": {"idleTimeout": 5}}, 422),
        ({"workers": {"min": 4, "max": 2}}, 400),
        ({"gpu": {"pools": ["NO_SUCH_POOL"]}}, 400),
        ({"gpu": {"pools": []}}, 422),
        ({"gpu": {"pools": ["ADA_24"], "excludedTypes": ["NVIDIA GeForce RTX 4090"]}}, 400),
        ({"gpu": {"pools": ["ADA_24"], "allowedCudaVersions": ["12.8"], "minCudaVersion": "12.4"}}, 400),
        ({"gpu": None, "cpu": [{"id": "cpu3c", "vcpuCount": 6}]}, 400),
        ({"gpu": None, "cpu": [{"id": "cpu3c", "vcpuCount": 2}] * 2}, 422),
        ({"ports": ["80"]}, 400),
        ({"dataCenterIds": ["MOON-1"]}, 400),
        ({"disk": 0}, 422),
        ({"timeout": "300"}, 422),
        ({"image": ["a"]}, 422),
    ],
)
def test_a_broken_rule_is_refused_with_its_documented_status(changes, status):
    assert refusal(create, **changes).status == status


def test_a_null_is_no_way_to_say_nothing():
    body = json.dumps({**LEAST, "disk": None}).encode()
    assert refusal(parse, CreateEndpoint, body).status == 422


def test_a_template_is_copied_and_the_body_wins_key_by_key():
    config = create(TEMPLATE, image="from-body", env={"B": "body"}, templateId="t")
    assert (config["image"], config["args"], config["disk"]) == ("from-body", "serve", 50)
    assert config["env"] == {"A": "template", "B": "body"}
    assert config["gpu"]["allowedCudaVersions"] == ["12.8"]


def test_a_templates_cuda_versions_are_not_copied_beside_a_floor():
    config = create(TEMPLATE, templateId="t", gpu={"pools": ["ADA_24"], "minCudaVersion": "12.4"})
    assert config["gpu"]["allowedCudaVersions"] == []


def test_patching_env_replaces_the_whole_map():
    config = create(env={"A": "1", "B": "2"})
    assert patch(config, env={"A": "3"})["env"] == {"A": "3"}


def test_patching_pools_alone_clears_exclusions():
    config = create(gpu={"pools": ["AMPERE_24"], "excludedTypes": ["NVIDIA L4"]})
    assert "excludedTypes" not in patch(config, gpu={"pools": ["AMPERE_24"]})["gpu"]


def test_exclusions_without_pools_are_refused():
    assert refusal(patch, create(), gpu={"excludedTypes": ["NVIDIA L4"]}).status == 422


def test_empty_values_clear_the_cuda_limits():
    config = create(gpu={"pools": ["ADA_24"], "minCudaVersion": "12.4"})
    cleared = patch(config, gpu={"minCudaVersion": "", "allowedCudaVersions": []})["gpu"]
    assert (cleared["minCudaVersion"], cleared["allowedCudaVersions"]) == (None, [])


def test_the_compute_family_cannot_change():
    assert refusal(patch, create(), cpu=[{"id": "cpu3c", "vcpuCount": 2}]).status == 400


def test_the_type_cannot_be_sent_in_a_patch():
    assert refusal(patch, create(), type="LOAD_BALANCER").status == 422


changes = st.fixed_dictionaries(
    {},
    optional={
        "name": st.text("abc", min_size=1),
        "env": st.dictionaries(st.text("AB", min_size=1), st.text(max_size=3), max_size=3),
        "disk": st.integers(1, 500),
        "timeout": st.integers(0, 10**6),
        "image": st.text("xyz", min_size=1),
        "registry": st.none(),
        "flashboot": st.sampled_from(["OFF", "FLASHBOOT"]),
        "workers": st.fixed_dictionaries({}, optional={"max": st.integers(0, 9)}),
    },
)


@given(changes)
def test_a_patch_changes_what_was_sent_and_nothing_else(sent):
    config = create(env={"A": "1"})
    result = patch(config, **sent)
    for name, before in config.items():
        if name not in sent:
            assert result[name] == before
        elif name != "workers":
            assert result[name] == sent[name]
    assert result["workers"] == {**config["workers"], **sent.get("workers", {})}


@given(changes)
def test_repeating_a_patch_changes_nothing_and_makes_no_release(sent):
    once = patch(create(), **sent)
    twice = patch(once, **sent)
    assert twice == once
    assert release_diff(once, twice) == []


@given(changes)
def test_a_release_tells_old_and_new_of_container_fields_only(sent):
    config = create(env={"A": "1"})
    result = patch(config, **sent)
    told = {entry["field"] for entry in release_diff(config, result)}
    assert told <= {"template.env", "template.containerDiskInGb", "template.imageName", "flashBootType"}
    assert ("template.imageName" in told) == (result["image"] != config["image"])
