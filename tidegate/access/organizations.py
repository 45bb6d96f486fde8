"""Reads organizations and their policies from YAML; every error names the file, the field and a remedy."""

from pathlib import Path
from typing import Any, cast

from tidegate.access.secret_store import (
    ALERT_TOKEN,
    API_TOKEN,
    ENVIRONMENT_PREFIX,
    PREFECT_AUTH,
    PROBE_KEY,
    api_key_name,
    capture_key_name,
    credential_name,
    engine_keys_name,
    request_keys_name,
    webhook_key_name,
)
from tidegate.access.trusted_files import locate_trusted_files
from tidegate.access.yaml_files import EXAMPLE, merge, read_mapping, validate
from tidegate.domain import InvalidInput, NotFound, Organization, Place, Policy, SecretReference


def load_organizations(organizations_dir: Path, policies_dir: Path) -> dict[str, Organization]:
    """Every `<name>.yaml` of the folder, with `policies_dir/<name>.yaml` merged under each service's overrides.

    Raises:
        NotFound: the folder or an organization's policy file is missing.
        InvalidInput: a file is not YAML, a field is unknown, missing or out of range, or a trusted key or
            certificate cannot be read.
    """
    files = sorted(organizations_dir.glob("*.yaml"))
    if not files:
        raise NotFound(
            f"There is no organization in {organizations_dir}.",
            remedy=f"Add a file NAME.yaml there, or set TIDEGATE_DEPLOYMENTS_DIR ({EXAMPLE}).",
        )
    found = {file.stem: _load_one(file, policies_dir / file.name) for file in files}
    for file in files:
        _refuse_foreign_secrets(found[file.stem], found, file)
    return found


def _refuse_foreign_secrets(own: Organization, every: dict[str, Organization], file: Path) -> None:
    """One organization never acts with another's secrets, or with Tidegate's own: neither by the same reference nor
    by the name, variable or file under which our store keeps them."""
    others = [org for org in every.values() if org is not own]
    of_tidegate = (PROBE_KEY, PREFECT_AUTH, API_TOKEN, ALERT_TOKEN, *_kept_for(own.name))
    names = dict.fromkeys(of_tidegate, "Tidegate")
    used: dict[str, str] = {}
    for other in others:
        platforms = {*own.credentials, *(service.platform for service in other.services.values())}
        kept = [credential_name(platform, other.name) for platform in platforms]
        kept += _kept_for(other.name)
        kept += [webhook_key_name(other.name, channel) for channel in other.notifications]
        names |= dict.fromkeys(kept, other.name)
        used |= {_canonical(reference): other.name for reference in _secrets_of(other)}
    for reference, field in _secrets_of(own).items():
        known = _canonical(reference)
        owner = used.get(known) or names.get(known) or names.get(known.rpartition("/")[2])
        if owner:
            raise InvalidInput(
                f"{file}: {field}: the secret '{reference}' is {owner}'s.",
                remedy="Give this organization a secret of its own.",
                file=file,
                field=field,
            )


def _kept_for(org: str) -> list[str]:
    """Names of secrets that Tidegate makes for an organization and shows nobody by way of its file."""
    return [named(org) for named in (api_key_name, request_keys_name, engine_keys_name, capture_key_name)]


def _canonical(reference: str) -> str:
    """Our store's secrets have a variable each: both spellings are one secret."""
    place, name = SecretReference.parse(reference)
    if place is Place.ENVIRONMENT and name.startswith(ENVIRONMENT_PREFIX):
        return name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("_", "-")
    return reference


def _secrets_of(org: Organization) -> dict[str, str]:
    """Reference -> the field that names it."""
    credentials = {reference: f"credentials.{platform}" for platform, reference in org.credentials.items()}
    channels = {
        reference: f"notifications.{name}.{field}"
        for name, channel in org.notifications.items()
        for field, reference in channel.secrets.items()
    }
    return channels | credentials


def read_policy(file: Path) -> Policy:
    """A policy by itself, outside of an organization; an empty file means the built-in limits.

    Raises: InvalidInput, NotFound.
    """
    if not file.is_file():
        raise NotFound(
            f"There is no policy file {file}.", remedy="Name a YAML file or an organization.", field="policy"
        )
    return validate(Policy, read_mapping(file), file)


def _load_one(file: Path, policy_file: Path) -> Organization:
    content = read_mapping(file)
    if content.get("name") != file.stem:
        raise InvalidInput(
            f"{file}: name is '{content.get('name')}', but the file is called {file.name}.",
            remedy=f"Write 'name: {file.stem}', or rename the file.",
            file=file,
            field="name",
        )
    if not policy_file.is_file():
        raise NotFound(
            f"Organization {file.stem} has no policy file {policy_file}.",
            remedy="Add it; an empty file means the built-in defaults.",
            file=policy_file,
        )
    policy = read_mapping(policy_file)
    validate(Policy, policy, policy_file)
    services = content.get("services")
    if isinstance(services, dict):
        content["services"] = {
            name: _with_policy(service, policy) for name, service in cast("dict[str, Any]", services).items()
        }
    return locate_trusted_files(validate(Organization, content, file), file)


def _with_policy(service: Any, policy: dict[str, Any]) -> Any:
    """The service with its effective policy. What is not a mapping is left for the validation to refuse."""
    if not isinstance(service, dict):
        return service
    own = cast("dict[str, Any]", service)
    overrides = own.get("policy", {})
    if not isinstance(overrides, dict):
        return own
    return {**own, "policy": merge(policy, cast("dict[str, Any]", overrides))}
