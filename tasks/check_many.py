"""Tasks of a batch validation: what there is to check, and one of it."""

import logging
from collections.abc import Iterator, Sequence

from prefect import task
from prefect.futures import PrefectFuture

from tasks.policies import LONG, SHORT
from tasks.runtime import ports
from tidegate.domain import ServiceRef, TidegateError
from tidegate.steps import batch
from tidegate.steps.files import FileResult

log = logging.getLogger("tidegate.batch")


@task(name="find artifacts", **SHORT)
def find_artifacts(org: str, service: str, paths: list[str], versions: list[str]) -> list[batch.Subject]:
    return batch.subjects(ports(), ServiceRef(org, service), paths, versions)


@task(name="check artifact", task_run_name="check {subject.name}", **LONG)
def check_artifact(org: str, service: str, subject: batch.Subject) -> FileResult:
    return batch.check_subject(ports(), ServiceRef(org, service), subject)


def check_all(org: str, service: str, subjects: Sequence[batch.Subject], at_once: int) -> list[FileResult]:
    """Every subject's result, whatever happens to another. Only so many are worked on at the same time."""
    results: list[FileResult] = []
    for start in range(0, len(subjects), at_once):
        wave = subjects[start : start + at_once]
        futures = [check_artifact.submit(org, service, subject) for subject in wave]
        results += _results(wave, futures)
        log.info("%d of %d artifacts checked", len(results), len(subjects))
    return results


def _results(
    wave: Sequence[batch.Subject], futures: Sequence[PrefectFuture[FileResult]]
) -> Iterator[FileResult]:
    for subject, future in zip(wave, futures, strict=True):
        found = future.result(raise_on_failure=False)
        if isinstance(found, FileResult):
            yield found
            continue
        told = found.message if isinstance(found, TidegateError) else type(found).__name__
        log.error("%s could not be checked: %s", subject.name, told)
        yield FileResult(subject.name, subject.digest, f"not judged: {told}", ())
