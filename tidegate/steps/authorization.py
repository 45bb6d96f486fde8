"""May this organization release this model to this service now? Rows of the authorization gate."""

from tidegate.access import credential_name
from tidegate.domain import Evidence, Gate, Refused, Release, Transient, Verdict
from tidegate.domain.secret import Secret
from tidegate.steps.ports import Ports

AUTHORIZATION_CHECKS = frozenset(
    {"auth.organization", "auth.credential", "auth.model", "auth.budget", "auth.quarantine"}
)


def check_authorization(ports: Ports, release: Release) -> list[Evidence]:
    """Every row says what was asked and what the answer was; an unreachable platform is an error, not a yes."""
    return [
        _organization(ports, release),
        _credential(ports, release),
        _model(ports, release),
        _budget(ports, release),
        _quarantine(ports, release),
    ]


def _organization(ports: Ports, release: Release) -> Evidence:
    organization = ports.organization(release.request.org)
    service = ports.service(release.ref)
    return _row(
        "organization", True, f"{organization.display_name} owns {release.ref} on platform {service.platform}"
    )


def _credential(ports: Ports, release: Release) -> Evidence:
    """The organization's own credential, asked of the platform itself."""
    platform = ports.platform(release.ref)
    org = ports.organization(release.request.org)
    name = org.credentials.get(platform.name, credential_name(platform.name, org.name))
    credential: Secret | None = None
    try:
        credential = ports.secrets.get(name)
        platform.verify_credential(org.name, credential)
    except Refused as error:
        return _row("credential", False, error.message, remedy=error.remedy, secret_name=name)
    except Transient as error:
        return Evidence(
            gate=Gate.AUTHORIZATION,
            check="auth.credential",
            verdict=Verdict.ERROR,
            summary=f"platform {platform.name} could not be asked: {error.message}",
            remedy=error.remedy,
        )
    return _row(
        "credential", True, f"platform {platform.name} accepts the credential '{name}'", secret_name=name
    )


def _model(ports: Ports, release: Release) -> Evidence:
    service = ports.service(release.ref)
    version = ports.ledger.get_version(release.request.org, release.request.model, release.request.version)
    allowed = service.allows_model(version.name, version.provenance)
    return _row(
        "model",
        allowed,
        f"model {release.request.model} {'may' if allowed else 'may not'} be released to {release.ref}",
        remedy=""
        if allowed
        else f"Allowed are: {', '.join(str(rule) for rule in service.models)}. Add it to `models` of the service.",
    )


def _budget(ports: Ports, release: Release) -> Evidence:
    """Price of the release and number of sets that would exist, against the policy."""
    budget = ports.service(release.ref).policy.budget
    plan = release.plan
    assert plan is not None
    running = [
        spec.name
        for spec, state in ports.ledger.list_sets()
        if spec.org == release.request.org and state != "deleted" and spec.name != plan.green_set
    ]
    problems: list[str] = []
    if plan.estimated_usd > budget.max_release_usd:
        problems.append(
            f"the release is estimated at ${plan.estimated_usd:.2f}, the limit is ${budget.max_release_usd:.2f}"
        )
    if len(running) + 1 > budget.max_sets:
        problems.append(f"{len(running)} sets exist already, the limit is {budget.max_sets}")
    summary = "; ".join(problems) or (
        f"${plan.estimated_usd:.2f} of at most ${budget.max_release_usd:.2f}, "
        f"set {len(running) + 1} of at most {budget.max_sets}"
    )
    remedy = "Raise `budget` in the policy, or retire sets that are no longer needed." if problems else ""
    return _row("budget", not problems, summary, remedy=remedy, estimated_usd=plan.estimated_usd)


def _quarantine(ports: Ports, release: Release) -> Evidence:
    """S10: a digest that failed once needs a named override."""
    reason = ports.ledger.quarantine_reason(release.request.org, release.digest)
    override = release.request.override_quarantine
    if reason is None:
        return _row("quarantine", True, "this digest never failed")
    if override:
        text = f"quarantined ({reason}), overridden by {release.request.requested_by}: {override}"
        return _row("quarantine", True, text, override=override)
    return _row(
        "quarantine",
        False,
        f"this digest is quarantined: {reason}",
        remedy="Train a new version, or release it with --override-quarantine REASON.",
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
