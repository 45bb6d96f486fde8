"""A service can only narrow what its organization allows."""

from decimal import Decimal
from typing import Any

import pytest

from tidegate.domain import Refused, RunPodServiceConfig
from tidegate.platforms.runpod import Allowance
from tidegate.platforms.runpod.orders import need_of
from tidegate.platforms.runpod.placement import Need

KNOWN = ("EU-RO-1", "EU-CZ-1", "US-KS-2")


def config(**changes: Any) -> RunPodServiceConfig:
    return RunPodServiceConfig.model_validate({"image": "i", "model_url": "s3://b/{digest}", **changes})


def need(settings: RunPodServiceConfig, allowance: Allowance) -> Need:
    return need_of(settings, 1, allowance, lambda: KNOWN)


def nobody_asks() -> tuple[str, ...]:
    raise AssertionError("the catalog is asked without need")


def test_a_type_must_be_allowed_by_both() -> None:
    limits = need(config(gpu_types=["*L4*"]), Allowance(gpu_types=("NVIDIA*",))).limits

    assert limits.allows_type("NVIDIA L4")
    assert not limits.allows_type("AMD L4")
    assert not limits.allows_type("NVIDIA H200")


def test_data_centres_are_left_open_when_nobody_binds_them() -> None:
    assert need_of(config(), 1, Allowance(), nobody_asks).limits.data_centers == ()
    assert need_of(config(data_centers=["X"]), 1, Allowance(), nobody_asks).limits.data_centers == ("X",)


def test_an_organization_bound_to_places_stays_there() -> None:
    bound = Allowance(data_centers=("EU-*",))

    assert need(config(), bound).limits.data_centers == ("EU-RO-1", "EU-CZ-1")
    named = need_of(config(data_centers=["US-KS-2", "EU-CZ-1"]), 1, bound, nobody_asks)
    assert named.limits.data_centers == ("EU-CZ-1",)
    with pytest.raises(Refused, match="uses none of them"):
        need(config(data_centers=["US-KS-2"]), bound)


def test_the_organizations_price_is_of_all_workers_together() -> None:
    allowance = Allowance(max_price_per_hour_usd=Decimal(3))

    assert need(config(max_workers=2), allowance).limits.max_price_per_hour_usd == Decimal("1.5")
    cheap = config(max_workers=2, max_price_per_hour_usd=1)
    assert need(cheap, allowance).limits.max_price_per_hour_usd == 1
    assert need(config(), Allowance()).limits.max_price_per_hour_usd is None


def test_more_gpus_than_the_organization_allows_are_refused() -> None:
    with pytest.raises(Refused, match="wants 2 GPUs"):
        need(config(gpus_per_worker=2), Allowance(gpus_per_worker=1))
