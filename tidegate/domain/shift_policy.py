"""How live traffic moves to a new set, who must say yes, and how long anything may take. Part of `Policy`."""

from collections.abc import Sequence
from typing import Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tidegate.domain.route import Sticky

Strategy = Literal["canary", "linear", "all_at_once", "shadow", "shadow_then_canary"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rung(_Part):
    """One step of the ladder. What is not given is the policy's."""

    weight: int = Field(ge=1, le=100, description="Percent of live traffic on the new set.")
    look_s: float | None = Field(
        default=None, ge=0, description="Shortest look at this step; none: shift.look_s."
    )
    min_requests: int | None = Field(
        default=None, ge=0, description="Live requests needed at this step; none: shift.min_requests."
    )
    approval: bool = Field(default=False, description="A person must approve before this step is entered.")


class ShiftPolicy(_Part):
    """How live traffic moves."""

    strategy: Strategy = Field(
        default="canary",
        description="`canary` climbs the ladder, `linear` by equal steps, `all_at_once` is blue-green; `shadow` copies "
        "live requests and promotes nothing, `shadow_then_canary` does that first.",
    )
    ladder: tuple[Rung, ...] = Field(
        default=(Rung(weight=10), Rung(weight=50), Rung(weight=100)),
        validate_default=True,
        description="Steps of `canary`: percent of traffic on the new set, rising to 100. A step is a number, or "
        "`{weight, look_s, min_requests, approval}`.",
    )
    linear_step: int = Field(
        default=20,
        ge=1,
        le=100,
        description="Percent that each step of `linear` adds; the last one ends at 100.",
    )
    look_s: float = Field(default=30.0, ge=0, description="Shortest look at a step before it can pass.")
    min_requests: int = Field(
        default=50,
        ge=0,
        description="Requests on the new set, probes included, without which no step passes.",
    )
    step_deadline_s: float = Field(
        default=600.0, gt=0, description="A step not judged by then is held for a person."
    )
    bake_s: float = Field(
        default=60.0, ge=0, description="Shortest look at 100 percent, with the old set warm."
    )
    rehearse: bool = Field(
        default=False,
        description="Before the commit go back to the old set and to the new one again, under streams of our own, and "
        "measure how long that takes and what is lost.",
    )
    max_switch_s: float = Field(
        default=5.0, gt=0, description="A rehearsed switch that takes longer fails the release."
    )
    shadow_percent: int = Field(
        default=20,
        ge=1,
        le=100,
        description="Percent of live requests that are copied to the new set in a shadow.",
    )
    shadow_margin: float = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="Share of copies that may go wrong on the new set beyond the live set's own share.",
    )
    shadow_s: float = Field(default=60.0, ge=0, description="Shortest shadow before it is judged.")
    max_error_share: float = Field(
        default=0.02,
        ge=0,
        le=1,
        description="Share of clients' failed requests that never stops a measurement beside them. What ends a release stands in `live`.",
    )
    max_latency_ratio: float = Field(
        default=3.0,
        gt=0,
        description="Clients' mean latency beside a measurement against the usual one; beyond it the measurement stops.",
    )
    latency_floor_ms: float = Field(
        default=50.0, ge=0, description="Smaller differences of that latency are noise."
    )
    drain_s: float = Field(
        default=30.0, ge=0, description="Longest wait for streams in flight before a set is removed."
    )
    sticky: Sticky = Field(
        default=Sticky(),
        description="What keeps requests together while traffic is split: a header's value, else the client of the API key if "
        "`by_key` says so.",
    )
    keep_previous: int = Field(
        default=1, ge=0, description="Sets of earlier versions kept warm for rollback."
    )

    @field_validator("ladder", mode="before")
    @classmethod
    def _numbers_are_rungs(cls, value: object) -> object:
        if not isinstance(value, list | tuple):
            return value
        rungs = cast(Sequence[object], value)
        return tuple(
            {"weight": one} if isinstance(one, int) and not isinstance(one, bool) else one for one in rungs
        )

    @model_validator(mode="after")
    def _ladder_rises(self) -> Self:
        steps = [rung.weight for rung in self.ladder]
        if not steps or steps[-1] != 100 or steps != sorted(set(steps)):
            raise ValueError(
                "shift.ladder must rise strictly from 1 or more to 100, for example [10, 50, 100]"
            )
        return self

    @property
    def rungs(self) -> tuple[Rung, ...]:
        """The steps that this strategy climbs; none for a shadow, which carries no traffic."""
        if self.strategy == "shadow":
            return ()
        if self.strategy == "all_at_once":
            return (self.ladder[-1],)
        if self.strategy == "linear":
            return tuple(
                Rung(weight=min(100, weight))
                for weight in range(self.linear_step, 100 + self.linear_step, self.linear_step)
            )
        return self.ladder


class BudgetPolicy(_Part):
    """What a release may cost."""

    max_release_usd: float = Field(
        default=25.0,
        ge=0,
        description="The release is stopped and goes back when its sets have cost this much.",
    )
    max_sets: int = Field(default=6, ge=1, description="Sets the organization may have at once.")
    release_hours: float = Field(
        default=1.0, gt=0, description="Hours of the new set that a release is priced with."
    )


class DeadlinePolicy(_Part):
    """Timers stop, hold or roll back. None of them ever promotes."""

    provision_s: float = Field(default=900.0, gt=0, description="The new set must be ready by then.")
    warm_s: float = Field(default=300.0, gt=0, description="Every gateway must reach it by then.")
    park_s: float = Field(default=3600.0, gt=0, description="A release parked longer than this is given up.")
    rollback_wait_s: float = Field(
        default=120.0, gt=0, description="Wait for a ready rollback target before a person is asked."
    )
    hold_s: float = Field(
        default=86400.0,
        gt=0,
        description="A question that nobody answered by then is answered with a rollback.",
    )
    release_s: float = Field(
        default=172800.0,
        gt=0,
        description="From the plan to the commit, waiting included; later the release goes back.",
    )


class ApprovalPolicy(_Part):
    """When a named person must say yes. A timer never does: without an answer the old set gets its traffic back."""

    before_start: bool = Field(
        default=False, description="Wait for a person before anything is validated or started."
    )
    before_increase: bool = Field(
        default=False, description="Wait for a person before each step of the ladder after the first."
    )
    before_commit: bool = Field(
        default=False,
        description="Wait at 100 percent, with the old set still warm, until a person approves.",
    )
    approvers: tuple[str, ...] = Field(
        default=(), description="Who may approve; empty means everybody with the role approver or higher."
    )
    four_eyes: bool = Field(default=False, description="Whoever asked for the release may not approve it.")
    wait_s: float = Field(
        default=86400.0, gt=0, description="Without an approval by then the release is rolled back."
    )
    valid_s: float = Field(
        default=3600.0, gt=0, description="An approval that was not acted upon by then is void."
    )
