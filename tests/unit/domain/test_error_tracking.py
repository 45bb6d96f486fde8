"""What makes two errors the same, and what of one is remembered."""

import pytest

from tidegate.domain import NotFound, Transient
from tidegate.domain.error_tracking import SeenError, innermost, normalized, see
from tidegate.ledger.identity import new_release_id
from tidegate.settings import load_settings


def seen(message: str, **changed: str) -> SeenError:
    values = {"code": "TG-1", "kind": "X", "place": "p", "raised_in": "r", "remedy": "", **changed}
    return SeenError(message=message, **values)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Epoch 4 is not the current one (5).", "Epoch 12 is not the current one (13)."),
        ("There is no organization 'acme'.", "There is no organization 'bolt-2'."),
        ("The file /a/b.gguf is not there.", "The file /var/x/yz.gguf is not there."),
        ("No answer from http://127.0.0.1:8080/v1.", "No answer from https://api.example.org:443/x?y=1."),
        ("Port 127.0.0.1:80 is taken.", "Port 10.0.0.1:8081 is taken."),
        ("Digest 0123abcd4567 failed.", "Digest ffff0000aaaa1 failed."),
        ("acme/chat has no gateway.", "bolt/mail-desk has no gateway."),
        ("models/a.gguf is cut short.", "out/new/b.gguf is cut short."),
        ("finch:v1 is not registered.", "wren:v22 is not registered."),
        ("ada@example.org may not.", "noor.k@example.com may not."),
    ],
)
def test_names_numbers_and_places_do_not_make_another_error(one: str, other: str):
    assert seen(one).fingerprint == seen(other).fingerprint


def test_another_release_does_not_make_another_error():
    one, other = (seen(f"There is no release {new_release_id()}.") for _ in range(2))
    assert one.message != other.message
    assert one.fingerprint == other.fingerprint


def test_other_words_code_place_or_function_make_another_error():
    first = seen("The ledger is busy.")

    others = [
        seen("The ledger is gone."),
        seen("The ledger is busy.", code="TG-2"),
        seen("The ledger is busy.", place="q"),
        seen("The ledger is busy.", raised_in="s"),
    ]

    assert len({first.fingerprint, *(other.fingerprint for other in others)}) == 5


def test_words_stay_when_what_varies_is_taken_out():
    assert normalized("Set chat-3f2a9b1c of acme waits for 3 of 5 gateways") == (
        "Set <id> of acme waits for <n> of <n> gateways"
    )


def test_a_domain_error_brings_its_code_remedy_and_release():
    error = Transient(
        "The ledger is busy.", remedy="Try again.", code="TG-1100", release_id="r-1", org="acme"
    )

    found = see(error, "step deploy", str)

    assert (found.code, found.kind, found.remedy) == ("TG-1100", "Transient", "Try again.")
    assert (found.org, found.release_id, found.place) == ("acme", "r-1", "step deploy")


def test_a_defect_has_a_code_and_a_remedy_too():
    found = see(KeyError("weights"), "command release", str)

    assert found.code == "TG-0000"
    assert "report it" in found.remedy


def test_every_text_of_it_is_concealed_before_it_is_remembered():
    error = NotFound("no key sesame", remedy="use sesame")

    found = see(error, "p", lambda text: text.replace("sesame", "***"))

    assert (found.message, found.remedy) == ("no key ***", "use ***")


def test_a_very_long_message_is_cut():
    assert len(see(NotFound("x " * 10_000, remedy="y"), "p", str).message) == 500


def test_the_innermost_function_of_ours_is_named_without_a_line(tmp_path):
    with pytest.raises(Exception, match="TIDEGATE") as caught:
        load_settings({"TIDEGATE_GATEWAYS": "none", "TIDEGATE_HOME": str(tmp_path)})

    assert innermost(caught.value.__traceback__).startswith("tidegate.settings.")
