"""The configuration of `docker-registry` (Distribution 2.8): tokens are ours, and pushes are told to us.

Needs no Django: see `touchstone.registry.keys`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from touchstone.registry.keys import CERTIFICATE, EVENTS, HTTP, ISSUER, SERVICE, keys_make


def server_config(*, secrets: Path, storage: Path, listen: str, realm: str, events: str) -> dict[str, Any]:
    """What `docker-registry serve FILE` takes; JSON is YAML.

    Args:
        secrets: folder of the keys, made where it is missing.
        storage: folder for the images.
        listen: `host:port` to listen on.
        realm: where Docker engines get their tokens: `<base URL>/registry/token`, as participants reach it.
        events: where the registry tells of pushes: `<server>/registry/events`, as the registry reaches it.
    """
    keys_make(secrets)
    return {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(storage)},
            "delete": {"enabled": True},
            "cache": {"blobdescriptor": "inmemory"},
            # What a push that broke off left goes after a day.
            "maintenance": {"uploadpurging": {"enabled": True, "age": "24h", "interval": "6h", "dryrun": False}},
        },
        "http": {
            "addr": listen,
            "secret": (secrets / HTTP).read_text().strip(),
            "headers": {"X-Content-Type-Options": ["nosniff"]},
        },
        "auth": {
            "token": {
                "realm": realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": str(secrets / CERTIFICATE),
            }
        },
        "notifications": {
            "events": {"includereferences": True},
            "endpoints": [
                {
                    "name": "touchstone", "url": events, "timeout": "5s", "threshold": 3, "backoff": "2s",
                    "headers": {"Authorization": [f"Bearer {(secrets / EVENTS).read_text().strip()}"]},
                    "ignore": {"mediatypes": ["application/octet-stream"], "actions": ["pull", "mount", "delete"]},
                }
            ],
        },
    }  # fmt: skip


def main() -> None:
    """The arguments of `server_config` as JSON in, the configuration out."""
    asked = json.load(sys.stdin)
    folders = {name: Path(asked.pop(name)) for name in ("secrets", "storage")}
    json.dump(server_config(**folders, **asked), sys.stdout, indent=2)


if __name__ == "__main__":
    main()
