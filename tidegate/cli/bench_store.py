"""Where results of `tidegate bench` are kept and found again: the ledger, or the user's data folder without one."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate.domain import InvalidInput, Measurement, MeasurementKind, NotFound, ServiceRef, TidegateError

if TYPE_CHECKING:
    from tidegate.benchmark.record import RunRecord
    from tidegate.benchmark.report.document import BenchmarkReport
    from tidegate.ledger import Ledger
    from tidegate.settings import Settings

FOLDER = "benchmarks"
MAX_FILE_BYTES = 512 * 1024**2
LEVEL_MARK = "@"


@dataclass(frozen=True)
class Kept:
    """Where a result went, and what kept it from the ledger when it is not there."""

    where: str
    note: str = ""


def keep(
    report: "BenchmarkReport",
    ref: ServiceRef | None = None,
    digest: str | None = None,
    settings: "Settings | None" = None,
) -> Kept:
    """Into the ledger; into the data folder where there is no installation or its ledger cannot be used."""
    measured = measurement_of(report, ref, digest)
    settings = settings or _settings()
    if not has_ledger(settings):
        note = "No installation of Tidegate is here (tidegate up makes one), so results are files."
        return Kept(str(_write(settings, measured)), note)
    try:
        with _ledger(settings) as ledger:
            ledger.record_measurement(measured)
    except InvalidInput as error:
        return Kept(str(_write(settings, measured)), error.message)
    except TidegateError as error:
        return Kept(str(_write(settings, measured)), f"The ledger could not be used: {error.message}")
    return Kept("the ledger")


def measurement_of(report: "BenchmarkReport", ref: ServiceRef | None, digest: str | None) -> Measurement:
    """What is stored: figures as JSON, every request compressed."""
    from tidegate.benchmark.report.reports import summary_of
    from tidegate.domain import pack_record

    return Measurement(
        id=report.id,
        kind=MeasurementKind.LOAD,
        org=ref.org if ref else None,
        service=ref.service if ref else None,
        digest=digest,
        label=report.label[:200],
        taken_at=report.created_at,
        summary=summary_of(report),
        record=pack_record(report.as_json()),
    )


def find(name: str, settings: "Settings | None" = None) -> "BenchmarkReport":
    """A file, an id, or the beginning of one that no other has.

    Raises: NotFound, InvalidInput when several begin so.
    """
    from tidegate.benchmark.report.document import BenchmarkReport

    path = Path(name)
    if _is_file(path):
        return BenchmarkReport.from_bytes(_bytes_of(path))
    if path.suffix in (".json", ".gz") or "/" in name:
        raise NotFound(
            f"{name} does not exist.", remedy="Name a file, or an id of: tidegate bench list.", field="RUN"
        )
    record = _stored(name, settings or _settings()).record
    if record is None:
        raise NotFound(
            f"Of {name} only the summary was stored.",
            remedy="Compare the file that was written then.",
            field="RUN",
        )
    return BenchmarkReport.from_bytes(record)


def find_run(name: str, settings: "Settings | None" = None) -> "RunRecord":
    """One run: of a sweep the one at a load, written `ID@8`; of a pair `ID@base` or `ID@candidate`."""
    bare, mark, level = (
        name.rpartition(LEVEL_MARK) if LEVEL_MARK in name and not _is_file(Path(name)) else (name, "", "")
    )
    report = find(bare or name, settings)
    if not mark:
        if len(report.runs) == 1:
            return report.runs[0].run
        raise InvalidInput(
            f"{name} holds {len(report.runs)} runs: {', '.join(_levels(report))}.",
            remedy=f"Name one of them, for example {name}{LEVEL_MARK}{_levels(report)[0]}.",
            field="RUN",
        )
    chosen = [one.run for one, known in zip(report.runs, _levels(report), strict=True) if known == level]
    if not chosen:
        raise NotFound(
            f"{bare} holds no run '{level}'.", remedy=f"It has: {', '.join(_levels(report))}.", field="RUN"
        )
    return chosen[-1]


def _levels(report: "BenchmarkReport") -> list[str]:
    if report.what == "pair":
        return ["base", "candidate"]
    return [f"{one.load:g}" if one.load is not None else one.run.id for one in report.runs]


def listed(
    limit: int, since: datetime | None = None, settings: "Settings | None" = None
) -> list[Measurement]:
    """Newest first, from the ledger and from the folder."""
    settings = settings or _settings()
    found = {one.id: one for one in _in_folder(settings) if since is None or one.taken_at >= since}
    if has_ledger(settings):
        with _ledger(settings) as ledger:
            stored = ledger.measurements(kind=MeasurementKind.LOAD, since=since, limit=limit)
        found |= {one.id: one for one in stored}
    return sorted(found.values(), key=lambda one: one.taken_at, reverse=True)[:limit]


def has_ledger(settings: "Settings") -> bool:
    """A database elsewhere, or a file that exists: a benchmark alone makes no installation."""
    if not settings.ledger_url.startswith("sqlite"):
        return True
    return Path(settings.ledger_url.removeprefix("sqlite:///")).is_file()


def _stored(name: str, settings: "Settings") -> Measurement:
    in_folder = [one for one in _in_folder(settings) if one.id.startswith(name)]
    exact = [one for one in in_folder if one.id == name]
    matches = exact or in_folder
    if len(matches) > 1:
        raise InvalidInput(
            f"'{name}' is the beginning of several runs: {', '.join(one.id for one in matches[:5])}.",
            remedy="Write more characters of the id.",
            field="RUN",
        )
    if matches and len(name) >= 3:
        record = (_folder(settings) / f"{matches[0].id}.run.json.gz").read_bytes()
        return matches[0].model_copy(update={"record": record})
    if not has_ledger(settings):
        raise NotFound(f"No run begins with '{name}'.", remedy="See: tidegate bench list.", field="RUN")
    with _ledger(settings) as ledger:
        return ledger.measurement(name, kind=MeasurementKind.LOAD)


def _write(settings: "Settings", measured: Measurement) -> Path:
    """The figures and the whole run beside each other: lists read the small one."""
    from tidegate.validation.report import write_whole

    target = _folder(settings) / f"{measured.id}.run.json.gz"
    write_whole(target, measured.record or b"")
    write_whole(
        _folder(settings) / f"{measured.id}.json", measured.model_dump_json(exclude={"record"}) + "\n"
    )
    return target


def _in_folder(settings: "Settings") -> Iterator[Measurement]:
    """A file that is none of ours, or was damaged, hides no other."""
    from pydantic import ValidationError

    for path in sorted(_folder(settings).glob("*.json")):
        try:
            yield Measurement.model_validate_json(path.read_bytes())
        except (ValidationError, OSError):
            continue


def _folder(settings: "Settings") -> Path:
    return settings.home / FOLDER


def _is_file(path: Path) -> bool:
    """A name that no file can have is an id."""
    try:
        return path.is_file()
    except OSError:
        return False


def _bytes_of(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InvalidInput(
                f"{path} is too large for a benchmark.",
                remedy="Name a file that 'tidegate bench' has written.",
                field="RUN",
            )
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be read: {error.strerror}.", remedy="Name a file that can be read.", field="RUN"
        ) from error


def _settings() -> "Settings":
    from tidegate.settings import load_settings

    return load_settings()


@contextmanager
def _ledger(settings: "Settings") -> "Generator[Ledger]":
    from tidegate.ledger import Ledger

    with Ledger.open(settings.ledger_url) as ledger:
        yield ledger


def plain_summary(measured: Measurement) -> dict[str, Any]:
    """For `--json` lists: without what a person does not read."""
    return measured.model_dump(mode="json", exclude={"record"})
