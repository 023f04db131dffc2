"""Credentials of one's endpoints, as typed calls; a part of `Client`. A secret goes in and never comes out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from touchstone_client.decode import decode
from touchstone_client.transport import Transport


@dataclass(frozen=True)
class Credential:
    """A header that an endpoint asks for. `host`: where it is sent; empty until a submission names it."""

    name: str
    header: str
    host: str
    created_at: datetime
    last_used_at: datetime | None = None


class Credentials:
    """Calls that need the scope `submit`, or `read` to list them."""

    _http: Transport

    def credentials(self) -> list[Credential]:
        """One's own, by name."""
        return [decode(Credential, item) for item in self._http.json("GET", "me/credentials")["items"]]

    def credential_add(self, name: str, *, header: str, secret: str) -> Credential:
        """Keeps a header and its whole value for the endpoints that one submits."""
        body = {"name": name, "header": header, "secret": secret}
        return decode(Credential, self._http.json("POST", "me/credentials", json=body))

    def credential_remove(self, name: str) -> None:
        """Forgets it: runs that need it fail from now on."""
        self._http.send("DELETE", f"me/credentials/{quote(name, safe='')}")
