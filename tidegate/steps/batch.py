"""Validation of many: everything in some folders, and every registered version that a pattern names."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from tidegate.domain import InvalidInput, ServiceRef, TidegateError
from tidegate.steps.files import FileResult, check_file, check_stored
from tidegate.steps.pipeline import refuse_own_files
from tidegate.steps.ports import Ports
from tidegate.steps.reporting import markdown_table

MOST_FILES = 500
MAGIC = frozenset("*?[")


@dataclass(frozen=True)
class Subject:
    """One thing to validate: a file by its path, or a registered version by its digest."""

    name: str
    digest: str = ""

    @property
    def is_version(self) -> bool:
        return bool(self.digest)


def subjects(ports: Ports, ref: ServiceRef, paths: Sequence[str], versions: Sequence[str]) -> list[Subject]:
    """What the paths (files, folders, shell patterns) and the patterns of MODEL:VERSION stand for, each once.

    Raises: InvalidInput when one of them stands for nothing, or all together for more than 500; Refused for paths
    inside Tidegate's own folders.
    """
    service = ports.service(ref)
    found: dict[str, Subject] = {}
    for path in paths:
        for file in _files(ports, path):
            found[str(file)] = Subject(str(file))
    for pattern in versions:
        known = [
            version
            for version in ports.ledger.list_versions(ref.org)
            if service.allows_model(version.name) and fnmatchcase(version.label, pattern)
        ]
        if not known:
            raise InvalidInput(
                f"'{pattern}' names no registered version that {ref} may serve.",
                remedy="See them with: tidegate models list. Patterns are written like pipit:* or pipit:v2.",
                field="versions",
            )
        found |= {version.label: Subject(version.label, version.digest) for version in known}
    if not found:
        raise InvalidInput(
            "There is nothing to validate.", remedy="Name files, folders or versions.", field="paths"
        )
    if len(found) > MOST_FILES:
        raise InvalidInput(
            f"These are {len(found)} files; one run takes {MOST_FILES}.", remedy="Name fewer.", field="paths"
        )
    return list(found.values())


def _files(ports: Ports, path: str) -> list[Path]:
    place = Path(path)
    if place.is_dir() and any(place.glob("*.gguf")):
        files = sorted(place.glob("*.gguf"))
    elif MAGIC & set(place.name):
        files = sorted(file for file in place.parent.glob(place.name) if file.is_file())
    else:
        files = [place]
    if not files:
        raise InvalidInput(f"{path} matches no file.", remedy="Check the pattern.", field="paths")
    for file in files:
        refuse_own_files(ports, file)
    return files


def check_subject(ports: Ports, ref: ServiceRef, subject: Subject) -> FileResult:
    """Check one of them. What cannot be read, or cannot be judged here, is a result and hides no other."""
    try:
        if subject.is_version:
            return check_stored(ports, ref, subject.name, subject.digest)
        return check_file(ports, ref, subject.name)
    except TidegateError as error:
        if error.is_retryable:
            raise
        return FileResult(subject.name, subject.digest, f"do_not_deploy: {error.message}", ())


def batch_markdown(results: Sequence[FileResult]) -> str:
    """One row per file, those that must not be deployed first, with the first reason of each."""
    ordered = sorted(results, key=lambda result: (result.may_be_deployed, result.path))
    good = sum(result.may_be_deployed for result in results)
    counts = Counter(check for result in results for check in result.refusing)
    rows = [
        {
            "file": Path(result.path).name if not result.digest or "/" in result.path else result.path,
            "digest": f"`{result.digest[:12]}`" if result.digest else "",
            "verdict": "may be deployed" if result.may_be_deployed else "must not be deployed",
            "why": result.reason,
        }
        for result in ordered
    ]
    parts = [
        f"# {len(results)} artifacts: {good} may be deployed, {len(results) - good} must not",
        "",
        markdown_table(["file", "digest", "verdict", "why"], rows),
        "",
    ]
    if counts:
        table = [{"check": check, "files": count} for check, count in counts.most_common()]
        parts += ["## Checks that refuse most", "", markdown_table(["check", "files"], table), ""]
    return "\n".join(parts)
