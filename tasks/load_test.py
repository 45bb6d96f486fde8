"""Task: load on a live service, kept in the ledger."""

from prefect import task

from tasks.policies import LOAD
from tasks.runtime import ports
from tidegate.domain import ServiceRef
from tidegate.steps import load_test as step
from tidegate.steps.load_test import LoadTest, LoadTestResult


@task(name="load test", task_run_name="load {service}", **LOAD)
def load_test(service: str, asked: LoadTest) -> LoadTestResult:
    return step.load_test(ports(), ServiceRef.parse(service), asked)
