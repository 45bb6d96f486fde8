"""An override of a quarantine: who takes it upon themselves, why, and until when. It is told in the journal."""

from datetime import timedelta

from tidegate.domain import InvalidInput, Refused, Release, ReleaseRequest
from tidegate.domain.release import MACHINES
from tidegate.steps.ports import Ports

VALID = timedelta(hours=24)
LONGEST = timedelta(days=7)
NOBODY = frozenset({"", "unknown", "prefect-ui"})
"""Names that forms and requests have when nobody gave one."""
NOTE = "override quarantine"


def name_override(ports: Ports, request: ReleaseRequest) -> ReleaseRequest:
    """The request with an end of its override. Others come back as they are.

    Raises: Refused when no person stands behind it, InvalidInput for an end that is past or too far away.
    """
    if not request.override_quarantine:
        return request
    if request.requested_by in NOBODY or request.requested_by.startswith(MACHINES):
        raise Refused(
            "An override of a quarantine needs the name of a person.",
            remedy="Say who you are: --by NAME, or the field 'Requested by' of the form.",
            field="requested_by",
        )
    now = ports.clock()
    until = request.override_until or now + VALID
    if not now < until <= now + LONGEST:
        raise InvalidInput(
            f"An override counts for at most {LONGEST.days} days from now, not until {until:%Y-%m-%d %H:%M}.",
            remedy="For example --override-for 24h.",
            field="override_until",
        )
    return request.model_copy(update={"override_until": until})


def tell_override(ports: Ports, release: Release) -> None:
    """Note it once in the journal of the release; again changes nothing. Another owner may have noted it already."""
    request = release.request
    if not request.override_quarantine or release.is_over:
        return
    if any(entry.kind == "note" and entry.name == NOTE for entry in ports.ledger.entries(release.id)):
        return
    told = {
        "actor": request.requested_by,
        "reason": request.override_quarantine,
        "until": request.override_until.isoformat() if request.override_until else None,
        "quarantine": ports.ledger.quarantine_reason(request.org, release.digest),
    }
    ports.ledger.append(release.id, release.epoch, "note", NOTE, told)
