"""Touchstone for participants. `from touchstone_client import serve` needs NumPy only, `Client` needs httpx only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from touchstone_client.errors import ClientError
    from touchstone_client.sdk import Client
    from touchstone_client.serving import serve

__all__ = ["Client", "ClientError", "serve"]


def __getattr__(name: str) -> Any:
    # Lazy: the command line needs no NumPy, and `serve` needs nothing of the command line.
    if name == "serve":
        from touchstone_client.serving import serve

        return serve
    if name == "Client":
        from touchstone_client.sdk import Client

        return Client
    if name == "ClientError":
        from touchstone_client.errors import ClientError

        return ClientError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
