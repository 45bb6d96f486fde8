"""Journal rows in the words of somebody who explains what is going on. Pure."""

from collections.abc import Mapping
from typing import Any

from tidegate.domain import JournalEntry, ReleaseState

_ENTERED = {
    ReleaseState.VALIDATING: "checks of the file begin",
    ReleaseState.PROVISIONING: "the file may be deployed; a new set starts beside the live one",
    ReleaseState.WARMING: "the new set is up; which file does it really serve?",
    ReleaseState.JUDGING: "the right file answers; now its speed and its answers, without users",
    ReleaseState.BAKING: "all traffic is on it; a last look before that is final",
    ReleaseState.COMMITTING: "promoted: the champion alias moves",
    ReleaseState.RETIRING: "tidying up: the set before this one stays warm, older ones go",
}


def describe(entry: JournalEntry, version: str) -> tuple[str, str] | None:
    """Text and tone of a row that is worth a line, else None."""
    if entry.kind == "entered":
        return _entered(entry.name, entry.data, version)
    if entry.kind == "observed" and entry.name == "weights":
        return f"{version}: every gateway confirmed the weights", "plain"
    if entry.kind == "observed" and entry.name == "traffic":
        return f"{version}: every gateway confirmed: all traffic is on the old set", "good"
    if entry.kind == "observed" and entry.name == "quarantine":
        return f"{version}: quarantined; it cannot be released again unnoticed", "plain"
    return None


def _entered(name: str, data: Mapping[str, Any], version: str) -> tuple[str, str] | None:
    state = ReleaseState(name)
    reason = first_line(str(data.get("reason", "")))
    match state:
        case ReleaseState.SHIFTING:
            return f"{version}: {data.get('weight', '?')} % of live traffic goes to it", "loud"
        case ReleaseState.ROLLING_BACK:
            return f"{version}: goes back: {reason}", "bad"
        case ReleaseState.ROLLED_BACK:
            return f"{version}: its set is gone; users have the version before", "good"
        case ReleaseState.REJECTED:
            return f"{version}: refused: {reason}", "bad"
        case ReleaseState.DONE:
            return f"{version}: done: {reason}", "good"
        case ReleaseState.AWAIT_APPROVAL:
            return f"{version}: a person must approve: {data.get('question', 'commit')}", "loud"
        case ReleaseState.HOLD | ReleaseState.PARKED:
            return f"{version}: {name.replace('_', ' ')}: {reason}", "bad"
        case _:
            text = _ENTERED.get(state)
            return (f"{version}: {text}", "plain") if text else None


def first_line(text: str) -> str:
    """What happened without the end of an engine's log that may follow it."""
    return text.partition("\n")[0].strip()
