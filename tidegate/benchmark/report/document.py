"""What a benchmark leaves behind: one JSON document with every request, the figures, and the verdict.

Figures are computed again from the requests whenever a document is read, so that two runs of different age are
compared by the same definitions. Reading trusts nothing: a document that contradicts itself is refused.
"""

import json
from typing import Any, Literal, Self, cast

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from tidegate.benchmark.compared import Comparison
from tidegate.benchmark.goodput import Slo
from tidegate.benchmark.record import RunRecord
from tidegate.benchmark.summary import RunSummary, summarise
from tidegate.domain import InvalidInput, unpack_record

KIND = "tidegate.benchmark"
SCHEMA_VERSION = 1
WANTED_SHARE = 0.95
"""Of the planned requests must keep the limits, unless another share is asked for."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class MeasuredRun(_Model):
    """One run at one load."""

    load: float | None = Field(default=None, description="Level of a sweep or search.")
    overload: str = Field(default="", description="Why nothing higher was tried; empty when it was.")
    run: RunRecord
    summary: RunSummary


class SearchLevel(_Model):
    """What a search knows of a level after all its measurements."""

    load: float
    good: int
    planned: int
    low: float = Field(description="Wilson interval of the share of good requests.")
    high: float
    verdict: str


class SearchResult(_Model):
    """The highest load that keeps the limits."""

    answer: str
    holds: float | None = Field(description="Highest load shown to keep them.")
    misses: float | None = Field(description="Lowest load shown not to.")
    sentence: str
    levels: tuple[SearchLevel, ...]


class BenchmarkReport(_Model):
    """One measurement of load, whatever its shape: a run, a sweep, a search, or two endpoints in turn."""

    kind: Literal["tidegate.benchmark"] = KIND
    schema_version: Literal[1] = SCHEMA_VERSION
    id: str = Field(
        max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Also names its files."
    )
    what: Literal["run", "sweep", "search", "pair"]
    label: str = ""
    created_at: AwareDatetime
    slo: Slo | None = None
    wanted_share: float = Field(default=WANTED_SHARE, gt=0, lt=1)
    load_unit: str = Field(default="", description="Of the levels of a sweep or search.")
    runs: tuple[MeasuredRun, ...] = Field(min_length=1)
    search: SearchResult | None = None
    comparison: Comparison | None = None

    @classmethod
    def of_run(cls, run: RunRecord, slo: Slo | None = None, wanted_share: float = WANTED_SHARE) -> Self:
        """A single run."""
        measured = MeasuredRun(run=run, summary=summarise(run, slo))
        return cls(
            id=run.id,
            what="run",
            label=run.label,
            created_at=run.created_at,
            slo=slo,
            wanted_share=wanted_share,
            runs=(measured,),
        )

    def as_json(self) -> str:
        """In one line; what a request leaves open is left out."""
        data = self.model_dump(mode="json")
        for place, measured in enumerate(self.runs):
            bare = measured.run.model_dump(mode="json", exclude_defaults=True)
            data["runs"][place]["run"] = {"schema_version": measured.run.schema_version, **bare}
        return json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a document, or a bare run record as releases store it; either may be compressed.

        Raises: InvalidInput naming the field that is wrong.
        """
        found = _json(data)
        if not isinstance(found, dict):
            raise InvalidInput(
                "This is no benchmark: it is no JSON object.",
                remedy="Name a file that 'tidegate bench' has written.",
                field="run",
            )
        body = cast("dict[str, Any]", found)
        try:
            return cls._from_data(body) if body.get("kind") == KIND else cls.of_run(RunRecord.from_data(body))
        except (ValidationError, TypeError, KeyError, AttributeError) as error:
            raise InvalidInput(
                f"The benchmark cannot be read: {_where(error)}.",
                remedy="Use a file as tidegate wrote it.",
                field="run",
            ) from error

    @classmethod
    def _from_data(cls, body: dict[str, Any]) -> Self:
        if body.get("schema_version") != SCHEMA_VERSION:
            raise InvalidInput(
                f"The benchmark has schema version {body.get('schema_version')!r}; this version reads {SCHEMA_VERSION}.",
                remedy="Read it with the version of tidegate that wrote it, or a newer one.",
                field="schema_version",
            )
        slo = Slo.model_validate(body["slo"]) if body.get("slo") is not None else None
        runs = [_measured(entry, slo) for entry in body.get("runs") or ()]
        return cls.model_validate({**body, "slo": slo, "runs": tuple(runs)})


def _measured(entry: dict[str, Any], slo: Slo | None) -> MeasuredRun:
    run = RunRecord.from_data(entry["run"])
    return MeasuredRun(
        load=entry.get("load"), overload=entry.get("overload", ""), run=run, summary=summarise(run, slo)
    )


def _where(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return f"{type(error).__name__}: {error}"


def _json(data: bytes) -> Any:
    text = unpack_record(data) if data[:2] == b"\x1f\x8b" else data
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(
            "This is no benchmark: neither JSON nor compressed JSON.",
            remedy="Name a file that 'tidegate bench' has written.",
            field="run",
        ) from error
