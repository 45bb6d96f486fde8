"""What people are told about cost, and what counts against a budget: the bill first, estimates for the rest."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from tests.unit.steps.conftest import NOW, Office
from tidegate.cli.services import cost_line, costs
from tidegate.domain import Charge, Release, ReleaseState, Resource, SetSpec, Transient
from tidegate.steps.costs import (
    cost_data,
    month_to_date,
    month_to_date_usd,
    release_cost,
    remember_resource,
    usd_per_hour,
)
from tidegate.steps.reporting import release_markdown

HOUR = timedelta(hours=1)


@dataclass
class FakeBills:
    """One account an organization; `trouble` keeps its bill from being read."""

    billed: dict[str, list[Charge]] = field(default_factory=dict[str, list[Charge]])
    trouble: bool = False

    def charges(self, org: str, since: datetime, until: datetime) -> Sequence[Charge]:
        if self.trouble:
            raise Transient("the bill cannot be read")
        return self.billed.get(org, [])


@pytest.fixture
def bills(office: Office) -> FakeBills:
    made = FakeBills()
    office.ports.bills = {"fake": made}
    return made


def made_of(
    office: Office, name: str, resource_id: str, *, age_h: float, usd: str, org: str = "acme"
) -> None:
    """A set that exists since so many hours, at so much per hour."""
    spec = SetSpec(name=name, org=org, service="chat", release_id="r", digest="1" * 64, artifact_path="/x")
    ref = office.release(org)
    epoch = office.ledger.acquire_lock(ref.ref, ref.id)
    office.ledger.record_set(spec, platform="fake", epoch=epoch, state="ready")
    since = NOW - age_h * HOUR
    remember_resource(office.ports.ledger, Resource(name, resource_id, "pod", since, Decimal(usd)))


def hour(resource_id: str, back: int, usd: str) -> Charge:
    start = NOW.replace(minute=0) - back * HOUR
    return Charge(resource_id, start, start + HOUR, Decimal(usd))


def test_an_organization_on_its_own_machines_has_no_cost(office: Office) -> None:
    assert month_to_date(office.ports, "acme") is None
    assert usd_per_hour(office.ports, "acme") is None
    assert costs(office.ports) == []


def test_the_month_is_what_was_billed_and_only_the_last_hours_are_estimated(
    office: Office, bills: FakeBills
) -> None:
    made_of(office, "green", "p1", age_h=10, usd="0.5")
    bills.billed["acme"] = [hour("p1", back, "0.1") for back in range(10, 2, -1)]

    month = month_to_date(office.ports, "acme")

    assert month is not None
    assert cost_data(month.total) == {"billed_usd": 0.8, "not_billed_yet_usd": 1.0}
    assert month_to_date(office.ports, "bolt") is None, "it is another one's set"


def test_a_bill_that_cannot_be_read_is_said_and_the_most_is_assumed(office: Office, bills: FakeBills) -> None:
    made_of(office, "green", "p1", age_h=10, usd="0.5")
    bills.trouble = True

    month = month_to_date(office.ports, "acme")

    assert month is not None
    assert (month.is_billed, float(month.total.total_usd)) == (False, 5.0)


def test_a_set_that_is_gone_stays_in_the_bill_of_its_month(office: Office, bills: FakeBills) -> None:
    made_of(office, "green", "p1", age_h=10, usd="0.5")
    bills.billed["acme"] = [hour("p1", 5, "0.4")]
    office.ledger.forget_set("green", epoch=office.ledger.current_epoch(office.release("acme").ref))

    month = month_to_date(office.ports, "acme")

    assert month is not None
    assert month.total.billed_usd == Decimal("0.4")
    assert office.ledger.sets_since("acme", NOW + HOUR) == []


def released(office: Office, state: ReleaseState, usd: float) -> Release:
    return office.enter(office.release("acme"), state, usd=usd)


def test_a_budget_counts_what_a_finished_release_cost_and_no_longer_what_it_was_estimated_at(
    office: Office, bills: FakeBills
) -> None:
    made_of(office, "green", "p1", age_h=10, usd="0.5")
    bills.billed["acme"] = [hour("p1", back, "0.1") for back in range(10, -1, -1)]
    done = released(office, ReleaseState.DONE, usd=9.0)
    office.register("acme", version="v2", digest="2")
    mine = office.release("acme", version="v2")

    assert done.plan is not None
    assert done.plan.green_set == "green"
    # 8 settled hours and the unsettled two at their full price.
    assert month_to_date_usd(office.ports, mine) == pytest.approx(0.8 + 1.0)


def test_the_report_tells_what_a_release_cost(office: Office, bills: FakeBills) -> None:
    release = released(office, ReleaseState.DONE, usd=1.5)
    assert "| cost |" not in release_markdown(office.ports, release.id)
    made_of(office, "green", "p1", age_h=0, usd="0.5")
    bills.billed["acme"] = [hour("p1", 0, "0.01")]
    office.pass_time(hours=1)

    assert release_cost(office.ports, release) is not None
    report = release_markdown(office.ports, release.id)

    assert "| cost | 0.01 USD billed and about 0.49 not billed yet; planned with 1.50 USD for 1 h |" in report


def test_status_tells_each_organization_what_it_spends_of_its_budget(
    office: Office, bills: FakeBills
) -> None:
    made_of(office, "green", "p1", age_h=10, usd="0.5")
    bills.billed["acme"] = [hour("p1", 4, "3.25")]

    [row] = costs(office.ports)

    assert row["org"] == "acme"
    assert row["monthly_budget_usd"] == 10
    row["usd_per_hour"] = 0.5
    assert cost_line(row) == ("acme: 0.50 USD/h now; 4.25 of 10.00 USD this month, 1.00 of it not billed yet")
    assert "cannot be read" in cost_line({**row, "is_billed": False})
    bills.billed["acme"].append(hour("p1", 5, "99"))
    [row] = costs(office.ports)
    assert "more was billed for green than it can cost" in cost_line(row)
