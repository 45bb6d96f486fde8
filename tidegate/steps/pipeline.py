"""The pipeline steps of a release, one function each: what a task calls. All are idempotent by journal.

Each drives the release through the states that the step owns and returns where it stands. Called again
for a release that is further along, a step does nothing.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tidegate.correlation import bind
from tidegate.domain import (
    TERMINAL,
    Action,
    Gate,
    InvalidInput,
    ModelVersion,
    Refused,
    Release,
    ReleaseRequest,
    ReleaseState,
    Secret,
    ServiceRef,
    idempotency_key,
)
from tidegate.steps.near_copies import tensors_of
from tidegate.steps.overriding import name_override, tell_override
from tidegate.steps.plan_preview import refuse_other_plan
from tidegate.steps.ports import Ports
from tidegate.steps.proof import Wish, identify, release_parameters
from tidegate.steps.provenance import keep_signatures, read_signatures

log = logging.getLogger("tidegate.release")
State = ReleaseState
BEFORE_PROVISIONING = frozenset({State.PLANNED, State.VALIDATING})
WAITING = frozenset({State.REQUESTED, State.PARKED, State.HOLD, State.AWAIT_APPROVAL})
PROMOTING = frozenset({State.SHIFTING, State.BAKING, State.COMMITTING, State.RETIRING})
EVERY_STATE = frozenset(State)
EVERY_GATE = frozenset(Gate)


@dataclass(frozen=True)
class StepOutcome:
    """Where the release stands after a step. Small and free of secrets: it travels between tasks."""

    release_id: str
    org: str
    service: str
    epoch: int
    state: ReleaseState
    reason: str

    @property
    def is_over(self) -> bool:
        return self.state in TERMINAL

    @property
    def goes_on(self) -> bool:
        """The next step of the way forward has something to do."""
        return not self.is_over and self.state not in (
            State.ROLLING_BACK,
            State.HOLD,
            State.PARKED,
            State.AWAIT_APPROVAL,
        )

    @property
    def must_roll_back(self) -> bool:
        return self.state is State.ROLLING_BACK


def register_model(
    ports: Ports,
    org: str,
    name: str,
    version: str,
    path: Path,
    provenance: dict[str, str] | None = None,
    signatures: Sequence[Path] = (),
    *,
    actor: str = "",
) -> ModelVersion:
    """Copy the file into the store, compute its digest and register it. The same again returns the same.

    Detached signatures of it are kept beside it.

    Raises: InvalidInput, NotFound, Refused (that version exists with another digest).
    """
    ports.organization(org)
    if ":" in name or ":" in version or not name or not version:
        raise InvalidInput(
            "Model name and version must not be empty or contain a colon.",
            remedy="For example --name pipit --version v2.",
            field="name" if ":" in name or not name else "version",
        )
    refuse_own_files(ports, path)
    read = read_signatures(signatures)
    stored = ports.store.add(path)
    keep_signatures(ports, stored.digest, read)
    return ports.ledger.register_version(
        ModelVersion(
            org=org,
            name=name,
            version=version,
            digest=stored.digest,
            size_bytes=stored.size_bytes,
            path=str(stored.path),
            provenance=provenance or {},
            tensor_digest=tensors_of(Path(stored.path)),
            registered_at=ports.clock(),
        ),
        actor=actor,
    )


def refuse_own_files(ports: Ports, path: Path) -> None:
    """What the store keeps belongs to whoever registered it, and a secret is no model: neither is read by path.

    Raises: Refused.
    """
    real = path.resolve()
    for folder in (ports.settings.store_dir, ports.settings.secrets_dir):
        if real.is_relative_to(folder.resolve()):
            raise Refused(
                f"{path} is inside Tidegate's own folder {folder}.",
                remedy="Give the path of the file where training left it.",
                field="path",
            )


def request_release(ports: Ports, request: ReleaseRequest, token: Secret | None = None) -> Release:
    """Find out who asks, then record the wish. While a release of this digest for this reason is not over, it is
    returned: it was allowed when it was recorded, and going on with it needs no token.

    Raises: NotFound for an unknown organization, service or version; Refused for somebody who may not ask, for an
    override without a name, and for what asks by itself while the service is held.
    """
    ports.platform(request.ref)
    version = ports.ledger.get_version(request.org, request.model, request.version)
    request = request.model_copy(update={"version": version.version})
    key = idempotency_key(request.ref, version.digest, request.trigger)
    active = ports.ledger.find_active(key)
    refuse_other_plan(ports, request, version, active)
    if active is not None and token is None:
        tell_override(ports, active)
        return active
    wish = Wish(request.ref, Action.RELEASE, version.digest, release_parameters(request))
    asker = identify(ports, wish, request.requested_by, token, active)
    request = name_override(ports, request.model_copy(update={"requested_by": asker.identity}))
    release = ports.ledger.request_release(request, version.digest, key=key, proof=asker.proof)
    with bind(org=release.ref.org, service=release.ref.service, release_id=release.id):
        # The one line that has both the id of a caller's request and that of the release which came of it.
        log.info("release %s of %s was asked for", release.id, release.ref)
    tell_override(ports, release)
    return release


def verify_trainer(ports: Ports, ref: ServiceRef, claimed: str, token: Secret | None) -> str:
    """Who says that a training run finished; asked before its file is read. The artifact is not known yet: the
    release compares it, and only the release uses the token.

    Raises: Refused for somebody who may not release.
    """
    return identify(ports, Wish(ref, Action.RELEASE), claimed, token).identity


def select_model(ports: Ports, request: ReleaseRequest, token: Secret | None = None) -> StepOutcome:
    """Find the version, record or resume the release, own the service, make the plan. A release that waited, for
    capacity or for a person who has answered, goes on where it stood."""
    release = request_release(ports, request, token)
    return resume(ports, release.id, WAITING)


def resume(ports: Ports, release_id: str, owned: frozenset[ReleaseState] = EVERY_STATE) -> StepOutcome:
    """Take a release over with a new epoch and drive it through `owned`, by default to its end."""
    release = ports.ledger.get_release(release_id)
    controller = ports.controller(release.ref)
    controller.take_over(release_id)
    driven = controller.drive(release_id, owned)
    return _outcome(driven, controller.epoch_of(release_id))


def verify_org_auth(ports: Ports, before: StepOutcome) -> StepOutcome:
    """May whoever asked, and may this organization: request, credential, model, limits, budget, quarantine, signature."""
    return _drive(ports, before, BEFORE_PROVISIONING, frozenset({Gate.AUTHORIZATION}))


def validate_artifact(ports: Ports, before: StepOutcome) -> StepOutcome:
    """Digest, structure, size, memory and numbers; then load it in a child and ask it something."""
    return _drive(ports, before, BEFORE_PROVISIONING)


def deploy(ports: Ports, before: StepOutcome) -> StepOutcome:
    """Create the new set, or adopt the one that an earlier owner created, and wait until it is ready."""
    return _drive(ports, before, frozenset({State.PROVISIONING}))


def probe_endpoints(ports: Ports, before: StepOutcome) -> StepOutcome:
    """Make the set reachable for probes only, prove which file it serves, and probe its endpoint."""
    return _drive(ports, before, frozenset({State.WARMING}))


def benchmark(ports: Ports, before: StepOutcome) -> StepOutcome:
    """Latency and question bank against the live model; no live traffic yet."""
    return _drive(ports, before, frozenset({State.JUDGING}))


def promote(ports: Ports, before: StepOutcome) -> StepOutcome:
    """Up the ladder with a look at each step, bake, move the alias, retire what is no longer needed."""
    return _drive(ports, before, PROMOTING)


def roll_back(ports: Ports, before: StepOutcome) -> StepOutcome:
    """Bring all traffic back to the old set, verify it, remove the new one."""
    return _drive(ports, before, frozenset({State.ROLLING_BACK}))


def _drive(
    ports: Ports,
    before: StepOutcome,
    owned: frozenset[ReleaseState],
    gates: frozenset[Gate] = EVERY_GATE,
) -> StepOutcome:
    release = ports.ledger.get_release(before.release_id)
    controller = ports.controller(release.ref)
    controller.adopt_epoch(release.id, before.epoch)
    return _outcome(controller.drive(release.id, owned, gates), controller.epoch_of(release.id))


def _outcome(release: Release, epoch: int) -> StepOutcome:
    return StepOutcome(
        release_id=release.id,
        org=release.request.org,
        service=release.request.service,
        epoch=epoch,
        state=release.state,
        reason=release.reason,
    )
