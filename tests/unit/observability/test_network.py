"""An organization's URL reaches nothing inside the network of the machine that sends."""

import pytest

from tidegate.observability.notifications.network import is_public, pin, resolve
from tidegate.observability.notifications.sending import SendFailed

PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1%eth0",
    "fd00::1",
    "ff02::1",
    "::ffff:10.0.0.1",
    "64:ff9b::a00:1",
    "2002:a00:1::",
    "192.0.0.192",
    "168.63.129.16",
    "fec0::1",
    "::ffff:168.63.129.16",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_inside_are_not_public(address: str):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_addresses_of_everybody_are_public(address: str):
    assert is_public(address)


def test_a_name_of_which_one_address_is_inside_is_refused_for_good():
    with pytest.raises(SendFailed, match="allow_private") as caught:
        pin("hook.example.org", 443, allow_private=False, resolver=lambda host, port: ["8.8.8.8", "10.0.0.1"])
    assert caught.value.is_final


def test_the_name_is_asked_once_and_the_first_address_is_it():
    asked: list[str] = []

    def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["8.8.8.8", "8.8.4.4"]

    assert pin("hook.example.org", 443, allow_private=False, resolver=resolver) == "8.8.8.8"
    assert asked == ["hook.example.org"]


def test_where_private_is_allowed_the_address_is_taken():
    assert pin("localhost", 80, allow_private=True, resolver=lambda host, port: ["127.0.0.1"]) == "127.0.0.1"


def test_a_name_that_leads_nowhere_is_tried_again_later():
    with pytest.raises(SendFailed) as caught:
        resolve("nowhere.invalid", 443)
    assert not caught.value.is_final


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1"])
def test_other_spellings_of_an_address_inside_are_seen_through(host: str):
    with pytest.raises(SendFailed):
        pin(host, 443, allow_private=False)
