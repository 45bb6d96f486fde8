"""Text of others where it is shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.plain import amount, markdown_block, markdown_text, plain, plain_lines, plural, size

ANY_TEXT = st.text(st.characters(codec=None))


@given(ANY_TEXT)
def test_whatever_a_file_says_is_printable(text: str):
    assert plain(text).isprintable()
    assert all(line.replace("\t", "").isprintable() for line in plain_lines(text).split("\n"))


def test_control_codes_and_hidden_directions_become_visible():
    assert plain("a\x1b[2J\u202eb\u200b\n") == "a\\x1b[2J\\u202eb\\u200b\\n"


def test_other_alphabets_stay_readable():
    assert plain("模型 Größe") == "模型 Größe"


def test_long_text_says_that_it_goes_on():
    assert plain("abcdef", 3) == "abc..."


def test_underlines_within_names_stay_and_those_that_are_markup_do_not():
    assert markdown_text("blk.0.attn_q _x_ *y*") == "blk.0.attn_q \\_x\\_ \\*y\\*"


def test_addresses_do_not_become_links():
    assert markdown_text("http://a www.b.c d@e") == "http\\://a www\\.b.c d\\@e"


def test_a_code_block_is_not_ended_by_what_stands_in_it():
    block = markdown_block("a\n````\nb")
    assert block[0] == "`````text"
    assert block[-1] == "`````"


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1023 * 1024, "1023 KiB"), (3521873182, "3.28 GiB"), (-32, "-32 B")],
)  # fmt: skip
def test_sizes_are_written_with_three_digits(count: int, shown: str):
    assert size(count) == shown


def test_amounts_and_plurals():
    assert [amount(number) for number in (814, 12_400, 999_999, 8_030_000_000)] == [
        "814",
        "12.4 k",
        "1 M",
        "8.03 B",
    ]
    assert (plural(1, "file"), plural(2, "file"), plural(2, "entry", "entries")) == (
        "1 file",
        "2 files",
        "2 entries",
    )
