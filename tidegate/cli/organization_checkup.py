"""The checks behind `tidegate doctor --org`: what one organization still lacks to release, asked live."""

from collections.abc import Iterator

from tidegate import wiring
from tidegate.cli.checkup import Finding, Level
from tidegate.domain import NotFound, Organization, ServiceConfig, ServiceRef, TidegateError
from tidegate.steps.ports import Ports

LEVELS: dict[bool | None, Level] = {True: "ok", False: "problem", None: "warning"}


def run_organization_checkup(name: str) -> Iterator[Finding]:
    """Every service of the organization in turn. Raises: NotFound for an unknown organization."""
    ports = wiring.load()
    org = ports.organization(name)
    yield Finding("organization", "ok", f"{org.display_name}, {len(org.services)} services")
    for platform in sorted({service.platform for service in org.services.values()}):
        yield _credential(ports, org, platform)
    for service, config in org.services.items():
        yield from _service(ports, org, ServiceRef(org.name, service), config)


def _credential(ports: Ports, org: Organization, platform: str) -> Finding:
    """Validity, scope and balance, from the platform itself; never the value."""
    reference = org.credentials.get(platform, "(the default name)")
    name = f"credential for {platform}"
    try:
        ports.platforms[platform].verify_credential(org.name, wiring.credential_of(ports, org, platform))
    except KeyError:
        return Finding(
            name, "problem", f"{platform} is not available here", "Correct `platform` of the service."
        )
    except TidegateError as error:
        return Finding(name, "problem", f"{reference}: {error.message}", error.remedy)
    return Finding(name, "ok", f"{reference}: verified live")


def _service(ports: Ports, org: Organization, ref: ServiceRef, config: ServiceConfig) -> Iterator[Finding]:
    budget = config.policy.budget
    yield Finding(f"{ref} budget", "ok", f"at most {budget.max_release_usd:.2f} USD a release")
    try:
        champion = ports.ledger.get_alias(ref, "champion")
        live = f"live: {champion.label}" if champion else "nothing is live yet"
        yield Finding(f"{ref} live", "ok", live)
    except NotFound as error:
        yield Finding(f"{ref} live", "problem", error.message, error.remedy)
    if config.platform == "runpod":
        yield from _on_runpod(ports, org, ref, config)


def _on_runpod(ports: Ports, org: Organization, ref: ServiceRef, config: ServiceConfig) -> Iterator[Finding]:
    from tidegate.platforms.runpod.readiness import readiness

    if config.runpod is None:
        remedy = "Add `runpod: {image: ..., model_url: ...}` to the service; docs/runpod.md has one."
        yield Finding(f"{ref} on runpod", "problem", "the service has no `runpod` block", remedy)
        return
    yield Finding(f"{ref} on runpod", "ok", f"{config.runpod.kind}, image {config.runpod.image}")
    client = wiring.runpod_client(ports, org)
    if client is None:
        # Told above, with its remedy.
        return
    try:
        allowance = wiring.runpod_allowance(org)
        for fact in readiness(client, config.runpod, config.max_memory_bytes, allowance):
            yield Finding(f"{ref} {fact.name}", LEVELS[fact.is_ok], fact.text, fact.remedy)
    finally:
        client.close()
