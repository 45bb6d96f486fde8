"""Costs before and afterwards; and what is removed because nobody knows it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.platforms.runpod.test_placement import gpu, need
from tidegate.domain import Refused, RunPodServiceConfig
from tidegate.platforms.runpod.account import AccountState
from tidegate.platforms.runpod.costs import (
    charges_of,
    price_ceiling,
    require_means,
)
from tidegate.platforms.runpod.replies import BillingRecord, Endpoint, Pod
from tidegate.platforms.runpod.sweeping import find_orphans

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
OURS = "swaggystacks--support-chat--0123456789-abcdef01"
MINE_TOO = "swaggystacks--support-chat--0123456789-abcdef02"
THEIRS = "scientiacapital--research-desk--0123456789-abcdef01"


def test_the_price_is_the_most_that_all_workers_can_cost() -> None:
    catalog = [gpu("a", price="1"), gpu("b", "B", price="2", stock="NONE"), gpu("c", "C", price="9")]

    assert price_ceiling(need(price="5"), catalog, 3) == 6
    assert price_ceiling(need(gpus=2), catalog, 1) == 18
    with pytest.raises(Refused, match=r"0\.5 USD"):
        price_ceiling(need(price="0.5"), catalog, 1)
    with pytest.raises(Refused, match="fits"):
        price_ceiling(need(500), catalog, 1)


def test_a_bill_names_resources_by_id_and_what_has_none_is_not_ours() -> None:
    span = {"start_time": NOW, "end_time": NOW + timedelta(hours=1), "total_amount": Decimal("0.4")}
    records = [
        BillingRecord(serverless_id="ep1", **span),
        BillingRecord(pod_id="p1", **span),
        BillingRecord(**span),
    ]

    assert [(charge.resource_id, charge.usd) for charge in charges_of(records)] == [
        ("ep1", Decimal("0.4")),
        ("p1", Decimal("0.4")),
    ]


@pytest.mark.parametrize(
    ("account", "why"),
    [
        (AccountState(id="u", client_balance=Decimal("0.99")), "0.99 USD left"),
        (AccountState(id="u", current_spend_per_hr=Decimal("79.5"), spend_limit=Decimal(80)), "spends 79.50"),
    ],
)
def test_what_the_account_cannot_pay_is_refused(account: AccountState, why: str) -> None:
    with pytest.raises(Refused, match=why) as refused:
        require_means(account, Decimal(1), Decimal(1))

    assert refused.value.remedy


def test_an_account_with_means_or_without_a_word_is_not_refused() -> None:
    require_means(None, Decimal(1), Decimal(1))
    require_means(AccountState(id="u"), Decimal(1), Decimal(1))
    require_means(
        AccountState(
            id="u",
            client_balance=Decimal(1),
            current_spend_per_hr=Decimal(79),
            spend_limit=Decimal(80),
        ),
        Decimal(1),
        Decimal(1),
    )


def endpoint(name: str, resource_id: str, age_min: int | None) -> Endpoint:
    created = None if age_min is None else NOW - timedelta(minutes=age_min)
    return Endpoint(id=resource_id, name=name, created_at=created)


def test_only_old_resources_of_this_organization_that_nobody_knows_are_orphans() -> None:
    endpoints = [
        endpoint(OURS, "known", 60),
        endpoint(MINE_TOO, "forgotten", 60),
        endpoint(MINE_TOO, "just made", 5),
        endpoint(THEIRS, "of another organization", 60),
        endpoint("somebody's endpoint", "foreign", 60),
        endpoint(MINE_TOO, "without an age", None),
    ]
    pods = [Pod(id="pod", name=MINE_TOO, created_at=NOW - timedelta(hours=9))]

    orphans = find_orphans("swaggystacks", endpoints, pods, {OURS}, NOW)

    assert [(one.kind, one.id) for one in orphans] == [("endpoint", "forgotten"), ("pod", "pod")]


def test_of_two_with_one_name_the_younger_is_the_orphan() -> None:
    twins = [endpoint(OURS, "second", 50), endpoint(OURS, "first", 60)]

    assert [one.id for one in find_orphans("swaggystacks", twins, [], {OURS}, NOW)] == ["second"]


names = st.sampled_from((OURS, MINE_TOO, THEIRS, "other", "swaggystacks--x"))
ages = st.none() | st.integers(0, 60)


@given(st.lists(st.tuples(names, ages), max_size=8), st.sets(names))
def test_a_sweep_never_takes_the_last_of_a_known_set_nor_anything_of_others(
    made: list[tuple[str, int | None]], known: set[str]
) -> None:
    endpoints = [endpoint(name, f"e{index}", age) for index, (name, age) in enumerate(made)]

    removed = {one.id for one in find_orphans("swaggystacks", endpoints, [], known, NOW)}

    left = {one.name for one in endpoints if one.id not in removed}
    assert {one.name for one in endpoints if one.name in known} <= left
    assert all(one.name in (OURS, MINE_TOO) for one in endpoints if one.id in removed)


def test_settings_of_a_service_are_checked_together() -> None:
    good = {"image": "i", "model_url": "s3://b/{digest}.gguf"}
    config = RunPodServiceConfig.model_validate(good)

    assert config.model_location("d" * 64, "/x") == f"s3://b/{'d' * 64}.gguf"
    for wrong, why in (
        ({"model_url": "s3://b/model.gguf"}, "every version"),
        ({"min_workers": 3}, "must not exceed"),
        ({"min_workers": 0}, "greater than or equal"),
        ({"network_volume": "v"}, "one data centre"),
        ({"env": {"A": "1"}, "secret_env": {"A": "s"}}, "stand in env"),
        ({"bogus": 1}, "Extra"),
    ):
        with pytest.raises(ValueError, match=why):
            RunPodServiceConfig.model_validate({**good, **wrong})
