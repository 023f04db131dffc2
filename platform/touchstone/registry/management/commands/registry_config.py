"""Write the configuration of `docker-registry`, and make its keys where there are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from touchstone.registry.server_config import server_config


class Command(BaseCommand):
    help = "Print the configuration for `docker-registry serve FILE`; makes the keys under TOUCHSTONE_REGISTRY_SECRETS."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--storage", type=Path, default=Path("/var/lib/registry"), help="folder of the images")
        parser.add_argument("--listen", default="127.0.0.1:5000", help="host:port to listen on")
        parser.add_argument("--server", default="", help="how the registry reaches this server (default: the base URL)")
        parser.add_argument(
            "--secrets", type=Path, help="the folder of the keys as the registry sees it (default: as we do)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        base = settings.TOUCHSTONE_BASE_URL
        secrets = Path(settings.TOUCHSTONE_REGISTRY_SECRETS)
        config = server_config(
            secrets=secrets, storage=options["storage"], listen=options["listen"], realm=f"{base}/registry/token",
            events=f"{(options['server'] or base).rstrip('/')}/registry/events",
        )  # fmt: skip
        if options["secrets"]:
            token = config["auth"]["token"]
            token["rootcertbundle"] = str(options["secrets"] / Path(token["rootcertbundle"]).name)
        self.stdout.write(json.dumps(config, indent=2))
