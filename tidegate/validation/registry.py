"""Checks of other packages: which of them a policy wants, and what comes of running them.

Each runs in a confined process. One that is missing, crashes, hangs or says what it may not is an error in the
report, and an error refuses the file.
"""

from collections.abc import Collection, Sequence

from pydantic import ValidationError

from tidegate.domain.policy import ALWAYS_CHECKED, ValidationPolicy
from tidegate.validation.checks import CheckContext
from tidegate.validation.confinement import ChildLimits, ChildOutcome, run_confined
from tidegate.validation.report import ValidationCategory, ValidationResult, ValidationStatus

BUILT_IN_ROOMS = frozenset({"file", "gguf", "memory", "inference", "response", "latency", "regression"})
"""First parts of our own ids: no other package may speak under them."""
PROGRAM_BYTES = 2 * 1024**3
MOST_RESULTS = 100
REMEDY = "Mend or remove the check: docs/extending.md says what it may do. Until then the file is refused."


def run_plugins(
    policy: ValidationPolicy,
    context: CheckContext,
    categories: Collection[ValidationCategory] = tuple(ValidationCategory),
) -> list[ValidationResult]:
    """Run every check that the policy names and whose category is asked for, in the order of the policy."""
    wanted = [name for name in dict.fromkeys(policy.plugins) if policy.checks.get(name) != "off"]
    return [result for name in wanted for result in _run(name, policy, context, categories)]


def _run(
    name: str, policy: ValidationPolicy, context: CheckContext, categories: Collection[ValidationCategory]
) -> list[ValidationResult]:
    if name.split(".", 1)[0] in BUILT_IN_ROOMS or name in ALWAYS_CHECKED:
        return [_error(name, "the name belongs to a check of our own", categories)]
    own = context.model_copy(update={"options": policy.options.get(name, {})})
    limits = ChildLimits(
        wall_s=policy.plugin_wall_s,
        cpu_s=int(policy.plugin_wall_s) + 1,
        # It may map the file.
        address_space_bytes=PROGRAM_BYTES + context.size_bytes,
    )
    outcome = run_confined(
        "tidegate.validation.plugin_child",
        {"name": name, "categories": sorted(category.value for category in categories)},
        limits,
        stdin=own.model_dump_json().encode(),
        inherit=(own.descriptor,) if own.descriptor >= 0 else (),
    )
    return judge_plugin(name, outcome, categories)


def judge_plugin(
    name: str, outcome: ChildOutcome, categories: Collection[ValidationCategory]
) -> list[ValidationResult]:
    """Pure: what the process said, as far as it may say it."""
    said = outcome.result
    if said is None:
        return [_error(name, outcome.problem, categories)]
    if said.get("problem"):
        return [_error(name, str(said["problem"]), categories)]
    try:
        category = ValidationCategory(said["category"])
        if said["id"] != name:
            return [_error(name, f"it calls itself {str(said['id'])[:60]!r}", [category])]
        if said.get("skipped") is True:
            return []
        results = [ValidationResult.model_validate(row) for row in said["results"]]
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        return [_error(name, f"its result cannot be read ({type(error).__name__})", categories)]
    fault = _fault(name, category, results)
    return [_error(name, fault, [category])] if fault else results


def _fault(name: str, category: ValidationCategory, results: Sequence[ValidationResult]) -> str:
    """What these results may not be."""
    if not results:
        return "it gave no result"
    if len(results) > MOST_RESULTS:
        return f"it gave {len(results)} results; {MOST_RESULTS} are allowed"
    names = [result.check_name for result in results]
    strange = [other for other in names if other != name and not other.startswith(f"{name}.")]
    if strange:
        return f"it speaks for another check ({strange[0][:60]!r})"
    if len(set(names)) != len(names):
        return "it gave two results of one name"
    if any(result.category is not category for result in results):
        return "it gave a result of a category that it does not declare"
    return ""


def _error(name: str, problem: str, categories: Collection[ValidationCategory]) -> ValidationResult:
    """Under the first category that was asked for, where the check's own is not known."""
    return ValidationResult(
        category=next(iter(categories), ValidationCategory.FORMAT),
        check_name=name,
        status=ValidationStatus.ERROR,
        message=f"The check of another package gave no result that counts: {problem}.",
        remedy=REMEDY,
    )
