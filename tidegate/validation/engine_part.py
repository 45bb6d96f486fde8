"""The half of a report that needs the engine, as plain data: it may come from another host."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from tidegate.domain import Evidence
from tidegate.validation.engine_report import EngineRun
from tidegate.validation.inference import ENGINE_RESULTS, not_judged, read_report, responses_of
from tidegate.validation.report import (
    SpeedSample,
    TestQuery,
    TestResponse,
    ValidationReport,
    ValidationResult,
    evidence_of_results,
    recommend,
    summarize,
)


class EnginePart(BaseModel):
    """What one load of the model gave: results, and what was asked and answered. Plain data, for other hosts."""

    model_config = ConfigDict(frozen=True)

    results: tuple[ValidationResult, ...] = ()
    test_queries: tuple[TestQuery, ...] = ()
    test_responses: tuple[TestResponse, ...] = ()
    speed: tuple[SpeedSample, ...] = ()

    def evidence(self, digest: str) -> list[Evidence]:
        """Rows for the inference gate of a release."""
        return evidence_of_results(self.results, digest)


def with_engine_part(structure: ValidationReport, part: EnginePart) -> ValidationReport:
    """One report of the two halves, each of which may come from another host. A half without results refuses."""
    results = (*structure.results, *(part.results or not_judged(*ENGINE_RESULTS, why="there is no result")))
    return structure.model_copy(
        update={
            "results": results,
            "recommendation": recommend(results),
            "summary": summarize(results),
            "test_queries": part.test_queries,
            "test_responses": part.test_responses,
            "speed": part.speed,
        }
    )


def engine_part(run: EngineRun, results: Sequence[ValidationResult]) -> EnginePart:
    """Results with what was asked, answered and measured in this run."""
    report, _ = read_report(run)
    queries, responses = responses_of(run)
    return EnginePart(
        results=tuple(results),
        test_queries=queries,
        test_responses=responses,
        speed=() if report is None else tuple(said.sample() for said in report.speed),
    )
