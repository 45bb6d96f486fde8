"""docs/errors.md is what the code says, every code means one thing for ever, and every error says what to do."""

import json
from functools import cache
from pathlib import Path

from tidegate.domain.error_codes import CATALOGUE, CODES
from tidegate.observability.error_documentation import (
    DOCUMENT,
    ErrorClass,
    Raised,
    document,
    error_classes,
    raised_errors,
)

ROOT = Path(__file__).parents[3]
KNOWN = ROOT / "tests" / "data" / "error_codes.json"


@cache
def classes() -> list[ErrorClass]:
    return error_classes()


@cache
def raised() -> list[Raised]:
    return raised_errors()


def test_the_document_is_what_the_code_says():
    text = (ROOT / DOCUMENT).read_text(encoding="utf-8")

    assert text == document(), "make it anew: python -m tidegate.observability.error_documentation"


def test_the_source_is_really_read():
    assert len(classes()) >= 27
    assert len(raised()) > 400


def test_every_class_has_a_code_of_its_own():
    codes = [one.code for one in classes()]

    assert None not in codes, [one.name for one in classes() if one.code is None]
    assert len(codes) == len(set(codes))


def test_every_code_of_the_source_is_in_the_catalogue_and_no_other():
    used = {one.code for one in classes()} | {one.code for one in raised() if one.code}

    assert used == {entry.code for entry in CATALOGUE if not entry.is_retired}


def test_a_code_of_single_places_is_not_that_of_a_class():
    of_classes = {one.code for one in classes()}

    assert [one.where for one in raised() if one.code in of_classes] == []


def test_a_code_stands_under_the_kind_that_raises_it():
    kinds = {"1": "Transient", "2": "Permanent", "3": "NeedsOperator"}
    bases = {one.name: one.bases for one in classes()}

    def ancestors(name: str) -> set[str]:
        return {name}.union(*(ancestors(base) for base in bases.get(name, ())))

    wrong = [
        one.name
        for one in classes()
        if one.code not in ("TG-0000", None) and kinds[one.code[3]] not in ancestors(one.name)
    ]
    wrong += [one.where for one in raised() if one.code and kinds[one.code[3]] not in ancestors(one.name)]
    assert wrong == []


def test_codes_are_unique_and_written_in_their_order():
    codes = [entry.code for entry in CATALOGUE]

    assert codes == sorted(set(codes))


def test_a_code_never_gets_another_meaning():
    """Every code that ever was stands in this file with its name; a new one is added to it, and none is taken out."""
    known = json.loads(KNOWN.read_text(encoding="utf-8"))

    assert known == {code: entry.name for code, entry in CODES.items()}


def test_every_entry_says_what_it_means_why_and_what_to_do():
    for entry in CATALOGUE:
        for text in (entry.meaning, entry.cause, entry.action):
            assert text.endswith("."), (entry.code, text)


def test_every_error_that_is_raised_says_what_to_do():
    assert [one.where for one in raised() if not one.has_remedy] == []
