"""Commands run in this process, in a home of their own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tidegate.cli.app import app


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def run(home: Path) -> Callable[..., Any]:
    """Run `tidegate ...` in an empty home; the result has exit_code, stdout and stderr."""
    runner = CliRunner()

    def invoke(*arguments: str, **environ: str) -> Any:
        env = {"TIDEGATE_HOME": str(home), "COLUMNS": "200", "NO_COLOR": "1", **environ}
        return runner.invoke(app, list(arguments), env=env)

    return invoke
