"""Who asks, and may they? Asked before a wish is recorded; what was proven is kept with the release.

A request with a token is who the token says. One without is who it claims to be, where the policy takes that.
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from tidegate.access import request_keys_name
from tidegate.access.asking import allow_unsigned
from tidegate.access.request_keys import RequestKey, RequestKeys
from tidegate.access.request_token import MAX_LIFETIME, Expected, sign, verify
from tidegate.domain import (
    Action,
    InvalidInput,
    NotFound,
    Permission,
    Refused,
    Release,
    ReleaseRequest,
    RequestProof,
    Secret,
    ServiceRef,
    parameters_digest,
)
from tidegate.steps.ports import Ports

DEFAULT_LIFETIME = timedelta(minutes=10)


@dataclass(frozen=True)
class Asker:
    """Who asks. Without a proof the name is only claimed."""

    identity: str
    proof: RequestProof | None = None


@dataclass(frozen=True)
class Wish:
    """What is asked for, as far as a token binds it. `digest` is None while the artifact is not known yet."""

    ref: ServiceRef
    action: Action
    digest: str | None = None
    parameters: Mapping[str, str] | None = None


@dataclass(frozen=True)
class IssuedToken:
    """A token and what it proves."""

    token: Secret
    proof: RequestProof


def release_parameters(request: ReleaseRequest) -> dict[str, str]:
    """What of a release's request changes its outcome, besides service and artifact. A reason is a comment, and the end
    of an override is bounded whoever names it."""
    return {
        "model": request.model,
        "version": request.version,
        "trigger": request.trigger,
        "override_quarantine": request.override_quarantine,
        "plan_digest": request.plan_digest,
    }


def approval_parameters(ports: Ports, release: Release) -> dict[str, str]:
    """An approval answers one question about one plan, on the evidence of that moment: it is void for any other."""
    entered = [entry.seq for entry in ports.ledger.entries(release.id) if entry.kind == "entered"]
    rows = [[row.gate, row.check, row.verdict, row.summary] for row in ports.ledger.evidence(release.id)]
    return {
        "release": release.id,
        "plan": release.plan.digest if release.plan else "",
        "question": str(max(entered, default=0)),
        "evidence": hashlib.sha256(json.dumps(rows).encode()).hexdigest(),
    }


def identify(
    ports: Ports, wish: Wish, claimed: str, token: Secret | None, spent_on: Release | None = None
) -> Asker:
    """Who asks for this. A token that was used in time for the release `spent_on` is not asked for its expiry.

    Raises: Refused when it is nobody who may, or the token is not for this; NotFound for an unknown service.
    """
    organization, policy = ports.organization(wish.ref.org), ports.service(wish.ref).policy
    if token is None:
        asker = Asker(claimed)
        allow_unsigned(organization, policy, claimed, wish.action.permission)
        is_known = organization.role_of(claimed) is not None
    else:
        proof = _verify(ports, wish, claimed, token, spent_on)
        asker, is_known = Asker(proof.identity, proof), True
        organization.require(proof.identity, wish.action.permission)
    if is_known and (wish.parameters or {}).get("override_quarantine"):
        organization.require(asker.identity, Permission.OVERRIDE_QUARANTINE)
    return asker


def issue_token(
    ports: Ports,
    wish: Wish,
    identity: str,
    lifetime: timedelta = DEFAULT_LIFETIME,
    new_nonce: Callable[[], str] = lambda: secrets.token_hex(16),
) -> IssuedToken:
    """A token for exactly this wish. Who can read the organization's keys can issue for anybody in it.

    Raises: Refused when the identity may not ask for it, InvalidInput for a lifetime out of range.
    """
    organization = ports.organization(wish.ref.org)
    ports.service(wish.ref)
    organization.require(identity, wish.action.permission)
    parameters = wish.parameters or {}
    if parameters.get("override_quarantine"):
        organization.require(identity, Permission.OVERRIDE_QUARANTINE)
    if not timedelta(seconds=1) <= lifetime <= MAX_LIFETIME:
        raise InvalidInput(
            f"A request token lives between a second and {MAX_LIFETIME}, not {lifetime}.",
            remedy="For example --for 10m.",
            field="for",
        )
    key = RequestKeys.parse(ports.secrets.ensure(request_keys_name(wish.ref.org))).present
    now = ports.clock().replace(microsecond=0)
    assert wish.digest is not None, "a token is always for one artifact"
    proof = RequestProof(
        org=wish.ref.org,
        service=wish.ref.service,
        action=wish.action,
        digest=wish.digest,
        parameters=parameters_digest(parameters),
        identity=identity,
        role=wish.action.role,
        issued_at=now,
        expires_at=now + lifetime,
        nonce=new_nonce(),
        key_id=key.id,
    )
    return IssuedToken(Secret(sign(proof, key)), proof)


def rotate_keys(
    ports: Ports,
    org: str,
    overlap: timedelta,
    new_key: Callable[[], str] = lambda: secrets.token_urlsafe(32),
) -> RequestKeys:
    """Another present key for the organization's tokens; the former one verifies until the overlap is over."""
    name = request_keys_name(ports.organization(org).name)
    keys = RequestKeys.parse(ports.secrets.ensure(name)).rotated(new_key(), ports.clock(), overlap)
    ports.secrets.replace(name, keys.as_secret())
    return keys


def release_wish(ports: Ports, request: ReleaseRequest, digest: str = "") -> Wish:
    """The wish of a release. `digest` is needed for a version that is not registered yet.

    Raises: NotFound.
    """
    if not digest:
        found = ports.ledger.get_version(request.org, request.model, request.version)
        digest, request = found.digest, request.model_copy(update={"version": found.version})
    return Wish(request.ref, Action.RELEASE, digest, release_parameters(request))


def rollback_wish(ports: Ports, ref: ServiceRef, to: str = "") -> Wish:
    """The wish to leave what a rollback would leave now: the release under way, else the champion. `to` is bound
    where a target is named."""
    active = ports.ledger.active_release(ref)
    champion = ports.ledger.get_alias(ref, "champion")
    digest = active.digest if active else champion.digest if champion else None
    return Wish(ref, Action.ROLLBACK, digest, {"to": to})


def approval_wish(ports: Ports, release: Release) -> Wish:
    return Wish(release.ref, Action.APPROVE, release.digest, approval_parameters(ports, release))


def named_wish(
    ports: Ports, action: Action, request: ReleaseRequest, digest: str = "", *, to: str = ""
) -> Wish:
    """The wish that a person names by service and version, as it stands now. `to`: digest that a rollback names.

    Raises: NotFound when there is nothing to approve or to leave, Refused when it is another version, InvalidInput for
    a target of what is no rollback.
    """
    if to and action is not Action.ROLLBACK:
        raise InvalidInput(
            f"Only a rollback goes to an earlier version, not '{action.value}'.",
            remedy="Add: --action rollback.",
            field="to",
        )
    if action is Action.RELEASE:
        return release_wish(ports, request, digest)
    named = digest or ports.ledger.get_version(request.org, request.model, request.version).digest
    active = ports.ledger.active_release(request.ref)
    if action is Action.APPROVE:
        if active is None:
            raise NotFound(
                f"{request.ref} has no release under way.", remedy="See: tidegate releases list --active."
            )
        wish = approval_wish(ports, active)
    else:
        wish = rollback_wish(ports, request.ref, to)
    if wish.digest != named:
        raise Refused(
            f"{request.model}:{request.version} is not what {request.ref} would {action.value} now.",
            remedy=f"Name the version of the release under way, or the live one: tidegate releases list "
            f"--service {request.ref}.",
            problem="digest",
        )
    return wish


def _verify(ports: Ports, wish: Wish, claimed: str, token: Secret, spent_on: Release | None) -> RequestProof:
    organization = ports.organization(wish.ref.org)
    parameters = None if wish.parameters is None else parameters_digest(wish.parameters)
    expected = Expected(
        wish.ref.org,
        wish.ref.service,
        wish.action,
        wish.digest,
        parameters,
        # A name that nobody has, such as a form's default, claims nothing.
        claimed if organization.role_of(claimed) is not None else None,
    )
    spent = [proof.nonce for proof in ports.ledger.proofs(spent_on.id)] if spent_on else []
    return verify(token.reveal(), _keys(ports, wish.ref.org), expected, ports.clock(), spent)


def _keys(ports: Ports, org: str) -> tuple[RequestKey, ...]:
    text = ports.secrets.get(request_keys_name(org))
    return RequestKeys.parse(text).verifying(ports.clock()) if text is not None else ()
