"""Placement: never what does not fit, is not allowed or costs too much; cheapest first; shortage is not refusal."""

import itertools
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain import CapacityShortage, Refused
from tidegate.platforms.runpod.placement import (
    GB,
    MAX_POOLS,
    USABLE_SHARE,
    EndpointRung,
    Limits,
    Need,
    PodRung,
    endpoint_ladder,
    pod_ladder,
)
from tidegate.platforms.runpod.replies import GpuLimit, GpuPrice, GpuType, Stock
from tidegate.platforms.runpod.wire import Cloud

POOLS = ("A", "B", "C", "D", "E")
PLACES = ("EU-1", "US-1", "US-2")
LEVELS = ("HIGH", "MEDIUM", "LOW", "NONE", "BRIMMING")


def gpu(
    type_id: str,
    pool: str | None = "A",
    *,
    memory: int = 24,
    price: str | None = "1",
    stock: str | None = "HIGH",
    places: dict[str, str] | None = None,
    count: int = 8,
    community: str | None = None,
) -> GpuType:
    amount = None if price is None else Decimal(price)
    return GpuType(
        id=type_id,
        pool=pool,
        memory=memory,
        secure=amount is not None,
        community=community is not None,
        price=GpuPrice(
            secure=amount, serverless=amount, community=None if community is None else Decimal(community)
        ),
        max_count=GpuLimit(secure=count, community=count),
        availability=stock,
        data_centers=tuple(Stock(id=one, availability=level) for one, level in (places or {}).items()),
    )


def need(memory_gb: float = 10, gpus: int = 1, price: str | None = None, **limits: object) -> Need:
    cap = None if price is None else Decimal(price)
    return Need(int(memory_gb * GB), gpus, Limits(max_price_per_hour_usd=cap, **limits))  # pyright: ignore[reportArgumentType] - a test's shorthand


def test_the_cheapest_pools_are_asked_for_together_and_the_others_after_them() -> None:
    gpus = [gpu(f"g{name}", name, price=str(5 - index)) for index, name in enumerate(POOLS)]

    ladder = endpoint_ladder(need(), gpus)

    assert [rung.pools for rung in ladder] == [("E", "D", "C"), ("B",), ("A",)]
    assert [rung.price_per_hour_usd for rung in ladder] == [3, 4, 5]


def test_types_of_a_pool_that_are_too_small_or_forbidden_are_excluded() -> None:
    gpus = [gpu("small", memory=8), gpu("right"), gpu("banned"), gpu("elsewhere", "B", memory=8)]

    (rung,) = endpoint_ladder(need(gpu_types=(("*",), ("right", "small"))), gpus)

    assert rung == EndpointRung(("A",), ("banned", "small"), (), Decimal(1))


def test_a_type_that_is_out_of_stock_stays_allowed_in_its_pool() -> None:
    gpus = [gpu("here"), gpu("gone", stock="NONE", price="2")]

    (rung,) = endpoint_ladder(need(), gpus)

    assert rung.excluded_types == ()
    assert rung.price_per_hour_usd == 2


def test_a_price_above_the_limit_is_refused_with_the_price_that_would_do() -> None:
    with pytest.raises(Refused, match=r"costs 4 USD per hour \(g x 2\)"):
        endpoint_ladder(need(gpus=2, price="3.99"), [gpu("g", price="2")])


def test_no_stock_is_a_shortage_and_not_a_refusal() -> None:
    with pytest.raises(CapacityShortage, match="g"):
        endpoint_ladder(need(), [gpu("g", stock="NONE")])
    with pytest.raises(CapacityShortage):
        endpoint_ladder(need(data_centers=("EU-1",)), [gpu("g", places={"US-1": "HIGH"})])
    with pytest.raises(CapacityShortage):
        endpoint_ladder(need(), [gpu("g", stock=None)])


@pytest.mark.parametrize(
    "gpus", [[], [gpu("g", memory=10)], [gpu("g", None)], [gpu("g", price=None)]], ids=repr
)
def test_what_does_not_fit_or_has_no_price_or_pool_is_refused(gpus: list[GpuType]) -> None:
    with pytest.raises(Refused, match=r"10\.0 GiB"):
        endpoint_ladder(need(10), gpus)


def test_only_data_centres_that_have_some_are_asked_for() -> None:
    gpus = [
        gpu("g", "A", places={"US-1": "LOW", "EU-1": "NONE", "US-2": "HIGH"}),
        gpu("h", "B", places={"EU-1": "LOW"}),
    ]

    (rung,) = endpoint_ladder(need(data_centers=("EU-1", "US-1")), gpus)

    assert set(rung.data_centers) == {"US-1", "EU-1"}


def test_pods_go_by_price_over_both_clouds_and_prefer_the_secure_one() -> None:
    catalog = [gpu("a", price="2", community="1"), gpu("b", price="1"), gpu("c", community="0.5", price="3")]
    clouds = {Cloud.SECURE: catalog, Cloud.COMMUNITY: catalog}

    both = pod_ladder(need(clouds=(Cloud.SECURE, Cloud.COMMUNITY)), clouds)

    assert [(rung.gpu_type, rung.cloud.value) for rung in both] == [
        ("c", "COMMUNITY"),
        ("a", "COMMUNITY"),
        ("b", "SECURE"),
        ("a", "SECURE"),
        ("c", "SECURE"),
    ]
    assert {rung.cloud for rung in pod_ladder(need(), clouds)} == {Cloud.SECURE}


def test_a_pod_needs_a_machine_with_enough_gpus() -> None:
    with pytest.raises(Refused):
        pod_ladder(need(40, gpus=4), {Cloud.SECURE: [gpu("g", count=2)]})


levels = st.sampled_from(LEVELS)
prices = st.none() | st.decimals(min_value="0.01", max_value="9", places=2)
stocks = st.dictionaries(st.sampled_from(PLACES), levels)


@st.composite
def catalogs(draw: st.DrawFn) -> list[GpuType]:
    count = draw(st.integers(0, 8))
    return [
        GpuType(
            id=f"g{index}",
            pool=draw(st.none() | st.sampled_from(POOLS)),
            memory=draw(st.sampled_from((8, 16, 24, 48, 80))),
            secure=draw(st.booleans()),
            community=draw(st.booleans()),
            price=GpuPrice(secure=draw(prices), community=draw(prices), serverless=draw(prices)),
            max_count=GpuLimit(secure=draw(st.integers(0, 4)), community=draw(st.integers(0, 4))),
            availability=draw(st.none() | levels),
            data_centers=tuple(Stock(id=place, availability=level) for place, level in draw(stocks).items()),
        )
        for index in range(count)
    ]


needs = st.builds(
    Need,
    memory_bytes=st.integers(1, 100 * GB),
    gpus=st.integers(1, 4),
    limits=st.builds(
        Limits,
        gpu_types=st.just(()) | st.just((("g[0-5]",),)),
        pools=st.sampled_from((("*",), ("A", "B"))),
        data_centers=st.lists(st.sampled_from(PLACES), unique=True).map(tuple),
        clouds=st.sampled_from(((Cloud.SECURE,), (Cloud.SECURE, Cloud.COMMUNITY))),
        max_price_per_hour_usd=st.none() | st.decimals(min_value="0.5", max_value="10", places=2),
    ),
)


def fits(wanted: Need, one: GpuType) -> bool:
    return one.memory * wanted.gpus * USABLE_SHARE * GB >= wanted.memory_bytes


@given(needs, catalogs())
def test_whatever_an_endpoint_can_get_fits_is_allowed_and_costs_no_more_than_said(
    wanted: Need, catalog: list[GpuType]
) -> None:
    try:
        ladder = endpoint_ladder(wanted, catalog)
    except (Refused, CapacityShortage):
        return
    cap = wanted.limits.max_price_per_hour_usd
    for rung in ladder:
        assert 1 <= len(rung.pools) <= MAX_POOLS
        assert set(rung.data_centers) <= set(wanted.limits.data_centers)
        assert bool(rung.data_centers) == bool(wanted.limits.data_centers)
        reachable = [one for one in catalog if one.pool in rung.pools and one.id not in rung.excluded_types]
        assert {one.pool for one in reachable} == set(rung.pools)
        for one in reachable:
            assert fits(wanted, one)
            assert wanted.limits.allows_type(one.id)
            assert one.price.serverless is not None
            assert one.price.serverless * wanted.gpus <= rung.price_per_hour_usd
        assert cap is None or rung.price_per_hour_usd <= cap
    asked = list(itertools.chain.from_iterable(rung.pools for rung in ladder))
    assert len(asked) == len(set(asked))


@given(needs, catalogs())
def test_whatever_a_pod_can_get_fits_is_allowed_and_in_stock(wanted: Need, catalog: list[GpuType]) -> None:
    try:
        ladder = pod_ladder(wanted, {Cloud.SECURE: catalog, Cloud.COMMUNITY: catalog})
    except (Refused, CapacityShortage):
        return
    types = {one.id: one for one in catalog}
    assert [rung.price_per_hour_usd for rung in ladder] == sorted(rung.price_per_hour_usd for rung in ladder)
    for rung in ladder:
        one = types[rung.gpu_type]
        assert fits(wanted, one)
        assert wanted.limits.allows_price(rung.price_per_hour_usd)
        assert rung.cloud in wanted.limits.clouds
        assert one.secure if rung.cloud is Cloud.SECURE else one.community
        if rung.data_centers:
            stock = {place.id: place.availability for place in one.data_centers}
            assert all(stock[place] != "NONE" for place in rung.data_centers)


def test_the_verdict_is_right_for_every_small_catalog() -> None:
    """Every single type, by fit, price, stock and permission: exactly one of the four outcomes."""
    for memory, price, stock, allowed in itertools.product(
        (8, 24), (None, "1", "5"), (None, "NONE", "LOW", "BRIMMING"), (True, False)
    ):
        wanted = need(10, price="2", gpu_types=((("g",) if allowed else ("x",)),))
        offered = [gpu("g", memory=memory, price=price, stock=stock)]
        if memory < 24 or price is None or price == "5" or not allowed:
            with pytest.raises(Refused):
                endpoint_ladder(wanted, offered)
        elif stock in (None, "NONE"):
            with pytest.raises(CapacityShortage):
                endpoint_ladder(wanted, offered)
        else:
            assert endpoint_ladder(wanted, offered) == (EndpointRung(("A",), (), (), Decimal(1)),)


def test_a_pods_rung_says_where_it_goes() -> None:
    (rung,) = pod_ladder(need(data_centers=("US-1",)), {Cloud.SECURE: [gpu("g", places={"US-1": "LOW"})]})

    assert rung == PodRung("g", Cloud.SECURE, ("US-1",), Decimal(1))
