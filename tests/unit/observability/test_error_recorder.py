"""The recorder never raises, never hides an error, keeps no secret, and spares the ledger."""

import logging

import pytest

from tidegate.domain import NotFound, ServiceRef, Transient
from tidegate.domain.error_tracking import SeenError
from tidegate.observability.concealing import _redactor, conceal
from tidegate.observability.error_recorder import MAX_REMEMBERED, MOST_WRITES, REPEAT_S, REST_S, ErrorRecorder

SECRETS = (
    "tg_acme_0123456789abcdef",
    "rpa_ABCDEFGHIJKLMNOPQRST",
    "hf_abcdefghijklmnopqrst",
    "r8_abcdefghijklmnopqrstu",
    "sk-proj-abcdefghijklmnop",
    "tg1.k1.claims.signature",
    "eyJhbGciOi.eyJzdWIiOiIx.c2lnbmF0dXJl",
    "AKIAABCDEFGHIJKLMNOP",
    "xoxb-1234567890-abcdef",
)
SENTENCES = (
    ("Authorization: Bearer 0123456789abcdef.x", "0123456789abcdef"),
    ("postgresql://tidegate:correct-horse@db/ledger is gone", "correct-horse"),
    ("https://bucket/x?X-Amz-Signature=deadbeefdeadbeef&y=1 answered 403", "deadbeef"),
    ("slack://tokenA/tokenB/tokenC failed", "tokenB"),
    ("https://hooks.slack.com/services/T000/B000/XXXXXXXX failed", "XXXXXXXX"),
    ('{"api_key": "opensesame"}', "opensesame"),
    ("password=opensesame; retry", "opensesame"),
)


class Rows:
    """A ledger that counts, or does not answer."""

    def __init__(self) -> None:
        self.rows: list[tuple[SeenError, int]] = []
        self.asked = 0
        self.trouble: Exception | None = None

    def note_error(self, seen: SeenError, count: int = 1) -> None:
        self.asked += 1
        if self.trouble is not None:
            raise self.trouble
        self.rows.append((seen, count))

    def counts(self) -> list[tuple[str, int]]:
        return [(seen.message, count) for seen, count in self.rows]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def note(rows: Rows, clock: Clock) -> ErrorRecorder:
    return ErrorRecorder(rows, conceal, clock)


def gone() -> NotFound:
    return NotFound("It is gone.", remedy="Look.")


def test_an_error_becomes_a_row_with_its_place_and_service(note: ErrorRecorder, rows: Rows):
    note(gone(), "command release", ref=ServiceRef("acme", "chat"), release_id="r-1")

    ((seen, count),) = rows.rows
    assert (seen.place, seen.org, seen.service, seen.release_id) == ("command release", "acme", "chat", "r-1")
    assert (seen.code, count) == ("TG-2002", 1)


def test_an_error_that_goes_through_several_places_is_counted_once(note: ErrorRecorder, rows: Rows):
    error = gone()

    for place in ("step deploy", "task deploy", "command release"):
        note(error, place)

    assert [seen.place for seen, _ in rows.rows] == ["step deploy"]


def test_repeats_are_counted_and_written_together(note: ErrorRecorder, rows: Rows, clock: Clock):
    for _ in range(5):
        note(gone(), "gateway routes")
    assert rows.counts() == [("It is gone.", 1)]

    clock.now += REPEAT_S
    note(gone(), "gateway routes")

    assert rows.counts() == [("It is gone.", 1), ("It is gone.", 5)]


def test_what_was_only_counted_is_written_at_the_end(note: ErrorRecorder, rows: Rows):
    note(gone(), "p")
    note(gone(), "p")

    note.flush()
    note.flush()

    assert rows.counts() == [("It is gone.", 1), ("It is gone.", 1)]


def test_nothing_is_raised_when_the_ledger_does_not_answer_and_it_is_left_alone_for_a_while(
    note: ErrorRecorder, rows: Rows, clock: Clock, caplog: pytest.LogCaptureFixture
):
    rows.trouble = Transient("busy", remedy="wait")
    with caplog.at_level(logging.WARNING):
        for number in range(20):
            note(gone(), f"place {number}")
    assert rows.asked == 1
    assert "could not be kept" in caplog.text

    rows.trouble = None
    clock.now += REST_S
    note(gone(), "place 20")

    assert len(rows.rows) == 21


def test_trouble_of_the_ledger_itself_is_told_once_it_answers_again(note: ErrorRecorder, rows: Rows):
    note(Transient("busy", remedy="wait", code="TG-1100"), "gateway routes")
    assert rows.asked == 0

    note(gone(), "gateway routes")

    assert [seen.code for seen, _ in rows.rows] == ["TG-2002", "TG-1100"]


def test_an_error_that_cannot_even_be_read_hides_nothing(note: ErrorRecorder, rows: Rows):
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    note(Broken(), "p")

    assert rows.rows == []


def test_watching_lets_the_error_go_its_way(note: ErrorRecorder, rows: Rows):
    with pytest.raises(NotFound), note.watching("round of healing"):
        raise gone()

    assert [seen.place for seen, _ in rows.rows] == ["round of healing"]


def test_memory_is_bounded(note: ErrorRecorder):
    for number in range(MAX_REMEMBERED + 50):
        note(gone(), f"place {number}")

    assert len(note._repeats) == MAX_REMEMBERED


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("form", ["{}", "the key {} is refused", "'{}'", "https://x.example/?a={}&b=1"])
def test_no_secret_reaches_a_row(note: ErrorRecorder, rows: Rows, secret: str, form: str):
    text = form.format(secret)
    note(NotFound(text, remedy=text), "p")
    note(ValueError(text), "q")

    assert len(rows.rows) == 2
    assert secret not in str(rows.rows)


@pytest.mark.parametrize(("sentence", "secret"), SENTENCES)
def test_no_secret_that_only_its_place_betrays_reaches_a_row(
    note: ErrorRecorder, rows: Rows, sentence: str, secret: str
):
    note(NotFound(sentence, remedy=sentence), "p")

    assert secret not in str(rows.rows)


@pytest.mark.parametrize(
    "text",
    [
        "There is no organization 'acme'.",
        "The request token for acme/chat was used before, for release r-0m3x1.",
        "Set chat-3f2a9b1c of acme/chat is not ready.",
        "Read http://127.0.0.1:8080/v1/models and /home/x/ledger.sqlite3.",
    ],
)
def test_plain_words_stay_as_they_are(text: str):
    assert conceal(text) == text


def test_what_this_process_was_handed_is_hidden_whatever_its_shape(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TIDEGATE_SECRET_ACME", "swordfish-of-any-shape")
    _redactor.cache_clear()
    try:
        assert conceal("said swordfish-of-any-shape twice") == "said [redacted] twice"
    finally:
        _redactor.cache_clear()


def test_a_flood_of_errors_that_all_differ_is_no_flood_of_rows(note: ErrorRecorder, rows: Rows, clock: Clock):
    words = [f"place {number}" for number in range(3 * MOST_WRITES)]
    for word in words:
        note(gone(), word)
    assert rows.asked == MOST_WRITES

    for _ in range(3):
        clock.now += REPEAT_S
        note(gone(), "one more")

    assert {seen.place for seen, _ in rows.rows} == {*words, "one more"}
