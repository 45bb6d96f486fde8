"""May this organization release this model to this service now? Rows of the authorization gate."""

from tidegate.access import credential_name
from tidegate.access.asking import allow_unsigned
from tidegate.domain import (
    Action,
    Evidence,
    Gate,
    Permanent,
    Permission,
    Refused,
    Release,
    Secret,
    TidegateError,
    Verdict,
)
from tidegate.steps.costs import month_to_date_usd
from tidegate.steps.near_copies import know_tensors
from tidegate.steps.ports import Ports
from tidegate.steps.provenance import check_provenance, publishers_of
from tidegate.validation import PROVENANCE_CHECK

AUTHORIZATION_CHECKS = frozenset(
    {
        "auth.request",
        "auth.organization",
        "auth.credential",
        "auth.model",
        "auth.limits",
        "auth.budget",
        "auth.quarantine",
        "auth.hold",
        PROVENANCE_CHECK,
    }
)
ROUNDING_USD = 1e-6


def check_authorization(ports: Ports, release: Release) -> list[Evidence]:
    """Every row says what was asked and what the answer was; an unreachable platform is an error, not a yes."""
    return [
        _request(ports, release),
        _organization(ports, release),
        _credential(ports, release),
        _model(ports, release),
        _limits(ports, release),
        _budget(ports, release),
        _quarantine(ports, release),
        _hold(ports, release),
        check_provenance(ports, release.request.org, release.digest),
    ]


def _request(ports: Ports, release: Release) -> Evidence:
    """Who asked was found out before the release was recorded. Asked again: roles and policies may have changed."""
    organization, policy = ports.organization(release.request.org), ports.service(release.ref).policy
    override = release.request.override_quarantine
    needed = [Permission.RELEASE, *([Permission.OVERRIDE_QUARANTINE] if override else [])]
    proofs = ports.ledger.proofs(release.id, Action.RELEASE)
    asker = proofs[0].identity if proofs else release.request.requested_by
    try:
        for permission in needed:
            if proofs:
                organization.require(asker, permission)
            else:
                allow_unsigned(organization, policy, asker, permission)
    except Refused as error:
        return _row("request", False, error.message, remedy=error.remedy, identity=asker)
    if proofs:
        role = organization.role_of(asker)
        text = f"asked by {asker} ({role}), signed with key {proofs[0].key_id} of {organization.name}"
        return _row("request", True, text, identity=asker, is_signed=True, nonce=proofs[0].nonce)
    text = f"asked by '{asker}' without a token, which the policy allows"
    return _row("request", True, text, identity=asker, is_signed=False)


def _organization(ports: Ports, release: Release) -> Evidence:
    organization = ports.organization(release.request.org)
    service = ports.service(release.ref)
    allowed = organization.allows_platform(service.platform)
    said = "on platform" if allowed else "but may not use platform"
    return _row(
        "organization",
        allowed,
        f"{organization.display_name} owns {release.ref} {said} {service.platform}",
        remedy="" if allowed else "Add it to `platforms` of the organization.",
    )


def _credential(ports: Ports, release: Release) -> Evidence:
    """The organization's own credential, asked of the platform itself: is it valid, may it, is there money."""
    platform = ports.platform(release.ref)
    org = ports.organization(release.request.org)
    reference = org.credentials.get(platform.name, credential_name(platform.name, org.name))
    credential: Secret | None = None
    try:
        credential = ports.secrets.get(reference)
        platform.verify_credential(org.name, credential)
    except TidegateError as error:
        return _unverified(org.name, platform.name, reference, credential, error)
    return _row(
        "credential",
        True,
        f"platform {platform.name} accepts the credential '{reference}' of {org.name}",
        secret_name=reference,
    )


def _unverified(
    org: str, platform: str, reference: str, credential: Secret | None, error: TidegateError
) -> Evidence:
    """Names organization, reference and remedy; the value is cut out, should a platform have repeated it."""

    def clean(text: str) -> str:
        return text.replace(credential.reveal(), "***") if credential else text

    is_undecided = not isinstance(error, Permanent)
    said = "could not be verified on" if is_undecided else "is not good for"
    state = "" if credential else " (there is none at that place)"
    return Evidence(
        gate=Gate.AUTHORIZATION,
        check="auth.credential",
        verdict=Verdict.ERROR if is_undecided else Verdict.FAIL,
        summary=f"credential '{reference}' of {org}{state} {said} platform {platform}: {clean(error.message)}",
        remedy=clean(error.remedy),
        data={"secret_name": reference, "code": error.code},
    )


def _model(ports: Ports, release: Release) -> Evidence:
    service = ports.service(release.ref)
    # Signatures are judged only where a rule asks for them: it loads the verifier.
    asks = any(rule.publisher for rule in service.models)
    publishers = publishers_of(ports, release.request.org, release.digest) if asks else ()
    allowed = service.allows_model(release.request.model, publishers)
    return _row(
        "model",
        allowed,
        f"model {release.request.model} {'may' if allowed else 'may not'} be released to {release.ref}",
        remedy=""
        if allowed
        else f"Allowed are: {', '.join(str(rule) for rule in service.models)}. Add it to `models` of the service.",
    )


def _limits(ports: Ports, release: Release) -> Evidence:
    """The price of the new set, against what the organization allows for one."""
    plan = release.plan
    assert plan is not None
    most = ports.organization(release.request.org).limits.max_price_per_hour_usd
    price = plan.estimated_usd / ports.service(release.ref).policy.budget.release_hours
    if most is None:
        return _row("limits", True, f"the set costs ${price:.2f} an hour; the organization sets no limit")
    is_within = price <= most + ROUNDING_USD
    text = f"the set costs ${price:.2f} an hour, of at most ${most:.2f}"
    remedy = "" if is_within else "Choose a cheaper GPU, or raise `limits.max_price_per_hour_usd`."
    return _row("limits", is_within, text, remedy=remedy, price_per_hour_usd=price)


def _budget(ports: Ports, release: Release) -> Evidence:
    """Price of the release, number of sets that would exist and the month so far, against policy and budget."""
    budget = ports.service(release.ref).policy.budget
    monthly = ports.organization(release.request.org).monthly_budget_usd
    plan = release.plan
    assert plan is not None
    running = [
        spec.name
        for spec, state in ports.ledger.list_sets()
        if spec.org == release.request.org and state != "deleted" and spec.name != plan.green_set
    ]
    spent = month_to_date_usd(ports, release)
    problems: list[str] = []
    if plan.estimated_usd > budget.max_release_usd:
        problems.append(
            f"the release is estimated at ${plan.estimated_usd:.2f}, the limit is ${budget.max_release_usd:.2f}"
        )
    if len(running) + 1 > budget.max_sets:
        problems.append(f"{len(running)} sets exist already, the limit is {budget.max_sets}")
    if monthly is not None and spent + plan.estimated_usd > monthly + ROUNDING_USD:
        problems.append(
            f"${spent:.2f} of ${monthly:.2f} are spent this month, and the release is estimated at "
            f"${plan.estimated_usd:.2f}"
        )
    of_month = f", ${spent:.2f} of ${monthly:.2f} spent this month" if monthly is not None else ""
    summary = "; ".join(problems) or (
        f"${plan.estimated_usd:.2f} of at most ${budget.max_release_usd:.2f}, "
        f"set {len(running) + 1} of at most {budget.max_sets}{of_month}"
    )
    remedy = "Raise `budget` or `monthly_budget_usd`, or retire sets that are no longer needed."
    return _row(
        "budget",
        not problems,
        summary,
        remedy=remedy if problems else "",
        estimated_usd=plan.estimated_usd,
        month_to_date_usd=spent,
    )


def _quarantine(ports: Ports, release: Release) -> Evidence:
    """S10: a file that failed once, and every file with the same tensors, needs a named override."""
    request = release.request
    know_tensors(ports, request.org, release.digest)
    found = ports.ledger.quarantined(request.org, release.digest)
    if found is None:
        return _row("quarantine", True, "neither this digest nor a copy of it ever failed")
    is_copy = found.digest != release.digest
    what = f"this file has the same tensors as {found.digest[:12]}, which" if is_copy else "this digest"
    why = f"{what} is quarantined: {found.reason}"
    facts = {"quarantined": found.digest, "since": found.at.isoformat(), "release": found.release_id}
    until = request.override_until
    if request.override_quarantine and (until is None or ports.clock() <= until):
        end = f" until {until:%Y-%m-%d %H:%M} UTC" if until else ""
        text = f"{why}; overridden by {request.requested_by}{end}: {request.override_quarantine}"
        return _row("quarantine", True, text, override=request.override_quarantine, **facts)
    if request.override_quarantine:
        why = f"{why}; the override by {request.requested_by} ended at {until:%Y-%m-%d %H:%M} UTC"
    remedy = "Train a new version, or release it with --override-quarantine REASON."
    return _row("quarantine", False, why, remedy=remedy, **facts)


def _hold(ports: Ports, release: Release) -> Evidence:
    """Asked again here: a release that waited for its turn may be older than the hold."""
    found = ports.ledger.hold_of(release.ref)
    if found is None:
        return _row("hold", True, f"{release.ref} is not held")
    said = f"{release.ref} is held by {found.actor}: {found.reason}"
    if not release.request.is_automatic:
        return _row("hold", True, f"{said}; this release was asked for by hand", hold=found.number)
    remedy = f"Release by hand, or lift the hold: tidegate hold lift {release.ref} --reason ..."
    return _row(
        "hold", False, f"{said}; nothing is released to it by itself", remedy=remedy, hold=found.number
    )


def _row(check: str, passed: bool, summary: str, *, remedy: str = "", **data: object) -> Evidence:
    return Evidence(
        gate=Gate.AUTHORIZATION,
        check=f"auth.{check}",
        verdict=Verdict.PASS if passed else Verdict.FAIL,
        summary=summary,
        remedy=remedy,
        data=data,
    )
