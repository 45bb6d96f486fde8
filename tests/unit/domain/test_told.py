"""Digests that bind what was told, and name what is other by now."""

from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.told import differing, told_digest

PARTS = st.dictionaries(
    st.text(min_size=1, max_size=8), st.integers() | st.text(max_size=5) | st.none(), min_size=1, max_size=8
)


@given(PARTS)
def test_what_was_told_differs_in_nothing_from_itself(parts: dict):
    assert differing(told_digest(parts), dict(reversed(parts.items()))) == ()


@given(PARTS, st.data())
def test_the_part_that_changed_is_named(parts: dict, data: st.DataObject):
    name = data.draw(st.sampled_from(sorted(parts)))
    found = differing(told_digest(parts), parts | {name: ["something", "else"]})
    # With a chance of 1 in 65536 the mark of the other value is the same: then everything is named.
    assert found == (name,) or found == tuple(sorted(parts))


def test_a_digest_without_its_marks_binds_too_and_names_everything():
    parts = {"ladder": [10, 100], "gates": "all"}
    digest = told_digest(parts).partition(".")[0]
    assert differing(digest, parts) == ()
    assert differing(digest, parts | {"gates": "none"}) == ("gates", "ladder")
    assert differing("", parts) == differing("nonsense", parts) == ("gates", "ladder")


def test_marks_of_another_digest_do_not_let_it_pass():
    parts, other = {"ladder": [10, 100]}, {"ladder": [100]}
    forged = told_digest(other).partition(".")[0] + "." + told_digest(parts).partition(".")[2]
    assert differing(forged, parts) == ("ladder",)
