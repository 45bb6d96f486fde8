"""The worked example of docs/extending.md, installed as pip would leave it, and checks that misbehave."""

import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tidegate.domain import Policy
from tidegate.validation import (
    CheckContext,
    ModelSummary,
    TestResponse,
    ValidationCategory,
    ValidationResult,
    ValidationStatus,
)
from tidegate.validation.registry import run_plugins

DOCUMENT = Path(__file__).parents[3] / "docs" / "extending.md"
GROUP = "tidegate.validation_checks"
Install = Callable[[str, str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a module and its metadata on the path of the child, as an installed package lies there."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def install_one(module: str, source: str, entry: str) -> None:
        (tmp_path / f"{module}.py").write_text(source)
        metadata = tmp_path / f"{module}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[{GROUP}]\n{entry}\n")

    return install_one


def _block(title: str) -> str:
    found = re.search(rf'```\w+ title="{re.escape(title)}"\n(.*?)```', DOCUMENT.read_text(), re.DOTALL)
    assert found is not None
    return found.group(1)


def _run(
    names: list[str], context: CheckContext, options: dict[str, Any] | None = None, wall_s: float = 120.0
) -> list[ValidationResult]:
    policy = {"plugins": names, "options": options or {}, "plugin_wall_s": wall_s}
    return run_plugins(Policy.model_validate({"validation": policy}).validation, context)


def _context(*texts: str, name: str = "Acme-Chat") -> CheckContext:
    return CheckContext(
        model_path="/m.gguf", size_bytes=1,
        model=ModelSummary(architecture="llama", name=name, parameters=1, tensors=1, tensor_types=("F16",)),
        test_responses=tuple(
            TestResponse(id=f"a{number}", text=text, finish="stop", tokens=3) for number, text in enumerate(texts)
        ),
    )  # fmt: skip


def test_the_worked_example_runs_as_documented(install: Install):
    entry = re.search(r'"acme\.naming" = "(.+)"', _block("pyproject.toml"))
    assert entry is not None
    install("acme_checks", _block("acme_checks.py"), f"acme.naming = {entry.group(1)}")
    sound = _run(["acme.naming"], _context("Buy from us."))
    assert {result.check_name: result.status.value for result in sound} == {
        "acme.naming.name": "passed", "acme.naming.rivals": "passed",
    }  # fmt: skip
    bad = _run(
        ["acme.naming"],
        _context("Buy from Initech."),
        {"acme.naming": {"prefix": "pipit", "rivals": ["initech"]}},
    )
    assert [result.status.value for result in bad] == ["failed", "warning"]
    assert "does not begin with 'pipit'" in bad[0].message
    quick = _context().model_copy(update={"profile": "quick"})
    assert _run(["acme.naming"], quick) == []


MISBEHAVING = {
    "raises": "raise ValueError('no')",
    "dies": "import os; os.abort()",
    "prints": "print('{\"results\": []}'); return []",
    "speaks for others": "return [result('gguf.structure')]",
    "writes": "from pathlib import Path; Path(__file__).with_suffix('.txt').write_text('x'); return [result('bad.one')]",
    "hangs": "import time; time.sleep(600)",
}


@pytest.mark.parametrize("kind", MISBEHAVING)
def test_a_check_that_misbehaves_is_an_error_and_harms_nothing(kind: str, install: Install):
    source = f"""
        from tidegate.validation import ValidationCategory, ValidationResult, ValidationStatus

        def result(name):
            return ValidationResult(
                category=ValidationCategory.SIZE, check_name=name, status=ValidationStatus.PASSED, message="m"
            )

        class Bad:
            id, category, profiles = "bad.one", ValidationCategory.SIZE, ("standard",)

            def run(self, context):
                {MISBEHAVING[kind]}
    """
    install("bad_checks", textwrap.dedent(source), "bad.one = bad_checks:Bad")
    # Only the one that hangs is meant to run out of time: on a busy machine the others need it to get to their fault.
    (found,) = _run(["bad.one"], _context(), wall_s=5.0 if kind == "hangs" else 120.0)
    assert found.status is ValidationStatus.ERROR
    assert found.remedy


def test_a_check_that_is_not_installed_is_an_error():
    (found,) = _run(["acme.missing"], _context())
    assert found.status is ValidationStatus.ERROR
    assert "not installed" in found.message


def test_a_check_reads_the_file_that_was_validated(install: Install, tmp_path: Path):
    source = """
        from tidegate.validation import ValidationCategory, ValidationResult, ValidationStatus

        class Reads:
            id, category, profiles = "reads.first", ValidationCategory.FORMAT, ("standard",)

            def run(self, context):
                with context.open() as stream:
                    text = stream.read(4).decode()
                return [ValidationResult(
                    category=self.category, check_name=self.id, status=ValidationStatus.PASSED, message=text
                )]
    """
    install("reads_checks", textwrap.dedent(source), "reads.first = reads_checks:Reads")
    model = tmp_path / "m.gguf"
    model.write_bytes(b"GGUF and more")
    with model.open("rb") as stream:
        context = _context().model_copy(update={"descriptor": stream.fileno()})
        (found,) = _run(["reads.first"], context)
    assert (found.status, found.message) == (ValidationStatus.PASSED, "GGUF")
    assert found.category is ValidationCategory.FORMAT
