"""Where quality reports are kept and found again: the ledger, or the user's data folder without one."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.domain import InvalidInput, Measurement, MeasurementKind, NotFound, ServiceRef, TidegateError

if TYPE_CHECKING:
    from tidegate.ledger import Ledger
    from tidegate.quality.report import QualityReport
    from tidegate.settings import Settings

FOLDER = "quality"
MAX_FILE_BYTES = 256 * 1024**2
SHORTEST_PREFIX = 3


def keep(report: "QualityReport", ref: ServiceRef | None, settings: "Settings | None" = None) -> str:
    """Store it; returns where it is, for people."""
    settings = settings or _settings()
    measured = _measurement(report, ref)
    if has_ledger(settings):
        try:
            with _ledger(settings) as ledger:
                ledger.record_measurement(measured)
        except TidegateError as error:
            return f"{_write(settings, report)} (the ledger could not be used: {error.message})"
        return "the ledger"
    return str(_write(settings, report))


def find(name: str, settings: "Settings | None" = None) -> "QualityReport":
    """A JSON file, an id, or the beginning of one that no other has.

    Raises: NotFound, InvalidInput.
    """
    from tidegate.domain import unpack_record
    from tidegate.quality.report import QualityReport

    path = Path(name)
    if path.is_file():
        return QualityReport.from_json(_content(path))
    settings = settings or _settings()
    matches = [one for one in sorted(_folder(settings).glob("*.json")) if one.stem.startswith(name)]
    if len(name) >= SHORTEST_PREFIX and len(matches) == 1:
        return QualityReport.from_json(_content(matches[0]))
    if len(matches) > 1:
        raise InvalidInput(
            f"Several results begin with '{name}': {', '.join(one.stem for one in matches[:5])}.",
            remedy="Write more of the id.",
            field="RESULT",
        )
    if not has_ledger(settings):
        raise NotFound(f"There is no result '{name}'.", remedy="See: tidegate quality list.", field="RESULT")
    with _ledger(settings) as ledger:
        stored = ledger.measurement(name, kind=MeasurementKind.QUALITY)
    if stored.record is None:
        raise NotFound(
            f"Of {stored.id} only the summary is stored.",
            remedy="Measure again: only newer results keep everything.",
            field="RESULT",
        )
    return QualityReport.from_json(unpack_record(stored.record))


def is_stored(name: str, settings: "Settings | None" = None) -> bool:
    """Whether this names a result rather than a model to ask."""
    if "://" in name or name.endswith(".gguf"):
        return False
    path = Path(name)
    return path.suffix == ".json" or ("/" not in name and not path.exists())


def listed(limit: int, settings: "Settings | None" = None) -> list[Measurement]:
    """Newest first, without their records."""
    settings = settings or _settings()
    found = {one.id: one for one in _in_folder(settings)}
    if has_ledger(settings):
        with _ledger(settings) as ledger:
            found |= {one.id: one for one in ledger.measurements(kind=MeasurementKind.QUALITY, limit=limit)}
    return sorted(found.values(), key=lambda one: one.taken_at, reverse=True)[:limit]


def has_ledger(settings: "Settings") -> bool:
    """A database elsewhere, or a file that exists: asking a bank alone makes no installation."""
    if not settings.ledger_url.startswith("sqlite"):
        return True
    return Path(settings.ledger_url.removeprefix("sqlite:///")).is_file()


def _measurement(report: "QualityReport", ref: ServiceRef | None) -> Measurement:
    from tidegate.domain import pack_record

    digest = report.candidate.model_digest
    is_digest = digest is not None and len(digest) == 64 and set(digest) <= set("0123456789abcdef")
    return Measurement(
        id=report.id,
        kind=MeasurementKind.QUALITY,
        org=ref.org if ref else None,
        service=ref.service if ref else None,
        digest=digest if is_digest else None,
        label=report.label[:200],
        taken_at=report.created_at,
        summary=report.summary(),
        record=pack_record(report.as_json()),
    )


def _write(settings: "Settings", report: "QualityReport") -> Path:
    from tidegate.validation.report import write_whole

    return write_whole(_folder(settings) / f"{report.id}.json", report.as_json() + "\n")


def _in_folder(settings: "Settings") -> Iterator[Measurement]:
    """A file that is none of ours, or was damaged, hides no other."""
    from tidegate.quality.report import QualityReport

    for path in sorted(_folder(settings).glob("*.json")):
        try:
            yield _measurement(QualityReport.from_json(_content(path)), None)
        except TidegateError:
            continue


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InvalidInput(
                f"{path} is too large for a quality report.",
                remedy="Name a file that 'tidegate quality' has written.",
                field="RESULT",
            )
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be read: {error.strerror}.",
            remedy="Name a file that can be read.",
            field="RESULT",
        ) from error


def _folder(settings: "Settings") -> Path:
    return settings.home / FOLDER


def _settings() -> "Settings":
    from tidegate.settings import load_settings

    return load_settings()


@contextmanager
def _ledger(settings: "Settings") -> "Generator[Ledger]":
    from tidegate.ledger import Ledger

    with Ledger.open(settings.ledger_url) as ledger:
        yield ledger
