"""Drills for an installation that others share: which services, and the report as small values for a task."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tidegate.demo.machine import describe_machine
from tidegate.domain import Organization, ServiceRef
from tidegate.drill.judgement import Verdict, worst
from tidegate.drill.permission import may_drill
from tidegate.drill.report import headline, markdown
from tidegate.drill.runner import run_drills
from tidegate.drill.scenario import find_drills

log = logging.getLogger("tidegate.drill")


@dataclass(frozen=True)
class Played:
    """The drills of one service, as a task hands them on."""

    service: str
    verdict: Verdict
    headline: str
    markdown: str

    @property
    def key(self) -> str:
        """Names its report: letters, digits and dashes."""
        return self.service.replace("/", "-")

    @property
    def digest(self) -> str:
        """Of the report: what was told is what the audit log means."""
        return hashlib.sha256(self.markdown.encode()).hexdigest()


def drilled_services(organizations: Mapping[str, Organization], service: str, allow: str = "") -> list[str]:
    """The named service when it may be drilled; without a name every one that is marked as staging.

    Raises: NotFound, Refused.
    """
    if service:
        ref = ServiceRef.parse(service)
        may_drill(organizations, ref, allow)
        return [str(ref)]
    return [
        f"{name}/{own}"
        for name, organization in sorted(organizations.items())
        for own, config in sorted(organization.services.items())
        if config.stage == "staging"
    ]


def play_for(service: str, names: Sequence[str], deployments: Path) -> Played:
    """The named drills, or all, with the policy of this service."""
    at, machine = datetime.now(UTC), describe_machine()
    drills = find_drills(names, is_all=True)
    reports = run_drills(drills, log.info, ref=ServiceRef.parse(service), deployments=deployments)
    return Played(service, worst(reports), headline(reports), markdown(reports, at, machine))
