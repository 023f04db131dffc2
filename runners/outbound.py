"""HTTP to addresses that strangers name: never into the platform's own networks, never without bounds.

The name is resolved here, every address it has is checked, and the connection is made to a checked address:
between the check and the call no name is looked up again, so a name that changes its mind gains nothing.
A whole exchange, from the first look-up to the last byte, takes no longer than the longest of its timeouts, and
a reply has at most `max_bytes`. Redirects come back as they are, cookies and proxies are not known here.
Standard library and httpx only.
"""

from __future__ import annotations

import functools
import ipaddress
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpcore
import httpx

from runners._outbound_rules import (
    FIRST_FREE_PORT,
    Address,
    Network,
    ip_problem,
    literal,
    networks,
    url_problem,
    within,
)
from runners._outbound_stream import Clock, TimedStream, TlsRefusal

#: Addresses of a name: like `socket.getaddrinfo`, which tests replace by a resolver of their own.
Resolve = Callable[[str, int], list[str]]


class OutboundRefused(httpx.TransportError):
    """Nothing was sent there, or what came back was not taken; `reason` says why in words for the address' owner."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TlsRefused(OutboundRefused):
    """The server did not prove to be the host that was asked for."""


class LookupLate(httpx.ConnectTimeout):
    """The resolver of this machine did not answer: nothing is known about the host."""


class ReplyTooLarge(OutboundRefused):
    """The reply has more bytes than it may."""


def outbound_client(
    *,
    allow: tuple[str, ...] = (),
    timeout: httpx.Timeout | float,
    max_bytes: int,
    ca: Path | str | None = None,
    resolve: Resolve | None = None,
) -> httpx.Client:
    """A client that only reaches public addresses; refusals raise `OutboundRefused`, all else what httpx raises.

    Args:
        allow: networks and addresses that may be reached though they are not public; plain http only goes there.
        timeout: also bounds each whole exchange, by its longest part.
        max_bytes: of a reply's body; a request's own `extensions["max_bytes"]` may say less.
        ca: more certificates to trust, besides the public ones.
        resolve: looks names up; default: the system's resolver.

    Each response has `extensions["outbound"]`: seconds of `lookup`, `connect`, `tls` (0 on a kept connection) and
    `total`, and `reused`.
    """
    trusted = Path(ca) if ca else None
    transport = _Outbound(networks(allow), max_bytes=max_bytes, ca=trusted, resolve=resolve or _look_up)
    headers = {"Accept-Encoding": "identity", "User-Agent": "touchstone"}
    return httpx.Client(transport=transport, timeout=timeout, headers=headers, trust_env=False)


def address_problem(text: str, allow: tuple[str, ...] = ()) -> str | None:
    """What is wrong with this URL, or this address or host, as far as no name need be looked up; None: nothing."""
    try:
        url = httpx.URL(text if "://" in text else f"https://[{text}]" if ":" in text else f"https://{text}")
    except (httpx.InvalidURL, TypeError, ValueError):
        return "it is not a URL"
    return url_problem(url, networks(allow))


def _look_up(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class _Backend(httpcore.NetworkBackend):
    """Dials the addresses that it checked itself."""

    def __init__(self, allowed: tuple[Network, ...], resolve: Resolve, clock: Clock) -> None:
        self._allowed = allowed
        self._resolve = resolve
        self._clock = clock

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """A connection to one of the host's addresses, all of which were checked."""
        with self._clock.measure("lookup"):
            addresses = self._addresses(host, port, timeout)
        with self._clock.measure("connect"):
            failed: OSError | None = None
            for address in addresses:
                try:
                    connection = socket.create_connection((str(address), port), self._clock.left(timeout))
                except TimeoutError as error:
                    raise httpcore.ConnectTimeout(f"{host} did not take a connection in time") from error
                except OSError as error:
                    failed = error
                    continue
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return TimedStream(connection, self._clock)
        raise httpcore.ConnectError(f"{host} takes no connection: {failed}") from failed

    def _addresses(self, host: str, port: int, timeout: float | None) -> list[Address]:
        given = literal(host)
        texts = [host] if given is not None else self._resolved(host, port, timeout)
        addresses = [ipaddress.ip_address(text.partition("%")[0]) for text in texts]
        for address in addresses:
            # One that must not be reached among public ones is no accident of a public service.
            if problem := ip_problem(address, self._allowed):
                # Whoever asks is not told which: names of our own networks are looked up here as well.
                raise OutboundRefused(problem if given is not None else f"{host} leads to what is not a public address")
            if self._clock.plain and not within(address, self._allowed):
                raise OutboundRefused("it must begin with https://")
            own = port != 443 and port < FIRST_FREE_PORT
            if own and not within(address, self._allowed):
                raise OutboundRefused(f"port {port} is not accepted; use 443, or one from {FIRST_FREE_PORT} on")
        return addresses

    def _resolved(self, host: str, port: int, timeout: float | None) -> list[str]:
        """The host's addresses, in a thread: the system's resolver keeps to no time limit."""
        answer: list[list[str] | OSError] = []

        def ask() -> None:
            try:
                answer.append(self._resolve(host, port))
            except (OSError, UnicodeError) as error:
                answer.append(OSError(str(error)))

        asking = threading.Thread(target=ask, name="outbound-lookup", daemon=True)
        asking.start()
        asking.join(self._clock.left(timeout))
        if not answer:
            raise LookupLate(f"the name {host} could not be looked up in time")
        found = answer[0]
        if isinstance(found, OSError) or not found:
            raise httpcore.ConnectError(f"the name {host} has no address")
        return found


class _Outbound(httpx.BaseTransport):
    """One exchange: checked, timed, and read to its end within its bounds."""

    def __init__(self, allowed: tuple[Network, ...], *, max_bytes: int, ca: Path | None, resolve: Resolve) -> None:
        self._allowed = allowed
        self._max_bytes = max_bytes
        self._clock = Clock()
        self._pool = httpcore.ConnectionPool(
            ssl_context=_tls(ca), network_backend=_Backend(allowed, resolve, self._clock), keepalive_expiry=30.0
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The whole reply. Raises `OutboundRefused`, and httpx's errors of transport and time."""
        if problem := url_problem(request.url, self._allowed):
            raise OutboundRefused(problem)
        limits = [limit for limit in request.extensions.get("timeout", {}).values() if limit is not None]
        self._clock.start(max(limits, default=60.0), plain=request.url.scheme == "http")
        try:
            return self._exchange(request)
        except TlsRefusal as error:
            raise TlsRefused(str(error)) from error
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
            kind = getattr(httpx, type(error).__name__, httpx.TransportError)
            raise kind(str(error)) from error
        except TimeoutError as error:  # before there was a connection to read from
            raise httpx.ConnectTimeout(str(error)) from error

    def _exchange(self, request: httpx.Request) -> httpx.Response:
        if not isinstance(request.stream, httpx.SyncByteStream):
            raise TypeError("only synchronous requests are sent here")
        url = httpcore.URL(
            scheme=request.url.raw_scheme, host=request.url.raw_host, port=request.url.port, target=request.url.raw_path
        )
        asked = httpcore.Request(
            method=request.method, url=url, headers=request.headers.raw, content=request.stream,
            extensions=request.extensions,
        )  # fmt: skip
        began = time.perf_counter()
        reply = self._pool.handle_request(asked)
        try:
            most = min(self._max_bytes, request.extensions.get("max_bytes", self._max_bytes))
            body = self._body(reply, most)
        finally:
            reply.close()
        seconds = self._clock.seconds
        timing = {"reused": "connect" not in seconds, "total": time.perf_counter() - began}
        timing |= {name: seconds.get(name, 0.0) for name in ("lookup", "connect", "tls")}
        headers = [(name, value) for name, value in reply.headers if name.lower() != b"set-cookie"]
        return httpx.Response(reply.status, headers=headers, content=body, extensions={"outbound": timing})

    def _body(self, reply: httpcore.Response, most: int) -> bytes:
        headers = {name.lower(): value for name, value in reply.headers}
        if headers.get(b"content-encoding", b"identity").strip().lower() not in (b"identity", b""):
            raise OutboundRefused("the reply is compressed, which was not asked for")
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > most:
            raise ReplyTooLarge(f"the reply has {int(length)} bytes; {most} are taken")
        body = bytearray()
        for part in reply.iter_stream():
            body += part
            if len(body) > most:
                raise ReplyTooLarge(f"the reply has more than the {most} bytes that are taken")
        return bytes(body)

    def close(self) -> None:
        """Close the connections that were kept."""
        self._pool.close()


@dataclass(frozen=True)
class Reach:
    """How far a process may go: what `outbound_client` takes as `allow` and `ca`."""

    allow: tuple[str, ...] = ()
    ca: Path | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Reach:
        """`TOUCHSTONE_OUTBOUND_ALLOW`, networks with commas between them, and `TOUCHSTONE_OUTBOUND_CA`, a file."""
        listed = environ.get("TOUCHSTONE_OUTBOUND_ALLOW", "").split(",")
        ca = environ.get("TOUCHSTONE_OUTBOUND_CA", "")
        return cls(tuple(text.strip() for text in listed if text.strip()), Path(ca) if ca else None)


@functools.cache
def _tls(ca: Path | None) -> ssl.SSLContext:
    """Verifies by host name against the public authorities, and those of `ca`."""
    context = httpx.create_ssl_context(trust_env=False)
    if ca is not None:
        context.load_verify_locations(cafile=str(ca))
    return context
