"""`make model`: explore every configuration, then the machine without each guard, and print what was found."""

import sys
import time

from tests.model.configurations import CONFIGURATIONS
from tests.model.explorer import Explorer
from tests.model.mutants import MUTANTS


def main() -> int:
    """0 when the machine keeps every property and every mutant is found."""
    began, is_good = time.process_time(), True
    print(f"{'configuration':34} {'states':>8} {'transitions':>12} {'decisions':>10} {'depth':>6}")
    total_states = total_transitions = 0
    for world in CONFIGURATIONS:
        result = Explorer(world).run()
        total_states += result.states
        total_transitions += result.transitions
        print(
            f"{result.name:34} {result.states:8} {result.transitions:12} {result.decisions:10} {result.depth:6}",
            flush=True,
        )
        if result.violation is not None:
            is_good = False
            print(result.violation)
    print(
        f"{'all':34} {total_states:8} {total_transitions:12}   in {time.process_time() - began:.0f} s of CPU"
    )
    killed = 0
    print("\n| published failure | guard taken away | found |\n|---|---|---|")
    for mutant in MUTANTS:
        found = mutant.run().violation
        killed += found is not None
        print(f"| {mutant.failure} | {mutant.guard} | {found.broken if found else 'NOT FOUND'} |", flush=True)
    print(f"\n{killed} of {len(MUTANTS)} mutants found; CPU {time.process_time() - began:.0f} s")
    return 0 if is_good and killed == len(MUTANTS) else 1


if __name__ == "__main__":
    sys.exit(main())
