"""What ended a task is kept with its service, and the hook itself never fails."""

import asyncio
import importlib
import pkgutil
from types import SimpleNamespace
from typing import Any

import pytest
from prefect import Flow
from prefect.states import Completed, Failed

import flows
from flows.forms import RollbackForm
from tasks import failures, policies, runtime
from tidegate.domain import NotFound, ServiceRef
from tidegate.domain.audit import Interface


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What would be noted, without a ledger."""
    found: list[Any] = []
    monkeypatch.setattr(failures, "note", lambda *told: found.append(told))
    return found


def end_with(state: Any) -> None:
    asyncio.run(failures.note_failure(SimpleNamespace(name="deploy"), SimpleNamespace(), state))  # type: ignore[arg-type]


def test_the_error_that_ended_a_task_is_kept(kept: list[Any]):
    error = NotFound("It is gone.", remedy="Look.")

    end_with(Failed(data=error))

    assert kept == [(error, "task deploy", None)]


def test_a_task_that_ended_well_is_not(kept: list[Any]):
    end_with(Completed(data="fine"))

    assert kept == []


def end_flow_with(state: Any, **parameters: Any) -> None:
    flow, run = SimpleNamespace(name="release"), SimpleNamespace(parameters=parameters)
    asyncio.run(failures.note_flow_failure(flow, run, state))  # type: ignore[arg-type]


def test_the_error_that_ended_a_flow_outside_of_its_tasks_is_kept_with_its_service(kept: list[Any]):
    error = KeyError("request")

    end_flow_with(Failed(data=error), request={"org": "acme", "service": "chat"})

    assert kept == [(error, "flow release", ServiceRef("acme", "chat"))]


def test_a_flow_that_a_gate_ended_has_no_error(kept: list[Any]):
    end_flow_with(Failed(name="Rejected", message="r-1: the gate said no"))

    assert kept == []


def test_every_flow_tells_of_its_failure():
    found = [
        made
        for info in pkgutil.iter_modules(flows.__path__, "flows.")
        for made in vars(importlib.import_module(info.name)).values()
        if isinstance(made, Flow)
    ]

    assert len(found) >= 12
    for one in found:
        assert failures.note_flow_failure in one.on_failure_hooks, one.name
        assert failures.note_flow_failure in one.on_crashed_hooks, one.name


def test_every_task_tells_of_its_failure():
    for options in (
        policies.SHORT,
        policies.LONG,
        policies.LOAD,
        policies.DRILLS,
        policies.ROLL_BACK,
        policies.REPORT,
    ):
        assert options["on_failure"] == [failures.note_failure]


def test_the_service_is_that_of_the_flows_form():
    form = RollbackForm.model_construct(org="acme", service="chat", reason="wrong prices")

    assert failures.service_of({"request": form}) == ServiceRef("acme", "chat")
    assert failures.service_of({"request": {"org": "acme", "service": "chat"}}) == ServiceRef("acme", "chat")
    assert failures.service_of({"number": 3, "request": None}) is None


@pytest.mark.parametrize(
    ("run", "interface"),
    [
        ({"auto_scheduled": True, "created_by": None}, Interface.SCHEDULE),
        ({"auto_scheduled": False, "created_by": SimpleNamespace(type="AUTOMATION")}, Interface.SCHEDULE),
        ({"auto_scheduled": False, "created_by": SimpleNamespace(type="USER")}, Interface.FLOW),
        (None, Interface.FLOW),
    ],
)
def test_a_run_says_whether_somebody_started_it(
    monkeypatch: pytest.MonkeyPatch, run: dict[str, Any] | None, interface: Interface
):
    context = None if run is None else SimpleNamespace(flow_run=SimpleNamespace(**run))
    monkeypatch.setattr(runtime, "FlowRunContext", SimpleNamespace(get=lambda: context))

    assert runtime.interface() is interface
