"""Writes what `validate` found into files, each whole or not at all, and tells a webhook."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate.cli.output import console, escape
from tidegate.cli.validation_run import Done

if TYPE_CHECKING:
    from tidegate.validation import ValidationReport

DEFAULT_FOLDER = Path("validation-reports")
NOTIFY_TIMEOUT_S = 5.0
NAMES_TOLD = 3
SARIF_NAME, JUNIT_NAME = "validation.sarif", "validation.junit.xml"


class ReportFolder:
    """Where reports go. Two files of one name get two names."""

    def __init__(self, folder: Path, paths: Sequence[Path], formats: Collection[str]):
        self.folder = folder
        self.formats = formats
        self.written: list[Path] = []
        self._names = _names(paths)

    def write(self, done: Done) -> None:
        """The reports of one file; nothing for one that could not be validated."""
        from tidegate.validation import write_whole

        if done.report is None:
            return
        name = self._names[done.path]
        for kind in ("json", "md", "html"):
            if kind in self.formats:
                target = self.folder / f"{name}.{kind}"
                self.written.append(write_whole(target, _text_of(kind, done.report)))

    def write_together(self, results: Sequence[Done]) -> None:
        """SARIF and JUnit hold all files of a run: that is what their readers expect."""
        from tidegate.validation import write_whole
        from tidegate.validation.junit import to_junit
        from tidegate.validation.sarif import to_sarif

        reports = [done.report for done in results if done.report is not None]
        if "sarif" in self.formats:
            self.written.append(write_whole(self.folder / SARIF_NAME, to_sarif(reports)))
        if "junit" in self.formats:
            self.written.append(write_whole(self.folder / JUNIT_NAME, to_junit(reports)))

    def told(self) -> str:
        """What was written, short enough for one line."""
        if len(self.written) <= NAMES_TOLD:
            return ", ".join(map(str, self.written)) or "nothing"
        return f"{len(self.written)} reports in {self.folder}"


def _text_of(kind: str, report: "ValidationReport") -> str:
    if kind == "json":
        return report.as_json() + "\n"
    if kind == "md":
        from tidegate.validation import to_markdown

        return to_markdown(report)
    from tidegate.validation.html import to_html

    return to_html(report)


def _names(paths: Sequence[Path]) -> dict[Path, str]:
    """The stem of each file, with a number where that is taken. Control codes have no place in names either."""
    from tidegate.domain.plain import plain

    taken: set[str] = set()
    names: dict[Path, str] = {}
    for path in dict.fromkeys(paths):
        stem = plain(path.stem or path.name, 120).replace("\\", "_") or "model"
        numbered = (f"{stem}-{number}" if number > 1 else stem for number in range(1, len(paths) + 2))
        names[path] = next(name for name in numbered if name.casefold() not in taken)
        taken.add(names[path].casefold())
    return names


def summary_of(results: Sequence[Done]) -> dict[str, Any]:
    """What a webhook is told: verdicts and ids, no text of a file, no paths but names, no secrets."""
    return {
        "kind": "tidegate.validation",
        "may_be_deployed": all(done.may_be_deployed for done in results),
        "files": [_file_summary(done) for done in results],
    }


def _file_summary(done: Done) -> dict[str, Any]:
    from tidegate.domain.plain import plain
    from tidegate.validation.reasons import Weight, reasons

    told: dict[str, Any] = {"file": plain(done.path.name), "may_be_deployed": done.may_be_deployed}
    if done.report is None:
        return {**told, "error": done.error.code if done.error else ""}
    report = done.report
    return {
        **told,
        "model_name": plain(report.model_name),
        "version": plain(report.version),
        "digest": report.digest,
        "recommendation": report.recommendation.value,
        "rollback_version": report.rollback_version,
        "summary": report.summary.model_dump(mode="json"),
        "refused_by": [reason.rule for reason in reasons(report) if reason.weight is Weight.REFUSES],
    }


def check_notify_url(url: str) -> str:
    """Raises: InvalidInput, for anything but an address that HTTP can reach."""
    from urllib.parse import urlsplit

    from tidegate.domain import InvalidInput

    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        is_usable = False
    if url and not is_usable:
        raise InvalidInput(
            "--notify needs a URL that begins with http:// or https://.",
            remedy="Give the webhook's whole address.",
            field="notify",
        )
    return url


def notify(url: str, results: Sequence[Done]) -> None:
    """POST the summary. A webhook that does not answer is a warning: it never changes a verdict."""
    from urllib.parse import urlsplit

    import httpx

    # The path of a webhook is often its secret: only the host is ever shown.
    host = urlsplit(url).hostname or ""
    try:
        reply = httpx.post(url, json=summary_of(results), timeout=NOTIFY_TIMEOUT_S, follow_redirects=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        _warn(f"{host} was not told: {type(error).__name__}.")
        return
    if not reply.is_success:
        _warn(f"{host} was told and answered {reply.status_code}.")


def _warn(text: str) -> None:
    console(stderr=True).print(f"[yellow]Warning:[/yellow] {escape(text)}")
