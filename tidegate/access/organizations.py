"""Reads organizations and their policies from YAML; every error names the file, the field and a remedy."""

import difflib
import json
import math
from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tidegate.access.secret_store import (
    ENVIRONMENT_PREFIX,
    PREFECT_AUTH,
    PROBE_KEY,
    api_key_name,
    credential_name,
    request_keys_name,
)
from tidegate.access.trusted_files import locate_trusted_files
from tidegate.domain import InvalidInput, NotFound, Organization, Place, Policy, SecretReference
from tidegate.domain.secret_reference import INLINE_SECRET, REMEDY, has_key_shape, looks_like_secret

Model = TypeVar("Model", bound=BaseModel)
MAX_SHOWN = 120
EXAMPLE = "deployments/organizations/swaggystacks.yaml shows a complete one"


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
    names = dict.fromkeys(
        (PROBE_KEY, PREFECT_AUTH, api_key_name(own.name), request_keys_name(own.name)), "Tidegate"
    )
    used: dict[str, str] = {}
    for other in others:
        platforms = {*own.credentials, *(service.platform for service in other.services.values())}
        kept = [credential_name(platform, other.name) for platform in platforms]
        kept += [api_key_name(other.name), request_keys_name(other.name)]
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
        channel.address: f"notifications.{name}.address" for name, channel in org.notifications.items()
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
    return _validate(Policy, _read_mapping(file), file)


def _load_one(file: Path, policy_file: Path) -> Organization:
    content = _read_mapping(file)
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
    policy = _read_mapping(policy_file)
    _validate(Policy, policy, policy_file)
    services = content.get("services")
    if isinstance(services, dict):
        content["services"] = {
            name: _with_policy(service, policy) for name, service in cast("dict[str, Any]", services).items()
        }
    return locate_trusted_files(_validate(Organization, content, file), file)


def _with_policy(service: Any, policy: dict[str, Any]) -> Any:
    """The service with its effective policy. What is not a mapping is left for the validation to refuse."""
    if not isinstance(service, dict):
        return service
    own = cast("dict[str, Any]", service)
    overrides = own.get("policy", {})
    if not isinstance(overrides, dict):
        return own
    return {**own, "policy": _merge(policy, cast("dict[str, Any]", overrides))}


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        lower = merged.get(key)
        if isinstance(lower, dict) and isinstance(value, dict):
            value = _merge(cast("dict[str, Any]", lower), cast("dict[str, Any]", value))
        merged[key] = value
    return merged


class _UniqueKeyLoader(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys without a word; in a policy that hides a threshold."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = str(key_node.value)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key}' stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _read_mapping(file: Path) -> dict[str, Any]:
    try:
        # The loader is a SafeLoader: it builds plain values only.
        content: Any = yaml.load(file.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)  # noqa: S506
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"{file} cannot be read: {error}.", remedy="Check its permissions and encoding."
        ) from error
    except yaml.YAMLError as error:
        raise InvalidInput(
            f"{file} is not valid YAML: {_yaml_problem(error)}.", remedy="Correct that line.", file=file
        ) from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InvalidInput(
            f"{file} holds no mapping.", remedy=f"Write 'field: value' lines ({EXAMPLE}).", file=file
        )
    mapping = cast("dict[str, Any]", content)
    _refuse_odd_values(mapping, file, "")
    return mapping


def _yaml_problem(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return str(error)


def _refuse_odd_values(value: object, file: Path, field: str) -> None:
    """Dates, sets, infinities and keys that are no text have no place here; an infinite limit switches a gate off."""
    if isinstance(value, dict):
        for key, item in cast("dict[object, object]", value).items():
            if not isinstance(key, str):
                raise InvalidInput(
                    f"{file}: the key {key!r} is no text.", remedy="Put it in quotes.", file=file
                )
            _refuse_odd_values(item, file, f"{field}.{key}" if field else key)
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            _refuse_odd_values(item, file, field)
    elif isinstance(value, float) and not math.isfinite(value):
        raise InvalidInput(
            f"{file}: {field} is {value}.", remedy="Write a finite number.", file=file, field=field
        )
    elif isinstance(value, str) and has_key_shape(value):
        raise InvalidInput(f"{file}: {field} is a secret.", remedy=REMEDY, file=file, field=field)
    elif value is not None and not isinstance(value, str | int | float):
        raise InvalidInput(
            f"{file}: {field} is a {type(value).__name__}.",
            remedy="Put the value in quotes.",
            file=file,
            field=field,
        )


def _validate(model: type[Model], content: dict[str, Any], file: Path) -> Model:
    try:
        return model.model_validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        # The cause quotes the value, which may be a secret in the wrong place.
        raise InvalidInput(
            f"{file}: {field or 'the file'}: {first['msg'].removeprefix('Value error, ')}.",
            remedy=_remedy(model, first),
            file=file,
            field=field,
        ) from None


def _remedy(model: type[BaseModel], error: ErrorDetails) -> str:
    if error["type"] == "extra_forbidden":
        wrong = str(error["loc"][-1])
        known = sorted(_known_fields(model))
        close = difflib.get_close_matches(wrong, known, n=1)
        return f"Did you mean '{close[0]}'?" if close else f"Remove it. Known fields: {', '.join(known)}."
    if error["type"] == "missing":
        return f"Add the field ({EXAMPLE})."
    if error["type"] == INLINE_SECRET:
        return REMEDY
    said = repr(error["input"])
    return (
        "Correct the value." if looks_like_secret(said) else f"Correct the value (it is {said[:MAX_SHOWN]})."
    )


def _known_fields(model: type[BaseModel]) -> set[str]:
    """Names of all fields of a model and of the models inside it."""
    return _property_names(model.model_json_schema())


def _property_names(schema: object) -> set[str]:
    names: set[str] = set()
    if isinstance(schema, dict):
        entries = cast("dict[str, object]", schema)
        properties = entries.get("properties")
        if isinstance(properties, dict):
            names.update(cast("dict[str, object]", properties))
        for value in entries.values():
            names |= _property_names(value)
    return names
