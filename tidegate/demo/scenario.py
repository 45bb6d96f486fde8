"""What the demonstration does and what must come of it, as data. Nothing here runs anything."""

from dataclasses import dataclass
from enum import StrEnum

from tidegate.domain import Evidence, Gate, JournalEntry, Release, ReleaseState, ServiceRef, Verdict

REQUESTED_BY = "tidegate demo"
APPROVED_BY = "service:demo"
"""The approver that an organization's file names for demonstrations, where its policy wants an approval."""


class Outcome(StrEnum):
    """How a release ended, in the words of a person who watches."""

    LIVE = "live"
    REFUSED = "refused"
    ROLLED_BACK = "rolled back"
    HELD = "held"
    UNFINISHED = "unfinished"


@dataclass(frozen=True)
class Act:
    """One release of the demonstration. `kills` says that its new set is killed in the middle of its canary."""

    version: str
    expected: Outcome
    shows: str
    kills: bool = False


@dataclass(frozen=True)
class Cast:
    """One organization's part: its service, and the model whose versions are released to it."""

    ref: ServiceRef
    model: str

    def file_name(self, version: str) -> str:
        """Name of the artifact in the folder of demo models."""
        return f"{self.model}-{version}.gguf"


CASTS = (
    Cast(ServiceRef("swaggystacks", "support-chat"), "pipit"),
    Cast(ServiceRef("scientiacapital", "research-desk"), "tern"),
)

ACTS = (
    Act("v1", Outcome.LIVE, "The first release: nothing serves yet, so it takes all traffic at once."),
    Act("v2", Outcome.LIVE, "A better model: it passes every gate and climbs to all traffic in steps."),
    Act(
        "v3-regressed",
        Outcome.REFUSED,
        "A model that forgot some topics: refused by its answers before any user meets it.",
    ),
    Act(
        "v2-fast",
        Outcome.ROLLED_BACK,
        "A good model, but its new set is killed (SIGKILL) in the middle of its canary: "
        "the release goes back by itself.",
        kills=True,
    ),
)


def outcome_of(release: Release, entries: list[JournalEntry] | tuple[JournalEntry, ...]) -> Outcome:
    """A release that never had live traffic was refused; one that had and went back was rolled back."""
    met_users = any(
        entry.kind == "entered" and entry.name == ReleaseState.SHIFTING.value for entry in entries
    )
    match release.state:
        case ReleaseState.DONE:
            return Outcome.LIVE
        case ReleaseState.REJECTED | ReleaseState.EVALUATED:
            return Outcome.REFUSED
        case ReleaseState.ROLLED_BACK:
            return Outcome.ROLLED_BACK if met_users else Outcome.REFUSED
        case ReleaseState.HOLD | ReleaseState.AWAIT_APPROVAL:
            return Outcome.HELD
        case _:
            return Outcome.UNFINISHED


def failed_topics(evidence: list[Evidence] | tuple[Evidence, ...]) -> dict[str, str]:
    """Topics that the candidate lost, each with `right before -> right after`."""
    for row in evidence:
        if row.gate is Gate.QUALITY and row.check == "quality.topics" and row.verdict is Verdict.FAIL:
            told: dict[str, str] = row.data.get("topics", {})
            return {name: told.get(name, "") for name in row.data.get("failed", [])}
    return {}
