"""When a set that died is started again, and when it is given up. Pure: values in, values out."""

from dataclasses import dataclass
from enum import Enum, auto

from tidegate.platforms.local.state import SetRecord


@dataclass(frozen=True)
class HealingPolicy:
    """Patience with sets that die. The first restart is immediate, later ones wait ever longer."""

    crash_limit: int = 5
    first_delay_s: float = 1.0
    longest_delay_s: float = 60.0
    stable_after_s: float = 60.0
    start_timeout_s: float = 900.0

    def delay_s(self, crashes: int) -> float:
        """Wait before the restart that follows the given number of crashes in a row."""
        if crashes <= 1:
            return 0.0
        return min(self.longest_delay_s, self.first_delay_s * 2.0 ** min(crashes - 2, 30))


class Remedy(Enum):
    """What to do next about a set whose process is dead."""

    RESTART = auto()
    WAIT = auto()
    GIVE_UP = auto()


def count_crash(record: SetRecord, policy: HealingPolicy, now: float) -> SetRecord:
    """The record after one more death was noticed; noticing the same death again changes nothing."""
    if record.retry_at is not None or record.gave_up:
        return record
    crashes = record.crashes + 1
    if crashes > policy.crash_limit:
        why = f"It died {crashes} times in a row and is not started again."
        return record.model_copy(update={"crashes": crashes, "gave_up": why})
    return record.model_copy(update={"crashes": crashes, "retry_at": now + policy.delay_s(crashes)})


def remedy(record: SetRecord, now: float) -> Remedy:
    """What the counted crashes allow now."""
    if record.gave_up:
        return Remedy.GIVE_UP
    if record.retry_at is not None and now < record.retry_at:
        return Remedy.WAIT
    return Remedy.RESTART
