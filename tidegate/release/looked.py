"""The rows of evidence that a decision on live traffic rests on. Pure.

They are stored with the step that the look decided, before it: one set of rows for each rung of the ladder and one
for the bake, of which the last look's stay. A look that decides nothing leaves nothing, so an answer of a person is
not void because clients sent more requests meanwhile.
"""

from dataclasses import replace

from tidegate.domain import Evidence, Gate, ReleaseState, Verdict
from tidegate.release.observation import Observation, View
from tidegate.release.step import Enter, Step

BAKE = "bake"
LOOK = "look"
"""Last part of the name of the row that tells the verdict of the whole look."""


def resting_on_look(step: Step, view: View, seen: Observation, verdict: Verdict, why: str) -> Step:
    """The step, with the rows of the look that decided it. What is no decision takes none with it."""
    return replace(step, rows=look_rows(view, seen, verdict, why)) if isinstance(step, Enter) else step


def look_rows(view: View, seen: Observation, verdict: Verdict, why: str) -> tuple[Evidence, ...]:
    """One row with the verdict, then every metric, also those that are only shown: a set replaces a set."""
    live, rung = seen.live, rung_of(view)
    requests, probes = (live.requests, live.probes) if live else (0, 0)
    whole = Evidence(
        gate=Gate.LIVE,
        check=f"live.{rung}.{LOOK}",
        verdict=verdict,
        summary=f"{told_rung(rung)}: {why}",
        data={"rung": rung, "samples": requests + probes, "requests": requests, "probes": probes},
        taken_at=seen.now,
    )
    return (whole, *(_of_rung(row, rung, seen) for row in (live.rows if live else ())))


def _of_rung(row: Evidence, rung: str, seen: Observation) -> Evidence:
    metric = row.check.removeprefix("live.")
    # A slice stops a release when it is harmed; to pass, only the whole has to be judged.
    is_gating = row.data.get("is_gating") is not False and "@" not in metric
    return row.model_copy(
        update={
            "check": f"live.{rung}.{metric}",
            "summary": f"{told_rung(rung)}: {row.summary}",
            "data": {**row.data, "rung": rung, "is_gating": is_gating},
            "taken_at": seen.now,
        }
    )


def rung_of(view: View) -> str:
    """Percent of the step whose traffic is looked at, or the bake. While somebody thinks it is the step before."""
    is_waiting = view.state in (ReleaseState.HOLD, ReleaseState.AWAIT_APPROVAL)
    origin = str(view.data.get("from", "")) if is_waiting else view.state.value
    if origin in (ReleaseState.BAKING.value, ReleaseState.RETIRING.value):
        return BAKE
    ladder, step = view.plan.ladder, int(view.data.get("step", -1))
    return str(ladder[min(step, len(ladder) - 1)]) if step >= 0 and ladder else "0"


def told_rung(rung: str) -> str:
    return "in the bake" if rung == BAKE else f"at {rung} %"
