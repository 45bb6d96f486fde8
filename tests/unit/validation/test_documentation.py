"""docs/validation.md says what the code does: rules, limits, checks, verdicts, options."""

import re
from pathlib import Path

import typer

from tidegate.cli.app import app
from tidegate.validation import STRUCTURE_CHECKS, Recommendation
from tidegate.validation.documentation import RULES, with_tables
from tidegate.validation.fitting import MEMORY_RESULTS
from tidegate.validation.inference import ENGINE_RESULTS
from tidegate.validation.provenance import SIGNATURE_CHECK
from tidegate.validation.regression import ANSWERS, BASELINE, SCORE, TEMPLATE, TOKENIZER, TOPICS
from tidegate.validation.validator import LOADING_NEEDS

TEXT = (Path(__file__).parents[3] / "docs" / "validation.md").read_text()
CHECKS = {
    *STRUCTURE_CHECKS, *ENGINE_RESULTS, *LOADING_NEEDS, *MEMORY_RESULTS, SIGNATURE_CHECK, "latency.baseline",
    ANSWERS, BASELINE, SCORE, TEMPLATE, TOKENIZER, TOPICS,
}  # fmt: skip


def test_its_tables_are_those_of_the_code():
    assert with_tables(TEXT) == TEXT, "write them anew: python -m tidegate.validation.documentation"


def test_every_rule_check_and_verdict_is_named():
    for name in (*RULES, *CHECKS, *(verdict.value for verdict in Recommendation)):
        assert f"`{name}`" in TEXT, name


def test_every_option_it_names_exists():
    root = typer.main.get_command(app)
    known = {
        option
        for name in ("validate", "inspect", "compare", "registry-check")
        for parameter in root.commands[name].params  # pyright: ignore[reportAttributeAccessIssue] - a group
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    assert set(re.findall(r"`(?:tidegate \w+ )?(--[a-z-]+)", TEXT)) <= known
