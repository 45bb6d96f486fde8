"""Task: one reconcile sweep over every service."""

from prefect import task

from tasks.policies import LONG
from tasks.runtime import ports
from tidegate.steps.reconcile import ReconcileReport, reconcile


@task(name="reconcile services", **LONG)
def reconcile_services() -> ReconcileReport:
    return reconcile(ports())
