"""What a look at live requests came to."""

from dataclasses import dataclass

from tidegate.domain import Evidence, Verdict


@dataclass(frozen=True)
class LiveJudgement:
    """`fail` as soon as harm is shown, `pass` when every gating metric is shown to be inside its margin."""

    verdict: Verdict
    reason: str
    rows: tuple[Evidence, ...] = ()
    harmful: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    needed_requests: int | None = None
    """More requests on the new set that would probably decide; None when nothing is missing or it cannot be said."""
    requests: int = 0
    """Requests of clients on the new set."""
    probes: int = 0
    """Our own requests on it. They are evidence, marked as such, and never called clients'."""
