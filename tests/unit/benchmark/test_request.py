"""What goes out: the right host and path, and nothing that a header or a URL could smuggle in."""

import pytest

from tidegate.benchmark.request import read_url, request_bytes
from tidegate.domain import InvalidInput


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8080/v1/x", (False, "127.0.0.1", 8080, "127.0.0.1:8080", "/v1/x")),
        ("https://Example.com/v1?a=b#c", (True, "example.com", 443, "example.com", "/v1?a=b")),
        ("http://[::1]:9/", (False, "::1", 9, "[::1]:9", "/")),
        ("http://bücher.example", (False, "xn--bcher-kva.example", 80, "xn--bcher-kva.example", "/")),
        ("https://example.com:443/", (True, "example.com", 443, "example.com", "/")),
    ],
)
def test_a_url_is_read(url: str, expected: tuple[object, ...]):
    target = read_url(url)
    assert (target.is_tls, target.host, target.port, target.authority, target.path) == expected


@pytest.mark.parametrize(
    "url",
    ["", "ftp://x/", "http://", "/v1", "http://x:port/", "http://x/a b", "http://x/\r\nhost: y", "http://x/ü", "http://k:secret@x/"],
)  # fmt: skip
def test_what_is_no_plain_http_url_is_refused_without_repeating_it(url: str):
    with pytest.raises(InvalidInput) as refusal:
        read_url(url)
    assert "secret" not in str(refusal.value)


def test_a_request_has_its_length_its_host_and_the_callers_headers():
    target = read_url("http://127.0.0.1:8080/v1/x")
    raw = request_bytes(
        "POST", target, {"Authorization": "Bearer k", "Host": "other"}, "é".encode(), keep_alive=False
    )
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /v1/x HTTP/1.1"
    assert body == "é".encode()
    assert {
        "host: 127.0.0.1:8080",
        "authorization: Bearer k",
        "content-length: 2",
        "connection: close",
    } <= set(lines)
    assert not any("other" in line for line in lines)


def test_a_request_never_asks_for_compression():
    raw = request_bytes("POST", read_url("http://x/"), {}, b"", keep_alive=True)
    assert b"accept-encoding: identity\r\n" in raw
    assert b"connection: keep-alive\r\n" in raw


@pytest.mark.parametrize(
    "headers", [{"authorization": "Bearer secret\n"}, {"x\r\ny": "z"}, {"x": "Ω secret"}, {"": "z"}]
)
def test_a_header_that_would_break_out_of_its_line_is_refused_without_its_value(headers: dict[str, str]):
    with pytest.raises(InvalidInput) as refusal:
        request_bytes("POST", read_url("http://x/"), headers, b"", keep_alive=True)
    assert "secret" not in str(refusal.value)
