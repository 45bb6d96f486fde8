"""Secrets of every kind, planted in every place that a record can hold text, and looked for in what is written."""

import io
import json
import logging
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from tests.unit.observability.planted import KNOWN, PLANTED
from tidegate.correlation import bind
from tidegate.domain import Secret, TidegateError
from tidegate.observability.log_lines import json_formatter, use_structlog
from tidegate.observability.redaction import MOST_CHARS, Redactor, secrets_of


class Telling:
    """Says a secret whenever somebody turns it into text."""

    def __init__(self, text: str):
        self._text = text

    def __repr__(self) -> str:
        return f"<thing {self._text}>"


@pytest.fixture
def written() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    use_structlog()
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(json_formatter(lambda: "test", KNOWN))
    # Of nobody's tree: what else listens in a test run must not see these records.
    logger = logging.Logger("tidegate.test_redaction", logging.DEBUG)
    logger.addHandler(handler)
    yield logger, stream
    structlog.reset_defaults()


def in_error(text: str, log: logging.Logger) -> None:
    try:
        raise ValueError(text)
    except ValueError:
        log.exception("failed")


def in_cause(text: str, log: logging.Logger) -> None:
    try:
        try:
            raise KeyError(text)
        except KeyError as error:
            raise TidegateError("could not", remedy=text) from error
    except TidegateError as error:
        error.add_note(text)
        log.warning("failed", exc_info=error)


def in_group(text: str, log: logging.Logger) -> None:
    log.error("failed", exc_info=ExceptionGroup("several", [ValueError(text), OSError(text)]))


def in_locals(text: str, log: logging.Logger) -> None:
    kept = text
    try:
        raise ValueError(len(kept))
    except ValueError:
        log.exception("failed")


def bound(text: str, log: logging.Logger) -> None:
    with bind(platform=text):
        log.info("bound")


def of_prefect(text: str, log: logging.Logger) -> None:
    extra = {"flow_run_id": "0197c1f4", "flow_run_name": text, "task_name": "deploy", "send_to_api": False}
    log.info("Finished in state %r", text, extra=extra)


PLACES: dict[str, Callable[[str, logging.Logger], object]] = {
    "event": lambda text, log: log.info(text),
    "argument": lambda text, log: log.info("told %s", text),
    "argument by name": lambda text, log: log.info("told %(what)s", {"what": text}),
    "argument that does not fit": lambda text, log: log.info("told %d", text),
    "repr of an argument": lambda text, log: log.info("told %r", Telling(text)),
    "an object as the event": lambda text, log: log.info(Telling(text)),
    "bytes as an argument": lambda text, log: log.info("told %s", text.encode()),
    "extra": lambda text, log: log.info("told", extra={"note": text}),
    "extra, bytes": lambda text, log: log.info("told", extra={"note": text.encode()}),
    "extra, nested": lambda text, log: log.info("told", extra={"note": {"a": [{"b": (text,)}]}}),
    "extra, a key": lambda text, log: log.info("told", extra={"note": {text: 1}}),
    "extra, a key of bytes": lambda text, log: log.info("told", extra={"note": {text.encode(): 1}}),
    "extra, a set": lambda text, log: log.info("told", extra={"note": {text}}),
    "extra, an object": lambda text, log: log.info("told", extra={"note": Telling(text)}),
    "name of an extra": lambda text, log: log.info("told", extra={text: "x"}),
    "structlog event": lambda text, log: structlog.wrap_logger(log).info(text),
    "structlog value": lambda text, log: structlog.wrap_logger(log).info("told", note=[text]),
    "error": in_error,
    "cause, remedy and note": in_cause,
    "group of errors": in_group,
    "locals of a frame": in_locals,
    "stack": lambda text, log: log.info("told", stack_info=True),
    "bound": bound,
    "line of Prefect": of_prefect,
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_secret_is_found_nowhere(kind: str, written: tuple[logging.Logger, io.StringIO]):
    log, stream = written
    text, secret = PLANTED[kind]
    for plant in PLACES.values():
        plant(text, log)

    lines = stream.getvalue().splitlines()
    assert len(lines) == len(PLACES)
    found = [
        place
        for place, line in zip(PLACES, lines, strict=True)
        if secret in line or secret in json.loads(line)
    ]
    assert found == []
    assert secret not in json.dumps([json.loads(line) for line in lines], ensure_ascii=False)


@pytest.mark.parametrize(
    "name",
    ["password", "api_key", "API-Key", "apikey", "authorization", "hf_token", "runpod.credential", "cookie",
     "private_key", "secret", "webhook_url", "prefect_auth_string", "Set-Cookie", "secrets", "x-api-key", "accessToken",
     "clientSecret", "dbPassword", "PGPASSWORD", "pwd", "private key", "auth", "sessionCookie"],
)  # fmt: skip
def test_no_text_is_written_under_the_name_of_a_secret(name: str):
    cleaned = Redactor().value({name: "plain", "deep": [{name: {"a": "plain"}}]})

    assert "plain" not in json.dumps(cleaned)


@pytest.mark.parametrize("name", ["prompt", "messages", "completion", "content", "choices"])
def test_no_text_of_a_user_is_written(name: str):
    assert Redactor().value({name: [{"role": "user", "text": "my question"}]}) == {name: "[text]"}


@pytest.mark.parametrize(
    "text",
    [
        "swaggystacks--support-chat--0a1b2c3d4e-5f6a7b8c",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "0197c1f4-6e0e-7d43-9f30-5f6f0a0c9b1e",
        "/home/me/.tidegate/platform/local/swaggystacks--support-chat--0a1b/engine.log",
        "http://127.0.0.1:8080/swaggystacks/support-chat/v1/chat/completions?stream=true",
        "sqlite:////home/me/.tidegate/ledger.sqlite3",
        "max_tokens=128, tokens: 12, prompt_tokens=7",
        "rel-1: PLANNED -> VALIDATING: the plan of risk-and-task-control-worker stands",
        "The bearer token is missing or wrong.",
        "tests/unit/observability/test_redaction.py::test_names_and_digests_of_ours_are_left_alone",
        "2026-11-26T17:54:13.482Z disk-usage-report of basic checks",
        "Llama-3_2-1B-Instruct-Q4_K_M-gguf-finetune-v2",
        "ImportError: hf_hub_download of sk-learn-something and pk_releases_constraint",
        "cloned from ssh://git@github.com/o/r",
        "GET http://127.0.0.1:8080/models/a@b",
        "Give --passphrase file:/etc/tidegate/passphrase1 or --token of a request.",
    ],
)
def test_names_and_digests_of_ours_are_left_alone(text: str):
    assert Redactor().text(text) == text


def test_a_header_that_is_a_pair_is_told_by_its_name():
    cleaned = Redactor().value(
        {"headers": [("x-api-key", "plain"), (b"Cookie", b"plain"), ("accept", "json")]}
    )

    assert cleaned == {"headers": [["x-api-key", "[redacted]"], ["Cookie", "[redacted]"], ["accept", "json"]]}


def test_an_id_that_a_client_chose_stays_the_same_unless_it_is_a_key():
    random = "Req_01HF8Z7N8K2M4P6Q8R0S2T4V6W8X0Y2Z4a6B8"
    cleaned = Redactor().value({"request_id": random, "flow_run_id": "sk-proj-AbCd_1234567890abcdef"})

    assert cleaned == {"request_id": random, "flow_run_id": "[redacted]"}


def test_counts_under_such_names_stay():
    assert Redactor().value({"tokens": 12, "token": 3, "secret": None, "password": True}) == {
        "tokens": 12,
        "token": 3,
        "secret": None,
        "password": True,
    }


def test_a_secret_of_ours_tells_itself_as_stars():
    assert Redactor().value({"note": Secret("x")}) == {"note": "Secret(***)"}


def test_a_long_text_is_cut_after_its_secrets_were_taken_out():
    text = "a" * (MOST_CHARS - 10) + " sk-" + "b" * 40

    cleaned = Redactor().text(text)

    assert "bbbb" not in cleaned
    assert len(Redactor().text("a " * MOST_CHARS)) < MOST_CHARS + 100


def test_a_value_that_holds_itself_ends():
    ring: dict[str, Any] = {}
    ring["me"] = ring

    assert "[nested too deep]" in json.dumps(Redactor().value(ring))


def test_an_object_that_cannot_be_told_does_not_end_the_line():
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no")

    assert Redactor().value([Broken()]) == ["<Broken that cannot be told: RuntimeError>"]


def test_what_stands_under_names_of_secrets_in_the_environment_is_known():
    known = secrets_of(
        {
            "PREFECT_API_AUTH_STRING": "admin:pw-of-prefect",
            "TIDEGATE_SECRET_X": "of-ours",
            "PATH": "/bin",
            "HF_TOKEN": "9" * 9,
        }
    )

    assert set(known) == {"admin:pw-of-prefect", "pw-of-prefect", "of-ours"}
    assert set(secrets_of({"PGPASSWORD": "of-libpq", "DATABASE_URL": "postgresql://u:of%40url@h/d"})) == {
        "of-libpq",
        "of%40url",
        "of@url",
    }


def test_the_standard_traceback_of_an_error_shows_no_locals(written: tuple[logging.Logger, io.StringIO]):
    log, stream = written
    in_locals("only-in-a-variable", log)

    assert "only-in-a-variable" not in stream.getvalue()
    assert "in_locals" in json.loads(stream.getvalue())["error.stack"]
    assert traceback.format_exc() == "NoneType: None\n"
