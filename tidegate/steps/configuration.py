"""Which organization and policy files are in force: whoever reads other ones than were seen before says so."""

import hashlib

from tidegate.domain import Organization, TidegateError
from tidegate.steps.ports import Ports


def tell_configuration(ports: Ports) -> None:
    """An entry of the audit log for every organization whose files changed. Who edited them is not known here: the
    process that saw it first is named. A ledger that is busy is told another time, and keeps nobody from working."""
    try:
        for org in ports.organizations.values():
            policies = {f"policy_of_{name}": config.policy.digest for name, config in org.services.items()}
            ports.ledger.note_configuration(org.name, digest_of(org), actor=ports.owner, parts=policies)
    except TidegateError as error:
        ports.note_error(error, "configuration")


def digest_of(org: Organization) -> str:
    """Of everything that is set for an organization, its policies included."""
    return hashlib.sha256(org.model_dump_json().encode()).hexdigest()
