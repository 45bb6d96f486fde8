"""Policies as files: what is wrong in one, what holds for a service, and where each of its values comes from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tidegate.access.yaml_files import Problem, line_of, merge, problems_of, read_mapping, validate
from tidegate.domain import InvalidInput, NotFound, Policy, ServiceRef
from tidegate.domain.performance_policy import FLAT_FIELDS

BUILT_IN = "built in"
Place = tuple[str, ...]
"""Names of a value from the outside in."""


@dataclass(frozen=True)
class Value:
    """One value of an effective policy, and who set it."""

    field: str
    value: Any
    source: str


def policy_problems(file: Path) -> list[Problem]:
    """Everything that is wrong in a policy file, with lines; empty when nothing is. Raises: NotFound."""
    if not file.is_file():
        raise NotFound(
            f"There is no policy file {file}.", remedy="Name a YAML file or an organization.", field="policy"
        )
    try:
        content = read_mapping(file)
    except InvalidInput as error:
        field = str(error.context.get("field", ""))
        line = line_of(file, field.split(".")) if field else None
        return [Problem(str(file), field, error.message.rstrip("."), error.remedy, line)]
    return problems_of(Policy, content, file)


def is_flat(file: Path) -> bool:
    """Whether it writes `performance` in its flat form."""
    part = read_mapping(file).get("performance")
    return isinstance(part, dict) and bool(FLAT_FIELDS & cast("dict[str, Any]", part).keys())


def policy_under(organization_file: Path, policy_file: Path, service: str) -> Policy:
    """The policy that a service would have, were this file its organization's. Raises: InvalidInput, NotFound."""
    own = _overrides(organization_file, service)
    return validate(Policy, merge(read_mapping(policy_file), own), policy_file)


def policy_values(organization_file: Path, policy_file: Path, ref: ServiceRef) -> tuple[Policy, list[Value]]:
    """The effective policy of a service, value by value, with file and line of each that is not built in."""
    policy = policy_under(organization_file, policy_file, ref.service)
    below, above = read_mapping(policy_file), _overrides(organization_file, ref.service)
    found: list[Value] = []
    for field, value in _leaves(policy.model_dump(mode="json")):
        if _has(above, field):
            source = _place(organization_file, ("services", ref.service, "policy", *field))
        elif _has(below, field):
            source = _place(policy_file, field)
        else:
            source = _flat_source(organization_file, policy_file, below, above, field)
        found.append(Value(".".join(field), value, source))
    return policy, found


def _flat_source(
    organization_file: Path, policy_file: Path, below: dict[str, Any], above: dict[str, Any], field: Place
) -> str:
    """Values of a flat `performance` have other names in the file: the part is named."""
    if field[0] != "performance":
        return BUILT_IN
    for content, file in ((above, organization_file), (below, policy_file)):
        part = content.get("performance")
        if isinstance(part, dict) and FLAT_FIELDS & cast("dict[str, Any]", part).keys():
            return f"{file.name}, flat form"
    return BUILT_IN


def _overrides(organization_file: Path, service: str) -> dict[str, Any]:
    services = read_mapping(organization_file).get("services")
    own = cast("dict[str, Any]", services).get(service) if isinstance(services, dict) else None
    policy = cast("dict[str, Any]", own).get("policy") if isinstance(own, dict) else None
    return cast("dict[str, Any]", policy) if isinstance(policy, dict) else {}


def _place(file: Path, field: Place) -> str:
    return f"{file.name}:{line_of(file, field)}"


def _has(content: Mapping[str, Any], field: Place) -> bool:
    """A value set as part of a whole, such as a list or null, counts as set."""
    at: Any = content
    for name in field:
        if not isinstance(at, Mapping):
            return True
        if name not in at:
            return False
        at = cast("Mapping[str, Any]", at)[name]
    return True


def _leaves(content: Mapping[str, Any], above: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every value with its way down. Empty mappings are values."""
    for name, value in content.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(cast("Mapping[str, Any]", value), (*above, name))
        else:
            yield (*above, name), value
