"""Nothing that a stranger names leads into the platform's networks, and no reply outgrows its bounds."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx
import pytest

from runners.outbound import OutboundRefused, ReplyTooLarge, TlsRefused, address_problem, outbound_client
from tests.factories.https_server import LOOPBACK, Authority, authority, reply, serving

PRIVATE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.100.100.200", "100.64.0.1",
    "168.63.129.16", "0.0.0.0", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.0.192", "192.0.2.1", "198.18.0.1",
    "::1", "::", "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "::127.0.0.1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2600:1f18::5efe:10.0.0.1",
    "2600:1f18::200:5efe:7f00:1",
]  # fmt: skip


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("ca"))


def hello(request: BaseHTTPRequestHandler) -> None:
    reply(request, 200, b"hello", Set_Cookie="seen=1")


def get(url: str, **options: object) -> httpx.Response:
    settings: dict[str, object] = {"timeout": 5.0, "max_bytes": 1000, **options}
    with outbound_client(**settings) as client:  # type: ignore[arg-type]
        return client.get(url)


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_public_is_refused_as_an_address_and_behind_a_name(address: str) -> None:
    host = f"[{address}]" if ":" in address else address

    assert "not a public address" in (address_problem(f"https://{host}/v2") or "")
    with pytest.raises(OutboundRefused, match="not a public address"):
        get(f"https://{host}/v2")
    with pytest.raises(OutboundRefused, match="not a public address"):
        get("https://models.example.org/", resolve=lambda host, port: ["93.184.215.14", address])


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "2606:2800:21f:cb07::1", "64:ff9b::5db8:d70e", "2002:5db8:d70e::"]
)
def test_public_addresses_are_accepted(address: str) -> None:
    assert address_problem(address) is None


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://2130706433/", "form that is not accepted"), ("https://0177.0.0.1/", "not a URL"),
        ("https://0x7f.1/", "form that is not accepted"), ("https://127.1/", "form that is not accepted"),
        ("https://0x7f000001./", "form that is not accepted"), ("https://a.b.0x10/", "form that is not accepted"),
        ("https://ann:secret@example.org/", "user name or password"), ("http://example.org/", "begin with https"),
        ("ftp://example.org/", "begin with https"), ("file:///etc/passwd", "begin with https"),
        ("https:///v2", "names no host"), ("https://example.org:22/", "port 22"), ("https://example.org/#x", "after #"),
        ("https://example.org:65558/", "no port 65558"),  # 22 in the 16 bits that a port has
        ("https://[::1", "not a URL"), ("https://exa mple.org/\x00", "not a URL"),
    ],
)  # fmt: skip
def test_urls_that_no_look_up_can_mend_are_refused_with_the_reason(url: str, words: str) -> None:
    found = address_problem(url)

    assert found is not None
    assert words in found
    assert "secret" not in found


def test_a_name_that_changes_its_mind_after_the_check_gains_nothing() -> None:
    """The server on loopback stands for what a rebinding name would lead to the second time it is looked up."""
    asked: list[str] = []
    met = threading.Event()

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["192.0.0.9"] if len(asked) == 1 else ["127.0.0.1"]

    with serving(lambda request: met.set(), tls=None) as port:
        with (
            outbound_client(timeout=0.3, max_bytes=100, resolve=rebinding) as client,
            pytest.raises(httpx.TransportError),
        ):
            client.get(f"https://rebinding.example.org:{port}/")
        assert asked == ["rebinding.example.org"]
        with pytest.raises(OutboundRefused, match="leads to what is not a public") as refused:
            get(f"https://rebinding.example.org:{port}/", resolve=rebinding)
        assert "127.0.0.1" not in str(refused.value)  # what names of our own networks mean is told to nobody
    assert not met.is_set()


def test_the_address_that_was_checked_is_the_one_dialled(ca: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """No look-up of the system's follows the check: all it is asked for is the checked address itself."""
    system = socket.getaddrinfo
    seen: list[object] = []

    def watched(host: object, *rest: object, **named: object) -> object:
        seen.append(host)
        return system(host, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", watched)
    with serving(hello, tls=ca.context("models.example.org")) as port:
        answer = get(
            f"https://models.example.org:{port}/", allow=LOOPBACK, ca=ca.ca, resolve=lambda host, port: ["127.0.0.1"]
        )

    assert answer.text == "hello"
    assert set(seen) <= {"127.0.0.1"}


def test_allowed_networks_are_reached_and_the_parts_of_an_exchange_are_timed(ca: Authority) -> None:
    with (
        serving(hello, tls=ca.context("127.0.0.1")) as port,
        outbound_client(allow=("127.0.0.1",), timeout=5.0, max_bytes=5, ca=ca.ca) as client,
    ):
        first, second = (client.get(f"https://127.0.0.1:{port}/") for _ in range(2))

    assert first.text == second.text == "hello"
    assert not client.cookies
    timing = first.extensions["outbound"]
    assert not timing["reused"]
    assert 0 < timing["tls"] < timing["total"]
    assert second.extensions["outbound"]["reused"]


def test_plain_http_goes_to_allowed_networks_only() -> None:
    with serving(hello) as port:
        assert get(f"http://127.0.0.1:{port}/", allow=LOOPBACK).text == "hello"
        with pytest.raises(OutboundRefused, match="begin with https"):
            get(f"http://models.example.org:{port}/", allow=("10.0.0.0/8",), resolve=lambda host, port: ["1.1.1.1"])


@pytest.mark.parametrize(("name", "expired"), [("other.example.org", False), ("127.0.0.1", True)])
def test_a_server_that_does_not_prove_its_name_is_refused(ca: Authority, name: str, expired: bool) -> None:
    with (
        serving(hello, tls=ca.context(name, expired=expired)) as port,
        pytest.raises(TlsRefused, match="certificate is not valid"),
    ):
        get(f"https://127.0.0.1:{port}/", allow=LOOPBACK, ca=ca.ca)


def test_an_authority_that_nobody_trusts_and_a_server_without_tls_are_refused(ca: Authority) -> None:
    with (
        serving(hello, tls=ca.context("127.0.0.1")) as port,
        pytest.raises(TlsRefused, match="certificate is not valid"),
    ):
        get(f"https://127.0.0.1:{port}/", allow=LOOPBACK)
    with serving(hello) as port, pytest.raises(TlsRefused, match="handshake"):
        get(f"https://127.0.0.1:{port}/", allow=LOOPBACK)


def test_redirects_come_back_unfollowed() -> None:
    with serving(lambda request: reply(request, 302, Location="http://169.254.169.254/latest/")) as port:
        answer = get(f"http://127.0.0.1:{port}/", allow=LOOPBACK)

    assert answer.status_code == 302
    assert not answer.history


def test_a_redirect_that_a_caller_follows_is_checked_again() -> None:
    with (
        serving(lambda request: reply(request, 302, Location="https://169.254.169.254/latest/")) as port,
        outbound_client(allow=LOOPBACK, timeout=5.0, max_bytes=9) as client,
        pytest.raises(OutboundRefused, match=r"169\.254"),
    ):
        client.get(f"http://127.0.0.1:{port}/", follow_redirects=True)


def endless(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Transfer-Encoding", "chunked")
    request.end_headers()
    for _ in range(1000):
        request.wfile.write(b"400\r\n" + b"x" * 1024 + b"\r\n")


@pytest.mark.parametrize("answer", [lambda request: reply(request, 200, b"x" * 1001), endless])
def test_a_reply_larger_than_agreed_is_cut_off(answer: object) -> None:
    with serving(answer) as port, pytest.raises(ReplyTooLarge, match="1000"):  # type: ignore[arg-type]
        get(f"http://127.0.0.1:{port}/", allow=LOOPBACK)


def test_a_reply_that_would_swell_when_unpacked_is_refused() -> None:
    bomb = gzip.compress(bytes(10**6))[:900]
    with (
        serving(lambda request: reply(request, 200, bomb, Content_Encoding="gzip")) as port,
        pytest.raises(OutboundRefused, match="compressed"),
    ):
        get(f"http://127.0.0.1:{port}/", allow=LOOPBACK)


@pytest.mark.parametrize("where", ["body", "headers"])
def test_a_reply_that_drips_ends_with_the_time_of_the_exchange(where: str) -> None:
    """Each byte comes well within the read timeout; all of them would take for ever."""
    ended = threading.Event()

    def drip(request: BaseHTTPRequestHandler) -> None:
        if where == "body":
            request.send_response(200)
            request.send_header("Content-Length", "900")
            request.end_headers()
        while not ended.wait(0.05):
            request.wfile.write(b"x")
            request.wfile.flush()

    with serving(drip) as port:
        began = time.monotonic()
        with pytest.raises(httpx.ReadTimeout):
            get(f"http://127.0.0.1:{port}/", allow=LOOPBACK, timeout=0.4)
        assert time.monotonic() - began < 4  # against 45 s and more
        ended.set()


def test_a_resolver_that_hangs_does_not_hang_the_call() -> None:
    go_on = threading.Event()

    def hang(host: str, port: int) -> list[str]:
        go_on.wait(10)
        return []

    with pytest.raises(httpx.ConnectTimeout, match="looked up in time"):
        get("https://slow.example.org/", timeout=0.2, resolve=hang)
    go_on.set()


def test_names_without_addresses_and_closed_ports_are_connection_errors() -> None:
    with pytest.raises(httpx.ConnectError, match="has no address"):
        get("https://nothing.example.org/", resolve=lambda host, port: [])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(httpx.ConnectError, match="takes no connection"):
        get(f"http://127.0.0.1:{port}/", allow=LOOPBACK)


def test_proxies_and_passwords_of_the_surroundings_are_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login ann password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    seen: list[str | None] = []

    def note(request: BaseHTTPRequestHandler) -> None:
        seen.append(request.headers.get("Authorization"))
        reply(request, 200)

    with serving(note) as port:
        assert get(f"http://127.0.0.1:{port}/", allow=LOOPBACK).status_code == 200
    assert seen == [None]
