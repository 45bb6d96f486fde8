"""Traffic of a service: wanted weights with a rising generation, and what gateways observed."""

from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Upstream(BaseModel):
    """Where a set can be reached by a gateway. The defaults are a set on our own hosts."""

    model_config = ConfigDict(frozen=True)

    set_name: str
    host: str
    port: int = Field(gt=0, lt=65536)
    digest: str
    release_id: str
    tls: bool = Field(default=False, description="Speak TLS and hold the certificate against `host`.")
    path_prefix: str = Field(
        default="", description="Stands before `/v1/...` there, for example `/lb/ab12`; no slash at its end."
    )
    credential: str | None = Field(
        default=None, description="NAME of the secret that the gateway presents there as a bearer."
    )

    @property
    def is_remote(self) -> bool:
        """A vendor's front door: asking it for health may wake a worker and cost money."""
        return self.tls or bool(self.path_prefix) or self.credential is not None


class Mirror(BaseModel):
    """Copies of live requests go to a set that carries none of them; its answers are thrown away."""

    model_config = ConfigDict(frozen=True)

    set_name: str
    percent: int = Field(ge=1, le=100)


class Sticky(BaseModel):
    """What keeps a client's requests on one set while traffic is split. Without any of it each request is drawn anew."""

    model_config = ConfigDict(frozen=True)

    header: str = Field(
        default="x-session-id",
        pattern=r"^[a-z][a-z0-9-]{0,63}$",
        description="Requests with the same value of this header stay together.",
    )
    by_key: bool = Field(
        default=False,
        description="Requests without that header stay together by the client whose API key they carry.",
    )


class Route(BaseModel):
    """Wanted traffic of one service: integer percent per set; 0 keeps a set reachable for pinned probes.

    Weights sum to 100, or all are 0 (nothing serves yet). `newest` is listed first at the gateway, so
    that raising its share never moves a sticky session off it.
    """

    model_config = ConfigDict(frozen=True)

    org: str
    service: str
    generation: int = 0
    epoch: int = 0
    upstreams: tuple[Upstream, ...] = ()
    weights: dict[str, int] = Field(default_factory=dict)
    newest: str | None = None
    mirror: Mirror | None = Field(
        default=None, description="Shadow traffic; its set must be routed at weight 0."
    )
    published_at: datetime | None = Field(
        default=None, description="When this generation was written; the ledger says it."
    )
    sticky: Sticky = Sticky()
    stand_in: str | None = Field(
        default=None,
        description="A routed set at weight 0 that was proven and is warm: it answers while no other set can.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = {upstream.set_name for upstream in self.upstreams}
        if set(self.weights) != names:
            raise ValueError("weights must name exactly the upstreams")
        total = sum(self.weights.values())
        if any(weight < 0 for weight in self.weights.values()) or total not in (0, 100):
            raise ValueError(f"weights must be non-negative and sum to 100 (or all be 0), not {total}")
        if self.mirror is not None and self.weights.get(self.mirror.set_name) != 0:
            raise ValueError("a mirror copies to a routed set that has no weight of its own")
        if self.stand_in is not None and self.weights.get(self.stand_in) != 0:
            raise ValueError("only a routed set without weight of its own can stand in")
        return self


class GatewayStatus(BaseModel):
    """What one gateway agent last confirmed."""

    model_config = ConfigDict(frozen=True)

    gateway: str
    observed_generation: int = Field(description="Highest global generation that Envoy acknowledged.")
    seen_at: datetime
    healthy_sets: tuple[str, ...] = Field(
        default=(), description="Sets with a healthy member at this gateway."
    )
    active_requests: dict[str, int] = Field(default_factory=dict, description="Requests in flight by set.")
    error: str = ""
    state: Literal["serving", "stopped"] = Field(
        default="serving", description="`stopped`: it said goodbye, and no Envoy of it runs any more."
    )
    boot: str = Field(default="", description="Changes whenever the agent starts anew.")
    observed: dict[str, int] = Field(
        default_factory=dict,
        description="`org/service` -> generation of the route that this Envoy really has.",
    )
    routed_sets: tuple[str, ...] = Field(
        default=(),
        description="Every set that this Envoy may still send a request to, draining ones included.",
    )


class TrafficCounts(BaseModel):
    """Cumulative counts of one set at all gateways, as the gateways count them."""

    model_config = ConfigDict(frozen=True)

    set_name: str
    requests: int = 0
    failed: int = Field(
        default=0, description="5xx, resets and broken streams; clients that left do not count."
    )
    attempts_failed: int = Field(
        default=0, description="Failed upstream attempts, also those that a retry hid."
    )
    latency_ms_sum: float = 0.0
    latency_count: int = 0
    at: datetime

    def since(self, earlier: "TrafficCounts | None") -> "TrafficCounts":
        """Counts gained after `earlier`; a counter that fell (gateway restart) counts from zero."""
        if earlier is None:
            return self

        def gain(now: float, before: float) -> float:
            return now - before if now >= before else now

        return TrafficCounts(
            set_name=self.set_name,
            requests=int(gain(self.requests, earlier.requests)),
            failed=int(gain(self.failed, earlier.failed)),
            attempts_failed=int(gain(self.attempts_failed, earlier.attempts_failed)),
            latency_ms_sum=gain(self.latency_ms_sum, earlier.latency_ms_sum),
            latency_count=int(gain(self.latency_count, earlier.latency_count)),
            at=self.at,
        )

    @property
    def mean_latency_ms(self) -> float | None:
        return self.latency_ms_sum / self.latency_count if self.latency_count else None
