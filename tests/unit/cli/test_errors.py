"""Whatever goes wrong below a command ends in one short answer, never in a traceback."""

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tidegate.cli.app import Commands
from tidegate.cli.output import JsonFlag, pairs
from tidegate.domain import Fenced, InvalidInput, NeedsOperator, NotFound, Refused, Transient


@pytest.fixture
def fail(tmp_path: Path) -> Any:
    """Run a command that raises this, in a home of its own."""

    def run(error: BaseException, *arguments: str) -> Any:
        app = typer.Typer(cls=Commands)

        @app.callback()
        def root() -> None:
            """The root."""

        @app.command()
        def broken(as_json: JsonFlag = False) -> None:
            raise error

        return CliRunner().invoke(
            app, ["broken", *arguments], env={"TIDEGATE_HOME": str(tmp_path), "COLUMNS": "200"}
        )

    return run


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidInput("x", remedy="y"), 2),
        (NotFound("x", remedy="y"), 2),
        (Refused("x", remedy="y"), 2),
        (Transient("x", remedy="y"), 1),
        (Fenced("x", remedy="y"), 1),
        (NeedsOperator("x", remedy="y"), 1),
    ],
)
def test_each_kind_of_error_has_its_exit_code(fail: Any, error: Exception, code: int):
    assert fail(error).exit_code == code


def test_an_error_is_told_with_its_remedy_and_code(fail: Any):
    result = fail(Refused("The [digest] is quarantined.", remedy="Name a reason."))

    assert result.stderr.splitlines() == ["The [digest] is quarantined.", "Name a reason.", "TG-2003"]
    assert result.stdout == ""


def test_a_defect_is_one_line_and_its_traceback_is_in_the_log(fail: Any, tmp_path: Path):
    result = fail(KeyError("weights"))

    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"Unexpected error: KeyError: 'weights' Details: {tmp_path}/logs/cli.log"
    ]
    assert "Traceback" in (tmp_path / "logs" / "cli.log").read_text()


def test_a_defect_is_json_where_json_was_asked_for(fail: Any):
    assert '"code": "TG-0000"' in fail(KeyError("weights"), "--json").stdout


def test_an_interrupt_ends_quietly(fail: Any):
    result = fail(KeyboardInterrupt())

    assert (result.exit_code, result.stderr) == (130, "")


def test_key_value_options_are_read_or_refused():
    assert pairs(["run=481", "data=a=b"]) == {"run": "481", "data": "a=b"}
    assert pairs(None) == {}
    with pytest.raises(InvalidInput, match="not KEY=VALUE"):
        pairs(["run"])


def test_an_unexpected_error_shows_no_request_token(fail: Any, tmp_path: Path):
    result = fail(ValueError("bad value 'tg1.k1.claims.signature'"))

    shown = result.output + (tmp_path / "logs" / "cli.log").read_text()
    assert "tg1.***" in shown
    assert "claims.signature" not in shown
