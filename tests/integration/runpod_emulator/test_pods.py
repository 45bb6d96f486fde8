"""Pods: processes with states, actions, logs and a price."""

import os

import httpx
import psutil

from tests.integration.runpod_emulator.conftest import eventually


def pod(account, name, script, **changes):
    body = {
        "name": name,
        "image": "example/shell:1",
        "args": f"'{script}'",
        "gpu": {"id": "NVIDIA L4", "count": 1},
        **changes,
    }
    return account.ok("POST", "/v2/pods", body)


def in_status(account, made, *statuses):
    return eventually(
        lambda: account.ok("GET", f"/v2/pods/{made['id']}"), lambda seen: seen["status"] in statuses
    )


def act(account, made, action):
    return account.call("POST", f"/v2/pods/{made['id']}/action", {"action": action})


def test_a_pod_runs_its_command_and_tells_its_output(account):
    made = pod(account, "p1", "echo hello $A; sleep 60", env={"A": "there"}, ports=["8000/http"])
    assert made["cost"] == 0.39
    running = in_status(account, made, "RUNNING")
    assert running["actions"] == ["stop", "restart", "terminate"]
    assert running["runtime"]["ports"][0]["private"] == 8000
    lines = account.log_lines(f"/v2/pods/{made['id']}/logs", lambda line: line == "hello there")
    assert lines[-1]["source"] == "container"


def test_a_pod_is_stopped_started_restarted_and_terminated(account):
    made = pod(account, "p2", "sleep 60")
    in_status(account, made, "RUNNING")
    assert act(account, made, "start").status_code == 409
    stopped = act(account, made, "stop").json()
    assert (stopped["status"], stopped["cost"], stopped["actions"]) == ("EXITED", 0.0, ["start", "terminate"])
    act(account, made, "start")
    in_status(account, made, "RUNNING")
    act(account, made, "restart")
    in_status(account, made, "RUNNING")
    assert act(account, made, "terminate").status_code == 204
    assert account.call("GET", f"/v2/pods/{made['id']}").status_code == 404


def test_a_command_that_ends_is_exited_and_one_that_fails_is_an_error(account):
    assert in_status(account, pod(account, "p3", "exit 0"), "EXITED", "ERROR")["status"] == "EXITED"
    assert in_status(account, pod(account, "p4", "exit 3"), "EXITED", "ERROR")["status"] == "ERROR"


def test_an_unknown_image_is_an_error_that_the_system_log_explains(account):
    made = pod(account, "p5", "true", image="nobody/knows:1")
    in_status(account, made, "ERROR")
    lines = account.log_lines(f"/v2/pods/{made['id']}/logs", lambda line: "manifest unknown" in line)
    assert lines[-1]["source"] == "system"


def test_a_pod_for_which_the_balance_is_too_low_is_402(account, runpod):
    runpod.faults.set("balance_usd", 0.1, scope="swaggystacks")
    body = {"name": "p6", "image": "shell", "gpu": {"id": "NVIDIA L4", "count": 1}}
    assert account.call("POST", "/v2/pods", body).status_code == 402


def test_a_pod_without_a_free_machine_is_refused_for_capacity(account, runpod):
    runpod.faults.set("stock_out", scope="AMPERE_24")
    body = {"name": "p7", "image": "shell", "gpu": {"id": "NVIDIA L4", "count": 1}}
    reply = account.call("POST", "/v2/pods", body)
    assert (reply.status_code, "no longer any instances" in reply.json()["detail"]) == (400, True)


def test_files_of_a_network_volume_are_where_the_pod_mounts_it(account, runpod):
    volume = account.ok("POST", "/v2/network-volumes", {"name": "v", "size": 10, "dataCenter": "EU-RO-1"})
    (runpod.volume_folder(volume["id"]) / "model.txt").write_text("from the volume\n")
    mounts = {"network": [{"volumeId": volume["id"], "path": "/workspace"}]}
    made = pod(account, "p8", "cat $FILE; sleep 60", env={"FILE": "/workspace/model.txt"}, mounts=mounts)
    assert in_status(account, made, "RUNNING")["dataCenterId"] == "EU-RO-1"
    account.log_lines(f"/v2/pods/{made['id']}/logs", lambda line: line == "from the volume")


def test_rules_between_fields_are_400(account):
    gpu = {"id": "NVIDIA L4", "count": 1}
    base = {"name": "p9", "image": "shell"}
    for body in (
        base,
        {**base, "gpu": gpu, "cpu": {"id": "cpu3c", "vcpuCount": 2}},
        {**base, "gpu": {"id": "NVIDIA UNKNOWN", "count": 1}},
        {**base, "gpu": gpu, "mounts": {"network": [{"volumeId": "none", "path": "/x"}]}},
    ):
        assert account.call("POST", "/v2/pods", body).status_code == 400
    assert account.call("POST", "/v2/pods", {**base, "gpu": {**gpu, "x": 1}}).status_code == 422


def test_a_patch_waits_for_the_next_start_and_a_locked_pod_is_not_stopped(account):
    made = pod(account, "p10", "sleep 60")
    in_status(account, made, "RUNNING")
    assert account.ok("PATCH", f"/v2/pods/{made['id']}", {"name": "new", "locked": True})["locked"]
    assert act(account, made, "stop").status_code == 409


def test_a_process_that_leaves_its_pods_group_ends_with_the_pod_all_the_same(account):
    # Its mark among all processes of this machine.
    lasts = f"86399.{os.getpid()}"
    made = pod(account, "p11", f"setsid sleep {lasts} & sleep 60")

    def strays():
        return [
            one.pid for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"] == ["sleep", lasts]
        ]

    eventually(strays, lambda seen: len(seen) == 1)
    act(account, made, "terminate")
    eventually(strays, lambda seen: seen == [])


def test_a_deleted_volume_takes_its_files_with_it(account, runpod):
    volume = account.ok("POST", "/v2/network-volumes", {"name": "v", "size": 10, "dataCenter": "EU-RO-1"})
    folder = runpod.volume_folder(volume["id"])
    (folder / "x").write_text("x")
    account.call("DELETE", f"/v2/network-volumes/{volume['id']}")
    assert not folder.exists()


def test_a_pods_port_is_open_to_everybody_and_gets_requests_as_they_were_sent(account, runpod):
    made = pod(account, "p12", "", image="pages", env={"PORT": "8000"}, ports=["8000/http", "22/tcp"])
    base = f"{runpod.data_url}/pod/{made['id']}"
    told = eventually(
        lambda: httpx.get(f"{base}/8000/a%2Fb?c=d", headers={"Authorization": "Bearer mine"}, timeout=60),
        lambda reply: reply.status_code == 200,
    ).json()
    assert told == {"path": "/a%2Fb?c=d", "authorization": "Bearer mine"}
    # A port that is not listed, or is no HTTP, has no name at the proxy; nor has a pod that is not there.
    for path in ("/9000/", "/22/"):
        assert httpx.get(base + path, timeout=60).status_code == 404
    assert httpx.get(f"{runpod.data_url}/pod/none/8000/", timeout=60).status_code == 404

    act(account, made, "stop")
    assert httpx.get(f"{base}/8000/", timeout=60).status_code == 502


def test_the_edge_ends_a_reply_of_a_pod_that_says_nothing_for_too_long(account, runpod):
    made = pod(account, "p13", "", image="pages", env={"PORT": "8000"}, ports=["8000/http"])
    base = f"{runpod.data_url}/pod/{made['id']}/8000"
    eventually(lambda: httpx.get(f"{base}/", timeout=60), lambda reply: reply.status_code == 200)
    runpod.faults.set("edge_limit_s", 0.2, scope=made["id"])
    assert httpx.get(f"{base}/silent", timeout=60).status_code == 524


def test_a_pod_whose_machine_is_lost_cannot_be_started_there_again(account, runpod):
    made = pod(account, "p14", "sleep 60")
    in_status(account, made, "RUNNING")
    runpod.faults.set("host_lost", scope=made["id"])
    lost = in_status(account, made, "ERROR")
    assert lost["cost"] == 0.0
    refused = act(account, made, "start")
    assert (refused.status_code, "not enough free GPUs" in refused.json()["detail"]) == (400, True)


def test_stock_runs_out_by_cloud(account, runpod):
    runpod.faults.set("stock_out", scope="SECURE")
    body = {"name": "p15", "image": "shell", "args": "'sleep 60'", "gpu": {"id": "NVIDIA L4", "count": 1}}
    assert account.call("POST", "/v2/pods", body).status_code == 400
    made = account.ok("POST", "/v2/pods", {**body, "cloud": "COMMUNITY"})
    assert (made["cloud"], made["cost"]) == ("COMMUNITY", 0.36)
