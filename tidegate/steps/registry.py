"""Whether what is registered could still be served: files, digests, today's rules, aliases, signatures."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate.domain import ModelVersion, Policy, ServiceRef, Verdict
from tidegate.steps.ports import Ports
from tidegate.steps.provenance import check_provenance
from tidegate.validation import ValidationReport
from tidegate.validation.reasons import Weight, reasons

ALIASES = ("champion", "candidate", "previous")
DIGEST_CHECK = "file.digest"


@dataclass(frozen=True)
class Registered:
    """One version with everything that the ledger and the store say about it."""

    version: ModelVersion
    path: Path | None
    policy: Policy
    aliases: tuple[str, ...]
    quarantine: str | None
    signature: str
    """`trusted`, `not wanted`, or what is wrong with it."""


@dataclass(frozen=True)
class RegistryRow:
    """What became of one registered version."""

    org: str
    version: str
    digest: str
    aliases: tuple[str, ...]
    file: str
    """`intact`, `missing`, `damaged` or `not read`."""
    rules: tuple[str, ...]
    """Rules and checks of today that refuse it."""
    signature: str
    quarantine: str | None
    problems: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        return not self.problems

    def as_data(self) -> dict[str, Any]:
        return {**self.__dict__, "is_good": self.is_good}


def registered_versions(ports: Ports, org: str | None = None) -> list[Registered]:
    """Every version of one organization, or of all that are configured. Newest first.

    Raises: NotFound, for an organization that does not exist.
    """
    names = [org] if org is not None else sorted(ports.organizations)
    return [_registered(ports, version) for name in names for version in _versions(ports, name)]


def _versions(ports: Ports, org: str) -> list[ModelVersion]:
    ports.organization(org)
    return ports.ledger.list_versions(org)


def _registered(ports: Ports, version: ModelVersion) -> Registered:
    path = ports.store.path_of(version.digest)
    services = ports.organization(version.org).services
    refs = {ServiceRef(version.org, name): config for name, config in services.items()}
    fitting = [config.policy for config in services.values() if config.allows_model(version.name)]
    held = {f"{alias} of {ref}": ports.ledger.get_alias(ref, alias) for ref in refs for alias in ALIASES}
    return Registered(
        version=version,
        path=None if path is None else Path(path),
        policy=fitting[0] if fitting else Policy(),
        aliases=tuple(name for name, of in held.items() if of is not None and of.label == version.label),
        quarantine=ports.ledger.quarantine_reason(version.org, version.digest),
        signature=_signature(ports, version),
    )


def _signature(ports: Ports, version: ModelVersion) -> str:
    if not ports.organization(version.org).provenance.is_on:
        return "not wanted"
    row = check_provenance(ports, version.org, version.digest)
    return "trusted" if row.verdict is Verdict.PASS and row.data.get("signed_by") else row.summary


def judge_registered(found: Registered, report: ValidationReport | None, *, is_signed: bool) -> RegistryRow:
    """Pure. `report` is on the stored file by today's rules; `is_signed` says that signatures are required."""
    file, rules = _file(found, report), _refusing(report)
    problems = {
        "missing": ["its file is not in the store"],
        "damaged": ["its file is not what was registered"],
    }
    told = list(problems.get(file, []))
    told += ["its file could not be read"] if file == "not read" else []
    told += [f"today's rules refuse it: {', '.join(rules)}"] if rules else []
    told += [f"signature: {found.signature}"] if is_signed and found.signature != "trusted" else []
    if found.quarantine and found.aliases:
        told.append(f"quarantined and still {' and '.join(found.aliases)}")
    return RegistryRow(
        org=found.version.org,
        version=found.version.label,
        digest=found.version.digest,
        aliases=found.aliases,
        file=file,
        rules=rules,
        signature=found.signature,
        quarantine=found.quarantine,
        problems=tuple(told),
    )


def _file(found: Registered, report: ValidationReport | None) -> str:
    if found.path is None:
        return "missing"
    if report is None:
        return "not read"
    return "intact" if report.digest == found.version.digest else "damaged"


def _refusing(report: ValidationReport | None) -> tuple[str, ...]:
    """The digest is told as the state of the file; what could not be judged refuses like what failed."""
    if report is None:
        return ()
    refusing = (Weight.REFUSES, Weight.NOT_JUDGED)
    found = [
        reason
        for reason in reasons(report)
        if reason.weight in refusing and reason.check_name != DIGEST_CHECK
    ]
    only_refused = [reason.rule for reason in found if reason.weight is Weight.REFUSES]
    return tuple(dict.fromkeys(only_refused or [reason.rule for reason in found]))


def is_signature_required(ports: Ports, found: Registered) -> bool:
    return ports.organization(found.version.org).provenance.required


def by_path(found: list[Registered]) -> Mapping[Path, Registered]:
    """One of the versions of each stored file: several may share it."""
    return {item.path: item for item in found if item.path is not None}


__all__ = [
    "Registered",
    "RegistryRow",
    "by_path",
    "is_signature_required",
    "judge_registered",
    "registered_versions",
]
