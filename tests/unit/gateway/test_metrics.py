"""Envoy's texts as counts by set."""

from datetime import UTC, datetime

import pytest

from tidegate.domain import TrafficCounts
from tidegate.gateway.metrics import Totals, failed_attempts, fold_counts, fold_members, is_failure, parse

NOW = datetime(2026, 11, 21, tzinfo=UTC)
TEXT = """# TYPE envoy_gw_completed counter
envoy_gw_completed{set="new",release="r-1",service="acme/chat"} 9
# TYPE envoy_gw_latency_ms counter
envoy_gw_latency_ms{set="new",release="r-1",service="acme/chat"} 450
# TYPE envoy_gw_requests counter
envoy_gw_requests{set="",release="",service="acme/chat",status="401",flags="-"} 5
envoy_gw_requests{set="new",release="r-1",service="acme/chat",status="200",flags="-"} 8
envoy_gw_requests{set="new",release="r-1",service="acme/chat",status="200",flags="UPE"} 1
envoy_gw_requests{set="new",release="r-1",service="acme/chat",status="0",flags="DC"} 2
envoy_gw_requests{set="new",release="r-1",service="acme/chat",status="503",flags="UC"} 3
envoy_gw_requests{set="new",release="r-1",service="acme/chat",status="400",flags="-"} 1
envoy_cluster_upstream_rq_total{envoy_cluster_name="new"} 15
"""


def counts(**values) -> TrafficCounts:
    return TrafficCounts(**{"set_name": "new", "at": NOW, **values})


def test_counts_are_summed_by_set_and_replies_of_envoy_itself_are_left_out():
    (row,) = fold_counts(parse(TEXT), {"new": 4}, NOW)

    assert row == counts(requests=15, failed=4, attempts_failed=4, latency_ms_sum=450, latency_count=9)


def test_failed_attempts_alone_make_a_row():
    (row,) = fold_counts([], {"dead": 3, "idle": 0}, NOW)

    assert (row.set_name, row.requests, row.attempts_failed) == ("dead", 0, 3)


@pytest.mark.parametrize(
    ("status", "flags", "failed"),
    [
        ("200", "-", False),
        ("404", "-", False),
        ("429", "-", False),
        ("401", "-", True),
        ("402", "-", True),
        ("403", "-", True),
        ("0", "DC", False),
        ("200", "DC", False),
        ("500", "-", True),
        ("504", "SI", True),
        ("200", "UPE", True),
        ("200", "DC,UC", True),
    ],
)
def test_a_failure_is_the_sets_fault_and_never_the_clients(status, flags, failed):
    assert is_failure({"status": status, "flags": flags}) is failed


def test_failed_attempts_come_from_the_hosts_of_sets_only():
    def cluster(name: str, errors: str):
        return {
            "name": name,
            "host_statuses": [{"stats": [{"name": "rq_error", "value": errors}, {"name": "cx_total"}]}],
        }

    seen = failed_attempts(
        {"cluster_statuses": [cluster("new", "7"), cluster("new_else_old", "7"), {"name": "empty"}]}
    )

    assert seen == {"new": 7}


def test_totals_go_on_rising_when_envoy_restarts(tmp_path):
    totals = Totals(tmp_path / "counts.json")
    totals.add([counts(requests=10, failed=1)])
    totals.restarted()

    (row,) = totals.add([counts(requests=12)])

    assert (row.requests, row.failed) == (22, 1)


def test_totals_go_on_rising_when_the_agent_restarts(tmp_path):
    Totals(tmp_path / "counts.json").add([counts(requests=10)])

    (row,) = Totals(tmp_path / "counts.json").add([counts(requests=3)])

    assert row.requests == 13


def test_a_set_without_news_is_not_reported_again(tmp_path):
    totals = Totals(tmp_path / "counts.json")
    totals.add([counts(requests=10)])

    assert totals.add([counts(requests=10)]) == []


def test_a_latency_that_comes_one_sample_after_its_reply_is_not_lost(tmp_path):
    totals = Totals(tmp_path / "counts.json")
    totals.add([counts(requests=1)])

    (row,) = totals.add([counts(requests=1, latency_count=1, latency_ms_sum=7.5)])

    assert (row.requests, row.latency_count, row.latency_ms_sum) == (1, 1, 7.5)


def test_the_way_of_copies_is_no_set_of_its_own():
    members = fold_members(
        {
            "cluster.new.membership_healthy": 1,
            "cluster.new.upstream_rq_active": 2,
            "cluster.new_copies.membership_healthy": 1,
            "cluster.new_copies.upstream_rq_active": 2,
        }
    )

    assert (members.healthy, members.active) == (("new",), {"new": 2})
