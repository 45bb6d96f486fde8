"""Tasks: one more backup, and a backup restored as a test. A failure stands as a finding, which people are told of."""

from dataclasses import dataclass
from datetime import timedelta

from prefect import task

from tasks.policies import LONG
from tasks.runtime import ports
from tidegate.backing_up import create_backup, verify_backup


@dataclass(frozen=True)
class Tried:
    """What restoring showed."""

    rows: int
    took_s: float
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Made:
    """A backup and what was removed for it."""

    name: str
    size_bytes: int
    rows: int
    removed: tuple[str, ...]

    def markdown(self, tried: Tried | None) -> str:
        """A report that a person can read alone."""
        lines = [f"# Backup {self.name}", "", f"{self.rows} rows, {self.size_bytes / 1024**2:.1f} MiB."]
        if tried is None:
            lines.append("It was not restored as a test.")
        elif tried.problems:
            lines += ["**Restored as a test, it is not whole:**", *(f"- {one}" for one in tried.problems)]
        else:
            lines.append(
                f"Restored as a test in {tried.took_s:.1f} s: every row and the whole audit log are there."
            )
        if self.removed:
            lines.append(f"Removed for their age or number: {', '.join(self.removed)}.")
        return "\n".join(lines) + "\n"


@task(name="make backup", **LONG)
def make_backup(keep: int, keep_days: int) -> Made:
    kept, removed = create_backup(ports(), keep=keep, max_age=timedelta(days=keep_days))
    assert kept.manifest is not None, "create_backup() reads it back"
    rows = sum(kept.manifest.rows.values())
    return Made(kept.name, kept.manifest.size_bytes, rows, tuple(removed))


@task(name="restore as a test", task_run_name="restore as a test: {name}", **LONG)
def restore_as_test(name: str) -> Tried:
    checked = verify_backup(ports(), name)
    return Tried(checked.rows, round(checked.took_s, 3), checked.problems)
