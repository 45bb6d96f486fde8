"""Questions to people, and which answers count. Pure.

An answer is bound to the plan, the evidence and the question that it was given for. It expires, and it is void as
soon as any of these is another one.
"""

from tidegate.domain import Policy, ReleaseState
from tidegate.release.observation import Observation, View
from tidegate.release.step import Enter

State = ReleaseState


def ask(view: View, question: str, why: str, *, step: int = -1) -> Enter:
    """Wait for a person. The question says what a yes means: `start`, `increase` or `commit`.

    Traffic stays as it is meanwhile, so what is remembered is where it got its weights: not a hold in between.
    """
    text = {
        "start": "a person must approve before it starts",
        "increase": "a person must approve the next step",
        "commit": "a person must approve it",
    }[question]
    origin = view.data.get("from", "") if view.state is State.HOLD else view.state.value
    data = {"from": origin, "step": step, "question": question}
    return Enter(State.AWAIT_APPROVAL, f"{why}; {text}", data)


def question_of(view: View) -> str:
    """What is asked now. A release that an earlier version left waiting waits for its commit, or its start."""
    told = view.data.get("question")
    if told is not None:
        return str(told)
    return "commit" if view.data.get("from") == State.BAKING.value else "start"


def wants_increase(view: View, policy: Policy, index: int) -> bool:
    """A person must say yes before this step of the ladder."""
    rungs = policy.shift.rungs
    named = index < len(rungs) and rungs[index].approval
    return view.plan.kind == "release" and (named or (policy.approval.before_increase and index > 0))


def approver_of(view: View, seen: Observation, policy: Policy) -> str | None:
    """Who answered yes, when the answer counts; None otherwise."""
    given = view.approval
    if given is None or void_because(view, seen, policy):
        return None
    return str(given.data.get("actor", "")) or None


def void_because(view: View, seen: Observation, policy: Policy) -> str:
    """Why the given answer does not count; empty when it does, or when none was given."""
    given = view.approval
    if given is None:
        return ""
    actor = str(given.data.get("actor", ""))
    approvers = policy.approval.approvers
    must_be_named = view.state is State.AWAIT_APPROVAL and bool(approvers)
    reasons = {
        "it is for another plan": given.data.get("plan_digest") != view.plan.digest,
        "the evidence changed": given.data.get("evidence_digest") != seen.evidence_digest,
        "it is too old": (seen.now - given.at).total_seconds() > policy.approval.valid_s,
        f"{actor} asked for this release": policy.approval.four_eyes
        and actor == view.release.request.requested_by,
        f"{actor} is not among the approvers": must_be_named and actor not in approvers,
    }
    return "; ".join(reason for reason, holds in reasons.items() if holds)
