"""How a release's checks reach its sets: through the gateway, pinned, with the internal probe key."""

from tidegate.access import PROBE_KEY
from tidegate.benchmark import Arm
from tidegate.domain import NeedsOperator, Release, Secret, ServiceRef
from tidegate.probes import ProbeTarget
from tidegate.steps.ports import Ports

PIN_HEADER = "x-tidegate-pin"


def service_url(ports: Ports, ref: ServiceRef) -> str:
    """The durable OpenAI-compatible URL of a service."""
    return f"{ports.gateway_url()}/{ref.org}/{ref.service}/v1"


def probe_key(ports: Ports) -> Secret:
    """Raises: NeedsOperator when this host does not hold the internal probe key."""
    key = ports.secrets.get(PROBE_KEY)
    if key is None:
        raise NeedsOperator(
            "The internal probe key is missing on this host.",
            remedy="Start the stack once with: tidegate up, or set TIDEGATE_SECRET_TIDEGATE_PROBE_KEY.",
        )
    return key


def arm(ports: Ports, ref: ServiceRef, set_name: str, digest: str, name: str) -> Arm:
    """A benchmark arm that reaches exactly this set."""
    return Arm(
        name=name,
        base_url=service_url(ports, ref),
        key=probe_key(ports),
        headers={PIN_HEADER: set_name},
        model=digest,
    )


def probe_target(ports: Ports, release: Release, set_name: str, owner_release: str) -> ProbeTarget:
    """What to probe of a set; `owner_release` is the release that created it and signs its replies."""
    return ProbeTarget(
        base_url=service_url(ports, release.ref),
        key=probe_key(ports),
        headers={PIN_HEADER: set_name},
        model=release.digest,
        context_tokens=ports.service(release.ref).context_tokens,
        expected_digest=release.digest,
        expected_release=owner_release,
    )
