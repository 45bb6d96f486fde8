"""The boards on the real stack: what they ask of the Prometheus of `tidegate monitoring up`, which has read the real
exporter since the stack is up, before, during and after a real release with a client. The last of the flows' tests."""

import functools
import json
import re
import urllib.parse
from pathlib import Path

import pytest
import yaml
from client import a_client
from monitored import Monitoring
from stack_client import RESEARCH, SUPPORT, Stack, wait_until

from tests.integration.observability.asking_boards import FILES, asked, load, questions
from tests.integration.observability.processes import get
from tests.unit.observability.promql import selectors
from tidegate.observability import METRICS

pytestmark = pytest.mark.e2e

RULES = Path(__file__).resolve().parents[3] / "deployments" / "monitoring" / "prometheus" / "rules"
NOT_HERE = {
    r"tidegate_(host_)?gpu_": "this machine has no GPU",
    r"tidegate_cost_": "no platform of this stack has a price",
    r"tidegate_kv_cache_": "llama-server does not tell how full its cache is",
    r"tidegate_notifications_": "no organization has a channel",
    r"tidegate_expiry_": "no key or certificate with an end was made",
    r"tidegate_queue_oldest_": "workers take every run at once",
    # The boards show these only where they are not zero.
    r"tidegate_orphan_resources": "every set has an owner",
    r"tidegate_output_validation_failures_total": "every answer was as it should be",
    r"ALERTS_FOR_STATE": "nothing is wrong with a service",
}
"""Series that this stack cannot have, and why; what asks for one of them may find nothing. The real exporter shows them of
rows and recorded answers in test_exporter_page.py, the last two also as real Prometheus finds them in
test_alert_delivery.py (both in tests/integration/observability)."""
STEP_S = 5
BOARDS_FULL_S = 180
"""Recording rules are looked at once a minute, and some of them read others."""


@functools.cache
def recorded() -> dict[str, str]:
    """Name of a recorded series -> what it is made of."""
    return {
        rule["record"]: rule["expr"]
        for file in RULES.glob("*.yml")
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
        if "record" in rule
    }


def names_in(expr: str) -> set[str]:
    """What it asks for; where it asks for recorded series, what those are made of."""
    names = {one.name for one in selectors(expr)}
    while through := names & recorded().keys():
        names = names - through | {one.name for name in through for one in selectors(recorded()[name])}
    return names


def asks_for(expr: str, absent: str) -> bool:
    return any(re.match(absent, name) for name in names_in(expr))


def may_be_empty(expr: str) -> bool:
    later = {name for metric in METRICS if metric.source == "later" for name in metric.series_names}
    return bool(later & names_in(expr)) or any(asks_for(expr, absent) for absent in NOT_HERE)


def ever(monitoring: Monitoring, expr: str) -> bool:
    """Whether it has found anything since the stack is up."""
    words = {"query": expr, "start": monitoring.since, "end": monitoring.now(), "step": STEP_S}
    body = get(f"http://{monitoring.prometheus}/api/v1/query_range?{urllib.parse.urlencode(words)}")
    assert body is not None, f"Prometheus refuses {expr}"
    return bool(json.loads(body)["data"]["result"])


def make_happen_what_did_not(stack: Stack, monitoring: Monitoring) -> None:
    """After the flows' other tests nearly everything has happened already; alone, this file begins with nothing."""
    if stack.live(SUPPORT) is None:
        stack.run("release/release", stack.request(SUPPORT, "pipit", "v1"))
    if not ever(monitoring, 'tidegate_requests_total{slot="candidate", code_class="2xx"} > 0'):
        target = "v2" if stack.live(SUPPORT) == "v1" else "v1"
        with a_client(stack):
            released = stack.run("release/release", stack.request(SUPPORT, "pipit", target))
        assert released.state_name == "Promoted", released
    if not ever(monitoring, 'tidegate_releases_total{outcome="rolled_back"} > 0'):
        stack.run("release/release", stack.request(SUPPORT, "pipit", "v3-regressed"))
    if stack.ports.ledger.baseline(SUPPORT, "nightly") is None:
        stack.run("nightly-regression/nightly", {"request": {"services": [str(SUPPORT)]}})
    backed_up = stack.run("backup/backup", {})
    assert backed_up.state_name == "Completed", backed_up


def test_every_board_has_found_what_it_asks_for(stack: Stack, monitoring: Monitoring) -> None:
    monitoring.wait_until_ready()
    make_happen_what_did_not(stack, monitoring)
    waiting = {
        asked(one.expr): f"{file.stem}: {one.panel}" for file in FILES for one in questions(load(file))
    }
    for absent in NOT_HERE:
        assert any(asks_for(expr, absent) for expr in waiting), f"{absent} excuses nothing"
    waiting = {expr: panel for expr, panel in waiting.items() if not may_be_empty(expr)}

    def look() -> bool:
        for expr in [expr for expr in waiting if ever(monitoring, expr)]:
            del waiting[expr]
        return not waiting

    try:
        wait_until(look, "every board is full", BOARDS_FULL_S)
    except AssertionError:
        empty = "\n".join(f"{panel}\n    {expr}" for expr, panel in waiting.items())
        pytest.fail(f"nothing was ever found by:\n{empty}")


def test_every_variable_offers_the_organizations_and_services_of_this_stack(
    stack: Stack, monitoring: Monitoring
) -> None:
    monitoring.wait_until_ready()
    for file in FILES:
        for variable in load(file)["templating"]["list"]:
            if variable["type"] == "query":
                match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"])
                assert match, variable["query"]
                words = {"match[]": asked(match[1])}
                url = f"http://{monitoring.prometheus}/api/v1/label/{match[2]}/values"
                body = get(f"{url}?{urllib.parse.urlencode(words)}")
                expected = {getattr(ref, match[2]) for ref in (SUPPORT, RESEARCH)}
                assert expected <= set(json.loads(body or b"{}")["data"]), (file.stem, variable["query"])
