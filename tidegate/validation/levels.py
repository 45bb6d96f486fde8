"""How a policy softens, hardens or leaves out single checks. Pure."""

from tidegate.domain.policy import ValidationPolicy
from tidegate.validation.report import ValidationResult, ValidationStatus

OFF_MESSAGE = "Not judged: the policy turns this check off."


def at_level(result: ValidationResult, policy: ValidationPolicy) -> ValidationResult:
    """The result as the policy wants it. An error or a missing judgement is never softened: nobody looked."""
    level = policy.checks.get(result.check_name)
    if level == "off":
        return turned_off(result)
    if level == "warn" and result.status is ValidationStatus.FAILED:
        return result.model_copy(
            update={"status": ValidationStatus.WARNING, "details": {**result.details, "policy": "warn"}}
        )
    if level == "fail" and result.status is ValidationStatus.WARNING:
        return result.model_copy(
            update={"status": ValidationStatus.FAILED, "details": {**result.details, "policy": "fail"}}
        )
    return result


def turned_off(result: ValidationResult) -> ValidationResult:
    """Nothing of what was found counts, and the report says that nobody judged it."""
    return ValidationResult(
        category=result.category,
        check_name=result.check_name,
        status=ValidationStatus.NOT_JUDGED,
        message=OFF_MESSAGE,
        is_needed=False,
    )
