"""What a check of another package looks like. This is the whole interface; see docs/extending.md.

A check is installed with its package under the entry point group `tidegate.validation_checks`, and runs where a
policy names it under `validation.plugins`. It runs in a limited process of its own: it can neither harm the
validation nor write files, and it sees no secrets.
"""

from collections.abc import Collection
from typing import Any, BinaryIO, Protocol

from pydantic import BaseModel, ConfigDict, Field

from tidegate.validation.report import (
    MemoryReport,
    ModelSummary,
    Profile,
    TestQuery,
    TestResponse,
    ValidationCategory,
    ValidationResult,
)

GROUP = "tidegate.validation_checks"


class CheckContext(BaseModel):
    """What is known about the file when the check runs."""

    model_config = ConfigDict(frozen=True)

    model_path: str = Field(description="For messages. `open()` gives the bytes that were validated.")
    model_name: str = ""
    version: str = ""
    profile: Profile = "standard"
    digest: str = Field(default="", description="Empty with profile `quick`, which reads the header alone.")
    size_bytes: int = 0
    options: dict[str, Any] = Field(
        default_factory=dict, description="From `validation.options` of the policy, under the check's name."
    )
    model: ModelSummary | None = None
    memory: MemoryReport | None = None
    test_queries: tuple[TestQuery, ...] = ()
    test_responses: tuple[TestResponse, ...] = Field(
        default=(), description="Answers of the model; empty where it was not loaded."
    )
    descriptor: int = -1

    def open(self) -> BinaryIO:
        """The file from its start, for reading."""
        return open(f"/dev/fd/{self.descriptor}", "rb")


class Check(Protocol):
    """One check. The entry point names a class, or a function, that is called without arguments and gives this."""

    id: str
    """Name of the entry point; also of its result, or the part of its results' names before a dot."""
    category: ValidationCategory
    profiles: Collection[Profile]
    """The profiles that it is a part of."""

    def run(self, context: CheckContext) -> list[ValidationResult]:
        """One result or more, all of its category. Raise nothing for what the file is: that is a result."""
        ...
